"""Orders as a trader sees them: what fills when, at what price, and what it does to the balances."""

from __future__ import annotations

import ccxt
import pytest
from venues.builders import exchange, last, replay, totals

SYMBOL = "BTC/USDT"


def test_a_market_order_takes_the_other_side_of_the_book_at_once():
    ex = exchange()
    ask = ex.fetch_order_book(SYMBOL)["asks"][0][0]
    order = ex.create_order(SYMBOL, "market", "buy", 0.01)
    assert (order["status"], order["filled"], order["average"]) == ("closed", 0.01, ask)
    assert order["trades"][0]["takerOrMaker"] == "taker"


def test_a_purchase_costs_its_price_and_its_fee_to_the_cent():
    ex = exchange({"USDT": 10_000}, fee_taker="0.002")
    order = ex.create_order(SYMBOL, "market", "buy", 0.05)
    fee = round(order["cost"] * 0.002, 8)
    assert order["fee"] == {"cost": pytest.approx(fee, abs=1e-8), "currency": "USDT"}
    balance = ex.fetch_balance()
    assert balance["USDT"]["free"] == pytest.approx(10_000 - order["cost"] - fee, abs=1e-8)
    assert balance["BTC"] == {"free": 0.05, "used": 0.0, "total": 0.05}


def test_a_limit_rests_holds_its_money_and_fills_as_a_maker_when_a_trade_goes_through_it():
    ex = exchange()
    price = round(last(ex) * 0.999, 2)
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, price)
    assert order["status"] == "open"
    assert ex.fetch_balance()["USDT"]["used"] == pytest.approx(price * 0.01 * 1.001, abs=1e-7)
    while ex.fetch_order(order["id"])["status"] == "open":
        ex.advance(60_000)
    filled = ex.fetch_order(order["id"])
    assert (filled["average"], filled["trades"][0]["takerOrMaker"]) == (price, "maker")
    through = [t for t in ex.fetch_trades(SYMBOL, order["timestamp"] + 1, 100_000) if t["price"] < price]
    assert through[0]["timestamp"] == filled["lastTradeTimestamp"]
    assert ex.fetch_balance()["USDT"]["used"] == 0


def test_a_limit_that_crosses_fills_at_once_at_the_better_price_as_a_taker():
    ex = exchange()
    ask = ex.fetch_order_book(SYMBOL)["asks"][0][0]
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, ask * 1.05)
    assert (order["average"], order["trades"][0]["takerOrMaker"]) == (ask, "taker")
    assert ex.fetch_balance()["USDT"]["used"] == 0


def test_a_sell_stop_fires_on_the_first_trade_that_reaches_it_and_fills_there():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    stop = round(last(ex) * 0.998, 2)
    order = ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"stopLossPrice": stop})
    assert (order["status"], order["triggerPrice"], order["stopLossPrice"]) == ("open", stop, stop)
    while ex.fetch_order(order["id"])["status"] == "open":
        ex.advance(60_000)
    reached = [t for t in ex.fetch_trades(SYMBOL, order["timestamp"] + 1, 100_000) if t["price"] <= stop]
    done = ex.fetch_order(order["id"])
    assert (done["lastTradeTimestamp"], done["average"]) == (reached[0]["timestamp"], reached[0]["price"])
    assert ex.fetch_balance()["BTC"]["total"] == 0


def test_a_trailing_stop_follows_the_best_trade_and_never_goes_back():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    order = ex.create_order(SYMBOL, "market", "sell", 0.01, None, {"trailingPercent": 0.3})
    triggers = [order["triggerPrice"]]
    while (now := ex.fetch_order(order["id"]))["status"] == "open":
        triggers.append(now["triggerPrice"])
        ex.advance(10_000)
    assert triggers == sorted(triggers)
    assert triggers[-1] > triggers[0]
    trades = ex.fetch_trades(SYMBOL, order["timestamp"] + 1, 100_000)
    best, expected = order["triggerPrice"] / 0.997, None
    for trade in trades:
        if trade["price"] <= max(best, 0) * 0.997 + 1e-9:
            expected = trade
            break
        best = max(best, trade["price"])
    assert expected is not None
    assert now["lastTradeTimestamp"] == expected["timestamp"]


def test_reduce_only_sells_no_more_than_there_is_and_ends_with_the_position():
    ex = exchange()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    protection = ex.create_order(
        SYMBOL, "market", "sell", 0.05, None, {"stopLossPrice": last(ex) * 0.9, "reduceOnly": True}
    )
    assert ex.fetch_balance()["BTC"]["used"] == 0
    sale = ex.create_order(SYMBOL, "market", "sell", 0.03, None, {"reduceOnly": True})
    assert (sale["filled"], sale["status"]) == (0.01, "closed")
    ended = ex.fetch_order(protection["id"])
    assert ended["status"] == "canceled"
    assert "position" in ended["info"]["reason"]


@pytest.mark.parametrize("tif", ["IOC", "FOK"])
def test_immediate_orders_fill_now_or_are_canceled_now(tif):
    ex = exchange()
    ask = ex.fetch_order_book(SYMBOL)["asks"][0][0]
    assert ex.create_order(SYMBOL, "limit", "buy", 0.01, ask, {"timeInForce": tif})["status"] == "closed"
    before = totals(ex)
    missed = ex.create_order(SYMBOL, "limit", "buy", 0.01, ask - 10, {"timeInForce": tif})
    assert (missed["status"], missed["filled"], missed["timeInForce"]) == ("canceled", 0, tif)
    assert totals(ex) == before


def test_a_post_only_order_rests_or_is_refused():
    ex = exchange()
    bid, ask = (ex.fetch_order_book(SYMBOL)[side][0][0] for side in ("bids", "asks"))
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, bid, {"postOnly": True})
    assert (order["status"], order["postOnly"], order["timeInForce"]) == ("open", True, "PO")
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="would take the ask"):
        ex.create_order(SYMBOL, "limit", "buy", 0.01, ask, {"timeInForce": "PO"})


def test_canceling_gives_back_what_was_held():
    ex = exchange()
    before = totals(ex)
    orders = [ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * k) for k in (0.9, 0.8)]
    other = ex.create_order("ETH/USDT", "limit", "buy", 0.1, last(ex, "ETH/USDT") * 0.9)
    assert ex.cancel_order(orders[0]["id"], SYMBOL)["status"] == "canceled"
    assert [o["id"] for o in ex.cancel_all_orders(SYMBOL)] == [orders[1]["id"]]
    assert [o["id"] for o in ex.fetch_open_orders()] == [other["id"]]
    assert ex.cancel_orders([other["id"]])[0]["status"] == "canceled"
    assert totals(ex) == before
    assert [o["status"] for o in ex.fetch_canceled_orders()] == ["canceled"] * 3


def test_one_client_order_id_is_one_order():
    ex = exchange()
    first = ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "mine-1"})
    after = totals(ex)
    ex.advance(5_000)
    again = ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "mine-1"})
    assert again["id"] == first["id"]
    assert totals(ex) == after
    assert len(ex.fetch_orders()) == len(ex.fetch_my_trades()) == 1
    assert ex.fetch_order("", None, {"clientOrderId": "mine-1"})["id"] == first["id"]
    with pytest.raises(ccxt.DuplicateOrderId, match="choose a new id"):
        ex.create_order(SYMBOL, "market", "buy", 0.02, None, {"clientOrderId": "mine-1"})


def test_the_name_of_a_refused_order_can_be_used_again():
    ex = exchange({"USDT": 200})
    with pytest.raises(ccxt.InsufficientFunds):
        ex.create_order(SYMBOL, "market", "buy", 1, None, {"clientOrderId": "mine"})
    assert (
        ex.create_order(SYMBOL, "market", "buy", 0.001, None, {"clientOrderId": "mine"})["status"] == "closed"
    )


def test_amounts_are_cut_to_the_lot_and_prices_rounded_to_the_tick():
    ex = exchange()
    price = last(ex) * 0.9
    order = ex.create_order(SYMBOL, "limit", "buy", 0.0123456789, price)
    assert (order["amount"], order["price"]) == (0.01234, round(price, 2))
    krw = ex.create_order("BTC/KRW", "limit", "buy", 0.001, last(ex, "BTC/KRW") * 0.9)
    assert krw["price"] % 1000 == 0


def test_edit_order_changes_the_order_and_keeps_its_id():
    ex = exchange()
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9)
    edited = ex.edit_order(order["id"], SYMBOL, "limit", "buy", 0.02, last(ex) * 0.8)
    assert (edited["id"], edited["amount"], edited["price"]) == (order["id"], 0.02, round(last(ex) * 0.8, 2))
    assert ex.fetch_balance()["USDT"]["used"] == pytest.approx(0.02 * edited["price"] * 1.001, abs=1e-7)
    crossing = ex.edit_order(order["id"], SYMBOL, "limit", "buy", None, last(ex) * 1.01)
    assert (crossing["status"], crossing["filled"]) == ("closed", 0.02)
    with pytest.raises(ccxt.OrderNotFound, match="it was filled"):
        ex.edit_order(order["id"], SYMBOL, "limit", "buy", 0.03)


def test_lists_are_chosen_by_symbol_time_and_number():
    ex = exchange()
    ids = []
    for symbol in (SYMBOL, "ETH/USDT", SYMBOL):
        ids.append(ex.create_order(symbol, "market", "buy", 0.01)["id"])
        ex.advance(1_000)
    middle = ex.fetch_order(ids[1])["timestamp"]
    assert [o["id"] for o in ex.fetch_orders(SYMBOL)] == [ids[0], ids[2]]
    assert [o["id"] for o in ex.fetch_orders(None, middle)] == ids[1:]
    assert [o["id"] for o in ex.fetch_orders(None, None, 2)] == ids[1:]
    assert [o["id"] for o in ex.fetch_orders(None, middle, 1)] == [ids[1]]
    assert [t["order"] for t in ex.fetch_my_trades(None, None, None, {"until": middle})] == [ids[0]]
    assert [t["order"] for t in ex.fetch_order_trades(ids[2])] == [ids[2]]


def test_on_bars_an_order_meets_only_bars_that_open_after_it():
    # the second bar falls to 90; whether before or after the order that arrives inside it, nobody knows
    ex = replay([(100, 100, 100, 100), (100, 101, 90, 100), (100, 100, 97, 100), (100, 100, 100, 100)])
    early = ex.create_order(SYMBOL, "limit", "buy", 0.1, 95)
    ex.advance(10_000)
    late = ex.create_order(SYMBOL, "limit", "buy", 0.1, 96)
    ex.advance(50_000)
    assert ex.fetch_order(early["id"])["status"] == "closed"
    assert ex.fetch_order(late["id"])["status"] == "open"
    ex.advance(60_000)
    assert ex.fetch_order(late["id"])["status"] == "open"
    third = ex.create_order(SYMBOL, "limit", "buy", 0.1, 98)
    assert third["status"] == "open"


def test_a_replay_that_has_ended_takes_no_orders():
    ex = replay([(100, 100, 100, 100)] * 3)
    assert ex.create_order(SYMBOL, "market", "buy", 0.1)["average"] == 100.01
    ex.advance(10 * 60_000)
    with pytest.raises(ccxt.MarketClosed, match="has ended"):
        ex.create_order(SYMBOL, "market", "sell", 0.1)
