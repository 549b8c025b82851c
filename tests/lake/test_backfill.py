"""Backfill: few requests, everything kept as it comes, nothing asked twice, and nothing that was not asked for."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, Rows, walk
from lake.sources import MemorySource, keep

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake import Lake, Provenance, Series
from twinstar_kit.lake.backfill import BackfillReport, backfill

SYMBOL = "BTC/USDT"
DAY = 86_400_000
SERIES = Series("memory", SYMBOL, "1m")


@pytest.fixture
def lake(tmp_path: Path):
    with Lake(tmp_path / "lake") as lake:
        yield lake


def at(bars: int) -> int:
    return START + bars * MINUTE


def run(
    lake: Lake, source: MemorySource, bars: int, since: int = 0, now: int | None = None, **options
) -> BackfillReport:
    """Backfill [since, bars) at a time when all of it closed long ago, or at `now` bars."""
    clock = ManualClock(at(bars) + DAY if now is None else at(now))
    return backfill(lake, source, [SYMBOL], "1m", at(since), at(bars), clock=clock, **options)


def rows(lake: Lake) -> Rows:
    return lake.read("memory", SYMBOL).rows


# --- what arrives ---


@pytest.mark.parametrize("jumps", [True, False])
@pytest.mark.parametrize("workers", [1, 4])
def test_a_lake_holds_what_the_venue_holds(lake: Lake, jumps: bool, workers: int):
    truth = keep(walk(50_000), (10, 12), (999, 1003), (20_000, 23_500))
    source = MemorySource({SYMBOL: truth}, jumps=jumps)
    report = run(lake, source, 50_000, workers=workers)
    assert np.array_equal(rows(lake), truth)
    assert (report.ok, report.total("added"), report.total("empty"), report.total("left")) == (
        True, len(truth), 2 + 4 + 3500, 0,
    )  # fmt: skip
    assert set(lake.read("memory", SYMBOL).provenance) == {Provenance.BACKFILLED}
    assert report.total("requests") == source.requests


def test_a_year_takes_as_many_requests_as_the_limit_demands(lake: Lake):
    source = MemorySource({SYMBOL: walk(525_600)})
    run(lake, source, 525_600)
    assert source.requests == 526
    assert len(rows(lake)) == 525_600


class Meeting(MemorySource):
    """Answers only when four requests are under way at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.meeting = threading.Barrier(4)

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        self.meeting.wait(timeout=60)
        return super().bars(symbol, timeframe, since_ms, limit)


def test_several_requests_are_under_way_at_once(lake: Lake):
    truth = walk(9_000)
    source = Meeting({SYMBOL: truth})
    lake.register(SERIES, source.instruments()[SYMBOL])
    lake.write(SERIES, truth[:1_000])
    run(lake, source, 9_000, workers=4)
    assert np.array_equal(rows(lake), truth)


def test_months_become_files_and_nothing_stays_in_the_tail(lake: Lake):
    run(lake, MemorySource({SYMBOL: walk(60_000)}), 60_000)
    chunks = list(lake.scan(SERIES))
    assert sorted({chunk.month for chunk in chunks}) == ["2025-01", "2025-02"]
    assert all(chunk.file_id for chunk in chunks)


# --- never twice ---


@pytest.mark.parametrize("jumps", [True, False])
def test_a_second_run_asks_nothing(lake: Lake, jumps: bool):
    source = MemorySource(
        {SYMBOL: keep(walk(5_000), (0, 3), (10, 12), (1_990, 2_010), (4_990, 5_000))}, jumps=jumps
    )
    run(lake, source, 5_000)
    before, log = source.requests, lake.log()
    report = run(lake, source, 5_000)
    assert source.requests == before
    assert (report.total("requests"), report.total("added"), report.total("empty")) == (0, 0, 0)
    assert lake.log() == log


def test_only_what_is_missing_is_asked_for(lake: Lake):
    truth = walk(10_000)
    source = MemorySource({SYMBOL: truth})
    lake.register(SERIES, source.instruments()[SYMBOL])
    lake.write(SERIES, keep(truth, (300, 305), (900, 910), (5_000, 5_001)))
    run(lake, source, 10_000)
    assert source.asked == [("bars", SYMBOL, at(300), 610), ("bars", SYMBOL, at(5_000), 1)]
    assert np.array_equal(rows(lake), truth)


def test_what_is_proven_absent_is_not_asked_for(lake: Lake):
    source = MemorySource({SYMBOL: keep(walk(3_000), (500, 1_500))})
    lake.register(SERIES, source.instruments()[SYMBOL])
    lake.prove_absent(SERIES, at(500), at(1_500), Provenance.OUTAGE, {"rule": "told by the venue"})
    run(lake, source, 3_000)
    assert source.asked == [
        ("bars", SYMBOL, at(0), 500),
        *(("bars", SYMBOL, at(k), n) for k, n in [(1_500, 1_000), (2_500, 500)]),
    ]


# --- the venue's now ---


def test_the_newest_absence_proves_nothing(lake: Lake):
    """A venue that is late with its last bars is asked for them again."""
    truth = walk(2_000)
    late = MemorySource({SYMBOL: truth[:1_997]})
    assert run(lake, late, 2_000, now=2_000).total("left") == 3
    assert lake.was_asked(SERIES, at(0), at(2_000), "memory") == []
    assert run(lake, MemorySource({SYMBOL: truth}), 2_000, now=2_001).total("left") == 0
    assert np.array_equal(rows(lake), truth)


def test_unfinished_bars_are_not_wanted(lake: Lake):
    source = MemorySource({SYMBOL: walk(2_000)})
    clock = ManualClock(at(1_500) + 59_999)
    backfill(lake, source, [SYMBOL], "1m", START, clock=clock)
    assert rows(lake)[-1, 0] == at(1_499)


# --- answers that are not what was asked for ---


def test_a_venue_that_gives_less_than_it_promises_loses_nothing(lake: Lake):
    truth = keep(walk(4_000), (700, 720))
    report = run(lake, MemorySource({SYMBOL: truth}, cap=300, jumps=False), 4_000)
    assert np.array_equal(rows(lake), truth)
    assert report.total("empty") == 20


class Untidy(MemorySource):
    """Rows of other times, off the grid, doubled and out of order come along."""

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        rows = super().bars(symbol, timeframe, since_ms, limit)
        early, off = rows[:1].copy(), rows[5:6].copy()
        early[0, 0] -= 50 * MINUTE
        off[0, 0] += 1
        return np.concatenate([off, rows[::-1], rows[3:4], early])


def test_rows_that_nobody_asked_for_stay_out(lake: Lake):
    truth = walk(3_000)
    report = run(lake, Untidy({SYMBOL: truth}), 2_000, since=100)
    assert np.array_equal(rows(lake), truth[100:2_000])
    assert report.total("strays") >= 3 * 2


# --- where a symbol begins ---


@pytest.mark.parametrize("jumps", [True, False])
@pytest.mark.parametrize("begins", [DAY // MINUTE * 400, DAY // MINUTE * 400 + 617])
def test_the_first_bar_there_ever_was_is_found_and_kept_as_a_proof(lake: Lake, jumps: bool, begins: int):
    truth = walk(3_000, start=at(begins))
    source = MemorySource({SYMBOL: truth}, jumps=jumps)
    report = run(lake, source, begins + 3_000)
    assert report.parts[0].listed_ms == at(begins)
    (absence,) = [(gap.first_ms, gap.until_ms, gap.reason) for gap in lake.absences(SERIES)][:1]
    assert absence[0] == START
    assert lake.missing(SERIES, START, at(begins + 3_000)) == []
    assert source.requests <= 10, "hundreds of empty days are not asked for minute by minute"
    before = source.requests
    run(lake, source, begins + 3_000)
    assert source.requests == before


def test_a_hole_at_the_beginning_is_not_taken_for_a_listing(lake: Lake):
    source = MemorySource({SYMBOL: keep(walk(10 * DAY // MINUTE), (7_000, 7_500))})
    report = run(lake, source, 9_000, since=7_200)
    assert report.parts[0].listed_ms is None
    assert lake.absences(SERIES) == []
    assert [(gap.first_ms, gap.count) for gap in lake.missing(SERIES, at(7_200), at(9_000))] == [
        (at(7_200), 300)
    ]


class Shy(MemorySource):
    """The first answer is empty, although there are bars."""

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        rows = super().bars(symbol, timeframe, since_ms, limit)
        return rows[:0] if len(self.asked) == 1 else rows


def test_one_empty_answer_on_the_first_day_proves_nothing(lake: Lake):
    """The symbol was listed on the very day, so only the minutes can tell; they are asked for twice."""
    truth = walk(5_000)
    report = run(lake, Shy({SYMBOL: truth}), 5_000)
    assert np.array_equal(rows(lake), truth)
    assert lake.absences(SERIES) == []
    assert report.total("left") == 0


def test_a_venue_without_daily_bars_is_asked_minute_by_minute(lake: Lake):
    source = MemorySource({SYMBOL: walk(1_000, start=at(20_000))}, daily=False)
    report = run(lake, source, 21_000)
    assert (report.total("added"), report.total("empty"), report.parts[0].listed_ms) == (1_000, 20_000, None)


def test_a_symbol_that_never_traded_there_is_proven_absent(lake: Lake):
    report = run(lake, MemorySource({SYMBOL: walk(10, start=at(10**6))}), 100_000)
    assert (report.ok, report.total("added"), report.total("left")) == (True, 0, 0)


# --- revised bars ---


def test_a_recheck_finds_what_the_venue_has_revised(lake: Lake):
    first = walk(3_000)
    run(lake, MemorySource({SYMBOL: first}), 3_000)
    later = first.copy()
    later[2_960, 4:] += 7
    source = MemorySource({SYMBOL: later})
    assert run(lake, source, 3_000).total("revised") == 0
    assert source.requests == 0
    report = run(lake, source, 3_000, recheck=100)
    drawn, newest = source.asked
    assert newest == ("bars", SYMBOL, at(2_950), 50)
    assert (drawn[2] < at(2_950), drawn[3]) == (True, 50)
    assert (report.total("revised"), report.total("same")) == (1, 99)
    assert np.array_equal(rows(lake)[2_950:], later[2_950:])
    (entry,) = lake.log(SERIES)
    assert (entry["kind"], entry["old"], entry["new"]) == (
        "revision",
        [first[2_960].tolist()],
        [later[2_960].tolist()],
    )


def test_a_recheck_draws_from_the_whole_series_and_the_same_for_the_same_lake(tmp_path: Path):
    """Given old bars that the venue has changed, rechecks of a growing lake come upon them; equal lakes ask the same."""
    told = []
    for number in range(2):
        with Lake(tmp_path / str(number)) as lake:
            walked = walk(6_000)
            run(lake, MemorySource({SYMBOL: walked}), 5_000)
            changed = walked.copy()
            changed[:4_000, 4:] += 7
            source, found = MemorySource({SYMBOL: changed}), 0
            for end in range(5_000, 6_000, 200):
                found += run(lake, source, end, recheck=200).total("revised")
            told.append((found, source.asked))
    assert told[0] == told[1]
    assert told[0][0] > 200  # bars far older than the newest were looked at, and not the same ones each time
    rechecked = {since for _, _, since, count in told[0][1] if since < at(4_000)}
    assert len(rechecked) > 4


# --- failures ---


def test_what_was_answered_before_a_failure_stays_and_the_rest_is_asked_for_later(lake: Lake):
    truth = walk(20_000)
    source = MemorySource({SYMBOL: truth}, fails=7)
    report = run(lake, source, 20_000)
    assert not report.ok
    assert report.parts[0].error == "memory does not answer"
    assert np.array_equal(rows(lake), truth[:7_000])
    assert report.total("left") == 13_000
    again = MemorySource({SYMBOL: truth})
    assert run(lake, again, 20_000).ok
    assert again.requests == 13
    assert np.array_equal(rows(lake), truth)


def test_one_bad_symbol_does_not_stop_the_others_but_a_dead_venue_does(lake: Lake):
    symbols = [f"S{k}/USDT" for k in range(6)]
    source = MemorySource({symbol: walk(1_000) for symbol in symbols}, fails=0)
    report = backfill(lake, source, symbols, "1m", START, at(1_000), clock=ManualClock(at(2_000)))
    assert [part.error.partition(":")[0] for part in report.parts] == ["memory does not answer"] * 3 + [
        "not asked"
    ] * 3


@pytest.mark.parametrize(
    ("symbols", "since", "until", "words"),
    [
        (["BTC/USDX"], START, None, "did you mean BTC/USDT"),
        ([], START, None, "at least one symbol"),
        ([SYMBOL], None, None, "since when"),
        ([SYMBOL], "soon", None, "not a time"),
        ([SYMBOL], START, START, "must be later"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_in_one_line(lake: Lake, symbols, since, until, words):
    source = MemorySource({SYMBOL: walk(10)})
    with pytest.raises(UsageError, match=words):
        backfill(lake, source, symbols, "1m", since, until, clock=ManualClock(at(10)))
    assert source.requests == 0


def test_progress_reaches_the_whole(lake: Lake):
    told: list[tuple[int, int]] = []
    source = MemorySource({SYMBOL: keep(walk(5_000), (10, 20))})
    run(lake, source, 5_000, progress=lambda done, whole, note="": told.append((done, whole)))
    assert told[-1] == (5_000, 5_000)
    assert told == sorted(told)
