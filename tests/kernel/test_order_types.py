"""Order types: what fires each, where it fills, and which price its trigger looks at."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import Desk

from twinstar_kit.kernel.orders import Reason, TriggerBy


def desk(**broker) -> Desk:
    return Desk({"USDT": 10_000, "BTC": 10}, fee_maker=0, fee_taker=0, **broker).last(100)


# --- triggers ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "kind", "trigger", "bar", "price"),
    [
        # a stop waits for the price to go against its side
        ("buy", "stop", 105, (100, 106, 99, 100), 105),
        ("sell", "stop", 95, (100, 101, 94, 100), 95),
        # an order if touched waits for it to come
        ("buy", "touch", 95, (100, 101, 94, 100), 95),
        ("sell", "touch", 105, (100, 106, 99, 100), 105),
        # a market that opens beyond the trigger fills at the open
        ("buy", "stop", 105, (107, 108, 99, 100), 107),
        ("sell", "touch", 105, (107, 108, 99, 100), 107),
        ("buy", "touch", 95, (93, 101, 92, 100), 93),
        # reaching it exactly is enough, one tick less is not
        ("buy", "touch", 95, (100, 101, 95, 100), 95),
        ("buy", "touch", 95, (100, 101, "95.01", 100), None),
        ("sell", "touch", 105, (100, "104.99", 99, 100), None),
    ],
)
def test_a_trigger_fires_when_reached_and_works_on_as_a_market_order(side, kind, trigger, bar, price) -> None:
    d = desk()
    d.send(side, kind, 1, trigger)
    assert d.bar(*bar) == ([] if price is None else [(side, D(price), D(1))])
    assert ("TRIGGERED" in d.kinds()) is (price is not None)


def test_a_stop_limit_rests_at_its_limit_when_the_market_has_gone_through() -> None:
    d = desk(path="open_low_high_close")
    order = d.send("sell", "stop_limit", 1, 96, stop=95)
    # fires at 95, below its limit of 96; later in the bar the price comes back through 96
    assert d.bar(100, 101, 94, "95.5") == [("sell", D(96), D(1))]
    assert d.order(order) is None
    d = desk()
    order = d.send("sell", "stop_limit", 1, 94, stop=95)
    assert d.bar(90, 92, 89, 91) == [], "opened below its limit: it rests"
    assert d.order(order)["works_as"] == 2
    assert d.bar(91, "94.01", 90, 92) == [("sell", D(94), D(1))]


def test_a_limit_if_touched_fires_and_then_is_a_limit_order() -> None:
    d = desk(path="open_high_low_close")
    d.send("sell", "touch_limit", 1, 107, stop=105)
    assert d.bar(100, 106, 99, 100) == []
    assert d.kinds().count("TRIGGERED") == 1
    assert d.bar(100, 108, 99, 100) == [("sell", D(107), D(1))]


def test_an_order_that_fires_on_the_way_to_its_limit_is_its_maker() -> None:
    d = Desk({"USDT": 0, "BTC": 1}, fee_maker=0, fee_taker="0.001").last(100)
    d.send("sell", "touch_limit", 1, 107, stop=105)
    d.bar(100, 110, 99, 100)
    assert d.free("USDT") == 107


@pytest.mark.parametrize("by", [TriggerBy.MARK, TriggerBy.BID_ASK])
def test_until_a_mark_or_a_quote_is_known_triggers_look_at_the_last_trade(by) -> None:
    d = desk()
    d.send("sell", "stop", 1, 95, trigger_by=by)
    assert d.trade(95) == [("sell", D(95), D(1))]


def test_a_trigger_by_mark_ignores_trades_and_bars_once_there_is_a_mark() -> None:
    d = desk()
    d.mark(100)
    d.send("sell", "stop", 1, 95, trigger_by=TriggerBy.MARK)
    assert d.trade(90) == []
    assert d.bar(90, 91, 80, 90) == []
    assert d.mark("95.01") == []
    d.mark(95)
    assert d.kinds()[-1] == "TRIGGERED"
    assert d.trade(89) == [("sell", D(89), D(1))]


def test_a_trigger_by_quote_looks_at_the_ask_for_buys_and_the_bid_for_sells() -> None:
    d = desk()
    d.quote(99, 101)
    d.send("buy", "stop", 1, 105, trigger_by=TriggerBy.BID_ASK)
    d.send("sell", "stop", 1, 95, trigger_by=TriggerBy.BID_ASK)
    assert d.trade(106) == []
    assert d.trade(94) == []
    assert d.quote(104, "104.99") == []
    assert d.quote(103, 105) == [("buy", D(105), D(1))]
    assert d.quote(95, 97) == [("sell", D(95), D(1))]


def test_a_trigger_that_is_passed_when_the_order_comes_fires_with_the_next_data() -> None:
    d = desk()
    d.send("buy", "stop", 1, 90)
    assert d.trade(100) == [("buy", D(100), D(1))]


# --- trailing stops ---------------------------------------------------------------------------------------------


def trails(side: str, prices: list[str], distance: D = D(0), rate: D = D(0)) -> tuple[int, D] | None:
    """Reference: the number of the trade that fires a trailing stop begun at the first price, and its trigger."""
    sign = 1 if side == "buy" else -1
    best, trigger = None, None
    for n, text in enumerate(prices):
        price = D(text)
        if trigger is not None and (price - trigger) * sign >= 0:
            return n, trigger
        if best is None or (price - best) * sign < 0:
            best = price
            exact = best + sign * (distance or (best * rate))
            # to the next tick against the account
            steps = exact / D("0.01")
            trigger = D("0.01") * (
                steps.to_integral_value("ROUND_CEILING" if sign > 0 else "ROUND_FLOOR") if rate else steps
            )
    return None


WALKS = [
    ["100", "101.37", "103.11", "102.90", "104.99", "103.02", "101.96", "100.01"],
    ["100", "97.77", "99.50", "96.31", "97.70", "98.24", "99.01"],
    ["100", "100.01", "99.99", "100.02", "97.99"],
]


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("prices", WALKS)
@pytest.mark.parametrize("how", [{"trail": 2}, {"trail": "0.05"}, {"rate": 0.0123}, {"rate": 0.02}])
def test_a_trailing_stop_fires_where_a_decimal_loop_says(side, prices, how) -> None:
    d = desk()
    order = d.send(side, "trail", 1, **how)
    expected = trails(side, prices, D(str(how.get("trail", 0))), D(str(how.get("rate", 0))))
    found = None
    for n, price in enumerate(prices):
        before = d.order(order)
        if d.trade(price):
            found = n, d.price(before["stop_px"])
            break
    assert found == expected


def test_a_trailing_stop_waits_for_its_activation_price() -> None:
    d = desk()
    order = d.send("sell", "trail", 1, trail=3, activation=105)
    assert d.trade(96) == d.trade(90) == d.trade("104.99") == []
    assert d.trade(105) == []
    assert d.order(order)["stop_px"] == d.units(102)
    assert d.trade(107) == []
    assert d.trade(104) == [("sell", D(104), D(1))]


def test_a_trailing_stop_limit_fires_with_a_limit_beyond_its_trigger() -> None:
    d = desk()
    order = d.send("sell", "trail_limit", 1, trail=2, offset="0.50")
    d.trade(103)
    assert d.bar(103, 103, "100.90", "100.95") == [("sell", D(101), D(1))]
    d = desk()
    order = d.send("sell", "trail_limit", 1, trail=2, offset="0.50")
    d.trade(103)
    assert d.bar(98, 99, 97, 98) == [], "a gap beyond the limit leaves it resting"
    assert d.order(order)["price"] == d.units("100.50")


def test_a_trail_by_mark_follows_the_mark_alone() -> None:
    d = desk()
    d.mark(100)
    order = d.send("sell", "trail", 1, trail=2, trigger_by=TriggerBy.MARK)
    d.trade(150)
    assert d.order(order)["stop_px"] == d.units(98)
    d.mark(110)
    assert d.order(order)["stop_px"] == d.units(108)


@pytest.mark.parametrize(
    ("kind", "terms"),
    [
        ("trail", {}),
        ("trail", {"trail": 1, "rate": 0.1}),
        ("trail", {"rate": 1.5}),
        ("stop", {}),
        ("stop_limit", {"price": 90}),
        ("stop_limit", {"stop": 90}),
    ],
)
def test_a_trigger_without_its_price_is_refused(kind, terms) -> None:
    d = desk()
    d.send("sell", kind, 1, terms.pop("price", None), **terms)
    assert d.reasons() == [Reason.INVALID_PRICE]


def test_terms_of_another_type_are_refused_rather_than_dropped() -> None:
    d = desk()
    d.send("sell", "limit", 1, 110, trail=1)
    d.send("sell", "market", 1, activation=90)
    d.send("sell", "stop", 1, 90, time_in_force=1)
    assert d.reasons() == [Reason.INVALID_TERMS] * 3
