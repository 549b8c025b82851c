"""Bars of a longer timeframe from shorter ones: only complete bars, on the grid that exchanges use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars, format_timeframe
from twinstar_kit.kernel.errors import DataError

WEEK_MS = 604_800_000
MONDAY_MS = 4 * 86_400_000  # 1970-01-05; weeks start on Mondays, other timeframes at the epoch


def floor_time(ts_ms: int, timeframe_ms: int) -> int:
    """The open of the bar that holds `ts_ms`.

    >>> floor_time(1_735_700_399_999, 3_600_000)
    1735696800000
    """
    shift = MONDAY_MS if timeframe_ms % WEEK_MS == 0 else 0
    return (ts_ms - shift) // timeframe_ms * timeframe_ms + shift


def ceil_time(ts_ms: int, timeframe_ms: int) -> int:
    """The first open of a bar at or after `ts_ms`."""
    return floor_time(ts_ms + timeframe_ms - 1, timeframe_ms)


def aggregate(rows: npt.NDArray[np.int64], timeframe_ms: int) -> npt.NDArray[np.int64]:
    """Join rows of `Bars.rows` that open within the same bar of `timeframe_ms`; the last may be unfinished."""
    if not len(rows):
        return rows
    shift = MONDAY_MS if timeframe_ms % WEEK_MS == 0 else 0
    opens = (rows[:, 0] - shift) // timeframe_ms * timeframe_ms + shift
    starts = np.flatnonzero(np.r_[True, opens[1:] != opens[:-1]])
    ends = np.r_[starts[1:], len(rows)] - 1
    joined = np.empty((len(starts), rows.shape[1]), np.int64)
    joined[:, 0] = opens[starts]
    joined[:, 1] = rows[starts, 1]
    joined[:, 2] = np.maximum.reduceat(rows[:, 2], starts)
    joined[:, 3] = np.minimum.reduceat(rows[:, 3], starts)
    joined[:, 4] = rows[ends, 4]
    joined[:, 5] = np.add.reduceat(rows[:, 5], starts)
    if rows.shape[1] > 6:
        joined[:, 6] = np.maximum.reduceat(rows[:, 6], starts)
    return joined


def resample(bars: Bars, timeframe_ms: int) -> Bars:
    """`bars` joined to a longer timeframe.

    A first or last bar that `bars` covers only in part is left out; a gap inside is not filled. DataError when
    the timeframe is no multiple of that of `bars`.
    """
    if timeframe_ms == bars.timeframe_ms:
        return bars
    if timeframe_ms < bars.timeframe_ms or timeframe_ms % bars.timeframe_ms:
        raise DataError(
            f"bars of {bars.timeframe} cannot be joined to {format_timeframe(timeframe_ms)};"
            f" choose a multiple of {bars.timeframe}"
        )
    rows = bars.rows
    if len(rows):
        first = ceil_time(int(rows[0, 0]), timeframe_ms)
        end = floor_time(int(rows[-1, 0]) + bars.timeframe_ms, timeframe_ms)
        rows = rows[np.searchsorted(rows[:, 0], first) : np.searchsorted(rows[:, 0], end)]
    return replace(bars, timeframe_ms=timeframe_ms, rows=np.ascontiguousarray(aggregate(rows, timeframe_ms)))
