"""Bars and strategies that the session's tests run over."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.strategy import Strategy

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")


def walk(n: int = 3_000, seed: int = 1, start: int = 1_735_689_600_000) -> Bars:
    """A random walk of minutes around 100 that swings enough for breakouts and crossings."""
    rng = np.random.default_rng(seed)
    close = np.round(100 * np.exp(np.cumsum(rng.normal(0, 2e-3, n))), 2)
    first = np.r_[100.0, close[:-1]]
    spread = np.round(rng.uniform(0.01, 0.2, n), 2)
    high, low = np.maximum(first, close) + spread, np.minimum(first, close) - spread
    stamps = start + np.arange(n) * 60_000
    return Bars.from_floats(
        BTC, 60_000, stamps, first, high, low, close, np.round(rng.uniform(0.1, 9, n), 5), source="walk"
    )


def stored(bars: Bars, path: Path) -> Path:
    """The bars as a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ("timestamp", "open", "high", "low", "close", "volume")
    pq.write_table(pa.table({name: getattr(bars, name) for name in names}), path)
    return path


class Restless(Strategy):
    """Buys and closes in turn, moves a stop on every bar, and proposes what must be denied."""

    count: int = 0

    def on_bar(self, ctx):
        self.count += 1
        if self.count % 7 == 0 and ctx.position == 0.0:
            ctx.buy()
            ctx.stop(ctx.bar.close * 0.9)
        elif self.count % 7 == 3 and ctx.position > 0.0:
            ctx.close()
        elif ctx.position > 0.0:
            ctx.stop(ctx.bar.close * 0.9)
        if self.count % 11 == 0:
            ctx.sell(1.0e9)


class Fails(Strategy):
    """Divides by zero on its tenth bar."""

    count: int = 0
    ratio: float = 0.0

    def on_bar(self, ctx):
        self.count += 1
        self.ratio = 1.0 / (10.0 - self.count)
