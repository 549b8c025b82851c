"""Checks of bars: for every kind of fault, exactly what was planted is found, and nothing is found where nothing is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake.bars import MINUTE, START, Rows, walk

from twinstar_kit.lake.checks import (
    BasicScan,
    Check,
    Columns,
    Status,
    Unusual,
    check_gaps,
    check_opening,
    check_spikes,
    scan_unsorted,
)

N = 3_000
HOUR, DAY = 3_600_000, 86_400_000
some_rows = st.sets(st.integers(1, N - 2), max_size=20).map(sorted)
apart = some_rows.map(lambda rows: [row for k, row in enumerate(rows) if k == 0 or row - rows[k - 1] > 2])


def checks_of(rows: Rows, step: int = MINUTE, pieces: int = 1) -> dict[str, Check]:
    """Every check of a series on its own, fed in `pieces` chunks."""
    scan, unusual = BasicScan(step), Unusual(step, 5)
    parts = np.array_split(rows, pieces)
    for k, part in enumerate(parts):
        scan.feed(Columns.of(part))
        unusual.feed(Columns.of(part), last=k == len(parts) - 1)
    whole = Columns.of(rows)
    found = [
        check_gaps(scan.gaps, [], step),
        *scan.checks(),
        *unusual.checks(),
        check_spikes(whole),
    ]
    return {check.name: check for check in [*found, check_opening(whole, step)]}


def only(found: dict[str, Check], *names: str) -> None:
    """Nothing but these checks found anything."""
    others = [check for check in found.values() if check.count and check.name not in names]
    assert not others


def test_a_faultless_series_has_no_finding_and_the_check_that_cannot_run_says_so():
    found = checks_of(walk(N, tick=5))
    only(found)
    assert found["opening_hour"].status is Status.NOT_RUN
    assert {check.status for name, check in found.items() if name != "opening_hour"} == {Status.PASSED}


@given(gone=some_rows, pieces=st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_missing_bars_are_found_to_the_bar(gone: list[int], pieces: int):
    rows = walk(N, tick=5)
    found = checks_of(np.delete(rows, gone, axis=0), pieces=pieces)
    runs = [row for row in gone if row - 1 not in gone]
    assert found["gaps"].count == len(runs)
    assert found["gaps"].first == tuple(rows[runs[:8], 0].tolist())
    assert f"{len(gone)} bars missing" in (found["gaps"].detail if gone else "0 bars missing")
    only(found, "gaps")


@given(again=some_rows, pieces=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_repeated_bars_are_duplicates(again: list[int], pieces: int):
    rows = walk(N, tick=5)
    found = checks_of(np.insert(rows, again, rows[again], axis=0), pieces=pieces)
    assert found["duplicates"].count == len(again)
    assert found["duplicates"].first == tuple(rows[again[:8], 0].tolist())
    only(found, "duplicates", "copies")  # a repeated bar is a copy too


@given(late=apart)
@settings(max_examples=40, deadline=None)
def test_bars_that_come_late_break_the_order_and_leave_no_gap(late: list[int]):
    rows = walk(N)
    swapped = rows.copy()
    for row in late:
        swapped[[row, row + 1]] = swapped[[row + 1, row]]
    scan, found = scan_unsorted(Columns.of(swapped), MINUTE)
    by_name = {check.name: check for check in found}
    assert by_name["order"].count == len(late)
    assert by_name["order"].first == tuple(rows[late[:8], 0].tolist())
    assert not scan.gaps
    only(by_name, "order")


FAULTS: dict[str, tuple[str, int, Callable[[Rows], Rows], tuple[str, ...]]] = {
    # the check that finds it, the column that is changed and to what, and checks that may see it too
    "high below open": ("ohlc", 2, lambda rows: rows[:, [1, 4]].max(1) - 5, ()),
    "low above close": ("ohlc", 3, lambda rows: rows[:, [1, 4]].min(1) + 5, ()),
    "close of zero": ("prices", 4, lambda rows: 0 * rows[:, 4], ("ohlc",)),
    "negative low": ("prices", 3, lambda rows: -rows[:, 3], ()),
    "negative volume": ("volumes", 5, lambda rows: -rows[:, 5], ()),
    "off the grid": ("grid", 0, lambda rows: rows[:, 0] + 7, ("gaps",)),
    "off the tick": ("off_tick", 4, lambda rows: rows[:, 4] + 1, ("ohlc", "tick_changes")),
    "a spike of volume": ("spikes", 5, lambda rows: rows[:, 5] * 100_000, ()),
}


@pytest.mark.parametrize("name", FAULTS)
@given(at=apart, pieces=st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_exactly_the_planted_faults_are_found(name: str, at: list[int], pieces: int):
    check, column, change, beside = FAULTS[name]
    rows = walk(N, tick=5)
    rows[at, column] = change(rows[at])
    found = checks_of(rows, pieces=pieces)
    assert found[check].count == len(at)
    assert found[check].first == tuple(rows[at[:8], 0].tolist())
    only(found, check, *beside)


@given(
    at=st.sets(st.integers(1, 28), max_size=6).map(sorted),
    length=st.integers(1, 90),
    pieces=st.integers(1, 9),
)
@settings(max_examples=40, deadline=None)
def test_a_price_that_stands_for_an_hour_is_stale(at: list[int], length: int, pieces: int):
    rows = walk(N, tick=5)
    for block in at:
        rows[block * 100 : block * 100 + length, 1:5] = rows[block * 100, 4]
        rows[block * 100 : block * 100 + length, 5] = 0
    found = checks_of(rows, pieces=pieces)
    assert found["stale"].count == (len(at) if length >= 60 else 0)
    assert found["stale"].first == (tuple(rows[np.array(at, int) * 100, 0].tolist()) if length >= 60 else ())
    only(found, "stale")


def test_a_tick_that_changes_is_dated():
    fine, coarse = walk(4 * 1440, tick=1), walk(4 * 1440, tick=10)
    rows = np.concatenate([coarse, fine])
    rows[:, 0] = START + MINUTE * np.arange(len(rows))
    change = checks_of(rows)["tick_changes"]
    assert (change.status, change.count, change.first) == (Status.NOTICED, 1, (START + 4 * DAY,))


@pytest.mark.parametrize(("shift_h", "count"), [(0, 0), (9, 40), (-5, 40)])
def test_daily_bars_that_open_in_another_zone_are_named(shift_h: int, count: int):
    found = check_opening(Columns.of(walk(40, start=START + shift_h * HOUR, step=DAY)), DAY)
    assert (found.count, found.status) == (count, Status.VIOLATED if count else Status.PASSED)
    assert not count or f"{shift_h % 24} h after" in found.detail


def test_weeks_open_on_mondays():
    monday = 1_736_121_600_000  # 2025-01-06
    weeks = walk(30, start=monday, step=7 * DAY)
    assert not checks_of(weeks, 7 * DAY)["grid"].count
    weeks[:, 0] += DAY
    assert checks_of(weeks, 7 * DAY)["grid"].count == 30


stamps = st.lists(st.integers(0, 120), min_size=1, max_size=80)


@given(at=stamps)
@settings(max_examples=150, deadline=None)
def test_rows_in_any_order_are_counted_as_polars_counts_them(at: list[int]):
    rows = walk(len(at))
    rows[:, 0] = START + MINUTE * np.array(at)
    scan, found = scan_unsorted(Columns.of(rows), MINUTE)
    times = pl.Series(rows[:, 0])
    steps = times.unique().sort().diff().drop_nulls()
    by_name = {check.name: check.count for check in found}
    assert len(scan.gaps) == (steps > MINUTE).sum()
    assert sum(until - since for since, until in scan.gaps) // MINUTE == (steps // MINUTE - 1).sum()
    assert by_name["duplicates"] == times.len() - times.n_unique()
    assert by_name["order"] == (times < times.cum_max()).sum()


def test_narrow_columns_are_checked_without_widening_and_in_full_range():
    rows = walk(5_000)
    narrow = Columns(*(c if k == 0 else c.astype(np.int32) for k, c in enumerate(Columns.of(rows))))
    rows[4_000, [2, 3]] = 2**31 - 1, -(2**31)  # their difference needs more than 32 bits
    extreme = Columns(*(c if k == 0 else c.astype(np.int32) for k, c in enumerate(Columns.of(rows))))
    for columns, prices in ((narrow, 0), (extreme, 1)):
        scan = BasicScan(MINUTE)
        scan.feed(columns.take(slice(0, 1)))
        scan.feed(columns.take(slice(1, None)))
        assert {check.name: check.count for check in scan.checks() if check.count} == (
            {"prices": 1} if prices else {}
        )
        assert scan.rows == 5_000
