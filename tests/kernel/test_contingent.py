"""Orders that hang on each other: one cancels the other, one triggers the other, brackets, and what a partial fill does to them."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import PERP, Desk

from twinstar_kit.kernel.orders import OrdStatus, Reason

PAIR = 7


def perp(**broker) -> Desk:
    return Desk(instrument=PERP, fee_maker=0, fee_taker=0, leverage=10, liquidity="bounded", **broker).last(
        100
    )


def bracket(d: Desk, amount=2, entry=99) -> tuple[int, int, int]:
    """An entry with a take-profit at 110 and a stop at 90."""
    parent = d.send("buy", "limit", amount, entry)
    target = d.send("sell", "limit", amount, 110, parent_id=parent, link_id=PAIR, reduce_only=True)
    stop = d.send("sell", "stop", amount, 90, parent_id=parent, link_id=PAIR, reduce_only=True)
    return parent, target, stop


# --- one cancels the other ----------------------------------------------------------------------------------------


def test_a_partial_fill_of_one_cancels_the_other() -> None:
    d = perp()
    low = d.send("buy", "limit", 2, 95, link_id=PAIR)
    high = d.send("buy", "stop", 2, 105, link_id=PAIR)
    d.trade(100, 1)
    assert d.trade(94, 1) == [("buy", D(95), D(1))]
    assert d.order(high) is None
    assert d.leaves(low) == 1
    assert d.reasons() == [Reason.LINKED_ORDER_FILLED]


def test_linked_orders_that_only_reduce_shrink_each_other() -> None:
    d = perp()
    d.send("buy", "market", 5)
    d.trade(100, 5)
    target = d.send("sell", "limit", 5, 110, link_id=PAIR, reduce_only=True)
    stop = d.send("sell", "stop", 5, 90, link_id=PAIR, reduce_only=True)
    d.trade(100, 1)
    d.trade(111, 2)
    assert (d.leaves(target), d.leaves(stop), d.position()) == (3, 3, 3)
    assert d.trade(89, 50) == [("sell", D(89), D(3))]
    assert d.open_ids() == []


def test_a_link_between_three_orders_ends_all_others() -> None:
    d = perp()
    ids = [d.send("buy", "limit", 1, p, link_id=PAIR) for p in (97, 96, 95)]
    alone = d.send("buy", "limit", 1, 94)
    d.trade(100, 1)
    d.trade("96.50", 5)
    assert d.open_ids() == [alone]
    assert d.reasons() == [Reason.LINKED_ORDER_FILLED] * 2
    assert ids


# --- one triggers the other ---------------------------------------------------------------------------------------


def test_a_child_waits_and_holds_nothing_until_its_parent_fills() -> None:
    d = perp()
    parent = d.send("buy", "limit", 2, 99)
    child = d.send("buy", "limit", 2, 97, parent_id=parent)
    held = d.held("USDT")
    assert d.order(child)["status"] == OrdStatus.DORMANT
    assert held == 2 * 99 / D(10)
    d.trade(100, 1)
    assert d.trade(96, 1) == [("buy", D(99), D(1))], "the child met nothing while it waited"
    assert d.order(child)["status"] == OrdStatus.WORKING
    assert d.leaves(child) == 1, "it covers what filled"


def test_a_child_ends_with_a_parent_that_ends_without_a_fill() -> None:
    d = perp()
    parent, *_ = bracket(d)
    d.cancel(parent)
    assert d.open_ids() == []
    assert d.reasons() == [Reason.REQUESTED, Reason.PARENT_ENDED, Reason.PARENT_ENDED]


def test_a_child_that_comes_after_a_partial_fill_works_at_once() -> None:
    d = perp()
    parent = d.send("buy", "limit", 2, 99)
    d.trade(100, 1)
    d.trade(98, 1)
    stop = d.send("sell", "stop", 2, 90, parent_id=parent, reduce_only=True)
    assert d.order(stop)["status"] == OrdStatus.WORKING
    assert d.leaves(stop) == 1
    d.trade(98, 1)
    assert d.leaves(stop) == 2


@pytest.mark.parametrize("how", ["of nothing", "of one that waits itself"])
def test_a_child_needs_a_parent_that_works(how) -> None:
    d = perp()
    parent = 99
    if how != "of nothing":
        parent = d.send("buy", "limit", 1, 90, parent_id=d.send("buy", "limit", 1, 95))
    d.send("buy", "limit", 1, 90, parent_id=parent)
    assert d.reasons() == [Reason.UNKNOWN_ORDER if how == "of nothing" else Reason.INVALID_TERMS]


def test_a_child_that_cannot_be_paid_is_canceled_when_it_is_armed_and_its_sibling_stands() -> None:
    d = Desk({"USDT": 31}, PERP, fee_maker=0, fee_taker=0, leverage=10).last(100)
    parent = d.send("buy", "limit", 1, 99)
    poor = d.send("buy", "limit", 1, 97, parent_id=parent)
    second = d.send("buy", "limit", 1, 96, parent_id=parent)
    third = d.send("buy", "limit", 1, 95, parent_id=parent)
    d.trade(100)
    d.trade(98)
    # 31 less 9.9 for the position, less the 1 that it is down, less 9.7 and 9.6
    assert d.open_ids() == [poor, second]
    assert d.reasons() == [Reason.INSUFFICIENT_BALANCE]
    assert third


# --- brackets and partial fills -----------------------------------------------------------------------------------


def test_the_stop_covers_exactly_what_filled() -> None:
    d = perp()
    _, target, stop = bracket(d, 3)
    d.trade(100, 1)
    for filled in (1, 2, 3):
        d.trade(98, 1)
        assert (d.leaves(target), d.leaves(stop), d.position()) == (filled,) * 3
    assert d.trade(89, 50) == [("sell", D(89), D(3))]
    assert d.open_ids() == []
    assert d.position() == 0


def test_the_stop_stays_exact_when_the_target_fills_in_between() -> None:
    d = perp()
    parent, target, stop = bracket(d, 4)
    d.trade(100, 1)
    d.trade(98, 2)
    d.trade(111, 1)  # the target closes one of two
    assert (d.leaves(target), d.leaves(stop), d.position()) == (1, 1, 1)
    d.trade(98, 1)  # and the entry goes on
    assert (d.leaves(target), d.leaves(stop), d.position()) == (2, 2, 2)
    assert d.leaves(parent) == 1


def test_when_the_exit_is_done_the_rest_of_the_entry_must_not_open_it_again() -> None:
    d = perp()
    bracket(d, 2)
    d.trade(100, 1)
    d.trade(98, 1)
    assert d.trade(111, 5) == [("sell", D(110), D(1))]
    assert d.open_ids() == [], "neither stop nor entry is left"
    assert d.trade(98, 5) == []
    assert d.position() == 0


def test_a_canceled_rest_of_the_entry_leaves_the_stop_on_what_filled() -> None:
    d = perp()
    parent, target, stop = bracket(d, 2)
    d.trade(100, 1)
    d.trade(98, 1)
    d.cancel(parent)
    assert d.open_ids() == [target, stop]
    assert d.leaves(stop) == d.position() == 1


def test_a_bracket_inside_one_bar() -> None:
    d = Desk(instrument=PERP, fee_maker=0, fee_taker=0, path="open_low_high_close").last(100)
    bracket(d)
    assert d.bar(100, 112, 98, 105) == [("buy", D(99), D(2)), ("sell", D(110), D(2))]
    assert d.open_ids() == []
    # the other way round the stop comes first
    d = Desk(instrument=PERP, fee_maker=0, fee_taker=0, path="open_low_high_close").last(100)
    bracket(d)
    assert d.bar(100, 112, 89, 105) == [("buy", D(99), D(2)), ("sell", D(90), D(2))]


def test_a_trailing_child_begins_where_its_parent_filled() -> None:
    d = perp()
    parent = d.send("buy", "limit", 1, 99)
    trail = d.send("sell", "trail", 1, trail=3, parent_id=parent, reduce_only=True)
    d.trade(120, 1)
    d.trade(98, 1)
    assert d.order(trail)["stop_px"] == d.units(96)


def test_a_spot_bracket_sells_the_coins_that_came() -> None:
    d = Desk({"USDT": 1000}, fee_maker=0, fee_taker=0, liquidity="bounded").last(100)
    _, target, stop = bracket(d, 2)
    d.trade(100, 1)
    d.trade(98, 1)
    assert d.leaves(target) == d.leaves(stop) == 1
    assert d.trade(89, 9) == [("sell", D(89), D(1))]
    assert d.open_ids() == []
    assert d.free("BTC") == 0
