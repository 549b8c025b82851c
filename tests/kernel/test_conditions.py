"""Conditions of orders: post-only, reduce-only, close-position, iceberg, hidden, self-trade prevention."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import PERP, Desk

from twinstar_kit.kernel.orders import Reason, SelfTrade


def desk(**broker) -> Desk:
    return Desk(
        {"USDT": 100_000, "BTC": 100},
        fee_maker=0,
        fee_taker=0,
        liquidity="bounded",
        engine={"levels": 5},
        **broker,
    ).last(100)


def perp(**broker) -> Desk:
    return Desk(instrument=PERP, fee_maker=0, fee_taker=0, leverage=10, **broker).last(100)


# --- post-only --------------------------------------------------------------------------------------------------


def test_post_only_rests_or_is_canceled_by_the_book() -> None:
    d = desk()
    taker = d.send("buy", "limit", 1, 100, post_only=True)
    maker = d.send("buy", "limit", 1, "99.99", post_only=True)
    assert d.book([(99, 1)], [(100, 1)]) == []
    assert d.open_ids() == [maker]
    assert d.reasons() == [Reason.WOULD_TAKE]
    assert taker == 1


def test_post_only_never_takes_on_bars_and_trades_either() -> None:
    d = desk()
    d.send("buy", "limit", 1, 102, post_only=True)
    assert d.bar(101, 103, 100, 101, volume=1000) == []
    d.send("buy", "limit", 1, 102, post_only=True)
    assert d.trade(101, 5) == []
    assert d.reasons() == [Reason.WOULD_TAKE] * 2
    # one that the price comes to is a maker
    d.send("buy", "limit", 1, 95, post_only=True)
    assert d.bar(101, 103, 94, 101, volume=1000) == [("buy", D(95), D(1))]


@pytest.mark.parametrize(("kind", "terms"), [("market", {}), ("limit", {"price": 99, "time_in_force": 1})])
def test_post_only_belongs_to_limits_that_rest(kind, terms) -> None:
    d = desk()
    d.send("buy", kind, 1, terms.pop("price", None), post_only=True, **terms)
    assert d.reasons() == [Reason.INVALID_TERMS]


# --- reduce-only and close-position -------------------------------------------------------------------------------


def test_reduce_only_is_cut_to_the_position_and_never_turns_it() -> None:
    d = perp()
    d.send("buy", "market", 1)
    d.trade(100)
    d.send("sell", "market", 5, reduce_only=True)
    assert d.trade(100) == [("sell", D(100), D(1))]
    assert d.position() == 0


def test_reduce_only_shrinks_with_the_position_and_ends_with_it() -> None:
    d = perp()
    d.send("buy", "market", 5)
    d.trade(100)
    stop = d.send("sell", "stop", 5, 90, reduce_only=True)
    whole = d.send("sell", "stop", None, 85, close_position=True)
    d.send("sell", "market", 2)
    d.trade(100)
    assert d.leaves(stop) == 3
    assert Reason.SHRANK_WITH_POSITION in d.reasons()
    d.send("sell", "market", 3)
    d.trade(100)
    assert d.open_ids() == []
    assert d.reasons()[-2:] == [Reason.POSITION_CLOSED] * 2
    assert whole


def test_close_position_takes_whatever_is_there_when_it_fires() -> None:
    d = perp()
    d.send("buy", "market", 1)
    d.trade(100)
    d.send("sell", "stop", None, 90, close_position=True)
    d.send("buy", "market", 2)
    d.trade(100)
    assert d.trade(89) == [("sell", D(89), D(3))]
    assert d.position() == 0


def test_there_must_be_something_to_reduce() -> None:
    d = perp()
    d.send("sell", "market", 1, reduce_only=True)
    d.send("buy", "market", 1)
    d.trade(100)
    d.send("buy", "limit", 1, 90, reduce_only=True)
    assert d.reasons() == [Reason.NO_POSITION] * 2


# --- iceberg and hidden -------------------------------------------------------------------------------------------


def test_an_iceberg_fills_tip_by_tip_and_queues_anew_with_each() -> None:
    d = desk(queue="risk_averse")
    d.book([(99, 4), (98, 1)], [(101, 5)])
    order = d.send("buy", "limit", 5, 99, show=2)
    d.book([(99, 4), (98, 1)], [(101, 5)])
    assert d.trade(99, 5, "sell") == [("buy", D(99), D(1))]  # 4 stood before it
    assert d.trade(99, 9, "sell") == [("buy", D(99), D(1))]  # no more than is left of the tip
    assert d.trade(99, 9, "sell") == [], "the next tip has not queued yet"
    d.levels(("bid", 99, 3))
    assert d.trade(99, 4, "sell") == [("buy", D(99), D(1))]
    assert d.leaves(order) == 2


def test_a_trade_through_an_iceberg_takes_all_of_it() -> None:
    d = desk()
    d.book([(99, 1)], [(101, 5)])
    d.send("buy", "limit", 5, 99, show=1)
    d.book([(99, 1)], [(101, 5)])
    assert d.trade(98, 20, "sell") == [("buy", D(99), D(5))]


def test_a_hidden_order_has_no_place_in_the_queue() -> None:
    d = desk(queue="risk_averse")
    d.book([(99, 1)], [(101, 5)])
    d.send("buy", "limit", 1, 99, hidden=True)
    d.book([(99, 1)], [(101, 5)])
    assert d.trade(99, 50, "sell") == []
    assert d.trade("98.99", 1, "sell") == [("buy", D(99), D(1))]


@pytest.mark.parametrize(
    "terms",
    [{"show": 1}, {"show": 2}, {"show": "0.5", "hidden": True}, {"show": "0.5", "time_in_force": 1}],
)
def test_an_iceberg_hides_something_and_rests(terms) -> None:
    d = desk()
    d.send("buy", "limit", 1, 90, **terms)
    assert d.reasons() == [Reason.INVALID_TERMS]


# --- self-trade ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "maker_stands", "fills"),
    [
        (SelfTrade.NONE, True, [D(100), D(102)]),
        (SelfTrade.EXPIRE_TAKER, True, [D(100)]),
        (SelfTrade.EXPIRE_MAKER, False, [D(100), D(102)]),
        (SelfTrade.EXPIRE_BOTH, False, [D(100)]),
    ],
)
def test_an_order_that_would_meet_one_of_its_own_account(mode, maker_stands, fills) -> None:
    d = desk()
    own = d.send("sell", "limit", 1, 101)
    d.book([(99, 1)], [(100, 1), (102, 9)])
    # it takes the level before its own order, then comes to that
    taker = d.send("buy", "market", 3, self_trade=mode)
    assert [f[1] for f in d.book([(99, 1)], [(100, 1), (102, 9)])] == fills
    assert (d.order(own) is not None) is maker_stands
    assert d.order(taker) is None
    assert d.reasons().count(Reason.SELF_TRADE) == {0: 0, 1: 1, 2: 1, 3: 2}[mode]


def test_an_own_order_before_the_book_counts_though_the_book_is_not_reached() -> None:
    d = desk()
    own = d.send("sell", "limit", 1, 101)
    d.book([(99, 1)], [(103, 9)])
    new = d.send("buy", "limit", 1, 102, self_trade=SelfTrade.EXPIRE_MAKER)
    d.book([(99, 1)], [(103, 9)])
    assert d.open_ids() == [new]
    assert own == 1


def test_what_the_limit_does_not_reach_is_left_alone() -> None:
    d = desk()
    own = d.send("sell", "limit", 1, 104)
    d.book([(99, 1)], [(100, 1), (105, 9)])
    d.send("buy", "limit", 5, 103, self_trade=SelfTrade.EXPIRE_BOTH)
    d.book([(99, 1)], [(100, 1), (105, 9)])
    assert d.order(own) is not None
    assert Reason.SELF_TRADE not in d.reasons()
