"""Conditions of orders, as ccxt's params say them: triggers, trails, brackets, one-cancels-other, lifetimes, icebergs."""

from __future__ import annotations

import ccxt
import pytest
from venues.builders import FEED, exchange, last, replay

SYMBOL = "BTC/USDT"
MINUTE, HOUR = 60_000, 3_600_000


def until(ex, order, status="open", step=MINUTE, most=3_000):
    """The order once it is no longer `status`."""
    for _ in range(most):
        now = ex.fetch_order(order["id"])
        if now["status"] != status:
            return now
        ex.advance(step)
    raise AssertionError("nothing happened")


def first_trade(order, reached):
    """The first public trade after an order that satisfies `reached`."""
    begin = order["timestamp"] + 1
    for t in FEED.trades(SYMBOL, begin, begin + 48 * HOUR):
        if reached(int(t["price"]) / 100):
            return t
    raise AssertionError("the market never went there")


def test_a_stop_limit_fires_at_its_trigger_and_rests_at_its_price():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    stop, limit = round(last(ex) * 0.999, 2), round(last(ex) * 1.001, 2)
    order = ex.create_order(SYMBOL, "limit", "sell", 0.01, limit, {"stopLossPrice": stop})
    assert (order["type"], order["price"], order["stopLossPrice"]) == ("limit", limit, stop)
    done = until(ex, order)
    assert done["info"]["triggered"] == first_trade(order, lambda price: price <= stop)["ts"]
    assert (done["status"], done["average"]) == ("closed", limit)
    assert done["lastTradeTimestamp"] > done["info"]["triggered"]


def test_a_take_profit_fires_when_the_price_comes_to_it():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    target = round(last(ex) * 1.002, 2)
    order = ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"takeProfitPrice": target})
    assert (order["takeProfitPrice"], order["stopLossPrice"]) == (target, None)
    done = until(ex, order)
    assert done["info"]["triggered"] == first_trade(order, lambda price: price >= target)["ts"]
    assert done["status"] == "closed"


def test_a_take_profit_limit_fills_at_its_price_or_better():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    target = round(last(ex) * 1.002, 2)
    done = until(ex, ex.create_order(SYMBOL, "limit", "sell", 0.01, target, {"takeProfitPrice": target}))
    assert done["average"] >= target


@pytest.mark.parametrize(("side", "factor", "name"), [
    ("buy", 1.001, "stopLossPrice"), ("buy", 0.999, "takeProfitPrice"), ("sell", 0.999, "stopLossPrice"), ("sell", 1.001, "takeProfitPrice"),
])  # fmt: skip
def test_a_plain_trigger_is_what_the_market_makes_of_it(side, factor, name):
    ex = exchange({"USDT": 100_000, "BTC": 1})
    order = ex.create_order(SYMBOL, "market", side, 0.01, None, {"triggerPrice": last(ex) * factor})
    assert order[name] == order["triggerPrice"] == round(last(ex) * factor, 2)


def test_a_trailing_stop_begins_at_its_activation_price():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    begin = round(last(ex) * 1.002, 2)
    order = ex.create_order(
        SYMBOL, "market", "sell", 0.01, None, {"trailingAmount": 50, "trailingTriggerPrice": begin}
    )
    assert order["triggerPrice"] is None
    done = until(ex, order)
    assert done["info"]["triggered"] > first_trade(order, lambda price: price >= begin)["ts"]
    assert done["triggerPrice"] >= begin - 50


def test_a_trailing_stop_limit_fires_with_a_limit_beyond_its_trigger():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    done = until(
        ex, ex.create_order(SYMBOL, "limit", "sell", 0.01, None, {"trailingPercent": 0.1, "limitOffset": 25})
    )
    assert done["price"] == pytest.approx(done["triggerPrice"] - 25)
    assert done["average"] >= done["price"]


# -- contingent -------------------------------------------------------------------------------------------------------


def test_a_bracket_waits_for_its_entry_and_one_leg_ends_the_other():
    ex = exchange()
    price = last(ex)
    entry = ex.create_order(SYMBOL, "limit", "buy", 0.01, price * 0.999, {
        "stopLoss": {"triggerPrice": price * 0.996}, "takeProfit": {"triggerPrice": price * 1.001, "price": price * 1.001},
    })  # fmt: skip
    assert (entry["stopLossPrice"], entry["takeProfitPrice"]) == (
        round(price * 0.996, 2),
        round(price * 1.001, 2),
    )
    stop, target = ex.fetch_open_orders()[1:]
    assert stop["info"]["waits_for_parent"]
    assert target["info"]["waits_for_parent"]
    assert ex.fetch_balance()["USDT"]["used"] == pytest.approx(entry["price"] * 0.01 * 1.001, abs=1e-6)
    until(ex, entry)
    assert [o["info"]["waits_for_parent"] for o in ex.fetch_open_orders()] == [False, False]
    until(ex, stop)
    ended = {o["id"]: o["status"] for o in (ex.fetch_order(stop["id"]), ex.fetch_order(target["id"]))}
    assert sorted(ended.values()) == ["canceled", "closed"]
    assert ex.fetch_balance()["BTC"]["total"] == 0


def test_a_bracket_covers_exactly_what_has_filled():
    ex = exchange({"USDT": 10_000_000})
    ask, size = ex.fetch_order_book(SYMBOL)["asks"][0]
    entry = ex.create_order(SYMBOL, "limit", "buy", round(size * 3, 5), ask, {
        "stopLoss": {"triggerPrice": ask * 0.9}, "takeProfit": {"price": ask * 1.1},
    })  # fmt: skip
    assert entry["status"] == "open"
    assert entry["filled"] == size
    _, stop, target = ex.fetch_open_orders()
    assert stop["amount"] == target["amount"] == size
    ex.cancel_order(entry["id"])
    assert [o["amount"] for o in ex.fetch_open_orders()] == [size, size]
    ex.create_order(SYMBOL, "market", "sell", round(size / 2, 5), None, {"reduceOnly": True})
    left = ex.fetch_balance()["BTC"]["total"]
    assert [o["remaining"] for o in ex.fetch_open_orders()] == [pytest.approx(left)] * 2


def test_an_entry_that_ends_without_a_fill_takes_its_bracket_with_it():
    ex = exchange()
    price = last(ex)
    entry = ex.create_order_with_take_profit_and_stop_loss(
        SYMBOL, "limit", "buy", 0.01, price * 0.9, price * 1.1, price * 0.8
    )
    assert len(ex.fetch_open_orders()) == 3
    ex.cancel_order(entry["id"])
    assert ex.fetch_open_orders() == []


@pytest.mark.parametrize(("params", "error", "words"), [
    ({"stopLoss": 5}, ccxt.BadRequest, "must be a dict"),
    ({"stopLoss": {}}, ccxt.ArgumentsRequired, "requires a triggerPrice"),
    ({"takeProfit": {}}, ccxt.ArgumentsRequired, "requires a triggerPrice, or a price"),
    ({"stopLoss": {"triggerPrice": 1e6}}, ccxt.InvalidOrder, "must lie below"),
    ({"takeProfit": {"triggerPrice": 1}}, ccxt.InvalidOrder, "must lie above"),
    ({"stopLoss": {"triggerPrice": 1, "size": 2}}, ccxt.NotSupported, "'size'"),
    ({"stopLoss": {"triggerPrice": 1, "type": "limit"}}, ccxt.InvalidOrder, "go together"),
    ({"stopLoss": {"triggerPrice": "low"}}, ccxt.InvalidOrder, "not a number"),
])  # fmt: skip
def test_a_bracket_that_cannot_be_sends_nothing(params, error, words):
    ex = exchange()
    with pytest.raises(error, match=words):
        ex.create_order(SYMBOL, "market", "buy", 0.01, None, params)
    assert ex.fetch_orders() == []


def test_of_two_linked_orders_one_fill_ends_the_other():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    price = last(ex)
    target, stop = ex.create_orders([
        {"symbol": SYMBOL, "type": "limit", "side": "sell", "amount": 0.01, "price": price * 1.001},
        {"symbol": SYMBOL, "type": "market", "side": "sell", "amount": 0.01, "params": {"stopLossPrice": price * 0.999}},
    ], {"oco": True})  # fmt: skip
    assert [target["status"], stop["status"]] == ["open", "open"]
    until(ex, target)
    assert sorted(ex.fetch_order(o["id"])["status"] for o in (target, stop)) == ["canceled", "closed"]


def test_linked_orders_are_all_sent_or_none():
    ex = exchange({"USDT": 1_000})
    price = last(ex)
    orders = [
        {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.001, "price": price * 0.9},
        {
            "symbol": SYMBOL,
            "type": "market",
            "side": "buy",
            "amount": 5,
            "params": {"stopLossPrice": price * 1.1},
        },
    ]
    with pytest.raises(ccxt.InsufficientFunds):
        ex.create_orders(orders, {"oco": True})
    assert ex.fetch_open_orders() == []
    assert ex.fetch_balance()["USDT"] == {"free": 1_000, "used": 0, "total": 1_000}
    with pytest.raises(ccxt.InvalidOrder, match="of one market"):
        ex.create_orders([orders[0], {**orders[0], "symbol": "ETH/USDT"}], {"oco": True})


# -- how long, and how much of it shows -------------------------------------------------------------------------------


def test_an_order_good_till_a_date_ends_then():
    ex = exchange()
    end = ex.milliseconds() + 90_500
    order = ex.create_order(
        SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9, {"timeInForce": "GTD", "expireTime": end}
    )
    ex.advance_to(end - 1)
    assert ex.fetch_order(order["id"])["status"] == "open"
    ex.advance(60_000)
    ended = ex.fetch_order(order["id"])
    assert (ended["status"], ended["lastUpdateTimestamp"], ended["timeInForce"]) == ("canceled", end, "GTD")
    assert "time in force ended" in ended["info"]["reason"]


def test_an_order_for_the_day_ends_at_midnight():
    ex = exchange()
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.8, {"timeInForce": "DAY"})
    ex.advance(24 * HOUR)
    assert ex.iso8601(ex.fetch_order(order["id"])["lastUpdateTimestamp"]) == "2025-06-03T00:00:00.000Z"


def test_a_hidden_order_and_an_iceberg_say_so():
    ex = exchange()
    hidden = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9, {"hidden": True})
    iceberg = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9, {"icebergAmount": 0.001})
    assert hidden["info"]["hidden"] is True
    assert iceberg["info"]["display_qty"] == 100_000


def test_an_order_that_would_meet_ones_own_is_prevented():
    ex = exchange({"USDT": 100_000, "BTC": 1})
    bid, ask = (ex.fetch_order_book(SYMBOL)[side][0][0] for side in ("bids", "asks"))
    mine = ex.create_order(SYMBOL, "limit", "sell", 0.01, ask)
    taker = ex.create_order(SYMBOL, "limit", "buy", 0.01, ask + 1, {"selfTradePrevention": "EXPIRE_TAKER"})
    assert (taker["status"], taker["info"]["reason"]) == (
        "canceled",
        "it would have met an order of the same account",
    )
    taker = ex.create_order(SYMBOL, "limit", "buy", 0.01, ask + 1, {"selfTradePrevention": "expire_maker"})
    assert (taker["status"], ex.fetch_order(mine["id"])["status"]) == ("closed", "canceled")
    assert bid < ask


def test_a_market_order_can_be_told_what_it_may_cost():
    ex = exchange()
    order = ex.create_market_buy_order_with_cost(SYMBOL, 1_000)
    assert 1_000 - order["average"] * 0.00001 <= order["cost"] <= 1_000
    sale = ex.create_market_sell_order_with_cost(SYMBOL, 500)
    assert 500 - sale["average"] * 0.00001 <= sale["cost"] <= 500
    with pytest.raises(ccxt.InvalidOrder, match="smallest lot"):
        ex.create_market_buy_order_with_cost(SYMBOL, 0.001)
    with pytest.raises(ccxt.NotSupported, match="instead of an amount"):
        ex.create_order(SYMBOL, "market", "buy", 1, None, {"cost": 1_000})


def test_every_order_is_canceled_when_nobody_called_again():
    ex = exchange()
    ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9)
    due = ex.cancel_all_orders_after(60_000)["triggerTime"]
    ex.advance(30_000)
    due = ex.cancel_all_orders_after(60_000)["triggerTime"]
    ex.advance(59_999)
    assert len(ex.fetch_open_orders()) == 1
    ex.advance(HOUR)
    (order,) = ex.fetch_orders()
    assert (order["status"], order["lastUpdateTimestamp"]) == ("canceled", due)
    ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9)
    ex.cancel_all_orders_after(60_000)
    ex.cancel_all_orders_after(0)
    ex.advance(HOUR)
    assert len(ex.fetch_open_orders()) == 1


def test_conditions_that_need_more_than_bars_are_refused_on_bars():
    ex = replay([(100, 100, 100, 100)] * 3)
    with pytest.raises(ccxt.NotSupported, match="last price only"):
        ex.create_order(
            SYMBOL, "market", "buy", 0.1, None, {"triggerPrice": 101, "triggerPriceType": "bid_ask"}
        )


def test_a_trigger_can_look_at_the_quote():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    stop = round(last(ex) * 0.999, 2)
    done = until(
        ex,
        ex.create_order(
            SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": stop, "triggerPriceType": "bid_ask"}
        ),
    )
    at = done["info"]["triggered"]
    assert at % 10_000 == 0
    assert FEED.book(SYMBOL, at, 1)[0][0][0] / 100 <= stop < FEED.book(SYMBOL, at - 10_000, 1)[0][0][0] / 100
    assert done["status"] == "closed"


def test_a_receipt_says_why():
    ex = exchange()
    bought = ex.create_order(SYMBOL, "market", "buy", 0.01)
    waiting = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9)
    assert f"{bought['average']:,}" in str(ex.explain(bought["id"]))
    receipt = ex.explain(waiting["id"])
    assert "away" in str(receipt)
    assert receipt.to_dict()["numbers"]
    with pytest.raises(ccxt.OrderNotFound):
        ex.explain("77")
