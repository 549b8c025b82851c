"""The queue at a price, against a slow reference: what a resting order must see before it fills."""

from __future__ import annotations

import math
import random
from decimal import Decimal as D

import pytest
from kernel.builders import Desk

from twinstar_kit.kernel.orders import Reason


class Reference:
    """What stands before and behind one order at one price, in whole lots; floats only in the models' weights."""

    def __init__(self, model: str, power: float, level: int) -> None:
        self.model, self.power, self.level = model, power, level
        self.ahead, self.traded = level, 0

    def weight(self, x: int) -> float:
        return math.log(1.0 + x) if self.model == "probability_log" else math.pow(float(x), self.power)

    def trade(self, qty: int) -> int:
        """How much of a trade reaches the order."""
        reaches = max(0, qty - self.ahead)
        self.ahead = max(0, self.ahead - qty)
        self.traded += qty
        return reaches

    def book(self, level: int) -> None:
        gone = self.level - level - self.traded
        if gone > 0 and self.model != "risk_averse":
            front, back = self.ahead, max(0, self.level - self.ahead)
            total = self.weight(front) + self.weight(back)
            self.ahead = max(0, front - int(gone * (self.weight(front) / total if total else 1.0)))
        self.ahead, self.level, self.traded = min(self.ahead, level), level, 0


@pytest.mark.parametrize("model", ["risk_averse", "probability_log", "probability_power"])
@pytest.mark.parametrize("seed", range(4))
def test_the_place_in_the_queue_agrees_with_the_reference(model, seed) -> None:
    chance = random.Random(seed)
    d = Desk(
        {"USDT": 10**6},
        fee_maker=0,
        fee_taker=0,
        liquidity="bounded",
        queue=model,
        queue_power=2,
        engine={"levels": 3},
    ).last(100)
    lots = 40
    d.levels(("bid", 99, lots), ("ask", 101, 5))
    order = d.send("buy", "limit", 30, 99)
    d.levels(("ask", 101, 6))
    one = 10**8
    ref = Reference(model, 2.0, lots * one)
    left = 30 * one
    for _ in range(60):
        if chance.random() < 0.5:
            amount = chance.randint(1, 4)
            got = d.trade(99, amount, "sell")
            reaches = min(ref.trade(amount * one), left) // (10**5) * 10**5
            assert sum(int(f[2] * one) for f in got) == reaches
            left -= reaches
        else:
            lots = max(1, lots + chance.randint(-6, 4))
            d.levels(("bid", 99, lots))
            if lots * one != ref.level:
                ref.book(lots * one)
        o = d.order(order)
        if o is None:
            assert left == 0
            break
        assert o["ahead"] == ref.ahead
    assert left < 30 * one, "the walk never reached the order"


def queued(model: str, **terms) -> tuple[Desk, int]:
    d = Desk({"USDT": 10_000}, liquidity="bounded", queue=model, engine={"levels": 3}).last(100)
    d.book([(99, 5), (98, 7)], [(101, 5)])
    order = d.send("buy", "limit", 2, terms.pop("price", 99), **terms)
    d.book([(99, 5), (98, 7)], [(101, 5)])
    return d, order


def test_without_a_queue_model_a_touch_never_fills() -> None:
    d, _ = queued("none")
    assert d.trade(99, 100, "sell") == []
    assert d.trade("98.99", 1, "sell") == [("buy", D(99), D(1))]


@pytest.mark.parametrize("model", ["risk_averse", "probability_log", "probability_power"])
def test_a_trade_through_the_price_fills_in_every_model(model) -> None:
    d, _ = queued(model)
    assert d.trade("98.99", 9, "sell") == [("buy", D(99), D(2))]
    assert d.met() == [Reason.MET_TRADE]


def test_trades_of_its_own_side_do_not_move_the_queue() -> None:
    d, order = queued("risk_averse")
    d.trade(99, 4, "buy")
    assert d.order(order)["ahead"] == 5 * 10**8
    d.trade(99, 4)  # the side is not known: it may have been a seller
    assert d.order(order)["ahead"] == 1 * 10**8


def test_cancels_happen_behind_a_risk_averse_order_and_partly_before_the_others() -> None:
    ahead = {}
    for model in ("risk_averse", "probability_log", "probability_power"):
        d, order = queued(model)
        d.levels(("bid", 99, 9))  # four more came behind it
        d.levels(("bid", 99, 7))  # and two canceled
        ahead[model] = int(d.order(order)["ahead"])
    assert ahead["risk_averse"] == 5 * 10**8
    assert 3 * 10**8 < ahead["probability_power"] < ahead["probability_log"] < 5 * 10**8


def test_a_whole_book_tells_the_queue_as_much_as_a_change_does() -> None:
    d, order = queued("probability_log")
    e, other = queued("probability_log")
    d.levels(("bid", 99, 3))
    e.book([(99, 3), (98, 7)], [(101, 5)])
    assert d.order(order)["ahead"] == e.order(other)["ahead"] == 3 * 10**8


def test_deeper_than_the_known_book_an_order_does_not_know_its_place() -> None:
    d, order = queued("risk_averse", price=97)
    assert d.order(order)["ahead"] == -1
    assert d.trade(97, 50, "sell") == []
    d.book([(98, 1), (97, 3)], [(101, 5)])
    assert d.order(order)["ahead"] == 3 * 10**8


def test_at_a_price_where_nothing_rests_it_is_the_first() -> None:
    d, order = queued("risk_averse", price="98.50")
    assert d.order(order)["ahead"] == 0
    assert d.trade("98.50", 1, "sell") == [("buy", D("98.50"), D(1))]
    assert d.met() == [Reason.MET_QUEUE]


def test_two_orders_at_one_price_share_what_reaches_them() -> None:
    d, first = queued("risk_averse")
    second = d.send("buy", "limit", 2, 99)
    d.book([(99, 5), (98, 7)], [(101, 5)])
    assert d.trade(99, 6, "sell") == [("buy", D(99), D(1))]
    assert d.trade(99, 2, "sell") == [("buy", D(99), D(1)), ("buy", D(99), D(1))]
    assert d.order(first) is None
    assert d.leaves(second) == 1
