"""Bars for strategy tests: seeded walks in plain floats, and the real ones where they exist."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.context import new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.records import event_t
from twinstar_kit.strategy import Indicator, Runner

Floats = npt.NDArray[np.float64]
MINUTE = 60_000
BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")


class Columns(NamedTuple):
    """Bars as floats; `ts` is the close of each bar in ms."""

    open: Floats
    high: Floats
    low: Floats
    close: Floats
    volume: Floats
    ts: npt.NDArray[np.int64]


def walk(n: int, seed: int = 1, *, step: float = 5e-4, start: float = 30_000.0) -> Columns:
    """A random walk with two decimals, some bars without volume and some that do not move."""
    g = np.random.default_rng(seed)
    moves = g.normal(0, step, n) * (g.random(n) > 0.05)
    close = np.round(start * np.exp(np.cumsum(moves)), 2)
    open_ = np.concatenate([[start], close[:-1]])
    high = np.round(np.maximum(open_, close) * (1 + np.abs(g.normal(0, step / 2, n))), 2)
    low = np.round(np.minimum(open_, close) * (1 - np.abs(g.normal(0, step / 2, n))), 2)
    volume = np.round(g.gamma(2.0, 1.0, n) * (g.random(n) > 0.1), 5)
    return Columns(open_, high, low, close, volume, np.arange(1, n + 1, dtype=np.int64) * MINUTE)


def real(folder: Path, name: str = "binance_BTCUSDT_spot_1m_20250101", n: int | None = None) -> Columns:
    """Real one-minute bars."""
    import polars as pl

    frame = pl.read_parquet(folder / "ohlcv" / f"{name}.parquet").head(n or 10**9)
    columns = [frame[c].to_numpy().astype(np.float64) for c in ("open", "high", "low", "close", "volume")]
    return Columns(*columns, frame["timestamp"].to_numpy().astype(np.int64) + MINUTE)


def as_bars(columns: Columns) -> Bars:
    """The same bars in the kernel's units."""
    return Bars.from_floats(BTC, MINUTE, columns.ts - MINUTE, *columns[:5])


def feed(indicator: Indicator, columns: Columns, *outputs: str) -> list[Floats]:
    """What an indicator showed after each bar, one array for each of its outputs."""
    inputs = [getattr(columns, name).tolist() for name in indicator.fed]
    shown = []
    for values in zip(*inputs, strict=True):
        indicator.update(*values)
        shown.append([getattr(indicator, name) for name in outputs])
    return list(np.array(shown, dtype=np.float64).T)


class Outcome(NamedTuple):
    """What a run left behind."""

    events: npt.NDArray[np.void]
    equity: npt.NDArray[np.int64]
    engine: Engine
    ctx: npt.NDArray[np.void]


def play(runner: Runner, bars: Bars, *, until: int | None = None, **broker: object) -> Outcome:
    """A whole history through one runner."""
    engine = Engine([bars.instrument], Broker(**broker), {"USDT": 10_000}, timeframe_ms=bars.timeframe_ms)  # type: ignore[arg-type]
    ctx, n = new_context(), until or len(bars)
    equity, arrays = np.zeros(n, np.int64), engine.desk
    events, i = [], 0
    while i < n:
        i = runner.run(bars.rows, i, n, ctx, arrays, equity)
        events.append(engine.drain())
    return Outcome(np.concatenate(events) if events else np.zeros(0, event_t), equity, engine, ctx)
