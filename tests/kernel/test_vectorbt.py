"""vectorbt as an independent oracle: random signals, filled at the close in fixed amounts, order by order and trade by trade."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
import vectorbt as vbt
from numpy.typing import NDArray

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.context import Proposal, new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.report import fills, trades

# vectorbt compiles its own loops in every new process
pytestmark = pytest.mark.slow

STRATEGIES, BARS = 200, 250
START, FEE = 1_000_000, 0.001
NAN = float("nan")
Signals = NDArray[np.bool_]


def signals(rng: np.random.Generator, n: int) -> tuple[Signals, Signals]:
    """Entries and exits, never both on one bar."""
    drawn = rng.random(n)
    often = rng.uniform(0.02, 0.3)
    return drawn < often, (drawn >= often) & (drawn < 2 * often)


def ours(bars: Bars, entries: Signals, exits: Signals, lots: int) -> tuple[NDArray[np.void], Engine]:
    """What the kernel's two half steps make of the signals: spot goes long and flat, a perpetual long and short."""
    m = bars.instrument
    engine = Engine([m], Broker(fill="close", fee_taker=FEE, fee_maker=FEE), {m.settle: START})
    ctx, events, amount = new_context(), [], lots * m.lot / 10**m.amount_scale
    c = ctx[0]
    for i in range(len(bars)):
        engine.act(Op.MARKET_STEP, 0, i, rows=bars.rows, ctx=ctx)
        position = c["position"]
        wanted = None
        if entries[i] and position <= 0:
            wanted = Proposal.BUY, amount - position
        elif exits[i] and m.derivative and position >= 0:
            wanted = Proposal.SELL, amount + position
        elif exits[i] and position > 0:
            wanted = Proposal.CLOSE, NAN
        if wanted:
            c["p_kind"][0], c["p_amount"][0], c["n_proposals"] = int(wanted[0]), wanted[1], 1
        engine.act(Op.ORDER_STEP, 0, i, rows=bars.rows, ctx=ctx)
        events.append(engine.drain())
    return np.concatenate(events), engine


def compare(bars: Bars, seed: int) -> int:
    """One strategy on one stretch of bars against `vbt.Portfolio`; returns how many orders agreed."""
    rng = np.random.default_rng(seed)
    entries, exits = signals(rng, len(bars))
    lots = int(rng.integers(1, 2_000))
    m = bars.instrument
    theirs = vbt.Portfolio.from_signals(
        bars.close, entries, exits, size=lots * m.lot / 10**m.amount_scale, fees=FEE, init_cash=float(START),
        direction="both" if m.derivative else "longonly", freq="1min",
    )  # fmt: skip
    events, engine = ours(bars, entries, exits, lots)
    filled = events[events["kind"] == EventKind.FILLED]
    orders = theirs.orders.records
    index = ((filled["ts_event"] - bars.timestamp[0]) // bars.timeframe_ms - 1).astype(int)
    assert index.tolist() == orders["idx"].tolist()
    assert (filled["side"] < 0).tolist() == (orders["side"] == 1).tolist()
    assert (filled["last_px"] / 10**m.price_scale).tolist() == orders["price"].tolist()
    np.testing.assert_allclose(filled["last_qty"] / 10**m.amount_scale, orders["size"], rtol=1e-12)
    np.testing.assert_allclose(filled["amount"] / 10**m.quote_scale, orders["fees"], rtol=0, atol=1.01e-8)
    last, end = int(bars.rows[-1, 4]), int(bars.timestamp[-1]) + bars.timeframe_ms
    mine, other = trades(fills(events, m), m, last, end), theirs.trades.records
    assert mine["side"].tolist() == np.where(other["direction"] == 0, 1, -1).tolist()
    np.testing.assert_allclose(mine["amount"] / 10**m.amount_scale, other["size"], rtol=1e-12)
    np.testing.assert_allclose(mine["pnl"] / 10**m.quote_scale, other["pnl"], rtol=1e-9, atol=5e-8)
    assert m.money(engine.equity()) == pytest.approx(float(theirs.value().iloc[-1]), rel=1e-9)
    return len(filled)


def made_up(symbol: str, seed: int) -> Bars:
    """A random walk on a tick of a tenth."""
    rng = np.random.default_rng(seed)
    close = np.round(30_000 * np.exp(np.cumsum(rng.normal(0, 0.004, BARS))), 1)
    opened = np.concatenate([close[:1], close[:-1]])
    high, low = np.maximum(opened, close), np.minimum(opened, close)
    m = Instrument.from_sizes(symbol, tick="0.1", lot="0.001")
    return Bars.from_floats(m, 60_000, np.arange(BARS) * 60_000, opened, high, low, close, np.ones(BARS))


@pytest.mark.parametrize("symbol", ["BTC/USDT", "BTC/USDT:USDT"], ids=["spot", "perpetual"])
def test_on_made_up_bars(symbol: str) -> None:
    assert sum(compare(made_up(symbol, seed), seed) for seed in range(STRATEGIES // 2)) > 2_000


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC/USDT", "binance_BTCUSDT_spot_1m_20241001"),
        ("ETH/USDT", "binance_ETHUSDT_spot_1m_20241001"),
        ("BTC/USDT:USDT", "ftx_BTC-PERP_1m_20211231"),
        ("ADA/USDT:USDT", "bybit_ADAUSDT_linear_1m_20250530"),
    ],
)
def test_on_real_bars(symbol: str, name: str, real_data: Path) -> None:
    table = pl.read_parquet(real_data / "ohlcv" / f"{name}.parquet")
    columns = [table[c].to_numpy() for c in ("open", "high", "low", "close", "volume")]
    m = Instrument.loose(symbol, lot="0.001")
    rng, agreed = np.random.default_rng(1), 0
    for seed in range(STRATEGIES // 4):
        at = int(rng.integers(0, len(table) - BARS))
        part = [column[at : at + BARS] for column in columns]
        agreed += compare(Bars.from_floats(m, 60_000, np.arange(BARS) * 60_000, *part), seed)
    assert agreed > 1_000
