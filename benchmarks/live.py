"""The live side: events of the paper loop, and orders through the ccxt face."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

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


def ccxt_orders(n: int = 1_000) -> list[Row]:
    """Orders placed and canceled, and market orders filled, through VirtualExchange, as a program written against ccxt does it."""
    from twinstar_kit.venues.virtual import VirtualExchange

    exchange = VirtualExchange({"enableRateLimit": False})
    exchange.load_markets()
    last = exchange.fetch_ticker("BTC/USDT")["last"]

    def place_and_cancel() -> None:
        for _ in range(n):
            order = exchange.create_order("BTC/USDT", "limit", "buy", 0.001, last * 0.5)
            exchange.cancel_order(order["id"], "BTC/USDT")

    def market() -> None:
        for k in range(n):
            exchange.create_order("BTC/USDT", "market", "buy" if k % 2 == 0 else "sell", 0.001)

    rows = []
    for name, work in (("place and cancel", place_and_cancel), ("market order and its fill", market)):
        rows.append(Row(f"VirtualExchange: {name}", n / _median_cpu(work) / 1e3, "k a second"))
    return rows


def _median_cpu(work: Any, rounds: int = 3) -> float:
    spent = []
    for _ in range(rounds):
        begun = time.process_time()
        work()
        spent.append(time.process_time() - begun)
    return statistics.median(spent)
