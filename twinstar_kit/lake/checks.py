"""What a series of bars is checked for on its own: each check with its count and its first offenders.

A check says one of these: it holds; it found data that is wrong (a violation), that is not all there, that two
sources tell differently (disputed), or that is merely unusual (a notice); or it was not run, and why. Nothing that
could not run counts as held.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.resample import MONDAY_MS, WEEK_MS
from twinstar_kit.lake import passes
from twinstar_kit.lake.planner import Interval, length, without

Column = npt.NDArray[np.int64]
NEVER = np.iinfo(np.int64).min
STALE_MS = 3_600_000
"""A price that stands for so long is reported as stale (at least `STALE_BARS` bars)."""
STALE_BARS = 10
SPIKE_SIGMAS = 6.0
"""A volume is a spike when its logarithm lies so many robust deviations above the month's median."""
DAY_MS = passes.DAY_MS


class Status(StrEnum):
    """What a check came to, from good to bad."""

    PASSED = "passed"
    NOTICED = "noticed"
    NOT_RUN = "not run"
    INCOMPLETE = "incomplete"
    DISPUTED = "disputed"
    VIOLATED = "violated"


@dataclass(frozen=True, slots=True)
class Check:
    """One check of one stretch of a series.

    `count` is how many bars (or runs, or days, as the name says) it found; `first` holds the times (ms UTC) of the
    first of them; `detail` says in words what there is to know, or why the check could not run.
    """

    name: str
    status: Status
    count: int = 0
    first: tuple[int, ...] = ()
    detail: str = ""

    def to_dict(self) -> dict[str, Any]:
        """For JSON, and for the body of a certificate."""
        return {
            "check": self.name, "status": self.status.value, "count": self.count, "first": list(self.first),
            "detail": self.detail,
        }  # fmt: skip

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Check:
        """The check that `to_dict` described."""
        first = tuple(int(stamp) for stamp in fields["first"])
        return cls(fields["check"], Status(fields["status"]), fields["count"], first, fields["detail"])


def found(name: str, status: Status, count: int, first: Iterable[int] = (), detail: str = "") -> Check:
    """A check that ran: it holds when it counted nothing.

    >>> found("ohlc", Status.VIOLATED, 0).status.value
    'passed'
    """
    stamps = tuple(int(stamp) for stamp in first)[: passes.KEPT]
    return Check(name, status if count else Status.PASSED, int(count), stamps if count else (), detail)


def not_run(name: str, why: str) -> Check:
    """A check that could not run."""
    return Check(name, Status.NOT_RUN, detail=why)


class Columns(NamedTuple):
    """The columns of bars as six int64 arrays: times in ms UTC, prices and volume in the instrument's units."""

    timestamp: Column
    open: Column
    high: Column
    low: Column
    close: Column
    volume: Column

    @classmethod
    def of(cls, rows: npt.NDArray[np.int64]) -> Columns:
        """From rows of shape (n, 6)."""
        return cls(*(np.ascontiguousarray(rows[:, k]) for k in range(6)))

    def wide(self) -> Columns:
        """The same with 64 bits a number."""
        return Columns(*(np.ascontiguousarray(column, np.int64) for column in self))

    def take(self, at: slice | npt.NDArray[Any]) -> Columns:
        """The same rows of every column."""
        return Columns(*(column[at] for column in self))


_WORDS = {
    passes.DUPLICATES: ("duplicates", "rows that repeat the time of an earlier one"),
    passes.ORDER: ("order", "rows that are older than one before them"),
    passes.GRID: ("grid", "rows whose time is not the open of a bar"),
    passes.OHLC: ("ohlc", "bars whose high is not the highest or whose low is not the lowest price"),
    passes.PRICES: ("prices", "bars with a price of zero or below"),
    passes.VOLUMES: ("volumes", "bars with a volume below zero"),
}


class BasicScan:
    """Gaps, duplicates, order, grid, OHLC and signs of a series, taken in chunk by chunk.

    Without `begin_ms`, the open of the first bar that should be there, the series begins with its first bar.

    >>> rows = np.array([[0, 5, 6, 4, 5, 1], [60_000, 5, 6, 4, 7, 1], [240_000, 7, 8, 6, 7, 1]])
    >>> scan = BasicScan(60_000)
    >>> scan.feed(Columns.of(rows))
    >>> scan.gaps, [(check.name, check.count) for check in scan.checks() if check.count]
    ([(120000, 240000)], [('ohlc', 1)])
    """

    def __init__(self, step_ms: int, begin_ms: int | None = None) -> None:
        self.step_ms = step_ms
        self._shift = MONDAY_MS if step_ms % WEEK_MS == 0 else 0
        self._state = np.zeros(passes.BASIC_STATE, np.int64)
        self._state[passes.LAST] = NEVER if begin_ms is None else begin_ms - step_ms
        self._first = np.zeros((len(passes.COUNTED), passes.KEPT), np.int64)
        self._holes: list[npt.NDArray[np.int64]] = []
        self._room = np.empty((0, 2), np.int64)

    def feed(self, columns: Columns) -> None:
        """Take in the next chunk, whatever integers its columns are made of."""
        ts = columns.timestamp
        if not len(ts):
            return
        if self._state[passes.LAST] != NEVER and passes.clean(
            *columns, self._state[passes.LAST], self.step_ms
        ):
            self._state[passes.ROWS] += len(ts)
            self._state[passes.LAST] = ts[-1]
            return
        columns = columns.wide()
        if len(columns.timestamp) > len(self._room):
            self._room = np.empty((len(columns.timestamp), 2), np.int64)
        holes = passes.basic_pass(*columns, self.step_ms, self._shift, self._state, self._first, self._room)
        if holes:
            self._holes.append(self._room[:holes].copy())

    def finish(self, until_ms: int) -> None:
        """No more rows come, though the last should end at `until_ms`: bars missing at the end are a gap too."""
        after = int(self._state[passes.LAST]) + self.step_ms
        if after < until_ms:
            self._holes.append(np.array([[after, until_ms]], np.int64))

    @property
    def rows(self) -> int:
        """Rows taken in."""
        return int(self._state[passes.ROWS])

    @property
    def disordered(self) -> bool:
        """Whether a row was older than one before it: gaps and duplicates then need sorted times."""
        return bool(self._state[passes.ORDER])

    @property
    def gaps(self) -> list[Interval]:
        """Where bars are missing between the first and the last."""
        return [(since, until) for holes in self._holes for since, until in holes.tolist()]

    @property
    def wrong(self) -> int:
        """Rows that are wrong by themselves or in their place; duplicates are counted apart."""
        return int(self._state[[passes.ORDER, passes.GRID, passes.BROKEN]].sum())

    def checks(self) -> list[Check]:
        """Every check of the pass but the gaps, which need the proofs of absence beside them."""
        return [
            found(name, Status.VIOLATED, int(self._state[counter]), self._kept(line, counter), detail)
            for line, (counter, (name, detail)) in enumerate(_WORDS.items())
        ]

    def _kept(self, line: int, counter: int) -> list[int]:
        kept: list[int] = self._first[line, : min(int(self._state[counter]), passes.KEPT)].tolist()
        return kept


def scan_unsorted(
    columns: Columns, step_ms: int, begin_ms: int | None = None
) -> tuple[BasicScan, list[Check]]:
    """The basic checks of rows in any order, as a file may hold them.

    Order is judged as the rows stand; gaps, duplicates and the rest as they are once sorted. Returns the scan of the
    sorted rows and the checks.
    """
    scan = BasicScan(step_ms, begin_ms)
    scan.feed(columns)
    if not scan.disordered:
        return scan, scan.checks()
    order = next(check for check in scan.checks() if check.name == "order")
    scan = BasicScan(step_ms, begin_ms)
    scan.feed(columns.take(np.argsort(columns.timestamp, kind="stable")))
    return scan, [order if check.name == "order" else check for check in scan.checks()]


def check_gaps(gaps: list[Interval], proven: list[Interval], step_ms: int) -> Check:
    """Missing bars that no proof of absence covers; the count is of gaps, `detail` tells the bars."""
    left = without(gaps, proven)
    missing = length(left, step_ms)
    longest = max((until - since for since, until in left), default=0) // step_ms
    explained = length(gaps, step_ms) - missing
    detail = f"{missing} bars missing, the longest gap {longest}; {explained} proven absent"
    return found("gaps", Status.INCOMPLETE, len(left), [since for since, _ in left[: passes.KEPT]], detail)


class Unusual:
    """Stale runs, copied bars, prices off the tick, and where the tick changed; chunk by chunk, sorted rows.

    `before` are the `ticks` of the month before, which tell whether the tick changed from one to the next.
    """

    def __init__(self, step_ms: int, tick: int = 1, before: Column | None = None) -> None:
        self.step_ms, self.tick = step_ms, tick
        self._before = np.empty((0, 3), np.int64) if before is None else before
        self.stale = max(STALE_BARS, STALE_MS // step_ms)
        self._state = np.zeros(passes.UNUSUAL_STATE, np.int64)
        self._state[passes.DAY_END] = NEVER
        self._first = np.zeros((len(passes.UNUSUAL_COUNTED), passes.KEPT), np.int64)
        self._ticks: list[npt.NDArray[np.int64]] = []

    def feed(self, columns: Columns, *, last: bool = False) -> None:
        """Take in the next chunk; `last` closes the day and the run that are open."""
        ts = columns.timestamp
        days = int(ts[-1] // DAY_MS - ts[0] // DAY_MS) + 3 if len(ts) else 2
        room = np.empty((days, 3), np.int64)
        count = passes.unusual_pass(*columns, self.tick, self.stale, self._state, self._first, room, last)
        self._ticks.append(room[:count])

    @property
    def ticks(self) -> Column:
        """Rows of (day, greatest common divisor of the day's prices, bars)."""
        return np.concatenate(self._ticks) if self._ticks else np.empty((0, 3), np.int64)

    @property
    def zero_volume(self) -> int:
        """Bars without any volume."""
        return int(self._state[passes.ZERO_VOLUME])

    def checks(self) -> list[Check]:
        """The notices."""
        stale, bars, longest, copies, off = (
            int(self._state[k])
            for k in (
                passes.STALE_RUNS, passes.STALE_BARS, passes.STALE_LONGEST, passes.REPEATED, passes.OFF_TICK,
            )
        )  # fmt: skip
        kept = [self._first[line].tolist() for line in range(len(passes.UNUSUAL_COUNTED))]
        ticks = self.ticks
        since = int(ticks[0, 0]) if len(ticks) else 0
        changes, words = tick_changes(np.concatenate([self._before, ticks]), since)
        off_words = f"bars with a price off the registered tick of {self.tick} units; {words}"
        return [
            found("stale", Status.NOTICED, stale, kept[0][:stale],
                  f"runs of {self.stale} or more bars on one price; {bars} bars, the longest run {longest}"),
            found("copies", Status.NOTICED, copies, kept[1][:copies],
                  "bars that moved and traded, and equal the one before in every column"),
            found("off_tick", Status.NOTICED, off, kept[2][:off], off_words),
            found("tick_changes", Status.NOTICED, len(changes), changes,
                  "days from which prices stand on another grid than the days before"),
        ]  # fmt: skip


def tick_changes(ticks: Column, since_day: int = 0, *, least_bars: int = 200) -> tuple[list[int], str]:
    """The days (ms UTC) on which the grid of prices changed, and what the grid was, in price units.

    `ticks` has the rows (day, greatest common divisor of the day's prices, bars). Days of fewer than `least_bars`
    bars, or that never moved, say too little; a grid counts when two days in a row stand on it, as one stray price
    makes a single day look finer. Changes whose second day lies before `since_day` are left out.

    >>> days = [[d, 5 if d < 4 else 1, 1440] for d in range(8)]
    >>> tick_changes(np.array(days))
    ([345600000], 'prices stand on 5, then 1 units')
    """
    enough = ticks[(ticks[:, 2] >= least_bars) & (ticks[:, 1] > 0)].tolist()
    grid, changes, grids = 0, [], []
    for (day, tick, _), (next_day, next_tick, _) in itertools.pairwise(enough):
        if tick != next_tick or tick == grid:
            continue
        if grid and next_day >= since_day:
            changes.append(day * DAY_MS)
        grids.append(tick)
        grid = tick
    shown = ", then ".join(str(tick) for tick in grids[:6])
    return changes, f"prices stand on {shown} units" if grids else "too few bars to tell the grid of prices"


def check_spikes(columns: Columns) -> Check:
    """Volumes far above the others of the same month, by the quartiles of their logarithm.

    Robust in the sense of Hampel (1974): quartiles do not move when a few values are absurd.
    """
    traded = columns.volume[columns.volume > 0]
    if len(traded) < 100:
        return not_run("spikes", f"{len(traded)} bars with volume are too few to say what is usual")
    at = [len(traded) // 4, len(traded) // 2, 3 * len(traded) // 4]
    low, middle, high = (math.log(float(v)) for v in np.partition(traded, at)[at])
    sigma = max((high - low) / 1.349, 0.25)
    limit = math.exp(min(middle + SPIKE_SIGMAS * sigma, 43.0))
    above = columns.volume > limit
    words = f"volumes above {limit / math.exp(middle):,.0f} times the median"
    return found("spikes", Status.NOTICED, int(above.sum()), columns.timestamp[above][: passes.KEPT], words)


def check_opening(columns: Columns, step_ms: int) -> Check:
    """Whether bars of a day or longer open at 00:00 UTC, and shorter ones of an hour or more on their grid.

    The rule can only be told where nearly all bars are off the grid by the same quarter hours.
    """
    quarter = 900_000
    if step_ms < 3_600_000 or not len(columns.timestamp):
        return not_run("opening_hour", "bars shorter than an hour do not tell their time zone by their opens")
    shift = MONDAY_MS if step_ms % WEEK_MS == 0 else 0
    offsets = (columns.timestamp - shift) % step_ms
    values, counts = np.unique(offsets, return_counts=True)
    common, share = int(values[counts.argmax()]), counts.max() / len(offsets)
    shifted = common != 0 and common % quarter == 0 and share >= 0.9
    count = int(counts.max()) if shifted else 0
    hours = common / 3_600_000
    words = (
        f"bars open {hours:g} h after their grid in UTC: their times are of another zone" if shifted else ""
    )
    return found("opening_hour", Status.VIOLATED, count, columns.timestamp[offsets == common], words)


def months_of(columns: Columns) -> Iterator[Columns]:
    """Sorted columns, one calendar month (UTC) after another."""
    months = columns.timestamp.astype("datetime64[ms]").astype("datetime64[M]").astype(np.int64)
    edges = np.flatnonzero(np.r_[True, months[1:] != months[:-1]]) if len(months) else np.empty(0, np.int64)
    for begin, end in zip(edges, [*edges[1:], len(months)], strict=True):
        yield columns.take(slice(int(begin), int(end)))
