"""Amending: what keeps an order's place, what loses it, what it holds afterwards, and what is refused."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import Desk

from twinstar_kit.kernel.orders import Reason, TimeInForce


def desk(**broker) -> Desk:
    return Desk(
        {"USDT": 10_000, "BTC": 10}, fee_maker=0, fee_taker="0.001", engine={"levels": 5}, **broker
    ).last(100)


def queued() -> tuple[Desk, int]:
    """A buy of 2 that has two before it in the queue."""
    d = desk(liquidity="bounded", queue="risk_averse")
    d.book([(99, 5)], [(101, 5)])
    order = d.send("buy", "limit", 2, 99)
    d.book([(99, 5)], [(101, 5)])
    d.trade(99, 3, "sell")
    return d, order


def test_an_amount_that_shrinks_keeps_its_place() -> None:
    d, order = queued()
    assert d.amend(order, amount=1) is Reason.NONE
    assert d.trade(99, 3, "sell") == [("buy", D(99), D(1))]
    assert d.order(order) is None


@pytest.mark.parametrize("change", [{"amount": 3}, {"price": "98.50"}])
def test_any_other_change_goes_to_the_back(change) -> None:
    d, order = queued()
    other = d.send("buy", "limit", 1, 98)
    assert d.amend(order, **change) is Reason.NONE
    assert d.open_ids() == [other, order]
    d.book([(99, 5), ("98.50", 4)], [(101, 5)])
    assert d.trade(change.get("price", 99), 3, "sell") == []


def test_what_is_held_follows_the_amendment() -> None:
    d = desk()
    order = d.send("buy", "limit", 10, 90)
    for change, held in (
        ({"amount": 4}, 4 * 90),
        ({"amount": 6}, 6 * 90),
        ({"price": 50}, 6 * 50),
        ({"price": 95}, 6 * 95),
    ):
        assert d.amend(order, **change) is Reason.NONE
        assert d.held("USDT") == held * D("1.001")
        assert d.free("USDT") + d.held("USDT") == 10_000
    d.cancel(order)
    assert d.held("USDT") == 0


def test_an_amended_price_that_crosses_takes() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 90)
    d.quote(99, 100)
    d.amend(order, price=100)
    assert d.quote(99, 100) == [("buy", D(100), D(1))]
    assert d.fees() == D("0.1")


def test_after_a_partial_fill_the_amount_counts_what_has_filled() -> None:
    d = desk(liquidity="bounded")
    order = d.send("buy", "limit", 5, 99)
    d.book([(98, 1)], [(101, 1)])
    d.trade(98, 2, "sell")
    assert d.leaves(order) == 3
    assert d.amend(order, amount=2) is Reason.INVALID_AMOUNT
    assert d.amend(order, amount=3) is Reason.NONE
    assert d.leaves(order) == 1


def test_a_trigger_and_a_trail_can_be_moved_until_they_fire() -> None:
    d = desk()
    stop = d.send("sell", "stop", 1, 90)
    assert d.amend(stop, stop_px=d.units(95)) is Reason.NONE
    assert d.trade(94) == [("sell", D(94), D(1))]
    trail = d.send("sell", "trail", 1, trail=5)
    d.trade(100)
    d.amend(trail, trail=d.units(2))
    assert d.order(trail)["stop_px"] == d.units(98)
    d.amend(trail, trail_rate=10**7)
    assert d.order(trail)["stop_px"] == d.units(90)
    limit = d.send("sell", "stop_limit", 1, 99, stop=95)
    d.bar(94, 95, 93, 94)
    assert d.amend(limit, stop_px=d.units(90)) is Reason.INVALID_TERMS
    assert d.amend(limit, price=98) is Reason.NONE


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"amount": 1000}, Reason.INSUFFICIENT_BALANCE),
        ({"qty": 0}, Reason.INVALID_AMOUNT),
        ({"qty": 150_000}, Reason.OFF_LOT),
        ({"units_price": 0}, Reason.INVALID_PRICE),
        ({"amount": "0.01"}, Reason.BELOW_MIN_NOTIONAL),
        ({"trail": 5}, Reason.INVALID_TERMS),
        ({"stop_px": 5}, Reason.INVALID_TERMS),
    ],
)
def test_an_amendment_obeys_the_rules_and_a_refusal_changes_nothing(change, reason) -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 90)
    ledger = d.engine.ledger.copy()
    kept = d.order(order).copy()
    if "units_price" in change:
        change = {"price": 0}
        assert d.engine.amend(d.ts, order, **change) is reason
    else:
        assert d.amend(order, **change) is reason
    assert d.order(order) == kept
    assert (d.engine.ledger == ledger).all()


def test_an_amendment_of_nothing_open_is_refused() -> None:
    d = desk()
    assert d.amend(99, amount=1) is Reason.UNKNOWN_ORDER
    assert d.reasons() == [Reason.UNKNOWN_ORDER]


def test_a_market_order_on_its_way_has_no_price_to_amend() -> None:
    d = desk()
    order = d.send("buy", "market", 1)
    assert d.amend(order, price=99) is Reason.INVALID_TERMS
    assert d.amend(order, amount=2) is Reason.NONE
    assert d.quote(99, 100) == [("buy", D(100), D(2))]


def test_an_iceberg_amended_below_its_tip_is_a_plain_order() -> None:
    d = desk()
    order = d.send("buy", "limit", 5, 90, show=2)
    assert d.amend(order, amount=2) is Reason.NONE
    assert d.order(order)["display_qty"] == 0


def test_an_order_good_till_a_time_stays_so() -> None:
    d = desk()
    order = d.send("buy", "limit", 1, 90, time_in_force=TimeInForce.GTD, expire_ts=100)
    assert d.amend(order, price=91) is Reason.NONE
    d.time(100)
    assert d.reasons()[-1] is Reason.EXPIRED
