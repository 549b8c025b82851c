"""ccxt's own asynchronous and streaming tests, found in the installed package, run on the asynchronous exchange."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import inspect
import types
from pathlib import Path

import ccxt.pro
import ccxt.test.exchange.base
import pytest
from venues.builders import run
from venues.test_conformance import CONTRACTS_ONLY, SWAP, SYMBOL, given, snake

from twinstar_kit import AsyncVirtualExchange, VirtualExchange

TESTS = Path(ccxt.test.exchange.base.__file__).parents[1] / "async"
STREAM_TESTS = Path(ccxt.pro.__file__).parent / "test" / "Exchange"
OTHER = "ETH/USDT"


def claimed(folder: Path, *without: str) -> list[str]:
    """Methods that `has` claims and that ccxt has a test of in `folder`."""
    has = AsyncVirtualExchange().has
    return [
        m
        for m, value in has.items()
        if value and m not in without and (folder / f"test_{file(m)}.py").exists()
    ]


def file(method: str) -> str:
    return snake(method.replace("OHLCVFor", "OhlcvFor"))


def load(folder: Path, method: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"ccxt_{folder.name}_{method}", folder / f"test_{file(method)}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def with_a_past(ex: AsyncVirtualExchange) -> None:
    """Orders of every kind: ccxt lets empty lists pass."""
    for symbol in (SYMBOL, SWAP):
        price = (await ex.fetch_ticker(symbol))["last"]
        await ex.create_order(symbol, "market", "buy", 0.01)
        await ex.create_order(symbol, "limit", "buy", 0.01, price * 0.8)
        await ex.create_order(symbol, "market", "sell", 0.005, None, {"stopLossPrice": price * 0.8})
        await ex.cancel_order((await ex.create_order(symbol, "limit", "buy", 0.01, price * 0.75))["id"])
    await ex.transfer("USDT", 100, "spot", "swap")
    await ex.withdraw("USDT", 10, "nowhere")


# ccxt ships a test of fetchMarkets that it never runs; createOrder's does not run as shipped (see test_conformance)
@pytest.mark.parametrize("symbol", [SYMBOL, SWAP])
@pytest.mark.parametrize(
    "method", ["loadMarkets", "features", *claimed(TESTS, "fetchMarkets", "createOrder")]
)
def test_ccxt_finds_nothing_to_object_to(method, symbol):
    if method in CONTRACTS_ONLY:
        symbol = SWAP

    async def scenario() -> None:
        ex = AsyncVirtualExchange()
        await with_a_past(ex)
        function = getattr(load(TESTS, method), f"test_{file(method)}")
        arguments = given(method, symbol)
        wanted = list(inspect.signature(function).parameters)[2:]
        result = function(ex, {}, *[arguments[name] for name in wanted])
        if inspect.isawaitable(result):
            await result
        await ex.close()

    run(scenario())


async def keep_trading(ex: AsyncVirtualExchange, symbol: str) -> None:
    """A purchase and a sale with every change of a book, so that there is something to watch; a position is held in between."""
    while True:
        for side, reduce_only in (("buy", False), ("buy", False), ("sell", True)):
            await ex.watch_order_book(symbol, 2)
            await ex.create_order(symbol, "market", side, 0.001, None, {"reduceOnly": reduce_only})


POSITIONS = ("watchPosition", "watchPositions", "unWatchPositions")
STREAM_CASES = [
    (m, s) for m in claimed(STREAM_TESTS) for s in (SYMBOL, SWAP) if s == SWAP or m not in POSITIONS
]


@pytest.mark.parametrize(("method", "symbol"), STREAM_CASES)
def test_ccxt_finds_nothing_to_object_to_in_streams(method, symbol):
    async def scenario() -> None:
        # its tests watch for 15 seconds of the exchange's time, or half a minute
        options = {"start": "2025-06-02T09:30:17", "speed": 40, "leverage": 20}
        options["defaultType"] = "swap" if symbol == SWAP else "spot"
        ex = AsyncVirtualExchange({"options": options})
        trading = asyncio.ensure_future(keep_trading(ex, symbol))
        function = getattr(load(STREAM_TESTS, method), f"test_{file(method)}")
        arguments = {**given(method, symbol), "symbols": [symbol, OTHER]}
        wanted = list(inspect.signature(function).parameters)[2:]
        await function(ex, {}, *[arguments[name] for name in wanted])
        assert not trading.done()
        trading.cancel()
        await ex.close()

    run(scenario())


def test_most_of_what_is_claimed_is_tested_by_ccxt():
    assert len(claimed(TESTS)) >= 28
    assert set(claimed(STREAM_TESTS)) >= {
        "watchBalance", "watchBidsAsks", "watchMyTrades", "watchOHLCV", "watchOHLCVForSymbols", "watchOrderBook",
        "watchOrderBookForSymbols", "watchOrders", "watchPosition", "watchPositions", "watchTicker", "watchTickers", "watchTrades", "watchTradesForSymbols",
    }  # fmt: skip


def test_has_tells_the_truth():
    ours, theirs = AsyncVirtualExchange, ccxt.pro.Exchange
    for name, value in AsyncVirtualExchange().has.items():
        own, base = (getattr(cls, file(name), None) for cls in (ours, theirs))
        if value and name.startswith(
            (
                "watch",
                "unWatch",
                "fetch",
                "cancel",
                "create",
                "edit",
                "set",
                "close",
                "transfer",
                "withdraw",
            )
        ):
            assert inspect.iscoroutinefunction(own), name
        elif not value:
            assert own is base, f"{name} works, but has does not say so"


def test_every_method_is_the_synchronous_one_awaited():
    sync, has = VirtualExchange(), AsyncVirtualExchange().has
    own = {name for name in has if "atch" in name or name.endswith("Ws")}
    assert {name: has[name] for name in sync.has if name not in own} == {
        name: value for name, value in sync.has.items() if name not in own
    }
    assert not any(sync.has.get(name) for name in own)
    for name in dir(VirtualExchange):
        if name.startswith(
            (
                "fetch_",
                "create_",
                "cancel_",
                "edit_order",
                "set_leverage",
                "set_margin",
                "close_p",
                "transfer",
                "explain",
            )
        ):
            one, other = getattr(VirtualExchange, name), getattr(AsyncVirtualExchange, name)
            assert list(inspect.signature(one).parameters) == list(inspect.signature(other).parameters), name


def test_every_method_that_ccxt_has_for_sockets_is_the_plain_one():
    has = AsyncVirtualExchange().has
    theirs = {name for name in dir(ccxt.pro.Exchange) if name.endswith("_ws")}
    assert {file(name) for name, value in has.items() if value and name.endswith("Ws")} >= theirs
    for name, value in has.items():
        if value and name.endswith("Ws"):
            assert getattr(AsyncVirtualExchange, file(name)) is getattr(AsyncVirtualExchange, file(name)[:-3])


def test_it_says_what_it_is():
    ex = AsyncVirtualExchange({"options": {"feed": "simulated:3"}})
    assert (ex.id, ex.pro, len(ex.fetch_order.__doc__)) == (
        "virtual",
        True,
        len(VirtualExchange.fetch_order.__doc__),
    )
    assert isinstance(ex, ccxt.pro.Exchange)
    assert "SIMULATED" in repr(ex)
    assert "PAPER" in ex._repr_html_()
