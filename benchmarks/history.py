"""The history loop against vectorbt on a year of minutes: the same orders first, then how fast each made them."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import Row, alternate, fresh, resident
from benchmarks.peers import Answer, Vectorbt
from benchmarks.strategies import ChannelStopTrail, ChannelTrail
from twinstar_kit.kernel.bars import Bars

BARS = 525_600
START_MS = 1_735_689_600_000
AMOUNT, FEE, BALANCE = 0.05, 0.001, 100_000.0
SETTINGS: dict[str, Any] = {
    "fill": "close",
    "path": "open_low_high_close",
    "fee_maker": str(FEE),
    "fee_taker": str(FEE),
    "amount": str(AMOUNT),
    "start_balance": str(int(BALANCE)),
}
FEATURES = (
    "both: fees 0.1 %, fill at the close of the signal, fixed amount, all orders kept, equity of every bar, trades",
    "ours besides, always: the full kernel (integer double-entry ledger, risk gate, a journal of every event)",
    "digests are made when they are asked for and stand in a row of their own",
)


@cache
def year(n: int = BARS) -> Bars:
    """Minutes of the simulated market, the same in every run."""
    from twinstar_kit.feeds.simulated import SimulatedMarket

    return SimulatedMarket(7).bars("BTC/USDT", START_MS, START_MS + n * 60_000)


def bare(strategy: Any, bars: Bars) -> Any:
    """One back-test with its equity and trades."""
    from twinstar_kit.session import backtest

    result = backtest(strategy, bars, **SETTINGS)
    return result, result.equity_units, result.trade_records


def ours(strategy: Any, bars: Bars) -> Any:
    """The same and its metrics."""
    result = bare(strategy, bars)[0]
    return result, result.metrics


def our_answer(strategy: Any, bars: Bars) -> Answer:
    """The orders and the money of our run; every fill happens inside or at the close of its bar."""
    from twinstar_kit.report import fills

    result = ours(strategy, bars)[0]
    rows = fills(result.events, bars.instrument)
    m = bars.instrument
    at = (rows["ts_event"] - int(bars.timestamp[0])) // bars.timeframe_ms - 1
    prices = rows["last_px"] / 10.0**m.price_scale
    return Answer(at.astype(np.int64), prices, m.money(int(rows["fee"].sum())), result.end_balance)


def compare(
    name: str, strategy: Any, peers: dict[str, tuple[Vectorbt, Callable[[Vectorbt], Any]]], tick: float, target: float,
    rounds: int,
) -> list[Row]:  # fmt: skip
    """Rows of one strategy: against each peer with equity and trades, and with the metrics that both have besides."""
    bars = year()
    mine = our_answer(strategy, bars)
    works: dict[str, Callable[[], Any]] = {
        "bare": lambda: bare(strategy, bars),
        "whole": lambda: ours(strategy, bars),
    }
    verdicts = {}
    for label, (peer, simulate) in peers.items():
        found = mine.differences(peer.answer(simulate(peer)), tick, AMOUNT)
        verdicts[label] = (
            "; ".join(found)
            or f"equal: {len(mine.bars):,} orders, fees {mine.fees:,.2f}, end {mine.end:,.2f}"
        )

        def plain(peer: Vectorbt = peer, simulate: Callable[[Vectorbt], Any] = simulate) -> Any:
            return peer.equity_and_trades(simulate(peer))

        def whole(peer: Vectorbt = peer, simulate: Callable[[Vectorbt], Any] = simulate) -> Any:
            portfolio = simulate(peer)
            return peer.equity_and_trades(portfolio), peer.figures(portfolio)

        works[label], works[f"{label}, with metrics"] = plain, whole
    spent = alternate(rounds, **works)
    rows = []
    for label, verdict in verdicts.items():
        for mode, suffix in (("bare", ""), ("whole", ", with metrics")):
            seconds, own = spent[label + suffix], spent[mode]
            promised = "pandas" not in label  # the channels are then not vectorbt's: shown, not promised
            holds = verdict.startswith("equal") and (seconds >= target * own if promised else None)
            rows.append(
                Row(
                    name + suffix, len(bars) / own / 1e6, "M bars/s", len(bars) / seconds / 1e6, label, seconds / own,
                    f">= {target:g}x" if promised else "", holds, verdict,
                )
            )  # fmt: skip
    return rows


def sma_cross(rounds: int) -> list[Row]:
    """SMA 20/50 against vectorbt's two engines."""
    from twinstar_kit.strategy import load

    bars = year()
    peers = {
        f"vectorbt {engine}": (
            Vectorbt(bars, engine, amount=AMOUNT, fee=FEE, start=BALANCE),
            lambda peer: peer.sma_cross(20, 50),
        )
        for engine in ("rust", "numba")
    }
    strategy = load("sma_cross")(fast=20, slow=50)
    rows = compare("sma_cross 20/50", strategy, peers, 0.0, 2.0, rounds)
    spent = alternate(
        rounds, plain=lambda: ours(strategy, bars), sealed=lambda: ours(strategy, bars)[0].journal_digest
    )
    rows.append(
        Row("sma_cross 20/50: its journal's digest besides", 1e3 * (spent["sealed"] - spent["plain"]), "ms")
    )
    return rows


def breakout(rounds: int) -> list[Row]:
    """Donchian 240/120 with a trailing stop of 1.5 % against vectorbt, and the starter kit's own breakout beside it."""
    from twinstar_kit.strategy import load

    bars = year()
    rust = Vectorbt(bars, "rust", amount=AMOUNT, fee=FEE, start=BALANCE)
    numba = Vectorbt(bars, "numba", amount=AMOUNT, fee=FEE, start=BALANCE)
    peers = {
        "vectorbt rust": (rust, lambda peer: peer.breakout(240, 120, 0.015)),
        "vectorbt numba": (numba, lambda peer: peer.breakout(240, 120, 0.015)),
        "vectorbt rust + pandas": (rust, lambda peer: peer.breakout(240, 120, 0.015, pandas=True)),
    }
    rows = compare("channel + 1.5 % trail", ChannelTrail(), peers, 0.01, 5.0, rounds)
    kit, both = load("breakout")(lookback=240), ChannelStopTrail()
    spent = alternate(
        rounds,
        kit=lambda: bare(kit, bars),
        both=lambda: bare(both, bars),
        peer=lambda: rust.equity_and_trades(rust.breakout(240, 120, 0.015)),
    )
    for work, name, why in (
        ("both", "channel + stop loss + trail", "vectorbt has one stop; with the trailing one alone the answers are equal, see above"),
        ("kit", "breakout (starter kit)", "not comparable: ours sets a stop loss and a trailing stop in ATRs, vectorbt has one stop in percent"),
    ):  # fmt: skip
        rows.append(
            Row(
                name, len(bars) / spent[work] / 1e6, "M bars/s", len(bars) / spent["peer"] / 1e6, "vectorbt rust, one trailing stop",
                spent["peer"] / spent[work], ">= 5x", spent["peer"] >= 5 * spent[work], why,
            )
        )  # fmt: skip
    return rows


def memory() -> list[Row]:
    """What the history loop adds to a process that has its data and its compiled code."""
    _, said = fresh("-c", "from benchmarks.history import added_mb; print(added_mb())")
    added = float(said.split()[-1])
    return [Row("memory added by the history loop", added, "MB", target="< 300 MB", holds=added < 300)]


def added_mb() -> float:
    """Peak resident memory of a year's run of both strategies, less what the process held just before."""
    from twinstar_kit.strategy import load

    bars = year()
    for strategy in (load("sma_cross")(), ChannelStopTrail()):
        ours(strategy, bars[:2_000])
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is counted from here on
    for strategy in (load("sma_cross")(), ChannelStopTrail()):
        ours(strategy, bars)
    return (resident("VmHWM") - before) / 1024
