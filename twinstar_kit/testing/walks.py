"""Seeded bars for checks that need no market: a random walk with calm and wild stretches and some trends."""

from __future__ import annotations

import numpy as np

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument


def random_walk(
    n: int = 5_000,
    *,
    seed: int = 7,
    timeframe_ms: int = 60_000,
    start: float = 30_000.0,
    instrument: Instrument | None = None,
) -> Bars:
    """`n` bars of a seeded random walk around `start`, marked as simulated; the same for the same arguments.

    Volatility changes every few hundred bars and so does the drift, so that trend and reversal rules both trade.

    >>> bars = random_walk(100)
    >>> len(bars), bars.simulated, bars.data_digest == random_walk(100).data_digest
    (100, True, True)
    """
    g = np.random.default_rng(seed)
    stretch = np.repeat(np.arange(n // 200 + 1), 200)[:n]
    calm = np.exp(g.normal(0.0, 0.6, stretch[-1] + 1))[stretch] * 1e-3
    drift = g.normal(0.0, 2e-4, stretch[-1] + 1)[stretch]
    close = start * np.exp(np.cumsum(g.normal(0.0, 1.0, n) * calm + drift))
    opened = np.concatenate([[start], close[:-1]])
    high = np.maximum(opened, close) * (1.0 + np.abs(g.normal(0.0, 0.5, n)) * calm)
    low = np.minimum(opened, close) * (1.0 - np.abs(g.normal(0.0, 0.5, n)) * calm)
    instrument = instrument or Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
    o, h, low_, c = (np.maximum(np.round(x, 2), 0.01) for x in (opened, high, low, close))
    volume = np.round(g.gamma(2.0, 1.0, n), 5)
    stamps = np.arange(n, dtype=np.int64) * timeframe_ms
    return Bars.from_floats(
        instrument,
        timeframe_ms,
        stamps,
        o,
        h,
        low_,
        c,
        volume,
        source=f"random_walk seed {seed}",
        simulated=True,
    )
