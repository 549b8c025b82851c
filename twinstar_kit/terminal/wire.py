"""Bars on their way to the chart: a regular grid of columns, exact to the tick, with a mark where there is no bar.

The format, little endian: "TSB1", uint32 n, float64 start and step in minutes, float64 now in ms, float64 one; then
open, high, low and close as int32 counts of 1/one (NO_BAR: there is none), and volume as float32, n each. A year of
minutes takes 10.5 MB. `web/src/chart/wire.js` reads it.
"""

from __future__ import annotations

import struct

import numpy as np

from twinstar_kit.feeds.base import find_instrument
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.terminal.backend import MarketData

MINUTE_MS = 60_000
DAY_MS = 86_400_000
YEAR_DAYS = 365
MOST_BARS = 600_000
HEAD = struct.Struct("<4sIdddd")
NO_BAR = -(2**31)


def base_step(feed: MarketData) -> int:
    """Minutes of the finest bars that the chart shows of `feed`."""
    return max(1, int(getattr(feed, "timeframe_ms", MINUTE_MS)) // MINUTE_MS)


def bars_message(
    feed: MarketData, symbol: str, now_ms: int, step: int, since: int | None = None, until: int | None = None
) -> bytes:
    """Complete bars of `step` minutes before `now_ms`: those of [since, until) in minutes, or of the last year.

    Raises UsageError for a window that makes no sense or holds too many bars, InstrumentError for an unknown symbol.
    """
    instrument = feed.instruments[find_instrument(feed.instruments, symbol)]
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
    prices = np.full((4, n), NO_BAR, np.int32)
    volume = np.zeros(n, np.float32)
    scale = instrument.price_scale
    if n:
        bars = feed.bars(symbol, start_ms, start_ms + n * step_ms, step_ms)
        rows = bars.rows
        at = (rows[:, 0] - start_ms) // step_ms
        dropped = _digits_to_drop(int(rows[:, 2].max(initial=0)))
        scale -= dropped
        prices[:, at] = ((rows[:, 1:5] + 10**dropped // 2) // 10**dropped).T
        volume[at] = bars.volume
    head = HEAD.pack(b"TSB1", n, start_ms / MINUTE_MS, float(step), float(now_ms), 10.0**scale)
    return head + prices.tobytes() + volume.tobytes()


def _digits_to_drop(largest: int) -> int:
    """Decimals that prices lose to fit 32 bits: none, except where data came without a tick.

    >>> _digits_to_drop(162_357_000), _digits_to_drop(9_421_012_000_000)
    (0, 4)
    """
    dropped = 0
    while largest // 10**dropped >= 2**31:
        dropped += 1
    return dropped
