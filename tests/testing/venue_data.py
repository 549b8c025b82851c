"""Bars and trades for the local venue whose every number is told apart from its neighbours."""

from __future__ import annotations

from decimal import Decimal

import numpy as np

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument

START, MINUTE, HOUR = 1_735_689_600_000, 60_000, 3_600_000


def some_bars(count: int = 300, symbol: str = "BTC/USDT", seed: int = 3) -> Bars:
    """A walk of whole ticks."""
    chance = np.random.default_rng(seed)
    close = 9_000_000 + np.cumsum(chance.integers(-900, 900, count))
    opened = np.r_[9_000_000, close[:-1]]
    high, low = np.maximum(opened, close) + 11, np.minimum(opened, close) - 13
    stamps = START + MINUTE * np.arange(count)
    rows = np.column_stack([stamps, opened, high, low, close, chance.integers(1, 10**9, count)])
    return Bars(
        Instrument.from_sizes(symbol, "0.01", "0.00001"), MINUTE, np.ascontiguousarray(rows, np.int64)
    )


def some_trades(count: int = 3_000, step_ms: int = 731, seed: int = 5) -> np.ndarray:
    """Rows of timestamp, price, amount, side and id, several of them in one millisecond now and then."""
    chance = np.random.default_rng(seed)
    stamps = START + np.sort(chance.integers(0, count * step_ms, count) // 500 * 500)
    price = 9_000_000 + np.cumsum(chance.integers(-9, 10, count))
    side = chance.choice([-1, 1], count)
    return np.column_stack([stamps, price, chance.integers(1, 10**8, count), side, 70_000 + np.arange(count)])


def decimals(bars: Bars) -> list[list[Decimal | int]]:
    """The rows as ccxt gives them, computed with Decimal alone."""
    price, amount = Decimal(10) ** -bars.instrument.price_scale, Decimal(10) ** -bars.instrument.amount_scale
    return [
        [int(row[0]), *(int(value) * price for value in row[1:5]), int(row[5]) * amount] for row in bars.rows
    ]
