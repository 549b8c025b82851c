"""Which rows of a feed an answer holds: the first ones since a time, or the latest ones."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.resample import ceil_time, floor_time
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.venues.market_data import MINUTE_MS

MOST_BARS, MOST_TRADES = 1_000_000, 100_000
"""How many rows one call gives at most."""


def float_rows(m: Instrument, rows: npt.NDArray[np.int64]) -> list[list[Any]]:
    """Rows of `Bars.rows` as ccxt's lists, each number the nearest float to its decimal."""
    price, amount = float(10**m.price_scale), float(10**m.amount_scale)
    columns = [
        rows[:, 0].tolist(),
        *((rows[:, c] / price).tolist() for c in range(1, 5)),
        (rows[:, 5] / amount).tolist(),
    ]
    return [list(row) for row in zip(*columns, strict=True)]


def bar_rows(
    feed: Any, symbol: str, step: int, since: int | None, limit: int, until: int, now: int
) -> npt.NDArray[np.int64]:
    """At most `limit` bars that open before `until`, the forming one included."""
    begin, forming_at = feed.span()[0], floor_time(now, step)
    complete_until = min(until, forming_at)
    forming = feed.forming_bar(symbol, now, step) if forming_at < until else None
    tail = (
        [np.asarray(forming).reshape(1, 6)]
        if forming is not None and (since is None or forming[0] >= since)
        else []
    )
    if since is None:
        wanted = limit - len(tail)
        at = max(begin, floor_time(until - 1, step) - wanted * step)
        rows = (
            feed.bars(symbol, at, complete_until, step).rows[-wanted:]
            if wanted
            else np.empty((0, 6), np.int64)
        )
        return np.concatenate([rows, *tail])
    at, span, parts, count = ceil_time(max(since, floor_time(begin, step)), step), limit * step, [], 0
    while at < complete_until and count < limit:
        rows = feed.bars(symbol, at, min(at + span, complete_until), step).rows
        parts.append(rows)
        at, span, count = at + span, span * 2, count + len(rows)
    return np.concatenate([np.empty((0, 6), np.int64), *parts, *tail])[:limit]


def latest_trades(feed: Any, symbol: str, since: int | None, limit: int, until: int) -> npt.NDArray[np.void]:
    """At most `limit` trades before `until`: the first ones at or after `since`, or the last ones."""
    (begin, over), span = feed.span(), max(1, limit // 32) * MINUTE_MS
    if since is None:
        end = min(until, over)
        parts = [feed.trades(symbol, max(begin, end - span), end)]
        while sum(map(len, parts)) < limit and end - span > begin:
            end, span = end - span, span * 2
            parts.insert(0, feed.trades(symbol, max(begin, end - span), end))
        return np.concatenate(parts)[-limit:]
    at = max(since, begin)
    parts = [feed.trades(symbol, at, min(at + span, until))]
    while sum(map(len, parts)) < limit and at + span < until:
        at, span = at + span, span * 2
        parts.append(feed.trades(symbol, at, min(at + span, until)))
    return np.concatenate(parts)[:limit]
