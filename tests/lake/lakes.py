"""Builders for the tests of the store: series, instruments and rows of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from lake.bars import START, Rows

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Series

INSTRUMENT = Instrument.from_sizes("BTC/USDT", "0.01", "0.00001", exchange="binance")
BTC = Series("binance", "BTC/USDT")
TRADES = Series("binance", "BTC/USDT", kind=Kind.TRADES)
FUNDING = Series("binance", "BTC/USDT", kind=Kind.FUNDING)
DEPTH = Series("binance", "BTC/USDT", kind=Kind.DEPTH)
FEBRUARY = 1_738_368_000_000


def opened(folder: Path, *series: Series, clock: ManualClock | None = None) -> Lake:
    """A lake in `folder` that knows these series (default: BTC's minutes)."""
    lake = Lake(folder, clock=clock or ManualClock(START))
    for one in series or (BTC,):
        lake.register(one, INSTRUMENT)
    return lake


def held(lake: Lake, **how: object) -> Rows:
    """All minutes of BTC."""
    return lake.read("binance", "BTC/USDT", **how).rows  # type: ignore[arg-type]


def trade_rows(n: int, seed: int = 1, start: int = START) -> Rows:
    """Trades with ids that ascend, several in some milliseconds."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n, 5), np.int64)
    rows[:, 0] = start + np.cumsum(rng.integers(0, 900, n))
    rows[:, 1] = 9_400_000 + np.cumsum(rng.integers(-3, 4, n))
    rows[:, 2] = rng.integers(1, 500, n) * 1_000
    rows[:, 3] = rng.choice([-1, 1], n)
    rows[:, 4] = 700_000_000_000 + np.arange(n)
    return rows


def depth_rows(n: int, seed: int = 1) -> Rows:
    """Changes of a book: several levels in each update."""
    rng = np.random.default_rng(seed)
    rows = np.empty((n, 6), np.int64)
    rows[:, 0] = START + np.arange(n) // 4 * 100
    rows[:, 1] = 10_000 + np.arange(n) // 4
    rows[:, 2] = np.where(np.arange(n) % 4 < 2, -1, 1)
    rows[:, 3] = 9_400_000 + np.arange(n) % 4 * 10 + rng.integers(0, 9, n)
    rows[:, 4] = rng.integers(0, 50, n) * 1_000
    rows[:, 5] = np.arange(n) < 8
    return rows


def funding_rows(n: int) -> Rows:
    """Rates every eight hours, a few milliseconds late, some negative."""
    rates = np.random.default_rng(1).integers(-300, 300, n) * 1_000_000
    return np.column_stack([START + 28_800_000 * np.arange(n) + np.arange(n) % 5, rates]).astype(np.int64)
