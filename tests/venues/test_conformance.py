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

from twinstar_kit.feeds.clock import SystemClock
from twinstar_kit.venues.virtual import VirtualExchange

FOLDER = Path(ccxt.test.exchange.base.__file__).parents[1] / "sync"
SYMBOL, SWAP = "BTC/USDT", "BTC/USDT:USDT"
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


def cases() -> list[tuple[str, str]]:
    """Each claimed method, with a spot market and with contracts."""
    return [(m, s) for m in claimed() for s in (SYMBOL, SWAP) if s == SWAP or m not in CONTRACTS_ONLY]


@pytest.mark.parametrize(("method", "symbol"), cases())
def test_ccxt_finds_nothing_to_object_to(ex, fresh, method, symbol):
    function = getattr(load(method), f"test_{snake(method)}")
    wants = list(inspect.signature(function).parameters)[2:]
    arguments = {"symbol": symbol, "code": "USDT"}
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


def sends(ex: VirtualExchange) -> dict[str, Any]:
    """A call of each method that `has` claims and that commands something."""
    price = last(ex)

    def order(**params: Any) -> Any:
        return ex.create_order(SYMBOL, "limit", "buy", 0.001, price * 0.9, params)

    def opened() -> None:
        ex.close_all_positions()
        ex.create_order(SWAP, "market", "buy", 0.01)

    return {
        "deposit": lambda: ex.deposit("USDT", 100),
        "withdraw": lambda: ex.withdraw("USDT", 1, "nowhere"),
        "transfer": lambda: ex.transfer("USDT", 1, "spot", "swap"),
        "addMargin": lambda: (opened(), ex.set_margin_mode("isolated", SWAP), ex.add_margin(SWAP, 5))[2],
        "reduceMargin": lambda: (
            opened(),
            ex.set_margin_mode("isolated", SWAP),
            ex.add_margin(SWAP, 5),
            ex.reduce_margin(SWAP, 1),
        )[3],
        "setLeverage": lambda: ex.set_leverage(5, SWAP),
        "setMarginMode": lambda: ex.set_margin_mode("cross", SWAP),
        "setPositionMode": lambda: ex.set_position_mode(False),
        "closePosition": lambda: (opened(), ex.close_position(SWAP))[1],
        "closeAllPositions": lambda: (opened(), ex.close_all_positions())[1],
        "cancelAllOrdersAfter": lambda: ex.cancel_all_orders_after(0),
        "cancelOrdersForSymbols": lambda: ex.cancel_orders_for_symbols(
            [{"id": order()["id"], "symbol": SYMBOL}]
        ),
        "createMarketBuyOrderWithCost": lambda: ex.create_market_buy_order_with_cost(SYMBOL, 100),
        "createMarketOrderWithCost": lambda: ex.create_market_order_with_cost(SYMBOL, "buy", 100),
        "createMarketSellOrderWithCost": lambda: ex.create_market_sell_order_with_cost(SYMBOL, 100),
        "createOrderWithTakeProfitAndStopLoss": lambda: ex.create_order_with_take_profit_and_stop_loss(
            SYMBOL, "limit", "buy", 0.001, price * 0.9, price, price * 0.8
        ),
        "createStopLimitOrder": lambda: ex.create_stop_limit_order(
            SYMBOL, "sell", 0.001, price * 0.9, price * 0.9
        ),
        "createTakeProfitOrder": lambda: ex.create_take_profit_order(
            SYMBOL, "market", "sell", 0.001, None, price * 1.1
        ),
        "editOrders": lambda: ex.edit_orders(
            [{"id": order()["id"], "symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.002}]
        ),
        "editOrderWithClientOrderId": lambda: (
            order(clientOrderId="c3"),
            ex.edit_order_with_client_order_id("c3", SYMBOL, "limit", "buy", 0.002),
        ),
        "cancelAllOrders": lambda: ex.cancel_all_orders(),
        "cancelOrder": lambda: ex.cancel_order(order()["id"]),
        "cancelOrderWithClientOrderId": lambda: (
            order(clientOrderId="c1"),
            ex.cancel_order_with_client_order_id("c1"),
        ),
        "cancelOrders": lambda: ex.cancel_orders([order()["id"]]),
        "createLimitBuyOrder": lambda: ex.create_limit_buy_order(SYMBOL, 0.001, price),
        "createLimitOrder": lambda: ex.create_limit_order(SYMBOL, "buy", 0.001, price),
        "createLimitSellOrder": lambda: ex.create_limit_sell_order(SYMBOL, 0.001, price * 1.1),
        "createMarketBuyOrder": lambda: ex.create_market_buy_order(SYMBOL, 0.001),
        "createMarketOrder": lambda: ex.create_market_order(SYMBOL, "buy", 0.001),
        "createMarketSellOrder": lambda: ex.create_market_sell_order(SYMBOL, 0.001),
        "createOrder": order,
        "createOrders": lambda: ex.create_orders(
            [{"symbol": SYMBOL, "type": "market", "side": "buy", "amount": 0.001}]
        ),
        "createPostOnlyOrder": lambda: ex.create_post_only_order(SYMBOL, "limit", "buy", 0.001, price * 0.9),
        "createReduceOnlyOrder": lambda: ex.create_reduce_only_order(SYMBOL, "market", "sell", 0.001),
        "createStopLossOrder": lambda: ex.create_stop_loss_order(
            SYMBOL, "market", "sell", 0.001, None, price * 0.9
        ),
        "createStopMarketOrder": lambda: ex.create_stop_market_order(SYMBOL, "sell", 0.001, price * 0.9),
        "createStopOrder": lambda: ex.create_stop_order(SYMBOL, "market", "buy", 0.001, None, price * 1.1),
        "createTrailingAmountOrder": lambda: ex.create_trailing_amount_order(
            SYMBOL, "market", "sell", 0.001, None, 100
        ),
        "createTrailingPercentOrder": lambda: ex.create_trailing_percent_order(
            SYMBOL, "market", "sell", 0.001, None, 2
        ),
        "createTriggerOrder": lambda: ex.create_trigger_order(
            SYMBOL, "market", "sell", 0.001, None, price * 0.9
        ),
        "editOrder": lambda: ex.edit_order(order()["id"], SYMBOL, "limit", "buy", 0.001, price * 0.8),
    }


def reads(ex: VirtualExchange) -> dict[str, Any]:
    """A call of each method that `has` claims and that only asks."""

    def order(**params: Any) -> Any:
        return ex.create_order(SYMBOL, "limit", "buy", 0.001, last(ex) * 0.9, params)

    return {
        "fetchBalance": lambda: ex.fetch_balance(),
        "fetchBidsAsks": lambda: ex.fetch_bids_asks([SYMBOL]),
        "fetchCanceledAndClosedOrders": lambda: ex.fetch_canceled_and_closed_orders(),
        "fetchCanceledOrders": lambda: ex.fetch_canceled_orders(),
        "fetchClosedOrders": lambda: ex.fetch_closed_orders(),
        "fetchCurrencies": lambda: ex.fetch_currencies(),
        "fetchCurrenciesWs": lambda: ex.fetch_currencies(),
        "fetchL2OrderBook": lambda: ex.fetch_l2_order_book(SYMBOL),
        "fetchLastPrices": lambda: ex.fetch_last_prices(),
        "fetchLedger": lambda: ex.fetch_ledger("USDT"),
        "fetchMarkets": lambda: ex.fetch_markets(),
        "fetchMyTrades": lambda: ex.fetch_my_trades(),
        "fetchOHLCV": lambda: ex.fetch_ohlcv(SYMBOL),
        "fetchOpenOrders": lambda: (order(), ex.fetch_open_orders())[1],
        "fetchOrder": lambda: ex.fetch_order(order()["id"]),
        "fetchOrderBook": lambda: ex.fetch_order_book(SYMBOL),
        "fetchOrderBooks": lambda: ex.fetch_order_books([SYMBOL]),
        "fetchOrderTrades": lambda: ex.fetch_order_trades(ex.create_market_buy_order(SYMBOL, 0.001)["id"]),
        "fetchOrderWithClientOrderId": lambda: (
            order(clientOrderId="c2"),
            ex.fetch_order_with_client_order_id("c2"),
        ),
        "fetchOrders": lambda: ex.fetch_orders(),
        "fetchAccounts": lambda: ex.fetch_accounts(),
        "fetchDeposits": lambda: ex.fetch_deposits(),
        "fetchDepositsWithdrawals": lambda: ex.fetch_deposits_withdrawals(),
        "fetchWithdrawals": lambda: (ex.withdraw("USDT", 1, "nowhere"), ex.fetch_withdrawals())[1],
        "fetchTransfers": lambda: ex.fetch_transfers(),
        "fetchPosition": lambda: (ex.create_order(SWAP, "market", "buy", 0.01), ex.fetch_position(SWAP))[1],
        "fetchPositions": lambda: ex.fetch_positions(),
        "fetchPositionsForSymbol": lambda: ex.fetch_positions_for_symbol(SWAP),
        "fetchPositionMode": lambda: ex.fetch_position_mode(),
        "fetchLeverage": lambda: ex.fetch_leverage(SWAP),
        "fetchLeverages": lambda: ex.fetch_leverages(),
        "fetchMarginMode": lambda: ex.fetch_margin_mode(SWAP),
        "fetchMarketLeverageTiers": lambda: ex.fetch_market_leverage_tiers(SWAP),
        "fetchFundingRate": lambda: ex.fetch_funding_rate(SWAP),
        "fetchFundingRates": lambda: ex.fetch_funding_rates(),
        "fetchFundingInterval": lambda: ex.fetch_funding_interval(SWAP),
        "fetchFundingIntervals": lambda: ex.fetch_funding_intervals([SWAP]),
        "fetchFundingRateHistory": lambda: ex.fetch_funding_rate_history(SWAP),
        "fetchFundingHistory": lambda: ex.fetch_funding_history() == [],
        "fetchMyLiquidations": lambda: ex.fetch_my_liquidations() == [],
        "fetchMarkPrice": lambda: ex.fetch_mark_price(SWAP),
        "fetchMarkPrices": lambda: ex.fetch_mark_prices(),
        "fetchStatus": lambda: ex.fetch_status(),
        "fetchTicker": lambda: ex.fetch_ticker(SYMBOL),
        "fetchTickers": lambda: ex.fetch_tickers(),
        "fetchTime": lambda: ex.fetch_time(),
        "fetchTrades": lambda: ex.fetch_trades(SYMBOL),
        "fetchTradingFee": lambda: ex.fetch_trading_fee(SYMBOL),
        "fetchTradingFees": lambda: ex.fetch_trading_fees(),
    }


@pytest.mark.parametrize("method", sorted(set(VirtualExchange().has) - set(TYPES)))
def test_has_tells_the_truth(ex, method):
    known = {**sends(ex), **reads(ex)}
    if ex.has[method]:
        assert known[method]()
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
