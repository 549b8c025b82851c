"""The minute bars of the simulated market, computed from random paths.

The log price of a symbol is a weighted sum of up to five paths (market, sector, its own; for a KRW pair also the
exchange rate and a premium). A bar opens and closes on that path; its extremes are those of a Brownian bridge with
the minute's variance; its volume follows the variance, the hour of the week, and slow noise.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.noise import CELL_SHIFT, CELLS, bell, draw, exp, log, path, smooth, unit
from twinstar_kit.jit import compiled, inlined

EPOCH_MS = 1_514_764_800_000  # Monday 2018-01-01 00:00 UTC: minute 0 of the simulated market
MINUTE_MS = 60_000
SLOTS = 5

BRIDGE_VARIANCE = 0.75  # a minute is a few dozen trades, which reach less far than a continuous path
VOLUME_BY_VOLATILITY = 1.1  # volume grows with volatility to this power (Karpoff 1987 surveys the relation)
VOLUME_BY_MOVE = 0.35  # and with the move itself
TRADES_BY_VOLUME = 0.6
MOST_TRADES, FEWEST_TRADES = 1_000, 4
TRADE_STRIDE = 1_024  # trade ids leave room for this many trades a minute
NOISE_LEVELS = (0, 2, 5, 8, 11, 14)  # volume noise: hashed values 1, 4, 32, 256, 2048, 16384 minutes apart
NOISE_SIZES = (0.45, 0.30, 0.35, 0.35, 0.30, 0.30)

symbol_t = np.dtype(
    [
        ("key", "<u8"),
        ("factor", "<i8", (SLOTS,)),  # which paths move the price; -1 ends the list
        ("weight", "<f8", (SLOTS,)),
        ("log_price", "<f8"),  # logarithm of the central price in ticks
        ("tick", "<i8"),  # in price units
        ("lot", "<i8"),  # in amount units
        ("log_turnover", "<f8"),  # logarithm of the central turnover of a minute, in ticks times lots
        ("log_variance", "<f8"),  # logarithm of the mean variance of a minute
        ("log_trades", "<f8"),  # logarithm of the central number of trades of a minute
        ("shape", "<i8"),  # row of the table of volume by the hour of the week
        ("spread", "<f8"),  # quoted spread as a fraction of the price
        ("gap", "<f8"),  # distance of the book's levels as a fraction of the price
        ("log_depth", "<f8"),  # logarithm of a level's central turnover, in ticks times lots
        ("contract", "<f8"),  # what a lot of an inverse contract is worth, in ticks; otherwise 0
    ]
)
"""What makes one symbol of the simulated market."""


class Market(NamedTuple):
    """All that the compiled functions need; see `factor_t` and `symbol_t`."""

    factors: npt.NDArray[np.void]
    symbols: npt.NDArray[np.void]
    season: npt.NDArray[np.float64]  # two weeks of cumulated variance by cell, from 0 on
    shapes: npt.NDArray[np.float64]  # logarithm of volume by cell of the week; a row a kind


@inlined
def log_prices(
    market: Any, s: Any, first: Any, count: Any, levels: Any, variances: Any, x: Any, v: Any
) -> Any:
    """Fill levels[0:count+1] with log prices in ticks, variances[0:count] with each minute's variance."""
    symbol = market.symbols[s]
    levels[: count + 1] = symbol["log_price"]
    variances[:count] = 0.0
    for slot in range(SLOTS):
        if symbol["factor"][slot] >= 0:
            path(market.factors[symbol["factor"][slot]], market.season, first, count, x, v)
            add_path(symbol["weight"][slot], count, x, v, levels, variances)


@inlined
def add_path(weight: Any, count: Any, x: Any, v: Any, levels: Any, variances: Any) -> Any:
    """Add one weighted path to a symbol's log prices."""
    for i in range(count + 1):
        levels[i] += weight * x[i]
    for i in range(count):
        variances[i] += weight * weight * v[i]


@inlined
def worth(symbol: Any, price: Any) -> Any:
    """What a lot is worth, in ticks, at a price in ticks."""
    return symbol["contract"] if symbol["contract"] > 0.0 else float(price)


@inlined
def minute_bar(symbol: Any, shapes: Any, minute: Any, level: Any, next_level: Any, variance: Any) -> Any:
    """Open, high, low, close in ticks, volume in lots, and number of trades of one minute."""
    price, next_price = exp(level), exp(next_level)
    first, last = max(1, int(price + 0.5)), max(1, int(next_price + 0.5))
    move = next_level - level
    key = draw(symbol["key"], minute)
    # Extremes of a Brownian bridge from 0 to `move` (each alone has this distribution exactly).
    width = move * move - 2.0 * BRIDGE_VARIANCE * variance * log(unit(draw(key, 1)))
    up = 0.5 * (move + math.sqrt(width))
    width = move * move - 2.0 * BRIDGE_VARIANCE * variance * log(unit(draw(key, 2)))
    down = 0.5 * (move - math.sqrt(width))
    high = max(first, last, int(price * (1.0 + up + 0.5 * up * up) + 0.5))
    low = max(1, min(first, last, int(price * (1.0 + down + 0.5 * down * down) + 0.5)))
    turnover = 0.5 * VOLUME_BY_VOLATILITY * (log(variance) - symbol["log_variance"])
    turnover += shapes[symbol["shape"], (minute >> CELL_SHIFT) % CELLS]
    turnover += VOLUME_BY_MOVE * (abs(move) / math.sqrt(variance) - 0.8)
    for i in range(len(NOISE_LEVELS)):
        turnover += NOISE_SIZES[i] * smooth(symbol["key"], NOISE_LEVELS[i], minute)
    trades = int(exp(symbol["log_trades"] + TRADES_BY_VOLUME * turnover + 0.3 * bell(draw(key, 3))))
    trades = min(MOST_TRADES, max(FEWEST_TRADES, trades))
    lots = max(2 * trades, int(exp(symbol["log_turnover"] + turnover) / worth(symbol, price)))
    return first, high, low, last, lots, trades


@compiled
def minute_rows(market: Any, s: Any, first: Any, count: Any) -> Any:
    """Bars of symbol number `s` for `count` minutes from minute `first`: int64 (count, 6) as `Bars.rows`."""
    rows = np.empty((count, 6), np.int64)
    levels, variances = np.empty(count + 1), np.empty(count)
    x, v = np.empty(count + 3), np.empty(count + 3)
    log_prices(market, s, first, count, levels, variances, x, v)
    symbol = market.symbols[s]
    for i in range(count):
        bar = minute_bar(symbol, market.shapes, first + i, levels[i], levels[i + 1], variances[i])
        rows[i, 0] = EPOCH_MS + (first + i) * MINUTE_MS
        for column in range(4):
            rows[i, column + 1] = bar[column] * symbol["tick"]
        rows[i, 5] = bar[4] * symbol["lot"]
    return rows
