"""Every rule that a request can break: the class of ccxt's error, and a message that names the rule and the way out."""

from __future__ import annotations

import math
from typing import Any

import ccxt
import pytest
from venues.builders import exchange, last, replay, totals

SYMBOL = "BTC/USDT"

REFUSED: list[tuple[str, tuple[Any, ...], type[Exception], str]] = [
    ("unknown symbol", ("BTC/USD", "market", "buy", 1), ccxt.BadSymbol, "did you mean BTC/USDT"),
    ("nothing like a symbol", ("?", "market", "buy", 1), ccxt.BadSymbol, "there are .*/"),
    (
        "a contract that is not there",
        ("BTC/USDT:USD", "market", "buy", 1),
        ccxt.BadSymbol,
        "did you mean BTC/USDT:USDT",
    ),
    ("no symbol", (None, "market", "buy", 1), ccxt.ArgumentsRequired, "symbol"),
    ("unknown type", (SYMBOL, "stop", "buy", 1), ccxt.InvalidOrder, "stopLossPrice"),
    ("unknown side", (SYMBOL, "market", "long", 1), ccxt.InvalidOrder, "'buy' or 'sell'"),
    ("no amount", (SYMBOL, "market", "buy", None), ccxt.ArgumentsRequired, "amount"),
    ("amount is a word", (SYMBOL, "market", "buy", "much"), ccxt.InvalidOrder, "not a number"),
    ("amount is a list", (SYMBOL, "market", "buy", [1]), ccxt.InvalidOrder, "must be a number"),
    ("amount is not finite", (SYMBOL, "market", "buy", math.nan), ccxt.InvalidOrder, "finite"),
    ("amount is zero", (SYMBOL, "market", "buy", 0), ccxt.InvalidOrder, "above zero"),
    ("amount is negative", (SYMBOL, "market", "buy", -1), ccxt.InvalidOrder, "above zero"),
    ("amount below a lot", (SYMBOL, "market", "buy", 1e-9), ccxt.InvalidOrder, "smallest lot of 0.00001"),
    ("value too small", (SYMBOL, "market", "buy", 0.00001), ccxt.InvalidOrder, "below the minimum of 5 USDT"),
    (
        "too little money",
        (SYMBOL, "market", "buy", 10),
        ccxt.InsufficientFunds,
        r"needs \d+.* and 100000 USDT is free",
    ),
    ("more than there is", (SYMBOL, "market", "buy", 1e14), ccxt.InsufficientFunds, "100000 USDT is free"),
    (
        "nothing to sell",
        (SYMBOL, "market", "sell", 1),
        ccxt.InsufficientFunds,
        "needs 1 BTC .* 0 BTC is free",
    ),
    ("too much to sell", (SYMBOL, "market", "sell", 1e14), ccxt.InsufficientFunds, "0 BTC is free"),
    ("limit without price", (SYMBOL, "limit", "buy", 1), ccxt.ArgumentsRequired, "price"),
    ("price is zero", (SYMBOL, "limit", "buy", 1, 0), ccxt.InvalidOrder, "above zero"),
    ("price is not finite", (SYMBOL, "limit", "buy", 1, math.inf), ccxt.InvalidOrder, "finite"),
    ("price below a tick", (SYMBOL, "limit", "buy", 1, 1e-9), ccxt.InvalidOrder, "minimum price precision"),
    ("price too large", (SYMBOL, "limit", "buy", 1, 1e17), ccxt.InvalidOrder, "too large"),
    ("value too large", (SYMBOL, "limit", "sell", 1e9, 1e15), ccxt.InvalidOrder, "does not fit"),
]

REFUSED_PARAMS: list[tuple[str, str, dict[str, Any], type[Exception], str]] = [
    ("unknown parameter", "market", {"icebergQty": 1}, ccxt.NotSupported, "'icebergQty'"),
    ("leverage", "market", {"leverage": 3}, ccxt.NotSupported, r"'leverage'; set_leverage\(\)"),
    ("margin mode of spot", "market", {"marginMode": "cross"}, ccxt.NotSupported, "spot has no margin"),
    ("hedge of spot", "market", {"hedged": True}, ccxt.InvalidOrder, "not in hedge mode"),
    ("position side of spot", "market", {"positionSide": "LONG"}, ccxt.InvalidOrder, "in hedge mode"),
    ("position side is a number", "market", {"positionSide": 1}, ccxt.BadRequest, "LONG, SHORT or BOTH"),
    (
        "mark price of spot",
        "market",
        {"stopLossPrice": 1, "triggerPriceType": "mark"},
        ccxt.NotSupported,
        "no mark price",
    ),
    (
        "index price",
        "market",
        {"stopLossPrice": 1, "triggerPriceType": "index"},
        ccxt.NotSupported,
        "'index'; it knows last",
    ),
    ("direction", "market", {"triggerPrice": 1, "triggerDirection": "up"}, ccxt.BadRequest, "ascending"),
    (
        "direction without trigger",
        "market",
        {"triggerDirection": "above"},
        ccxt.InvalidOrder,
        "belongs to an order with",
    ),
    ("attached to a sale", "market", {"stopLoss": {"triggerPrice": 1}}, ccxt.NotSupported, "only closes"),
    ("trailing limit", "limit", {"trailingPercent": 1}, ccxt.ArgumentsRequired, "'limitOffset'"),
    (
        "trailing limit with a price",
        "limit",
        {"trailingPercent": 1, "limitOffset": 1},
        ccxt.NotSupported,
        "instead of a price",
    ),
    (
        "offset without a trail",
        "market",
        {"stopLossPrice": 1, "limitOffset": 1},
        ccxt.InvalidOrder,
        "belongs to a trailing stop",
    ),
    (
        "trail's limit at market",
        "market",
        {"trailingPercent": 1, "limitOffset": 1},
        ccxt.InvalidOrder,
        "of type limit",
    ),
    ("iceberg at market", "market", {"icebergAmount": 0.01}, ccxt.InvalidOrder, "only a limit order"),
    ("iceberg twice", "limit", {"icebergAmount": 0.01, "displayQty": 0.01}, ccxt.InvalidOrder, "give one"),
    ("iceberg too large", "limit", {"icebergAmount": 0.1}, ccxt.InvalidOrder, "do not go together"),
    ("hidden is text", "limit", {"hidden": "yes"}, ccxt.BadRequest, "True or False"),
    ("self-trade mode", "limit", {"selfTradePrevention": "DECREMENT"}, ccxt.NotSupported, "EXPIRE_TAKER"),
    ("cost of a limit", "limit", {"cost": 10}, ccxt.NotSupported, "spot market orders"),
    ("two triggers", "market", {"stopPrice": 1, "trailingPercent": 1}, ccxt.InvalidOrder, "one trigger"),
    ("good till nobody knows", "limit", {"timeInForce": "GTD"}, ccxt.InvalidOrder, "expireTime"),
    ("date of GTC", "limit", {"expireTime": 2_000_000_000_000}, ccxt.InvalidOrder, "GTD and expireTime"),
    ("date has passed", "limit", {"timeInForce": "GTD", "expireTime": 1}, ccxt.InvalidOrder, "has passed"),
    ("date is a word", "limit", {"timeInForce": "GTD", "expireTime": "soon"}, ccxt.BadRequest, "expireTime"),
    (
        "unknown lifetime",
        "limit",
        {"timeInForce": "GTX"},
        ccxt.NotSupported,
        "it knows GTC, IOC, FOK, GTD, DAY, PO",
    ),
    ("IOC stop", "market", {"stopPrice": 1, "timeInForce": "IOC"}, ccxt.NotSupported, "'IOC' with a trigger"),
    ("post-only market", "market", {"postOnly": True}, ccxt.InvalidOrder, "only a limit order"),
    ("post-only IOC", "limit", {"postOnly": True, "timeInForce": "IOC"}, ccxt.InvalidOrder, "leave out one"),
    ("post-only is text", "limit", {"postOnly": "yes"}, ccxt.BadRequest, "True or False"),
    ("reduce-only is text", "market", {"reduceOnly": "yes"}, ccxt.BadRequest, "True or False"),
    ("client id is a number", "market", {"clientOrderId": 5}, ccxt.BadRequest, "1 to 64 characters"),
    ("client id is empty", "market", {"clientOrderId": ""}, ccxt.BadRequest, "1 to 64 characters"),
    ("client id too long", "market", {"clientOrderId": "x" * 65}, ccxt.BadRequest, "1 to 64 characters"),
    ("stop is a word", "market", {"stopPrice": "low"}, ccxt.InvalidOrder, "not a number"),
    ("stop is negative", "market", {"stopLossPrice": -1}, ccxt.InvalidOrder, "above zero"),
    ("trail is negative", "market", {"trailingAmount": -1}, ccxt.InvalidOrder, "above zero"),
    ("trail of 100 %", "market", {"trailingPercent": 100}, ccxt.InvalidOrder, "below 100"),
    ("trail too small", "market", {"trailingPercent": 1e-9}, ccxt.InvalidOrder, "below the smallest"),
    ("nothing to reduce", "market", {"reduceOnly": True}, ccxt.InvalidOrder, "no BTC to reduce"),
]


@pytest.fixture(scope="module")
def ex() -> Any:
    return exchange()


@pytest.mark.parametrize(("what", "arguments", "error", "words"), REFUSED, ids=[row[0] for row in REFUSED])
def test_a_broken_rule_is_named(ex, what, arguments, error, words):
    before = totals(ex)
    with pytest.raises(error, match=words) as refused:
        ex.create_order(*arguments)
    assert type(refused.value) is error
    assert "\n" not in str(refused.value)
    assert str(refused.value).startswith("virtual ")
    assert totals(ex) == before
    assert not ex.fetch_orders()


@pytest.mark.parametrize(
    ("what", "type", "params", "error", "words"), REFUSED_PARAMS, ids=[row[0] for row in REFUSED_PARAMS]
)
def test_a_parameter_that_would_change_nothing_is_refused(ex, what, type, params, error, words):
    before = totals(ex)
    with pytest.raises(error, match=words):
        ex.create_order(SYMBOL, type, "sell", 0.1, last(ex) * 1.1, params)
    assert totals(ex) == before
    assert not ex.fetch_orders()


def test_a_stop_that_the_market_has_passed_is_refused(ex):
    price = last(ex)
    with pytest.raises(ccxt.OrderImmediatelyFillable, match=r"must lie above the last price .* send a limit"):
        ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"stopLossPrice": price * 0.99})
    with pytest.raises(ccxt.OrderImmediatelyFillable, match=r"must lie below the last price .* send a stop"):
        ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"takeProfitPrice": price * 1.01})
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="must lie above the last price"):
        ex.create_order(
            SYMBOL, "market", "buy", 0.01, None, {"triggerPrice": price * 0.99, "triggerDirection": "above"}
        )
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="must lie below the last price"):
        ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": price})


def test_reduce_only_cannot_open(ex):
    with pytest.raises(ccxt.InvalidOrder, match="cannot be short"):
        ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"reduceOnly": True})


def test_a_fee_is_part_of_what_an_order_needs():
    other = exchange({"USDT": 1_000}, fee_taker="0.01")
    most = 1_000 / last(other)
    with pytest.raises(ccxt.InsufficientFunds, match="with its fee"):
        other.create_order(SYMBOL, "market", "buy", most * 0.995)
    assert other.create_order(SYMBOL, "market", "buy", most * 0.98)["status"] == "closed"


def test_too_many_open_orders(ex):
    other = exchange()
    for _ in range(256):
        other.create_order(SYMBOL, "limit", "buy", 0.0001, 60_000)
    with pytest.raises(ccxt.OperationRejected, match="too many open orders"):
        other.create_order(SYMBOL, "limit", "buy", 0.0001, 60_000)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda ex: ex.fetch_order("77"), ccxt.OrderNotFound, "no order with the id '77'"),
        (lambda ex: ex.fetch_order("abc"), ccxt.OrderNotFound, "id 'abc'"),
        (lambda ex: ex.cancel_order("77"), ccxt.OrderNotFound, "fetch_orders"),
        (lambda ex: ex.cancel_order_with_client_order_id("me"), ccxt.OrderNotFound, "clientOrderId 'me'"),
        (lambda ex: ex.fetch_ticker("BTC-USDT"), ccxt.BadSymbol, "did you mean BTC/USDT"),
        (lambda ex: ex.fetch_tickers("BTC/USDT"), ccxt.BadRequest, "list of symbols"),
        (lambda ex: ex.fetch_ohlcv(SYMBOL, "7m"), ccxt.BadRequest, "no timeframe '7m'; it has 1m"),
        (lambda ex: ex.fetch_ohlcv(SYMBOL, "1m", None, 0), ccxt.BadRequest, "limit"),
        (lambda ex: ex.fetch_trades(SYMBOL, None, -1), ccxt.BadRequest, "limit"),
        (lambda ex: ex.fetch_order_book(SYMBOL, 5_000), ccxt.BadRequest, "1 to 1000 levels"),
        (lambda ex: ex.fetch_ohlcv(SYMBOL, "1m", None, 5, {"price": "mark"}), ccxt.NotSupported, "'price'"),
        (lambda ex: ex.fetch_balance({"type": "margin"}), ccxt.BadRequest, "must be one of spot, swap"),
        (
            lambda ex: ex.fetch_my_trades(SYMBOL, params={"fromId": 3}),
            ccxt.NotSupported,
            "'fromId'; it knows until",
        ),
        (lambda ex: ex.advance(-1), ccxt.BadRequest, "cannot go back"),
        (lambda ex: ex.set_sandbox_mode(False), ccxt.NotSupported, "no live mode"),
        (lambda ex: ex.fetch("http://192.0.2.1"), ccxt.NotSupported, "no network"),
    ],
)
def test_other_requests_are_refused_in_words_too(ex, call, error, words):
    with pytest.raises(error, match=words):
        call(ex)


def test_canceling_twice_says_what_became_of_the_order():
    other = exchange()
    filled = other.create_order(SYMBOL, "market", "buy", 0.01)
    with pytest.raises(ccxt.OrderNotFound, match="is not open: it was filled"):
        other.cancel_order(filled["id"])
    order = other.create_order(SYMBOL, "limit", "buy", 0.01, last(other) * 0.9)
    other.cancel_order(order["id"])
    with pytest.raises(ccxt.OrderNotFound, match=r"it was canceled .canceled on request"):
        other.cancel_order(order["id"])
    with pytest.raises(ccxt.OrderNotFound, match="is of BTC/USDT, not of ETH/USDT"):
        other.fetch_order(order["id"], "ETH/USDT")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"feed": "simulatd"}, "did you mean simulated"),
        ({"feed": "simulated:x"}, "seed must be a whole number"),
        ({"feed": "replay:/no/such/file.parquet"}, "no/such/file.parquet"),
        ({"balance": {"USDT": 1}}, "did you mean 'balances'"),
        ({"balances": {"DOLLAR": 1}}, "DOLLAR"),
        ({"balances": {"USDT": -1}}, "negative"),
        ({"balances": 5}, "must map assets to amounts"),
        ({"fee_taker": 2}, "fee_taker"),
        ({"start": "yesterday"}, "not a time"),
        ({"speed": 0}, "speed"),
        ({"clock": "fast"}, "clock"),
        ({"clock": "manual", "speed": 2}, "leave out the option 'speed'"),
        ({"session": "default", "balances": {"USDT": 1}}, "leave out the option 'balances'"),
        ({"defaultType": "margin"}, "spot and swap markets only"),
        ({"account": "a", "journal": "b.db"}, "leave out the option 'journal'"),
        ({"latency": "slow"}, "latency = 'slow' must be one of"),
        ({"fee_tiers": [5]}, "fee_tiers"),
    ],
)
def test_options_that_cannot_be_are_refused_at_once(options, words):
    from twinstar_kit.venues.virtual import VirtualExchange

    with pytest.raises(ccxt.ExchangeError, match=words) as refused:
        VirtualExchange({"options": options})
    assert "\n" not in str(refused.value)


def test_options_of_other_exchanges_are_left_alone():
    from twinstar_kit.venues.virtual import VirtualExchange

    made = VirtualExchange(
        {"apiKey": "k", "secret": "s", "options": {"recvWindow": 5_000, "defaultType": "spot"}}
    )
    made.set_sandbox_mode(True)
    assert made.options["recvWindow"] == 5_000


def test_before_the_first_bar_there_is_no_market():
    ex = replay([(100, 100, 100, 100)] * 3, start=-120_000)
    with pytest.raises(ccxt.ExchangeError, match=r"no data before|no market data"):
        ex.create_order(SYMBOL, "market", "buy", 0.1)
