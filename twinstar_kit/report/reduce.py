"""Fewer points for the same picture: what a screen cannot show is left out before a figure is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twinstar_kit.kernel.bars import Bars

NICE_MINUTES = (1, 2, 3, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1440, 2880, 4320, 10080)


def extremes(values: NDArray[np.float64], points: int) -> NDArray[np.int64]:
    """Indices of at most about `points` values that keep every local extreme: the least and most of each stretch.

    >>> extremes(np.array([0.0, 9.0, 1.0, 2.0, -5.0, 3.0, 4.0, 5.0]), 4).tolist()
    [0, 1, 4, 7]
    """
    n = len(values)
    if n <= points:
        return np.arange(n)
    step = -(-2 * n // points)
    whole = n // step * step
    blocks = np.asarray(values[:whole]).reshape(-1, step)
    base = np.arange(0, whole, step)
    picked = np.concatenate((base + blocks.argmin(1), base + blocks.argmax(1), [0, n - 1]))
    if whole < n:
        picked = np.append(picked, [whole + np.argmin(values[whole:]), whole + np.argmax(values[whole:])])
    return np.unique(picked)


def coarser(bars: Bars, candles: int) -> tuple[NDArray[np.int64], int]:
    """Rows of `Bars` put together to at most about `candles` candles of a usual length.

    Returns `(rows, timeframe_ms)`: rows int64 (n, 6) as in `Bars.rows`. A candle begins at a multiple of its
    length since 1970; bars that are missing make no candle.
    """
    if len(bars) <= candles:
        return bars.rows, bars.timeframe_ms
    span = int(bars.rows[-1, 0] - bars.rows[0, 0]) + bars.timeframe_ms
    fitting = (m * 60_000 for m in NICE_MINUTES if (m * 60_000) % bars.timeframe_ms == 0)
    length = next((ms for ms in fitting if span <= candles * ms), None)
    if length is None:
        length = -(-span // (candles * bars.timeframe_ms)) * bars.timeframe_ms
    rows = bars.rows
    starts = np.flatnonzero(np.diff(rows[:, 0] // length, prepend=-1))
    out = np.empty((len(starts), 6), np.int64)
    out[:, 0] = rows[starts, 0] // length * length
    out[:, 1] = rows[starts, 1]
    out[:, 2] = np.maximum.reduceat(rows[:, 2], starts)
    out[:, 3] = np.minimum.reduceat(rows[:, 3], starts)
    out[:, 4] = rows[np.append(starts[1:], len(rows)) - 1, 4]
    out[:, 5] = np.add.reduceat(rows[:, 5], starts)
    return out, length
