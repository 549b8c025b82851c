"""Trades and order books of the simulated market, made to fit the minute bars.

The trades of a minute start at the bar's open and end at its close, touch its high and its low, and add up to its
volume. The book stands around the last trade: a buy leaves the best ask at its price, a sell the best bid.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinstar_kit.feeds.minutes import (
    EPOCH_MS,
    MINUTE_MS,
    MOST_TRADES,
    SLOTS,
    TRADE_STRIDE,
    add_path,
    log_prices,
    minute_bar,
    worth,
)
from twinstar_kit.feeds.noise import LOW16, PLACES, S16, S32, S48, SIZES, SPREADS, bell, draw, exp, path, unit
from twinstar_kit.jit import compiled, inlined

TS, PRICE, AMOUNT, SIDE, ID = range(5)  # columns of trades, the fields of trade_t
SIZE_MS = 1_600  # a resting level keeps its size for one to eight of these,
PLACE_MS = 60_000  # and its place for one of these
SPREAD_MS = 700
STICKY = 0.6  # share of trades at the price of the one before, unless the market has left it


@inlined
def one_minute(market: Any, s: Any, minute: Any) -> Any:
    """The bar of one minute, as `minute_bar` gives it."""
    levels, variances = np.empty(2), np.empty(1)
    x, v = np.empty(4), np.empty(4)
    log_prices(market, s, minute, 1, levels, variances, x, v)
    return minute_bar(market.symbols[s], market.shapes, minute, levels[0], levels[1], variances[0])


@inlined
def fill_tape(symbol: Any, minute: Any, bar: Any, last_ms: Any, out: Any) -> Any:
    """Write the trades of `minute` up to and including time `last_ms` to `out`; returns how many.

    Prices are written in ticks, amounts in lots; `scale_tape` makes units of them.
    """
    first, high, low, _last, lots, count = bar
    key = draw(draw(symbol["key"], minute), 4)
    gaps, weights = 0.0, 0.0
    for k in range(count + 1):
        bits = draw(key, k)
        gaps += gap_weight(bits)
        weights += amount_weight(bits)
    weights -= amount_weight(draw(key, count))  # the gap after the last trade has no amount
    high_at, low_at = extremes(key, bar)
    start = EPOCH_MS + minute * MINUTE_MS
    step = 0.5 * (high - low) / math.sqrt(float(count))
    price, printed, side = float(first), first, 1 if key & np.uint64(1) else -1
    elapsed, weight, counted = 0.0, 0.0, 0
    for k in range(count):
        bits = draw(key, k)
        elapsed += gap_weight(bits)
        weight += amount_weight(bits)
        ts = start + int((MINUTE_MS - 1) * (elapsed / gaps))
        if ts > last_ms:
            return k
        before = printed
        if k > 0:
            goal_at, goal = next_goal(k, bar, high_at, low_at)
            if k == goal_at:
                price, printed = float(goal), goal
            else:
                left = float(goal_at - k)
                price += (goal - price) / (left + 1.0)
                price += step * bell(draw(key, 2048 + k)) * math.sqrt(left / (left + 1.0))
                price = min(float(high), max(float(low), price))
                if unit(bits) > STICKY or abs(price - printed) > 2.0 * step:
                    printed = int(price + 0.5)
        if printed > before:
            side = 1
        elif printed < before:
            side = -1
        total = lots - count if k == count - 1 else int((lots - count) * (weight / weights))
        out[k, TS] = ts
        out[k, PRICE] = printed
        out[k, AMOUNT] = 1 + total - counted
        out[k, SIDE] = side
        out[k, ID] = minute * TRADE_STRIDE + k + 1
        counted = total
    return count


@inlined
def gap_weight(bits: Any) -> Any:
    """How long the market waits for a trade, relatively: trades come in bursts."""
    u = float(bits & LOW16) * (1.0 / 65536.0)
    return 0.02 + u * u * u


@inlined
def amount_weight(bits: Any) -> Any:
    """The relative amount of a trade: many small ones, few large (a truncated Pareto law of index 1)."""
    return 1.0 / (0.01 + float((bits >> S16) & LOW16) * (1.0 / 65536.0))


@inlined
def extremes(key: Any, bar: Any) -> Any:
    """Which trades print the high and the low."""
    first, high, low, last, _lots, count = bar
    bits, edge = draw(key, 4096), count // 8  # not at once, and not one right after the other
    inner = np.uint64(count - 2 - 2 * edge)
    high_at = 1 + edge + (int((bits & LOW16) % inner) + int(((bits >> S16) & LOW16) % inner)) // 2
    low_at = 1 + edge + (int(((bits >> S32) & LOW16) % inner) + int((bits >> S48) % inner)) // 2
    if abs(high_at - low_at) < max(1, edge):
        apart = max(1, count // 4)
        low_at = high_at + apart if high_at < count // 2 else high_at - apart
    if high in (first, last):
        high_at = 0 if high == first else count - 1
    if low in (first, last):
        low_at = 0 if low == first else count - 1
    return high_at, low_at


@inlined
def next_goal(k: Any, bar: Any, high_at: Any, low_at: Any) -> Any:
    """The next trade, from number `k` on, whose price is fixed, and that price."""
    _first, high, low, last, _lots, count = bar
    at, goal = count - 1, last
    if k <= high_at < at:
        at, goal = high_at, high
    if k <= low_at < at:
        at, goal = low_at, low
    return at, goal


@inlined
def scale_tape(symbol: Any, rows: Any, count: Any) -> Any:
    """Ticks to price units and lots to amount units, in place."""
    for k in range(count):
        rows[k, PRICE] *= symbol["tick"]
        rows[k, AMOUNT] *= symbol["lot"]


@compiled
def trade_rows(market: Any, s: Any, since_ms: Any, until_ms: Any) -> Any:
    """Trades of symbol number `s` in [since_ms, until_ms): int64 (n, 5) with the fields of `trade_t`."""
    symbol = market.symbols[s]
    first = (since_ms - EPOCH_MS) // MINUTE_MS
    count = max(0, (until_ms - 1 - EPOCH_MS) // MINUTE_MS + 1 - first)
    levels, variances = np.empty(count + 1), np.empty(count)
    x, v = np.empty(count + 3), np.empty(count + 3)
    if count:
        log_prices(market, s, first, count, levels, variances, x, v)
    room = 0
    for i in range(count):
        room += minute_bar(symbol, market.shapes, first + i, levels[i], levels[i + 1], variances[i])[5]
    rows = np.empty((room, 5), np.int64)
    end = 0
    for i in range(count):
        bar = minute_bar(symbol, market.shapes, first + i, levels[i], levels[i + 1], variances[i])
        end += fill_tape(symbol, first + i, bar, until_ms - 1, rows[end:])
    scale_tape(symbol, rows, end)
    start = 0
    while start < end and rows[start, TS] < since_ms:
        start += 1
    return rows[start:end].copy()


@inlined
def latest(market: Any, s: Any, now_ms: Any, tape: Any) -> Any:
    """How many trades of the current minute have happened, written to `tape`; the last trade stands in tape[-1]."""
    symbol = market.symbols[s]
    minute = (now_ms - EPOCH_MS) // MINUTE_MS
    count = fill_tape(symbol, minute, one_minute(market, s, minute), now_ms, tape)
    if count:
        tape[-1] = tape[count - 1]
    else:
        before = fill_tape(symbol, minute - 1, one_minute(market, s, minute - 1), now_ms, tape)
        tape[-1] = tape[before - 1]
    return count


@compiled
def last_trade(market: Any, s: Any, now_ms: Any) -> Any:
    """The last trade at `now_ms`: int64 (1, 5) with the fields of `trade_t`."""
    tape = np.empty((MOST_TRADES + 1, 5), np.int64)
    latest(market, s, now_ms, tape)
    row = tape[-1:].copy()
    scale_tape(market.symbols[s], row, 1)
    return row


@compiled
def forming_row(market: Any, s: Any, open_ms: Any, now_ms: Any) -> Any:
    """What has elapsed at `now_ms` of the bar that opened at `open_ms`: int64 (6,); volume 0 if nothing has."""
    symbol = market.symbols[s]
    row = np.zeros(6, np.int64)
    row[0] = open_ms
    first, minute = (open_ms - EPOCH_MS) // MINUTE_MS, (now_ms - EPOCH_MS) // MINUTE_MS
    count = minute - first
    if count > 0:
        levels, variances = np.empty(count + 1), np.empty(count)
        x, v = np.empty(count + 3), np.empty(count + 3)
        log_prices(market, s, first, count, levels, variances, x, v)
        for i in range(count):
            bar = minute_bar(symbol, market.shapes, first + i, levels[i], levels[i + 1], variances[i])
            extend(row, bar[0], bar[1], bar[2], bar[3], bar[4])
    tape = np.empty((MOST_TRADES + 1, 5), np.int64)
    for k in range(fill_tape(symbol, minute, one_minute(market, s, minute), now_ms, tape)):
        price = tape[k, PRICE]
        extend(row, price, price, price, price, tape[k, AMOUNT])
    row[1:5] *= symbol["tick"]
    row[5] *= symbol["lot"]
    return row


@inlined
def extend(row: Any, first: Any, high: Any, low: Any, last: Any, amount: Any) -> Any:
    """Take later prices into a bar; a bar without volume is empty."""
    if row[5] == 0:
        row[1], row[2], row[3] = first, high, low
    row[2] = max(row[2], high)
    row[3] = min(row[3], low)
    row[4] = last
    row[5] += amount


@inlined
def quotes(symbol: Any, last: Any, side: Any, now_ms: Any) -> Any:
    """Best bid and best ask in ticks around the last trade."""
    key = draw(symbol["key"], SPREADS)
    wide = symbol["spread"] * (0.5 + unit(draw(key, now_ms // SPREAD_MS)))
    spread = max(1, int(last * wide + 0.5))
    return (last - spread, last) if side > 0 else (last, last + spread)


@inlined
def level_lots(symbol: Any, price: Any, depth: Any, now_ms: Any) -> Any:
    """The amount that rests at `price`, in lots; each price renews it at times of its own."""
    key = draw(draw(symbol["key"], SIZES), price)
    period = SIZE_MS * (1 + int(key & np.uint64(7)))
    u = unit(draw(key, (now_ms + int(key >> S48)) // period))
    size = exp(symbol["log_depth"]) / worth(symbol, price)
    return 1 + int(size * (1.0 + 0.15 * depth) * 0.33 / (0.04 + u))


@inlined
def level_price(symbol: Any, cell: Any, gap: Any, now_ms: Any) -> Any:
    """The one price in a cell of `gap` ticks where orders rest."""
    key = draw(draw(symbol["key"], PLACES), cell)
    place = draw(key, (now_ms + int(key >> S48)) // PLACE_MS)
    return cell * gap + int((place >> S32) % np.uint64(gap))


@inlined
def fill_book(symbol: Any, last: Any, side: Any, now_ms: Any, bids: Any, asks: Any) -> Any:
    """Write price and amount of each level, in ticks and lots, the best first; returns the numbers of levels."""
    bid, ask = quotes(symbol, last, side, now_ms)
    gap = max(1, int(exp(symbol["log_price"]) * symbol["gap"] + 0.5))
    asked, offered = len(asks), 0
    for k in range(asked):
        price = ask if k == 0 else level_price(symbol, ask // gap + k, gap, now_ms)
        asks[k, 0], asks[k, 1] = price, level_lots(symbol, price, k, now_ms)
    for k in range(len(bids)):
        price = bid if k == 0 else level_price(symbol, bid // gap - k, gap, now_ms)
        if price < 1:
            break
        bids[k, 0], bids[k, 1] = price, level_lots(symbol, price, k, now_ms)
        offered += 1
    return offered, asked


@compiled
def book_rows(market: Any, s: Any, now_ms: Any, depth: Any) -> Any:
    """Bids and asks of symbol number `s`: two int64 (n, 2) of price and amount in units, the best first."""
    symbol = market.symbols[s]
    tape = np.empty((MOST_TRADES + 1, 5), np.int64)
    latest(market, s, now_ms, tape)
    bids, asks = np.empty((depth, 2), np.int64), np.empty((depth, 2), np.int64)
    bidding, asking = fill_book(symbol, tape[-1, PRICE], tape[-1, SIDE], now_ms, bids, asks)
    for side in (bids, asks):
        side[:, 0] *= symbol["tick"]
        side[:, 1] *= symbol["lot"]
    return bids[:bidding], asks[:asking]


@compiled
def summary_rows(market: Any, first: Any, parts: Any, length: Any) -> Any:
    """Open, high, low, close, volume and turnover of all symbols over `parts` spans of `length` minutes.

    float64 (parts, symbols, 6), from minute `first` on; prices and amounts in units (whole numbers), turnover in
    price units times amount units. All paths are walked once for all symbols.
    """
    count = parts * length
    n = len(market.symbols)
    paths = np.empty((len(market.factors), count + 3))
    masses = np.empty((len(market.factors), count + 3))
    for f in range(len(market.factors)):
        path(market.factors[f], market.season, first, count, paths[f], masses[f])
    out = np.empty((parts, n, 6))
    levels, variances = np.empty(count + 1), np.empty(count)
    row = np.zeros(6, np.int64)
    for s in range(n):
        symbol = market.symbols[s]
        levels[:] = symbol["log_price"]
        variances[:] = 0.0
        for slot in range(SLOTS):
            f = symbol["factor"][slot]
            if f >= 0:
                add_path(symbol["weight"][slot], count, paths[f], masses[f], levels, variances)
        for part in range(parts):
            row[:] = 0
            turnover = 0.0
            for i in range(part * length, (part + 1) * length):
                bar = minute_bar(symbol, market.shapes, first + i, levels[i], levels[i + 1], variances[i])
                extend(row, bar[0], bar[1], bar[2], bar[3], bar[4])
                turnover += worth(symbol, 0.5 * (float(bar[0]) + float(bar[3]))) * bar[4]
            for column in range(1, 5):
                out[part, s, column - 1] = row[column] * symbol["tick"]
            out[part, s, 4] = row[5] * symbol["lot"]
            out[part, s, 5] = turnover * symbol["tick"] * symbol["lot"]
    return out


@compiled
def live_rows(market: Any, now_ms: Any) -> Any:
    """What the current minute adds for all symbols, and the best quotes: int64 (symbols, 9).

    Columns: last price, side of the last trade, high, low and volume of the minute so far (0 before its first
    trade), bid, bid amount, ask, ask amount, all in units.
    """
    n = len(market.symbols)
    out = np.zeros((n, 9), np.int64)
    tape = np.empty((MOST_TRADES + 1, 5), np.int64)
    bids, asks = np.empty((1, 2), np.int64), np.empty((1, 2), np.int64)
    for s in range(n):
        symbol = market.symbols[s]
        count = latest(market, s, now_ms, tape)
        fill_book(symbol, tape[-1, PRICE], tape[-1, SIDE], now_ms, bids, asks)
        tick, lot = symbol["tick"], symbol["lot"]
        out[s, 0], out[s, 1] = tape[-1, PRICE] * tick, tape[-1, SIDE]
        for k in range(count):
            price = tape[k, PRICE] * tick
            out[s, 2] = max(out[s, 2], price)
            out[s, 3] = price if k == 0 else min(out[s, 3], price)
            out[s, 4] += tape[k, AMOUNT] * lot
        out[s, 5], out[s, 6] = bids[0, 0] * tick, bids[0, 1] * lot
        out[s, 7], out[s, 8] = asks[0, 0] * tick, asks[0, 1] * lot
    return out
