"""Builders for venue tests: an exchange whose time the test moves, and replays made of a few bars."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from twinstar_kit.feeds.replay import Replay
from twinstar_kit.feeds.simulated import SimulatedMarket
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.venues.async_virtual import AsyncVirtualExchange
from twinstar_kit.venues.virtual import VirtualExchange

START = "2025-06-02T09:30:17"
MINUTE = 60_000
FEED = SimulatedMarket(7)
"""One market for all tests; it is a pure function, so sharing it shares nothing else."""


def exchange(balances: dict[str, Any] | None = None, **options: Any) -> VirtualExchange:
    """A simulated exchange at 2025-06-02 09:30:17 whose time stands still."""
    ex = VirtualExchange(settings(balances, **options))
    ex.load_markets()
    return ex


def streaming(balances: dict[str, Any] | None = None, **options: Any) -> AsyncVirtualExchange:
    """The same for asyncio."""
    return AsyncVirtualExchange(settings(balances, **options))


def settings(balances: dict[str, Any] | None, **options: Any) -> dict[str, Any]:
    """What the constructors take."""
    funds = {"USDT": 100_000, "KRW": 100_000_000} if balances is None else balances
    return {"options": {"feed": FEED, "start": START, "clock": "manual", "balances": funds, **options}}


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """What an asynchronous scenario returns; one that waits for what never comes fails."""
    return asyncio.run(asyncio.wait_for(work, 30))


async def turns(n: int = 3) -> None:
    """Let every task that can run do so."""
    loop = asyncio.get_running_loop()
    for _ in range(n):
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn


async def begun(work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
    """A task that has come to where it waits."""
    task = asyncio.ensure_future(work)
    await turns()
    return task


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


def open_account(path: Path, balances: dict[str, Any] | None = None, **options: Any) -> VirtualExchange:
    """A simulated exchange whose account is kept at `path`."""
    return exchange(balances, journal=path, **options)


def ruled(symbol: str = "BTC/USDT", price: float = 100, **rules: Any) -> VirtualExchange:
    """An exchange over flat bars of one market with rules of its own, and 100,000 USDT to trade it."""
    m = Instrument.from_sizes(symbol, **{"tick": "0.01", "lot": "0.001", "min_notional": "5", **rules})
    columns = [[price] * 10] * 4
    bars = Bars.from_floats(m, MINUTE, [i * MINUTE for i in range(10)], *columns, [1_000.0] * 10)
    funds = {"USDT": 100_000}
    own = {"balances": {}, "swap_balances": funds} if m.derivative else {"balances": funds}
    return VirtualExchange({"options": {"feed": Replay([bars]), **own}})
