"""The real ccxt class against a local venue that fails in every way: afterwards the lake equals the truth."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, Rows, walk

from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Lake, Provenance, Series
from twinstar_kit.testing.local_venue import LocalVenue, local_binance
from twinstar_kit.testing.local_venue.faults import (
    Banned,
    Cut,
    Duplicate,
    Elsewhere,
    Empty,
    Fault,
    Hole,
    Html,
    OffGrid,
    Revised,
    ServerError,
    Swapped,
    TooManyRequests,
    Unfinished,
    WrongJson,
    WrongShape,
)

SYMBOLS = ["BTC/USDT", "ETH/USDT", "SOL/USDT"]
BARS = 12_000
NOW = START + BARS * MINUTE
SOURCE_UNITS = 10**6  # the venue counts cents, a source 1e-8


def at(bars: int) -> int:
    return START + bars * MINUTE


def bars_of(symbol: str, seed: int) -> Bars:
    """The market goes on after the lake's now: the venue's clock moves while the source waits."""
    instrument = Instrument.from_sizes(symbol, "0.01", "0.00001", exchange="binance")
    return Bars(instrument, MINUTE, walk(BARS + 1_000, seed=seed))


TRUTH = {symbol: bars_of(symbol, seed) for seed, symbol in enumerate(SYMBOLS)}


def truth(symbol: str) -> Rows:
    rows = TRUTH[symbol].rows[:BARS].copy()
    rows[:, 1:5] *= SOURCE_UNITS
    return rows


@pytest.fixture
def venue():
    with LocalVenue(list(TRUTH.values()), clock=ManualClock(NOW)) as venue:
        yield venue


@pytest.fixture
def lake(tmp_path: Path):
    with Lake(tmp_path / "lake", clock=ManualClock(NOW)) as lake:
        yield lake


def source_of(venue: LocalVenue) -> CcxtSource:
    """Waits by moving the venue's clock."""
    clock = venue.clock
    assert isinstance(clock, ManualClock)
    return CcxtSource(
        local_binance(venue), clock=clock, chance=random.Random(1),
        sleep=lambda seconds: clock.advance(int(-(-seconds * 1_000 // 1))) and None,
    )  # fmt: skip


def rows(lake: Lake, symbol: str) -> Rows:
    return lake.read("binance", symbol).rows


def equals_the_truth(lake: Lake) -> None:
    for symbol in SYMBOLS:
        assert np.array_equal(rows(lake, symbol), truth(symbol)), symbol


def does_nothing(lake: Lake, venue: LocalVenue) -> None:
    venue.log.clear()
    log, snapshots = lake.log(), lake.snapshots()
    report = lake.maintain(source_of(venue))
    assert report.ok
    assert venue.log.count("request") == 0
    assert (lake.log(), lake.snapshots()) == (log, snapshots)


def storm() -> list[Fault]:
    """Refusals, errors, cut connections and answers that cannot be true, among the first forty requests."""
    return [
        TooManyRequests(after=2, times=3), Banned(after=9), ServerError(after=12, times=2), Cut(after=15, times=2),
        WrongJson(after=18, times=2), WrongShape(after=22, endpoint="klines"), Html(after=25),
        Duplicate(after=4, times=2), Swapped(after=6), Elsewhere(after=8),
    ]  # fmt: skip


@pytest.mark.parametrize("workers", [1, 4])
def test_a_storm_of_failures_leaves_no_trace_in_the_data(lake: Lake, venue: LocalVenue, workers: int):
    faults = storm()
    venue.plant(*faults)
    report = lake.maintain(source_of(venue), SYMBOLS, since=START, workers=workers)
    assert report.ok, report
    assert all(fault.struck for fault in faults)
    equals_the_truth(lake)
    assert {entry["kind"] for entry in lake.log()} == {"certificate"}, (
        "what was asked again in time is no repair"
    )
    does_nothing(lake, venue)


def test_every_hole_is_healed_and_every_repair_is_in_the_log(lake: Lake, venue: LocalVenue):
    venue.plant(
        Hole(symbol="BTC/USDT", since_ms=at(700), until_ms=at(720)),  # for ever: only the trades know
        Hole(
            symbol="ETH/USDT", since_ms=at(3_000), until_ms=at(3_500), times=1
        ),  # the second answer has them
        Empty(symbol="SOL/USDT", after=5),
        OffGrid(symbol="SOL/USDT", at_ms=at(2_222)),
    )
    report = lake.maintain(source_of(venue), SYMBOLS, since=START)
    assert report.ok, report
    equals_the_truth(lake)
    repairs = {
        (entry["series"], entry["source"], entry["first_ms"], entry["added"])
        for entry in lake.log()
        if entry["kind"] == "repair"
    }
    assert repairs >= {
        ("binance BTC/USDT 1m", "binance trades", at(700), 20),
        ("binance ETH/USDT 1m", "binance", at(3_000), 500),
    }
    assert sum(added for *_, added in repairs) == 20 + 500 + 1_000 + 1
    marks = lake.read("binance", "BTC/USDT", since=at(700), until=at(720)).provenance
    assert set(marks) == {Provenance.FROM_TRADES}
    does_nothing(lake, venue)


def test_what_the_venue_told_wrong_at_first_is_revised_by_a_recheck(lake: Lake, venue: LocalVenue):
    venue.plant(
        Revised(symbol="BTC/USDT", at_ms=at(11_900), by=300), Unfinished(symbol="ETH/USDT", at_ms=at(11_950))
    )
    lake.maintain(source_of(venue), SYMBOLS, since=START)
    assert not np.array_equal(rows(lake, "BTC/USDT"), truth("BTC/USDT"))
    report = lake.maintain(source_of(venue), recheck=240)
    assert report.backfill.total("revised") == 2
    equals_the_truth(lake)
    revised = [entry for entry in lake.log() if entry["kind"] == "revision"]
    assert [entry["first_ms"] for entry in revised] == [at(11_900), at(11_950)]
    assert [entry["new"][0] for entry in revised] == [
        truth("BTC/USDT")[11_900].tolist(),
        truth("ETH/USDT")[11_950].tolist(),
    ]
    does_nothing(lake, venue)


def test_a_venue_that_gives_up_is_said_and_the_next_round_goes_on(lake: Lake, venue: LocalVenue):
    venue.plant(ServerError(symbol="ETH/USDT", after=3, times=None))
    report = lake.maintain(source_of(venue), SYMBOLS, since=START, workers=1)
    assert not report.ok
    assert [bool(part.error) for part in report.backfill.parts] == [False, True, False]
    assert len(rows(lake, "ETH/USDT")) == 3_000
    venue.faults.clear()
    assert lake.maintain(source_of(venue), SYMBOLS, since=START).ok
    equals_the_truth(lake)


def test_a_symbol_is_followed_from_its_first_bar(tmp_path: Path):
    """Asked from a year before: the venue's daily bars say when it was listed."""
    late = bars_of("BTC/USDT", 0)
    with (
        LocalVenue(late, clock=ManualClock(NOW)) as venue,
        Lake(tmp_path, clock=ManualClock(NOW)) as lake,
    ):
        report = lake.backfill(source_of(venue), ["BTC/USDT"], since=START - 365 * 86_400_000)
        assert report.parts[0].listed_ms == START
        assert venue.log.count("request", endpoint="klines") <= 1 + 1 + 12 + 2
        (absence,) = lake.absences(Series("binance", "BTC/USDT"))
        assert (absence.until_ms, absence.reason) == (START, Provenance.OUTAGE)
        equals = rows(lake, "BTC/USDT")
        assert np.array_equal(equals, truth("BTC/USDT"))
