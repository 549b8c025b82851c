"""Heal: the venue again, its trades, a second venue, a proof, or an honest list of what is missing; each step is logged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, Rows, walk
from lake.sources import MemorySource, keep

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Provenance, Series
from twinstar_kit.lake.backfill import backfill
from twinstar_kit.lake.heal import HealReport, heal

SYMBOL = "BTC/USDT"
SERIES = Series("memory", SYMBOL, "1m")
BARS = 7_000
CLOCK = ManualClock(START + BARS * MINUTE + 86_400_000)
HOLE = (1_200, 1_260)
TRUTH = walk(BARS)


def at(bars: int) -> int:
    return START + bars * MINUTE


@pytest.fixture
def lake(tmp_path: Path):
    with Lake(tmp_path / "lake") as lake:
        yield lake


def fill(lake: Lake, source: MemorySource) -> None:
    backfill(lake, source, list(source.data), "1m", START, at(BARS), clock=CLOCK)


def cure(lake: Lake, source: MemorySource, **options) -> HealReport:
    return heal(lake, source, since=START, until=at(BARS), clock=CLOCK, **options)


def rows(lake: Lake, symbol: str = SYMBOL) -> Rows:
    return lake.read("memory", symbol).rows


def marks(lake: Lake, first: int, end: int) -> set[int]:
    return set(lake.read("memory", SYMBOL, since=at(first), until=at(end)).provenance.tolist())


def does_nothing(lake: Lake, *sources: MemorySource, **options) -> None:
    """Healing again asks nobody and writes nothing."""
    asked, log = [source.requests for source in sources], lake.log()
    cure(lake, sources[0], **options)
    assert [source.requests for source in sources] == asked
    assert lake.log() == log


# --- the same venue again ---


def test_a_venue_that_had_an_empty_answer_is_asked_again(lake: Lake):
    fill(lake, MemorySource({SYMBOL: keep(TRUTH, HOLE)}))
    source = MemorySource({SYMBOL: TRUTH})
    report = cure(lake, source)
    assert np.array_equal(rows(lake), TRUTH)
    assert (report.ok, report.total("holes"), report.total("again")) == (True, 60, 60)
    assert source.asked == [("bars", SYMBOL, at(HOLE[0]), 60)]
    assert marks(lake, *HOLE) == {Provenance.BACKFILLED}
    (entry,) = lake.log(SERIES)
    assert (entry["kind"], entry["source"], entry["added"]) == ("repair", "memory", 60)
    assert "asked again" in entry["why"]
    does_nothing(lake, source)


# --- trades ---


def trades_of(bars: Rows, quiet: set[int] = frozenset()) -> Rows:
    """Trades that make the bars: each bar's open, low, high and close, its volume in unequal parts."""
    made, number = [], 1_000
    for k, (ts, open_, high, low, close, volume) in enumerate(bars.tolist()):
        if k in quiet:
            continue
        parts = [volume // 2, volume // 4, volume // 8]
        parts.append(volume - sum(parts))
        for second, price, amount in zip((1, 20, 20, 59), (open_, low, high, close), parts, strict=True):
            made.append((ts + second * 1_000, price, amount, 1 if number % 2 else -1, number))
            number += 1
    return np.array(made, np.int64)


def test_bars_are_rebuilt_from_trades_that_cover_the_hole(lake: Lake):
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)}, trades_={SYMBOL: trades_of(TRUTH)})
    fill(lake, source)
    report = cure(lake, source)
    assert np.array_equal(rows(lake), TRUTH)
    assert (report.ok, report.total("from_trades"), report.total("no_trade")) == (True, 60, 0)
    assert marks(lake, *HOLE) == {Provenance.FROM_TRADES}
    assert lake.log(SERIES)[-1]["source"] == "memory trades"
    does_nothing(lake, source)


def test_a_minute_without_a_trade_is_proven(lake: Lake):
    quiet = {1_205, 1_206, 1_230}
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)}, trades_={SYMBOL: trades_of(TRUTH, quiet)})
    fill(lake, source)
    report = cure(lake, source)
    assert (report.ok, report.total("from_trades"), report.total("no_trade")) == (True, 57, 3)
    gaps = [(gap.first_ms, gap.count, gap.reason) for gap in lake.absences(SERIES)]
    assert gaps == [(at(1_205), 2, Provenance.NO_TRADE), (at(1_230), 1, Provenance.NO_TRADE)]
    assert lake.absences(SERIES)[0].proof["trades"] > 0
    assert np.array_equal(rows(lake), np.delete(TRUTH, sorted(quiet), axis=0))
    does_nothing(lake, source)


@pytest.mark.parametrize("fault", ["id left out", "another price beside it", "nothing after it"])
def test_trades_that_do_not_prove_themselves_are_not_used(lake: Lake, fault: str):
    trades = trades_of(TRUTH)
    if fault == "id left out":
        trades = np.delete(trades, 4 * 1_220, axis=0)
    elif fault == "another price beside it":
        trades[4 * 1_199 + 3, 1] += 1
    else:
        trades = trades[: 4 * 1_250]
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)}, trades_={SYMBOL: trades})
    fill(lake, source)
    report = cure(lake, source)
    assert (report.ok, report.total("from_trades"), report.total("no_trade")) == (False, 0, 0)
    assert report.parts[0].left == [(at(HOLE[0]), at(HOLE[1]))]
    assert len(report.parts[0].notes) == 1
    assert np.array_equal(rows(lake), keep(TRUTH, HOLE))
    does_nothing(lake, source)


def test_trades_that_the_lake_holds_are_taken_before_any_are_asked_for(lake: Lake):
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)})
    fill(lake, source)
    seen = Series("memory", SYMBOL, kind=Kind.TRADES)
    lake.register(seen, source.instruments()[SYMBOL])
    lake.write(seen, trades_of(TRUTH), Provenance.OBSERVED)
    assert cure(lake, source).total("from_trades") == 60
    assert not [asked for asked in source.asked if asked[0] == "trades"]
    assert np.array_equal(rows(lake), TRUTH)


def test_a_venue_without_old_trades_is_a_note_and_the_second_venue_still_asked(lake: Lake):
    source, other = MemorySource({SYMBOL: keep(TRUTH, HOLE)}, trades_=None), second(TRUTH)
    fill(lake, source)
    report = cure(lake, source, second=other)
    assert report.total("healed") == 60
    assert report.parts[0].notes == ["memory gives only its newest trades"]
    does_nothing(lake, source, other, second=other)


def test_trades_that_came_into_the_lake_later_are_looked_at(lake: Lake):
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)})
    fill(lake, source)
    assert not cure(lake, source).ok
    seen = Series("memory", SYMBOL, kind=Kind.TRADES)
    lake.register(seen, source.instruments()[SYMBOL])
    lake.write(seen, trades_of(TRUTH), Provenance.BACKFILLED)
    assert cure(lake, source).ok
    assert np.array_equal(rows(lake), TRUTH)


# --- a second venue ---


def second(data: Rows, **options) -> MemorySource:
    return MemorySource({SYMBOL: data}, name="other", **options)


def moved(by: float) -> Rows:
    """The same market at prices that lie apart."""
    rows = TRUTH.copy()
    rows[:, 1:5] = np.rint(rows[:, 1:5] * (1 + by))
    return rows


def test_a_second_venue_fills_what_the_first_has_not(lake: Lake):
    source, other = MemorySource({SYMBOL: keep(TRUTH, HOLE)}), second(moved(0.001))
    fill(lake, source)
    report = cure(lake, source, second=other)
    assert (report.ok, report.total("healed"), report.total("disputed")) == (True, 60, 0)
    assert marks(lake, *HOLE) == {Provenance.HEALED}
    assert marks(lake, 0, HOLE[0]) == marks(lake, HOLE[1], BARS) == {Provenance.BACKFILLED}
    assert np.array_equal(rows(lake)[slice(*HOLE)], moved(0.001)[slice(*HOLE)])
    entry = lake.log(SERIES)[-1]
    assert (entry["kind"], entry["source"], entry["added"]) == ("repair", "other", 60)
    assert "median spread" in entry["why"]
    does_nothing(lake, source, other, second=other)


def test_the_second_venues_units_are_turned_into_the_lakes(lake: Lake):
    fine = TRUTH * np.array([1, 100, 100, 100, 100, 1])
    coarse = Instrument.from_sizes(SYMBOL, "0.0001", "0.00001", exchange="other")
    other = second(fine, instruments_={SYMBOL: coarse})
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)})
    fill(lake, source)
    cure(lake, source, second=other)
    assert np.array_equal(rows(lake), TRUTH)


@pytest.mark.parametrize(("by", "disputed"), [(0.03, 60), (0.2, 0)])
def test_prices_that_lie_apart_are_disputed_or_not_taken_at_all(lake: Lake, by: float, disputed: int):
    source, other = MemorySource({SYMBOL: keep(TRUTH, HOLE)}), second(moved(by))
    fill(lake, source)
    report = cure(lake, source, second=other)
    assert (report.total("healed"), report.total("disputed")) == (0, disputed)
    if disputed:
        assert marks(lake, *HOLE) == {Provenance.DISPUTED}
    else:
        assert report.parts[0].left == [(at(HOLE[0]), at(HOLE[1]))]
        assert "not the same market" in report.parts[0].notes[-1]
        assert lake.absences(SERIES) == [], "a venue that has bars is no proof that nobody traded"
    does_nothing(lake, source, other, second=other)


def test_a_minute_that_no_venue_has_is_a_minute_without_trade(lake: Lake):
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE)})
    other = second(keep(TRUTH, (1_210, 1_214)))
    fill(lake, source)
    report = cure(lake, source, second=other)
    assert (report.ok, report.total("healed"), report.total("no_trade")) == (True, 56, 4)
    (gap,) = lake.absences(SERIES)
    assert (gap.first_ms, gap.count, gap.reason) == (at(1_210), 4, Provenance.NO_TRADE)
    assert gap.proof["asked"] == ["memory", "memory again", "other"]


def test_a_second_venue_without_the_symbol_is_a_note(lake: Lake):
    source, other = MemorySource({SYMBOL: keep(TRUTH, HOLE)}), MemorySource({"ETH/USDT": TRUTH}, name="other")
    fill(lake, source)
    report = cure(lake, source, second=other)
    assert not report.ok
    assert "other does not list BTC/USDT" in report.parts[0].notes[-1]


# --- proofs ---


def venue(*holes: tuple[int, int], symbols: int = 3, **others: Rows) -> MemorySource:
    data = {f"S{k}/USDT": keep(walk(BARS, seed=k), *holes) for k in range(symbols)}
    return MemorySource(data | {name.replace("_", "/"): rows for name, rows in others.items()})


def test_a_venue_that_was_silent_everywhere_was_down(lake: Lake):
    source = venue(HOLE)
    fill(lake, source)
    report = cure(lake, source)
    assert (report.ok, report.total("outage")) == (True, 3 * 60)
    for k in range(3):
        (gap,) = lake.absences(Series("memory", f"S{k}/USDT"))
        assert (gap.first_ms, gap.until_ms, gap.reason) == (at(HOLE[0]), at(HOLE[1]), Provenance.OUTAGE)
        assert len(gap.proof["silent"]) == 2
    does_nothing(lake, source)


def test_one_symbol_that_traded_refutes_an_outage_for_the_minutes_that_it_did(lake: Lake):
    source = venue(HOLE, ETH_USDT=keep(walk(BARS, seed=9), (1_200, 1_230)))
    fill(lake, source)
    report = cure(lake, source)
    assert report.total("outage") == 4 * 30
    assert [part.left for part in report.parts][1:] == [[(at(1_230), at(HOLE[1]))]] * 3


@pytest.mark.parametrize("symbols", [1, 2])
def test_a_single_witness_is_not_enough(lake: Lake, symbols: int):
    source = venue(HOLE, symbols=symbols)
    fill(lake, source)
    assert cure(lake, source).total("outage") == 0


def test_a_symbol_that_is_often_silent_is_no_witness(lake: Lake):
    rare = keep(walk(BARS, seed=5), *((k, k + 1) for k in range(5, BARS, 50)), HOLE)
    source = venue(HOLE, symbols=2, RARE_USDT=rare)
    fill(lake, source)
    parts = {part.series.symbol: part for part in cure(lake, source).parts}
    assert parts["S0/USDT"].outage == 0
    assert parts["RARE/USDT"].outage == 60, "its own silence is explained by the two that hardly ever are"
    assert parts["RARE/USDT"].left


def test_what_a_second_venue_filled_does_not_hide_an_outage(lake: Lake):
    """The first symbol is healed from elsewhere; it is still a witness that the venue was down for the others."""
    source = venue(HOLE)
    fill(lake, source)
    other = MemorySource({"S0/USDT": walk(BARS, seed=0)}, name="other")
    report = cure(lake, source, second=other)
    assert (report.ok, report.total("healed"), report.total("outage")) == (True, 60, 120)


# --- stored bars that cannot be true ---


def crooked() -> Rows:
    """A bar whose high lies below its low, and one that opens above its high."""
    rows = TRUTH.copy()
    rows[500, 2] = rows[500, 3] - 1
    rows[5_000, 1] = rows[5_000, 2] + 1
    return rows


def test_bars_that_cannot_be_true_are_asked_for_again(lake: Lake):
    fill(lake, MemorySource({SYMBOL: crooked()}))
    source = MemorySource({SYMBOL: TRUTH})
    report = cure(lake, source)
    assert (report.ok, report.total("revised"), report.parts[0].notes) == (True, 2, [])
    assert np.array_equal(rows(lake), TRUTH)
    repairs = [entry for entry in lake.log(SERIES) if entry["kind"] == "repair"]
    assert [entry["old"] for entry in repairs] == [[crooked()[500].tolist()], [crooked()[5_000].tolist()]]
    does_nothing(lake, source)


def test_a_venue_that_insists_keeps_its_word_and_the_report_says_so(lake: Lake):
    source = MemorySource({SYMBOL: crooked()})
    fill(lake, source)
    report = cure(lake, source)
    assert np.array_equal(rows(lake), crooked())
    assert report.parts[0].notes[0].startswith("2 stored bars cannot be true")
    does_nothing(lake, source)


# --- what stays missing, and what cannot be done ---


def test_what_nobody_can_explain_is_listed_and_never_invented(lake: Lake):
    source = MemorySource({SYMBOL: keep(TRUTH, HOLE, (2_000, 2_001))})
    fill(lake, source)
    report = cure(lake, source)
    assert not report.ok
    assert report.parts[0].left == [(at(1_200), at(1_260)), (at(2_000), at(2_001))]
    assert report.to_dict()["missing"] == 61
    assert np.array_equal(rows(lake), keep(TRUTH, HOLE, (2_000, 2_001)))
    does_nothing(lake, source)


def test_the_newest_bars_are_left_alone(lake: Lake):
    source = MemorySource({SYMBOL: TRUTH[:2_990]})
    now = ManualClock(at(2_992))
    backfill(lake, source, [SYMBOL], "1m", START, clock=now)
    report = heal(lake, source, clock=now)
    assert (report.ok, report.total("holes")) == (True, 0)


def test_a_venue_that_fails_is_named_and_the_rest_of_the_lake_is_unchanged(lake: Lake):
    fill(lake, MemorySource({SYMBOL: keep(TRUTH, HOLE)}))
    report = cure(lake, MemorySource({SYMBOL: TRUTH}, fails=0))
    assert report.parts[0].error == "memory does not answer"
    assert np.array_equal(rows(lake), keep(TRUTH, HOLE))


def test_only_what_the_lake_holds_can_be_healed(lake: Lake):
    with pytest.raises(UsageError, match="backfill it first"):
        cure(lake, MemorySource({SYMBOL: TRUTH}), symbols=[SYMBOL])
