"""Bars on their way to the chart: a regular grid of float32 columns, NaN where there is no bar.

The format, little endian: "TSB1", uint32 n, float64 start and step in minutes, float64 now in ms; then open, high,
low, close and volume, n float32 each. `web/src/chart/wire.js` reads it.
"""

from __future__ import annotations

import struct

import numpy as np

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.terminal.backend import MarketData

MINUTE_MS = 60_000
DAY_MS = 86_400_000
YEAR_DAYS = 365
MOST_BARS = 600_000
HEAD = struct.Struct("<4sIddd")


def base_step(feed: MarketData) -> int:
    """Minutes of the finest bars that the chart shows of `feed`."""
    return max(1, int(getattr(feed, "timeframe_ms", MINUTE_MS)) // MINUTE_MS)


def bars_message(
    feed: MarketData, symbol: str, now_ms: int, step: int, since: int | None = None, until: int | None = None
) -> bytes:
    """Complete bars of `step` minutes before `now_ms`: those of [since, until) in minutes, or of the last year.

    Raises UsageError for a window that makes no sense or holds too many bars, InstrumentError for an unknown symbol.
    """
    finest = base_step(feed)
    if step < finest or step % finest:
        raise UsageError(f"{feed.spec} has bars of {finest} minutes and its multiples, not of {step}")
    step_ms = step * MINUTE_MS
    first_ms, _ = feed.span()
    begin = max((now_ms - YEAR_DAYS * DAY_MS if since is None else since * MINUTE_MS), first_ms)
    end = now_ms if until is None else min(until * MINUTE_MS, now_ms)
    # midnight lies on every level's grid, so that levels of a year merge whole bars
    start_ms = begin // DAY_MS * DAY_MS if since is None else begin // step_ms * step_ms
    n = max(0, (end - start_ms) // step_ms)
    if n > MOST_BARS:
        raise UsageError(
            f"{n} bars are too many for one answer; ask for at most {MOST_BARS}, or for longer bars"
        )
    columns = np.full((5, n), np.nan, np.float32)
    if n:
        bars = feed.bars(symbol, start_ms, start_ms + n * step_ms, step_ms)
        at = (bars.timestamp - start_ms) // step_ms
        for row, name in enumerate(("open", "high", "low", "close", "volume")):
            columns[row, at] = getattr(bars, name)
    return HEAD.pack(b"TSB1", n, start_ms / MINUTE_MS, float(step), float(now_ms)) + columns.tobytes()
