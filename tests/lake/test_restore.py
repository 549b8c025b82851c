"""A damaged file of trades, funding rates or book changes: its rows are asked for again, or said to be lost."""

from __future__ import annotations

import io
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, Rows, walk
from lake.lakes import DEPTH, TRADES, depth_rows, funding_rows
from rich.console import Console

from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Provenance, Series
from twinstar_kit.lake.checks import Status
from twinstar_kit.lake.maintain import Maintained
from twinstar_kit.testing.local_venue import LocalVenue, local_binance
from twinstar_kit.testing.local_venue.faults import Cut, ServerError, TooManyRequests, WrongJson

SYMBOL, SWAP = "BTC/USDT", "BTC/USDT:USDT"
BTC, FUNDING = Series("binance", SYMBOL), Series("binance", SWAP, kind=Kind.FUNDING)
DAY = 86_400_000
BARS = 3 * 1_440
NOW = START + BARS * MINUTE
UNITS = Instrument.from_sizes(SYMBOL, "0.01", "0.00001", exchange="binance")
FINER = 10**6  # the venue counts cents, a source 1e-8
MARKET = walk(BARS + 1_000)


def trades_of(bars: Rows) -> Rows:
    """Four trades that make each bar, with ids one after another, in the venue's units."""
    made = []
    for k, (ts, open_, high, low, close, volume) in enumerate(bars.tolist()):
        part = volume // 4
        for n, price in enumerate((open_, high, low, close)):
            amount = part if n < 3 else volume - 3 * part
            made.append((ts + 14_000 * n, price, amount, 1 - 2 * (n % 2), 4 * k + n))
    return np.array(made, np.int64)


EVERY = trades_of(MARKET)
TRUTH = EVERY[EVERY[:, 0] < NOW] * np.array([1, FINER, 1, 1, 1])


def venue_with(trades: Rows = EVERY) -> LocalVenue:
    swap = Instrument.from_sizes(SWAP, "0.01", "0.00001", exchange="binance")
    return LocalVenue(
        [Bars(UNITS, MINUTE, MARKET), Bars(swap, MINUTE, MARKET)], trades={SYMBOL: trades},
        funding={SWAP: funding_rows(20)}, clock=ManualClock(NOW),
    )  # fmt: skip


@pytest.fixture
def venue():
    with venue_with() as venue:
        yield venue


@pytest.fixture
def lake(tmp_path: Path, venue: LocalVenue):
    """Bars, trades, funding rates and book changes, whole."""
    with Lake(tmp_path / "lake", clock=ManualClock(NOW)) as lake:
        source = source_of(venue)
        for series in (TRADES, DEPTH, FUNDING):
            lake.register(series, source.instruments()[series.symbol])
        lake.write(TRADES, TRUTH, Provenance.OBSERVED)
        lake.write(FUNDING, funding_rows(9))
        lake.write(DEPTH, depth_rows(4_000), Provenance.OBSERVED)
        report = lake.maintain(source, [SYMBOL], since=START)
        assert report.ok, report
        yield lake


def source_of(venue: LocalVenue) -> CcxtSource:
    """Waits by moving the venue's clock."""
    clock = venue.clock
    assert isinstance(clock, ManualClock)
    return CcxtSource(
        local_binance(venue), clock=clock, chance=random.Random(1),
        sleep=lambda seconds: clock.advance(int(-(-seconds * 1_000 // 1))) and None,
    )  # fmt: skip


def flip_a_byte(lake: Lake, pattern: str) -> str:
    (path,) = Path(lake.url).glob(pattern)
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 3] ^= 16
    path.write_bytes(damaged)
    return path.name


def flip_the_second_day(lake: Lake) -> str:
    return flip_a_byte(lake, "binance/BTC-USDT/trades/2025-01-02-*.parquet")


def trades(lake: Lake) -> Rows:
    return lake.read("binance", SYMBOL, kind=Kind.TRADES).rows


def entries(lake: Lake, series: Series, kind: str) -> list[dict]:
    return [entry for entry in lake.log(series) if entry["kind"] == kind]


def does_nothing(lake: Lake, venue: LocalVenue) -> Maintained:
    venue.log.clear()
    log, snapshots = lake.log(), lake.snapshots()
    report = lake.maintain(source_of(venue))
    assert venue.log.count("request", endpoint="aggTrades") == 0
    assert venue.log.count("request", endpoint="klines") == 0
    assert (lake.log(), lake.snapshots()) == (log, snapshots)
    assert report.certified == report.compacted == 0
    return report


def second_day(rows: Rows) -> np.ndarray:
    return (rows[:, 0] >= START + DAY) & (rows[:, 0] < START + 2 * DAY)


# --- trades ---


def test_the_trades_of_a_damaged_file_come_again_through_a_storm(
    lake: Lake, venue: LocalVenue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("twinstar_kit.lake.restore.PIECE_ROWS", 1_500)
    name = flip_the_second_day(lake)
    faults = [
        TooManyRequests(endpoint="aggTrades", after=1, times=2),
        ServerError(endpoint="aggTrades", after=4),
        Cut(endpoint="aggTrades", after=6),
        WrongJson(endpoint="aggTrades", after=8),
    ]
    venue.plant(*faults)
    venue.log.clear()
    report = lake.maintain(source_of(venue))
    assert report.ok, report
    assert all(fault.struck for fault in faults)
    assert [path.rpartition("/")[2] for path in report.quarantined] == [name]
    assert np.array_equal(trades(lake), TRUTH)
    assert venue.log.count("request", endpoint="klines") == 0, "bars were not damaged"
    (part,) = report.restored
    assert (part.asked, part.added, part.missing) == (4, 5_760, 0)
    read = lake.read("binance", SYMBOL, kind=Kind.TRADES)
    assert set(read.provenance[second_day(read.rows)]) == {Provenance.BACKFILLED}
    assert set(read.provenance[~second_day(read.rows)]) == {Provenance.OBSERVED}
    (repair,) = entries(lake, TRADES, "repair")
    assert (repair["source"], repair["added"], repair["first_ms"]) == ("binance", 5_760, START + DAY)
    assert name in repair["file"]
    assert not entries(lake, TRADES, "lost")
    assert does_nothing(lake, venue).ok


def test_the_same_day_damaged_twice_is_asked_for_twice(lake: Lake, venue: LocalVenue):
    clock = lake.clock
    assert isinstance(clock, ManualClock)
    for _ in range(2):
        clock.advance(1)
        flip_the_second_day(lake)
        report = lake.maintain(source_of(venue), until=NOW)
        assert report.ok, report
        assert np.array_equal(trades(lake), TRUTH)
    assert len(entries(lake, TRADES, "repair")) == 2
    for snapshot in lake.snapshots():
        lake.drop_snapshot(snapshot.id)
    lake.collect_garbage()
    assert np.array_equal(trades(lake), TRUTH), "the file that came again has the name of the one set aside"


@pytest.mark.parametrize("gone", ["all of the day", "its first half"])
def test_a_venue_that_no_longer_has_them_is_said_and_remembered(lake: Lake, gone: str):
    kept = EVERY[EVERY[:, 0] >= START + (2 * DAY if gone == "all of the day" else DAY + DAY // 2)]
    lost = 5_760 if gone == "all of the day" else 2_880
    name = flip_the_second_day(lake)
    with venue_with(kept) as venue:
        report = lake.maintain(source_of(venue))
        assert not report.ok
        held = trades(lake)
        expected = TRUTH[~second_day(TRUTH) | np.isin(TRUTH[:, 4], kept[:, 4])]
        assert np.array_equal(held, expected), "nothing is invented"
        (part,) = report.restored
        assert (part.added, part.missing) == (5_760 - lost, lost)
        assert part.words == (
            f"binance BTC/USDT trades: {lost:,} of 5,760 rows of 2025-01-02 00:00:00 to 2025-01-02 23:59:42 are lost, of the"
            f" damaged file binance/BTC-USDT/trades/{name}: binance was asked again and has no more of them"
        )
        assert part.words in shown(report)
        (entry,) = entries(lake, TRADES, "lost")
        assert (entry["rows"], entry["first_ms"]) == (lost, START + DAY)
        asked = lake.was_asked(TRADES, START, NOW, "binance")
        assert asked == ([(START + DAY, START + 2 * DAY - 17_999)] if lost == 5_760 else [])
        the_certificate_says_so(lake, TRADES, "2025-01-02", lost)
        bars = next(one for one in report.verification.series if one.series == BTC)
        assert bars.verdict == "proven", "bars are not held against trades of which some are lost"
        again = does_nothing(lake, venue)
        assert not again.ok
        assert [one.words for one in again.restored] == [part.words]


def shown(report: Maintained) -> str:
    out = io.StringIO()
    Console(file=out, width=400).print(report)
    return out.getvalue()


def the_certificate_says_so(lake: Lake, series: Series, day: str, lost: int) -> None:
    last = [one for one in lake.certificates(series) if one.month == day][-1]
    files = next(check for check in last.checks if check.name == "files")
    assert (last.verdict, files.status, files.count) == ("incomplete", Status.INCOMPLETE, lost)
    assert f"{lost:,} of " in files.detail
    assert day in files.detail
    assert lake.check_certificates(series) == []


def test_trades_that_are_imported_later_are_lost_no_more(lake: Lake):
    flip_the_second_day(lake)
    with venue_with(EVERY[:4]) as venue:
        lake.maintain(source_of(venue))
        lake.write(TRADES, TRUTH[second_day(TRUTH)])
        report = lake.maintain(source_of(venue))
        assert (report.ok, report.restored) == (True, [])
        assert does_nothing(lake, venue).ok


def test_a_venue_that_is_down_is_asked_in_the_next_round_for_the_rest(
    lake: Lake, venue: LocalVenue, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("twinstar_kit.lake.restore.PIECE_ROWS", 1_500)
    flip_the_second_day(lake)
    venue.plant(ServerError(endpoint="aggTrades", after=5, times=None))
    report = lake.maintain(source_of(venue))
    assert not report.ok
    (part,) = report.restored
    assert 0 < part.missing < 5_760
    assert f"{part.missing:,} of 5,760 rows" in part.words
    assert "are still to come" in part.words
    assert not entries(lake, TRADES, "lost"), "a venue that is down has lost nothing"
    venue.faults.clear()
    report = lake.maintain(source_of(venue))
    assert report.ok
    assert report.restored[0].added == part.missing
    assert report.restored[0].asked < 4
    assert np.array_equal(trades(lake), TRUTH)
    assert len(entries(lake, TRADES, "repair")) == 1


def test_a_venue_that_gives_only_its_newest_trades_is_said_in_one_line(lake: Lake, venue: LocalVenue):
    flip_the_second_day(lake)
    for _ in range(2):
        source = source_of(venue)
        source._paging = None
        (part,) = lake.maintain(source).restored
        assert "binance gives only its newest trades" in part.words
        assert "\n" not in part.words
    assert len(entries(lake, TRADES, "lost")) == 1
    assert lake.maintain(source_of(venue)).ok, "a source that can ask brings them after all"
    assert np.array_equal(trades(lake), TRUTH)


# restores a day of trades and dies at a question, or before it is remembered that the last one was answered
DYING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
import numpy as np
from lake.lakes import TRADES
from lake.sources import MemorySource
from twinstar_kit.lake import Lake, restore
restore.PIECE_ROWS = 1_500

class Dying(MemorySource):
    def trades(self, symbol, since_ms, until_ms):
        print(since_ms, until_ms, flush=True)
        if sys.argv[3] == f"question {len(self.asked)}":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().trades(symbol, since_ms, until_ms)

class DyingLake(Lake):
    def asked(self, series, since_ms, until_ms, source, rows):
        if sys.argv[3] == "last mark" and rows == 5_760:
            os.kill(os.getpid(), signal.SIGKILL)
        super().asked(series, since_ms, until_ms, source, rows)

with DyingLake(sys.argv[2]) as lake:
    symbol, truth = TRADES.symbol, {TRADES.symbol: np.load(sys.argv[2] + "/truth.npy")}
    source = Dying(truth, name="binance", instruments_={symbol: lake.instrument(TRADES)}, trades_=truth)
    restore.restore(lake, source, [TRADES])
"""


def run(folder: Path, step: str) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", DYING, str(Path(__file__).parents[1]), str(folder), step]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(("step", "left"), [("question 0", 4), ("question 2", 2), ("last mark", 1)])
def test_a_kill_loses_nothing_and_asks_only_for_the_rest(tmp_path: Path, step: str, left: int):
    np.save(tmp_path / "truth.npy", TRUTH)
    with Lake(tmp_path) as lake:
        lake.register(TRADES, UNITS)
        lake.write(TRADES, TRUTH, Provenance.OBSERVED)
        (file_id,) = {chunk.file_id for chunk in lake.scan(TRADES, START + DAY, START + 2 * DAY)}
        assert file_id
        lake.quarantine(file_id, "a page was damaged")
    status, asked = run(tmp_path, step)
    assert status == -signal.SIGKILL
    status, again = run(tmp_path, "never")
    assert (status, len(again)) == (0, left)
    assert again[0] == asked[-1], "what was under way is asked again, and nothing before it"
    assert run(tmp_path, "never") == (0, [])
    with Lake(tmp_path) as lake:
        assert np.array_equal(trades(lake), TRUTH)
        assert len(entries(lake, TRADES, "repair")) == 1


# --- what else lies on no grid ---


def test_funding_rates_come_again(lake: Lake, venue: LocalVenue):
    flip_a_byte(lake, "binance/BTC-USDT_USDT/funding/*.parquet")
    report = lake.maintain(source_of(venue))
    assert report.ok, report
    assert np.array_equal(lake.read("binance", SWAP, kind=Kind.FUNDING).rows, funding_rows(9))
    (repair,) = entries(lake, FUNDING, "repair")
    assert (repair["source"], repair["added"]) == ("binance", 9)
    assert does_nothing(lake, venue).ok


def test_book_changes_cannot_come_again_and_their_loss_is_said_for_ever(lake: Lake, venue: LocalVenue):
    flip_a_byte(lake, "binance/BTC-USDT/depth/*.parquet")
    report = lake.maintain(source_of(venue))
    assert not report.ok
    (part,) = report.restored
    assert "4,000 of 4,000 rows of 2025-01-01 00:00:00 to 2025-01-01 00:01:39 are lost" in part.words
    assert "a venue tells the changes of its book once" in part.words
    (entry,) = entries(lake, DEPTH, "lost")
    assert (entry["rows"], entry["first_ms"], entry["until_ms"]) == (4_000, START, START + 99_901)
    the_certificate_says_so(lake, DEPTH, "2025-01-01", 4_000)
    everything = lake.verify()
    assert not everything.holds, "a series of which nothing is left is not passed over"
    assert not does_nothing(lake, venue).ok
