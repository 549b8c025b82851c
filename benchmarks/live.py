"""The live side: events of the paper loop, and orders through the ccxt face."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.history import year
from benchmarks.measure import Row


def paper_loop(bars: int = 20_000) -> list[Row]:
    """Bars a second of `paper` at full speed: every batch durable in the journal before the next bar is looked at."""
    from twinstar_kit.feeds.files import save_bars
    from twinstar_kit.session import backtest, paper

    with tempfile.TemporaryDirectory() as folder:
        path = save_bars(year(bars), Path(folder) / "bars.parquet")
        begun = time.perf_counter()
        live = paper("sma_cross", f"replay:{path}", speed="max", account="bench", home=Path(folder) / "home")
        spent = time.perf_counter() - begun
        same = backtest("sma_cross", path).journal_digest == live.journal_digest
    return [
        Row(
            "paper sma_cross, durable journal",
            bars / spent / 1e3,
            "k bars/s",
            holds=same,
            target="digest of the back-test",
            answers="equal: one journal digest" if same else "the journals differ",
        )
    ]


def ccxt_orders(rounds: int = 5, n: int = 1_000) -> list[Row]:
    """Orders through VirtualExchange, in memory, as a program written against ccxt sends them: how many, and how long one takes."""
    from twinstar_kit.venues.virtual import VirtualExchange

    exchange = VirtualExchange({"enableRateLimit": False})
    exchange.load_markets()
    symbol = "BTC/USDT"
    last = exchange.fetch_ticker(symbol)["last"]
    waited: dict[str, list[float]] = {"limit": [], "market": []}

    def timed(kind: str, *order: Any) -> Any:
        begun = time.process_time()
        made = exchange.create_order(symbol, kind, *order)
        waited[kind].append(time.process_time() - begun)
        return made

    def place_and_cancel() -> None:
        for _ in range(n):
            exchange.cancel_order(timed("limit", "buy", 0.001, last * 0.5)["id"], symbol)

    def market() -> None:
        for k in range(n):
            timed("market", "buy" if k % 2 == 0 else "sell", 0.001)

    rows = []
    for kind, name, work in (
        ("limit", "place and cancel", place_and_cancel), ("market", "market order and its fill", market),
    ):  # fmt: skip
        work()
        waited[kind].clear()
        rate = n / _median_cpu(work, rounds) / 1e3
        worst = 1e3 * statistics.median(
            float(np.quantile(part, 0.99)) for part in np.split(np.array(waited[kind]), rounds)
        )
        rows += [
            Row(f"VirtualExchange: {name}", rate, "k a second"),
            Row(f"VirtualExchange: create_order, {kind}, p99", worst, "ms", target="< 1 ms", holds=worst < 1),
        ]  # fmt: skip
    return rows


def _median_cpu(work: Any, rounds: int) -> float:
    spent = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return statistics.median(spent)
