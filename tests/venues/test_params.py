"""Each parameter of an order changes something: a scenario for every one that the exchange takes, with and without it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ccxt
import pytest
from venues.builders import FEED, exchange, last, replay

from twinstar_kit.venues.order_terms import LEG_PARAMS, ORDER_PARAMS

S, L = "BTC/USDT", "BTC/USDT:USDT"
MINUTE, HOUR = 60_000, 3_600_000
SCENARIOS: dict[str, Callable[[Any], None]] = {}
LEG_SCENARIOS: dict[str, Callable[[Any], None]] = {}


def changes(*names: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """This scenario shows what parameters do."""

    def keep(scenario: Callable[[Any], None]) -> Callable[[Any], None]:
        SCENARIOS.update(dict.fromkeys(names, scenario))
        return scenario

    return keep


def of_a_leg(*names: str) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """This scenario shows what keys of an attached order do."""

    def keep(scenario: Callable[[Any], None]) -> Callable[[Any], None]:
        LEG_SCENARIOS.update(dict.fromkeys(names, scenario))
        return scenario

    return keep


def rich(**options: Any) -> Any:
    """An exchange with money and coins in both wallets."""
    return exchange({"USDT": 100_000, "BTC": 5}, swap_balances={"USDT": 100_000}, leverage=10, **options)


def order(
    ex: Any,
    type: str,
    side: str,
    price: float | None = None,
    symbol: str = S,
    amount: Any = 0.01,
    **params: Any,
) -> Any:
    """An order of 0.01."""
    return ex.create_order(symbol, type, side, amount, price, params)  # fmt: skip


def until_done(ex: Any, made: Any, hours: int = 48) -> Any:
    """The order once it is no longer open."""
    for _ in range(hours * 60):
        now = ex.fetch_order(made["id"])
        if now["status"] != "open":
            return now
        ex.advance(MINUTE)
    raise AssertionError("nothing happened")


# -- names and lifetimes ----------------------------------------------------------------------------------------------


@changes("clientOrderId")
def a_name_makes_two_requests_one_order(ex):
    assert (
        order(ex, "market", "buy", clientOrderId="a")["id"]
        == order(ex, "market", "buy", clientOrderId="a")["id"]
    )
    assert order(ex, "market", "buy")["id"] != order(ex, "market", "buy")["id"]


@changes("timeInForce")
def immediate_or_cancel_does_not_rest(ex):
    price = last(ex) * 0.9
    assert order(ex, "limit", "buy", price)["status"] == "open"
    assert order(ex, "limit", "buy", price, timeInForce="IOC")["status"] == "canceled"


@changes("postOnly")
def post_only_does_not_take(ex):
    price = last(ex) * 1.01
    assert order(ex, "limit", "buy", price)["status"] == "closed"
    with pytest.raises(ccxt.OrderImmediatelyFillable):
        order(ex, "limit", "buy", price, postOnly=True)


@changes("expireTime", "goodTillDate")
def a_date_ends_an_order(ex):
    price, end = last(ex) * 0.5, ex.milliseconds() + MINUTE
    stays = order(ex, "limit", "buy", price)
    goes = [
        order(ex, "limit", "buy", price, timeInForce="GTD", **{name: end})
        for name in ("expireTime", "goodTillDate")
    ]
    ex.advance(2 * MINUTE)
    assert ex.fetch_order(stays["id"])["status"] == "open"
    ended = [ex.fetch_order(o["id"]) for o in goes]
    assert [(o["status"], o["lastUpdateTimestamp"]) for o in ended] == [("canceled", end)] * 2


# -- positions --------------------------------------------------------------------------------------------------------


@changes("reduceOnly")
def reduce_only_stops_at_flat(ex):
    order(ex, "market", "buy", symbol=L)
    assert order(ex, "market", "sell", symbol=L, amount=0.03, reduceOnly=True)["filled"] == 0.01
    assert ex.fetch_positions() == []
    order(ex, "market", "sell", symbol=L, amount=0.03)
    assert ex.fetch_position(L)["side"] == "short"


@changes("closePosition")
def close_position_takes_whatever_is_there_when_it_fires(ex):
    order(ex, "market", "buy", symbol=L)
    price = last(ex, L)
    fixed = order(ex, "market", "sell", symbol=L, stopLossPrice=price * 0.998, reduceOnly=True)
    whole = order(
        ex, "market", "sell", symbol=L, amount=None, stopLossPrice=price * 0.997, closePosition=True
    )
    order(ex, "market", "buy", symbol=L, amount=0.05)
    assert until_done(ex, fixed)["filled"] == 0.01
    assert until_done(ex, whole)["filled"] == 0.05
    assert ex.fetch_positions() == []


@changes("hedged", "positionSide")
def in_hedge_mode_a_side_chooses_the_position(ex):
    ex.set_position_mode(True)
    order(ex, "market", "buy", symbol=L, positionSide="LONG")
    order(
        ex, "market", "sell", symbol=L, hedged=True
    )  # a sale opens the short position where nothing else is said
    assert [(p["side"], p["contracts"]) for p in ex.fetch_positions()] == [("long", 0.01), ("short", 0.01)]
    order(ex, "market", "sell", symbol=L, positionSide="LONG")
    assert [p["side"] for p in ex.fetch_positions()] == ["short"]
    with pytest.raises(ccxt.InvalidOrder, match="not in hedge mode"):
        order(ex, "market", "buy", hedged=True)


@changes("marginMode")
def an_order_says_which_margin_it_counts_on(ex):
    assert order(ex, "market", "buy", symbol=L, marginMode="cross")["status"] == "closed"
    with pytest.raises(ccxt.InvalidOrder, match="is on cross margin"):
        order(ex, "market", "buy", symbol=L, marginMode="isolated")


# -- triggers and trails ----------------------------------------------------------------------------------------------


@changes("stopLossPrice", "takeProfitPrice")
def a_stop_waits_below_and_a_target_above(ex):
    price = last(ex)
    assert order(ex, "market", "sell")["status"] == "closed"
    stop = order(ex, "market", "sell", stopLossPrice=price * 0.998)
    target = order(ex, "market", "sell", takeProfitPrice=price * 1.002)
    assert [stop["status"], target["status"]] == ["open", "open"]
    begin = stop["timestamp"] + 1
    trades = FEED.trades(S, begin, begin + 48 * HOUR)
    for waiting, reached in (
        (stop, trades["price"] <= stop["stopLossPrice"] * 100),
        (target, trades["price"] >= target["takeProfitPrice"] * 100),
    ):
        assert until_done(ex, waiting)["info"]["triggered"] == trades["ts"][reached][0]  # fmt: skip


@changes("triggerPrice", "stopPrice")
def a_plain_trigger_waits_for_its_price(ex):
    price = last(ex) * 0.999
    for name in ("triggerPrice", "stopPrice"):
        made = order(ex, "market", "sell", **{name: price})
        assert (made["status"], made["triggerPrice"]) == ("open", round(price, 2))


@changes("triggerDirection")
def a_direction_says_what_a_plain_trigger_is(ex):
    price = last(ex)
    assert order(ex, "market", "sell", triggerPrice=price * 1.01)["takeProfitPrice"] is not None
    assert (
        order(ex, "market", "sell", triggerPrice=price * 1.01, triggerDirection="ascending")[
            "takeProfitPrice"
        ]
        is not None
    )
    with pytest.raises(ccxt.OrderImmediatelyFillable, match="must lie below"):
        order(ex, "market", "sell", triggerPrice=price * 1.01, triggerDirection="descending")


@changes("triggerPriceType")
def a_trigger_looks_at_the_price_that_it_is_told(ex):
    order(ex, "market", "buy", symbol=L, amount=0.03)
    stop = round(FEED.mark(L, ex.milliseconds()) / 10 * 0.998, 1)
    by_last, by_mark = (
        order(ex, "market", "sell", symbol=L, stopLossPrice=stop, triggerPriceType=by, reduceOnly=True)
        for by in ("last", "mark")
    )
    fired = [until_done(ex, o)["info"]["triggered"] for o in (by_last, by_mark)]
    trades = FEED.trades(L, by_last["timestamp"] + 1, fired[0] + 1)
    assert int(trades["ts"][trades["price"] <= stop * 10][0]) == fired[0]
    assert FEED.mark(L, fired[1]) / 10 <= stop
    assert fired[0] != fired[1]


@changes("trailingAmount", "trailingPercent")
def a_trail_follows_the_price(ex):
    price = last(ex)
    trails = [
        order(ex, "market", "sell", trailingAmount=400),
        order(ex, "market", "sell", trailingPercent=0.3),
    ]
    assert [t["triggerPrice"] for t in trails] == [
        pytest.approx(price - 400),
        pytest.approx(price * 0.997, abs=0.01),
    ]
    best = max(
        price,
        max(FEED.trades(S, trails[0]["timestamp"] + 1, trails[0]["timestamp"] + MINUTE + 1)["price"]) / 100,
    )
    ex.advance(MINUTE)
    now = [ex.fetch_order(t["id"])["triggerPrice"] for t in trails]
    assert now == [pytest.approx(best - 400), pytest.approx(best * 0.997, abs=0.01)]


@changes("trailingTriggerPrice")
def a_trail_may_begin_later(ex):
    at_once = order(ex, "market", "sell", trailingAmount=50)
    later = order(ex, "market", "sell", trailingAmount=50, trailingTriggerPrice=last(ex) * 1.01)
    assert (at_once["triggerPrice"] is None, later["triggerPrice"]) == (False, None)


@changes("limitOffset")
def a_trailing_limit_rests_beyond_its_trigger(ex):
    done = [until_done(ex, order(ex, "limit", "sell", trailingAmount=50, limitOffset=by)) for by in (5, 40)]
    assert [round(o["triggerPrice"] - o["price"], 2) for o in done] == [5, 40]


# -- what hangs on an order, what it may cost, and how much of it shows -----------------------------------------------


@changes("stopLoss", "takeProfit")
def what_is_attached_waits_for_the_entry(ex):
    price = last(ex)
    assert len([order(ex, "market", "buy"), *ex.fetch_open_orders()]) == 1
    order(
        ex, "market", "buy", stopLoss={"triggerPrice": price * 0.9}, takeProfit={"triggerPrice": price * 1.1}
    )
    stop, target = ex.fetch_open_orders()
    assert (stop["stopLossPrice"], target["takeProfitPrice"]) == (
        round(price * 0.9, 2),
        round(price * 1.1, 2),
    )
    assert (stop["reduceOnly"], stop["amount"]) == (True, 0.01)


@changes("cost")
def a_cost_buys_as_much_as_it_pays_for(ex):
    one, two = (order(ex, "market", "buy", amount=None, cost=cost) for cost in (1_000, 2_000))
    assert 990 < one["cost"] <= 1_000 < two["cost"] <= 2_000


def fills_at_a_touch(**params: Any) -> list[float]:
    """Fills of a large purchase that queues at the bid of a coarse grid of prices, in five minutes that only touch it."""
    ex = exchange({"KRW": 100_000_000}, queue="risk_averse")
    ex.advance(12_000)
    made = ex.create_order(
        "DOGE/KRW", "limit", "buy", 40_000, ex.fetch_order_book("DOGE/KRW")["bids"][0][0], params
    )
    ex.advance(5 * MINUTE)
    return [trade["amount"] for trade in ex.fetch_order(made["id"])["trades"]]


@changes("icebergAmount", "displayQty")
def an_iceberg_fills_tip_by_tip_and_queues_anew_with_each(ex):
    whole = fills_at_a_touch()
    assert max(whole) > 250
    for name in ("icebergAmount", "displayQty"):
        tips = fills_at_a_touch(**{name: 250})
        assert max(tips) <= 250
        assert 0 < sum(tips) < sum(whole)


@changes("hidden")
def a_hidden_order_has_no_place_in_the_queue(ex):
    assert sum(fills_at_a_touch()) > 0
    assert fills_at_a_touch(hidden=True) == []
    assert order(ex, "limit", "buy", last(ex) * 0.9, hidden=True)["info"]["hidden"] is True


@changes("selfTradePrevention")
def an_order_does_not_meet_ones_own(ex):
    ask = ex.fetch_order_book(S)["asks"][0][0]
    mine = order(ex, "limit", "sell", ask)
    assert order(ex, "limit", "buy", ask + 1, selfTradePrevention="EXPIRE_TAKER")["status"] == "canceled"
    assert ex.fetch_order(mine["id"])["status"] == "open"
    assert order(ex, "limit", "buy", ask + 1, selfTradePrevention="EXPIRE_BOTH")["status"] == "canceled"
    assert ex.fetch_order(mine["id"])["status"] == "canceled"
    assert order(ex, "limit", "buy", ask + 1, selfTradePrevention="NONE")["status"] == "closed"


# -- keys of an attached order ----------------------------------------------------------------------------------------


def legs(ex: Any, **attached: Any) -> list[Any]:
    """What hangs on a purchase."""
    entry = order(ex, "market", "buy", **attached)
    return [o for o in ex.fetch_open_orders() if o["info"].get("parent_id") == int(entry["id"])]


@of_a_leg("triggerPrice", "stopPrice")
def a_leg_has_a_trigger(ex):
    price = last(ex)
    for name in ("triggerPrice", "stopPrice"):
        (stop,) = legs(ex, stopLoss={name: price * 0.9})
        (target,) = legs(ex, takeProfit={name: price * 1.1})
        assert (stop["stopLossPrice"], target["takeProfitPrice"]) == (
            round(price * 0.9, 2),
            round(price * 1.1, 2),
        )
        assert (stop["type"], target["type"]) == ("market", "market")


@of_a_leg("price", "type")
def a_leg_may_be_a_limit(ex):
    price = last(ex)
    (stop,) = legs(ex, stopLoss={"triggerPrice": price * 0.9, "price": price * 0.89, "type": "limit"})
    assert (stop["type"], stop["price"], stop["triggerPrice"]) == (
        "limit",
        round(price * 0.89, 2),
        round(price * 0.9, 2),
    )
    (target,) = legs(ex, takeProfit={"price": price * 1.1})
    assert (target["type"], target["price"], target["triggerPrice"]) == ("limit", round(price * 1.1, 2), None)
    with pytest.raises(ccxt.InvalidOrder, match="go together"):
        legs(ex, stopLoss={"triggerPrice": price * 0.9, "price": price * 0.89, "type": "market"})


@of_a_leg("triggerPriceType")
def a_leg_may_look_at_the_mark(ex):
    price = last(ex, L)
    order(ex, "market", "buy", symbol=L, stopLoss={"triggerPrice": price * 0.9, "triggerPriceType": "mark"})
    (stop,) = ex.fetch_open_orders(L)
    assert stop["info"]["trigger_by"] == "MARK"
    with pytest.raises(ccxt.NotSupported, match="no mark price"):
        legs(ex, stopLoss={"triggerPrice": price * 0.9, "triggerPriceType": "mark"})


@of_a_leg("trailingAmount", "trailingPercent")
def a_leg_may_trail(ex):
    price = last(ex)
    (by_amount,) = legs(ex, stopLoss={"trailingAmount": 500})
    (by_percent,) = legs(ex, stopLoss={"trailingPercent": 2})
    assert by_amount["triggerPrice"] == pytest.approx(price - 500, abs=1)
    assert by_percent["triggerPrice"] == pytest.approx(price * 0.98, abs=1)
    assert until_done(ex, by_amount)["status"] == "closed"


# -- none is left out -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ORDER_PARAMS)
def test_a_parameter_changes_something(name):
    SCENARIOS[name](rich())


@pytest.mark.parametrize("name", LEG_PARAMS)
def test_a_key_of_an_attached_order_changes_something(name):
    LEG_SCENARIOS[name](rich())


def test_no_scenario_is_of_a_parameter_that_is_gone():
    assert set(SCENARIOS) == set(ORDER_PARAMS)
    assert set(LEG_SCENARIOS) == set(LEG_PARAMS)


def test_a_parameter_of_none_is_as_if_it_were_not_there():
    one, other = rich(), rich()
    given = dict.fromkeys((*ORDER_PARAMS, "leverage", "whatever"))
    assert one.create_order(S, "market", "buy", 0.01, None, given) == other.create_order(
        S, "market", "buy", 0.01
    )
    assert one.venue.journal_digest() == other.venue.journal_digest()


def test_on_bars_hidden_and_iceberg_are_taken_and_fill_by_the_same_rules():
    ex = replay([(100, 100, 100, 100), (100, 100, 90, 95), (95, 95, 95, 95)])
    made = [
        ex.create_order(S, "limit", "buy", 0.1, 95, params)
        for params in ({}, {"hidden": True}, {"icebergAmount": 0.05})
    ]
    ex.advance(2 * MINUTE)
    assert [ex.fetch_order(o["id"])["status"] for o in made] == ["closed"] * 3
