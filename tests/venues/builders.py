"""Builders for venue tests: an exchange whose time the test moves, and replays made of a few bars."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twinstar_kit.feeds.replay import Replay
from twinstar_kit.feeds.simulated import SimulatedMarket
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.venues.virtual import VirtualExchange

START = "2025-06-02T09:30:17"
MINUTE = 60_000
FEED = SimulatedMarket(7)
"""One market for all tests; it is a pure function, so sharing it shares nothing else."""


def exchange(balances: dict[str, Any] | None = None, **options: Any) -> VirtualExchange:
    """A simulated exchange at 2025-06-02 09:30:17 whose time stands still."""
    funds = {"USDT": 100_000, "KRW": 100_000_000} if balances is None else balances
    ex = VirtualExchange({"options": {"feed": FEED, "start": START, "clock": "manual", "balances": funds, **options}})
    ex.load_markets()
    return ex


def replay(prices: list[tuple[float, float, float, float]], **options: Any) -> VirtualExchange:
    """An exchange over one-minute bars of BTC/USDT from 1970-01-01 00:00, at the close of the first."""
    btc = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.001", min_notional="5")
    columns = list(zip(*prices, strict=True))
    stamps = [i * MINUTE for i in range(len(prices))]
    bars = Bars.from_floats(btc, MINUTE, stamps, *columns, [10.0] * len(prices))
    funds = options.pop("balances", {"USDT": 10_000})
    return VirtualExchange({"options": {"feed": Replay([bars]), "balances": funds, **options}})


def last(ex: VirtualExchange, symbol: str = "BTC/USDT") -> float:
    """The last price of a market."""
    return float(ex.fetch_ticker(symbol)["last"])


def totals(ex: VirtualExchange) -> dict[str, Any]:
    """Every balance, free and used, exact."""
    return ex.venue.balances()


def open_account(path: Path, **options: Any) -> VirtualExchange:
    """A simulated exchange whose account is kept at `path`."""
    return exchange(None, journal=path, **options)
