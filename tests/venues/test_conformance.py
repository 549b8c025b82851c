"""ccxt's own tests of each method, found in the installed package, run on the virtual exchange; and `has` kept honest."""

from __future__ import annotations

import ast
import importlib
import inspect
import math
import re
import time
import types
from pathlib import Path
from typing import Any

import ccxt
import ccxt.test.exchange.base
import pytest
from venues.builders import START, last
from venues.calls import COMMANDS, READS, SWAP, SYMBOL

from twinstar_kit.feeds.clock import SystemClock
from twinstar_kit.venues.virtual import VirtualExchange

FOLDER = Path(ccxt.test.exchange.base.__file__).parents[1] / "sync"
CONTRACTS_ONLY = (
    "fetchFundingRateHistory", "fetchMarginMode", "fetchMarketLeverageTiers", "fetchMyLiquidations", "fetchPositions",
)  # fmt: skip
"""What ccxt tests with a market of contracts only."""
TYPES = (
    "publicAPI",
    "privateAPI",
    "CORS",
    "sandbox",
    "spot",
    "margin",
    "swap",
    "future",
    "option",
    "index",
    "ws",
)


class Subscripted(VirtualExchange):
    """ccxt's tests call methods as `exchange["fetchOrder"](...)`, which its Python classes do not offer."""

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


def snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower().replace("o_h_l_c_v", "ohlcv")


def claimed() -> list[str]:
    """Methods that `has` claims and ccxt tests, and the tests that need no claim."""
    has = VirtualExchange().has
    # ccxt ships a test of fetchMarkets that it never runs: it wants a dict where all its exchanges give a list
    methods = [
        name
        for name, value in has.items()
        if value and name != "fetchMarkets" and (FOLDER / f"test_{snake(name)}.py").exists()
    ]
    return ["loadMarkets", "features", "afterConstruct", *methods]


def load(method: str) -> types.ModuleType:
    """The module of one of ccxt's tests. createOrder's does not run as it is shipped for Python, see below."""
    if method != "createOrder":
        return importlib.import_module(f"ccxt.test.exchange.sync.test_{snake(method)}")
    # It joins texts with numbers where it logs, and forgets three imports; its rounding up is refused by ccxt.
    tree = ast.parse((FOLDER / "test_create_order.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(body, list) and body:
                body[:] = [s for s in body if "tco_debug(" not in ast.unparse(s).split("\n")[0]] or [
                    ast.Pass()
                ]
    module = types.ModuleType("ccxt_create_order")
    module.__dict__.update(
        __file__=str(FOLDER / "test_create_order.py"), math=math, time=time, Error=Exception
    )
    exec(compile(ast.fix_missing_locations(tree), "test_create_order.py", "exec"), module.__dict__)  # noqa: S102

    def minimum(exchange: Any, market: Any, price: float, predefined: Any = None) -> float:
        limits = market["limits"]
        amount = max(limits["amount"]["min"], limits["cost"]["min"] / price) * 1.1
        return float(exchange.amount_to_precision(market["symbol"], amount + market["precision"]["amount"]))

    module.tco_get_minimum_amount_for_limit_price = minimum  # type: ignore[attr-defined]
    return module


@pytest.fixture(scope="module")
def ex() -> Subscripted:
    """An exchange with a past: ccxt lets empty lists pass, so there must be orders of every kind."""
    made = Subscripted()  # in real time, as ccxt's tests compare with the computer's clock
    made.load_markets()
    give_a_past(made)
    return made


def give_a_past(made: Any) -> None:
    """Orders of every kind on several markets, transfers and withdrawals."""
    for symbol in (SYMBOL, "ETH/USDT", SWAP):
        price = last(made, symbol)
        made.create_order(symbol, "market", "buy", 0.01)
        made.create_order(symbol, "limit", "buy", 0.01, price * 0.8)
        made.create_order(symbol, "market", "sell", 0.005, None, {"stopLossPrice": price * 0.8})
        made.cancel_order(made.create_order(symbol, "limit", "buy", 0.01, price * 0.75)["id"])
    made.transfer("USDT", 100, "spot", "swap")
    made.withdraw("USDT", 10, "nowhere")


@pytest.fixture(scope="module")
def fresh() -> Subscripted:
    """An exchange without positions, whose reduce-only orders ccxt's test of createOrder expects to close its own."""
    made = Subscripted()
    made.load_markets()
    return made


def given(method: str, symbol: str) -> dict[str, Any]:
    """What ccxt's test of a method is called with. That of fetchMyLiquidations hands its code on as a symbol."""
    return {"symbol": symbol, "code": symbol if method == "fetchMyLiquidations" else "USDT"}


def cases() -> list[tuple[str, str]]:
    """Each claimed method, with a spot market and with contracts."""
    return [(m, s) for m in claimed() for s in (SYMBOL, SWAP) if s == SWAP or m not in CONTRACTS_ONLY]


@pytest.mark.parametrize(("method", "symbol"), cases())
def test_ccxt_finds_nothing_to_object_to(ex, fresh, method, symbol):
    function = getattr(load(method), f"test_{snake(method)}")
    wants = list(inspect.signature(function).parameters)[2:]
    arguments = given(method, symbol)
    skipped: dict[str, Any] = {}
    function(fresh if method == "createOrder" else ex, skipped, *[arguments[name] for name in wants])


def test_most_of_what_is_claimed_is_tested_by_ccxt():
    assert len(claimed()) >= 28
    assert {
        "createOrder",
        "fetchBalance",
        "fetchOHLCV",
        "fetchMyTrades",
        "fetchTickers",
        *CONTRACTS_ONLY,
    } <= set(claimed())


# -- has --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", sorted(set(VirtualExchange().has) - set(TYPES)))
def test_has_tells_the_truth(ex, method):
    if ex.has[method]:
        assert {**COMMANDS, **READS}[method](ex)
        ex.cancel_all_orders()
    else:
        own = getattr(VirtualExchange, snake(method), None)
        assert own is None or own is getattr(ccxt.Exchange, snake(method), None), (
            "it works, but has does not say so"
        )


def test_signatures_are_those_of_ccxt():
    for name in (
        "create_order",
        "fetch_ohlcv",
        "fetch_orders",
        "cancel_order",
        "fetch_trades",
        "fetch_order_book",
    ):
        ours, theirs = (
            inspect.signature(getattr(cls, name)).parameters for cls in (VirtualExchange, ccxt.Exchange)
        )
        assert list(ours) == list(theirs)


def test_it_says_what_it_is():
    ex = VirtualExchange({"options": {"start": START, "feed": "simulated:3"}})
    assert (ex.id, ex.features["spot"]["createOrder"]["stopLossPrice"], len(ex.load_markets())) == (
        "virtual",
        True,
        120,
    )
    assert "SIMULATED" in repr(ex)
    assert "PAPER" in repr(ex)
    ex.create_order(SYMBOL, "limit", "buy", 0.001, last(ex) * 0.9)
    html = ex._repr_html_()
    for words in ("SIMULATED market (simulated:3), PAPER money", "USDT", "10,000", "limit"):
        assert words in html
    assert abs(VirtualExchange().milliseconds() - SystemClock().milliseconds()) < 60_000
