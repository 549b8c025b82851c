"""Rows of every kind: their columns, what identifies a row, how they are checked, split and merged."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.resample import MONDAY_MS, WEEK_MS
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.provenance import ABSENT, Provenance
from twinstar_kit.lake.series import FIRST_MS, LAST_MS, Kind, Series, month_span

Rows = npt.NDArray[np.int64]
Marks = npt.NDArray[np.int8]

COLUMNS: dict[Kind, tuple[str, ...]] = {
    Kind.BARS: ("timestamp", "open", "high", "low", "close", "volume"),
    Kind.TRADES: ("timestamp", "price", "amount", "side", "id"),
    Kind.FUNDING: ("timestamp", "rate"),
    Kind.DEPTH: ("timestamp", "update_id", "side", "price", "amount", "flags"),
}
"""All int64. Prices and amounts count the instrument's units, a funding rate counts 1e-12; side is 1 for a buy or a bid."""

PRICES = frozenset({"open", "high", "low", "close", "price"})
AMOUNTS = frozenset({"volume", "amount"})
RATE_SCALE = 12

KEYS: dict[Kind, tuple[int, ...]] = {
    Kind.BARS: (0,), Kind.TRADES: (0, 4), Kind.FUNDING: (0,), Kind.DEPTH: (0, 1, 2, 3),
}  # fmt: skip
"""Columns that identify a row and that rows are sorted by."""


@dataclass(frozen=True, slots=True)
class Merged:
    """Old rows with new ones laid over them, and what became of each new one."""

    rows: Rows
    marks: Marks
    added: int
    same: int
    fresh: npt.NDArray[np.bool_]
    """Which of the new rows changed something."""
    old: Rows
    old_marks: Marks
    new: Rows
    """Rows that were replaced, and by what."""

    @property
    def revised(self) -> int:
        """How many rows were replaced."""
        return len(self.old)


def checked(series: Series, rows: Any, provenance: Any) -> tuple[Rows, Marks]:
    """`rows` and one mark for each, sorted by key; DataError that names the first row that breaks a rule."""
    columns = COLUMNS[series.kind]
    table = np.asarray(rows)
    if table.size == 0:
        table = np.empty((0, len(columns)), np.int64)
    if table.ndim != 2 or table.shape[1] != len(columns) or table.dtype.kind not in "iu":
        raise DataError(
            f"{series}: rows must be whole numbers of the shape (n, {len(columns)}): {', '.join(columns)};"
            f" these are {table.dtype} {table.shape}"
        )
    table = np.ascontiguousarray(table, np.int64)
    stamps = table[:, 0]
    _refuse(series, stamps, (stamps < FIRST_MS) | (stamps >= LAST_MS),
            "is not a time in milliseconds UTC between 1990 and 2100")  # fmt: skip
    _refuse(
        series, stamps, np.r_[False, np.diff(stamps) < 0], "comes before the row above; sort rows by time"
    )
    marks = np.broadcast_to(np.asarray(provenance, np.int8), len(table)).copy()
    known = [int(mark) for mark in Provenance if mark not in ABSENT]
    if not np.isin(marks, known).all():
        raise DataError(f"{series}: a stored row is observed, backfilled, from trades, healed or disputed")
    if len(KEYS[series.kind]) > 1:
        order = _order(series.kind, table)
        table, marks = table[order], marks[order]
    return table, marks


def _refuse(series: Series, stamps: Rows, bad: npt.NDArray[np.bool_], rule: str) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"{series}: row {row}: timestamp {stamps[row]} {rule}")


def on_grid(series: Series, stamps: Rows) -> npt.NDArray[np.bool_]:
    """Which timestamps are opens of bars; for other kinds all of them are where they should be."""
    if series.kind is not Kind.BARS:
        return np.ones(len(stamps), np.bool_)
    step = series.timeframe_ms
    shift = MONDAY_MS if step % WEEK_MS == 0 else 0
    good: npt.NDArray[np.bool_] = (stamps - shift) % step == 0
    return good


def part_unit(kind: Kind) -> str:
    """Bars and funding rates are kept by the month, trades and book changes by the day."""
    return "M" if kind in (Kind.BARS, Kind.FUNDING) else "D"


def part_of(kind: Kind, ts_ms: int) -> str:
    """The month or day that keeps a row of this time."""
    return str(np.datetime64(int(ts_ms), "ms").astype(f"datetime64[{part_unit(kind)}]"))


def parts(kind: Kind, rows: Rows) -> Iterator[tuple[str, slice]]:
    """The months or days that ascending `rows` lie in, with where each begins and ends."""
    at = 0
    while at < len(rows):
        label = part_of(kind, int(rows[at, 0]))
        end = int(np.searchsorted(rows[:, 0], month_span(label)[1]))
        yield label, slice(at, end)
        at = end


def _order(kind: Kind, rows: Rows) -> npt.NDArray[np.intp]:
    return np.lexsort([rows[:, column] for column in reversed(KEYS[kind])])


def _repeats(kind: Kind, rows: Rows) -> npt.NDArray[np.bool_]:
    """Which of the sorted rows have the key of the row before."""
    again = np.zeros(len(rows), np.bool_)
    if len(rows) > 1:
        keys = rows[:, list(KEYS[kind])]
        again[1:] = (keys[1:] == keys[:-1]).all(axis=1)
    return again


def deduplicated(series: Series, rows: Rows, marks: Marks) -> tuple[Rows, Marks, int]:
    """Sorted rows with each key once, and how many equal copies were left out; DataError when copies differ."""
    again = _repeats(series.kind, rows)
    if not again.any():
        return rows, marks, 0
    differ = np.zeros(len(rows), np.bool_)
    differ[1:] = again[1:] & (rows[1:] != rows[:-1]).any(axis=1)
    _refuse(series, rows[:, 0], differ, "comes twice with different values; keep one row for each time")
    return rows[~again], marks[~again], int(again.sum())


def latest(kind: Kind, rows: Rows, marks: Marks) -> tuple[Rows, Marks]:
    """Rows in the order they were written, reduced to the last one of each key and sorted by it."""
    order = _order(kind, rows)  # stable: of equal keys the one that was written last stays last
    rows, marks = rows[order], marks[order]
    kept = ~np.r_[_repeats(kind, rows)[1:], False]
    return (rows, marks) if kept.all() else (rows[kept], marks[kept])


def merge(
    kind: Kind, old: Rows, old_marks: Marks, new: Rows, new_marks: Marks, *, by_mark: bool = False
) -> Merged:
    """Lay `new` over `old`, both sorted with each key once; the new row wins where they differ.

    Equal values keep the mark of the old row, unless `by_mark` counts a different mark as a difference.
    """
    nothing = new[:0], new_marks[:0], new[:0]
    if not len(new):
        return Merged(old, old_marks, 0, 0, np.empty(0, np.bool_), *nothing)
    first = int(np.searchsorted(old[:, 0], new[0, 0]))
    end = int(np.searchsorted(old[:, 0], new[-1, 0], side="right"))
    if first == end:
        rows = np.concatenate([old[:first], new, old[first:]])
        marks = np.concatenate([old_marks[:first], new_marks, old_marks[first:]])
        return Merged(rows, marks, len(new), 0, np.ones(len(new), np.bool_), *nothing)
    both, both_marks = (
        np.concatenate([old[first:end], new]),
        np.concatenate([old_marks[first:end], new_marks]),
    )
    order = _order(kind, both)
    again = _repeats(kind, both[order])
    twice = np.flatnonzero(again)
    before, after = order[twice - 1], order[twice]
    equal = (both[before] == both[after]).all(axis=1)
    if by_mark:
        equal &= both_marks[before] == both_marks[after]
    dropped = np.zeros(len(both), np.bool_)
    dropped[after[equal]] = True
    dropped[before[~equal]] = True
    kept = order[~dropped[order]]
    rows = np.concatenate([old[:first], both[kept], old[end:]])
    marks = np.concatenate([old_marks[:first], both_marks[kept], old_marks[end:]])
    gone = before[~equal]
    return Merged(
        rows, marks, len(new) - len(twice), int(equal.sum()), ~dropped[end - first :],
        both[gone], both_marks[gone], both[after[~equal]],
    )  # fmt: skip
