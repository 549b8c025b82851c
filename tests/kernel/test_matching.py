"""Fills, told as scenarios: what each order type needs, at which price it fills, and what it costs."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from kernel.builders import BTC, Desk, Floor

from twinstar_kit.kernel.context import Proposal
from twinstar_kit.kernel.errors import OrderError
from twinstar_kit.kernel.orders import Reason

NAN = float("nan")


def test_a_market_order_fills_at_the_next_open_and_pays_the_taker_fee() -> None:
    desk = Desk({"USDT": 1000}, fee_taker="0.001").last(100)
    desk.send("buy", "market", 2)
    assert desk.held("USDT") == D("200.2")
    assert desk.bar(101, 105, 95, 102) == [("buy", D("101.00"), D(2))]
    assert desk.free("USDT") == D(1000) - D(202) - D("0.202")
    assert desk.held("USDT") == 0
    assert desk.free("BTC") == 2


def test_slippage_moves_a_taker_to_the_next_worse_tick() -> None:
    desk = Desk(slippage_bps=3, fee_taker=0).last(100)
    desk.send("buy", "market", 1)
    assert desk.bar("100.01", 101, 99, 100) == [("buy", D("100.05"), D(1))]  # 3 bps are 0.030003, up to 0.04
    desk.send("sell", "market", 1)
    assert desk.bar(100, 101, 99, 100) == [("sell", D("99.97"), D(1))]


def test_a_touched_limit_does_not_fill_and_one_traded_through_fills_at_its_price_as_maker() -> None:
    desk = Desk(fee_maker="0.0002", fee_taker="0.001").last(100)
    desk.send("buy", "limit", 1, 95)
    assert desk.bar(100, 101, 95, 100) == []
    assert desk.bar(100, 101, "94.99", 100) == [("buy", D("95.00"), D(1))]
    assert desk.free("USDT") == D(100_000) - 95 - D("0.019")


def test_a_limit_beyond_the_first_open_is_a_taker_and_a_later_gap_fills_at_the_open() -> None:
    desk = Desk(fee_maker=0, fee_taker="0.001").last(100)
    desk.send("buy", "limit", 1, 99)
    assert desk.bar(98, 99, 97, 98) == [("buy", D("98.00"), D(1))]
    assert desk.free("USDT") == D(100_000) - 98 - D("0.098")
    desk.send("sell", "limit", 1, 110)
    desk.bar(98, 100, 97, 98)
    assert desk.bar(120, 121, 119, 120) == [("sell", D("120.00"), D(1))]
    assert desk.free("USDT") == D(100_000) - 98 - D("0.098") + 120


@pytest.mark.parametrize(
    ("side", "trigger", "bar", "price"),
    [
        ("sell", 95, (100, 101, 95, 99), 95),
        ("sell", 95, (90, 101, 89, 99), 90),
        ("buy", 105, (100, 105, 99, 100), 105),
        ("buy", 105, (107, 108, 99, 100), 107),
        ("sell", 95, (100, 101, "95.01", 99), None),
        ("buy", 105, (100, "104.99", 99, 100), None),
    ],
)
def test_a_stop_fires_when_reached_and_fills_at_the_open_after_a_gap(side, trigger, bar, price) -> None:
    desk = Desk({"USDT": 1000, "BTC": 1}).last(100)
    desk.send(side, "stop", 1, trigger)
    assert desk.bar(*bar) == ([] if price is None else [(side, D(price), D(1))])


def test_a_trailing_stop_follows_the_best_price_and_never_goes_back() -> None:
    desk = Desk({"BTC": 1, "USDT": 0}, path="open_low_high_close").last(100)
    desk.send("sell", "trail", 1, trail=5)
    assert desk.bar(100, 110, 96, 108) == []  # 95 held at the low; the high makes it 105
    assert desk.bar(108, 109, "105.01", 106) == []
    assert desk.bar(106, 107, 104, 105) == [("sell", D(105), D(1))]


def test_a_trailing_stop_can_fire_on_the_way_back_within_its_bar() -> None:
    desk = Desk({"BTC": 1, "USDT": 0}, path="open_low_high_close").last(100)
    desk.send("sell", "trail", 1, rate=0.1)
    assert desk.bar(100, 120, 95, 107) == [("sell", D(108), D(1))]


def test_inside_a_bar_the_extreme_that_hurts_comes_first() -> None:
    for path, price in (("adverse_first", 95), ("open_low_high_close", 95), ("open_high_low_close", 110)):
        desk = Desk({"BTC": 1, "USDT": 0}, path=path).last(100)
        desk.send("sell", "stop", 1, 95, reduce_only=True)
        desk.send("sell", "limit", 1, 110, reduce_only=True)
        assert desk.bar(100, 111, 94, 100) == [("sell", D(price), D(1))], path
        assert desk.open_ids() == []


def test_while_flat_resting_buys_meet_the_high_first() -> None:
    desk = Desk(path="adverse_first").last(100)
    desk.send("buy", "stop", 1, 105)
    desk.send("buy", "limit", 1, 98)
    assert [f[1] for f in desk.bar(100, 106, 97, 100)] == [105, 98]


def test_the_fill_of_one_linked_order_cancels_the_other() -> None:
    desk = Desk({"BTC": 1, "USDT": 0}).last(100)
    first = desk.send("sell", "stop", "0.5", 95, link_id=7)
    desk.send("sell", "limit", "0.5", 110, link_id=7)
    desk.bar(100, 101, 94, 95)
    assert desk.open_ids() == []
    assert desk.reasons()[-1] is Reason.LINKED_ORDER_FILLED
    assert desk.reasons() == [Reason.LINKED_ORDER_FILLED]
    assert first == 1
    assert desk.held("BTC") == 0
    assert desk.free("BTC") == D("0.5")


def test_reduce_only_shrinks_to_the_position_and_ends_with_it() -> None:
    desk = Desk({"BTC": 1, "USDT": 0}).last(100)
    desk.send("sell", "stop", 3, 95, reduce_only=True)
    desk.send("sell", "limit", 3, 150, reduce_only=True)
    assert desk.held("BTC") == 0
    assert desk.bar(100, 101, 90, 92) == [("sell", D(95), D(1))]
    assert desk.open_ids() == []
    assert Reason.POSITION_CLOSED in desk.reasons()


def test_a_purchase_that_a_gap_made_too_dear_is_canceled_whole() -> None:
    desk = Desk({"USDT": 101}, fee_taker="0.001").last(100)
    desk.send("buy", "market", 1)
    assert desk.bar(102, 103, 101, 102) == []
    assert desk.reasons() == [Reason.INSUFFICIENT_BALANCE]
    assert desk.free("USDT") == 101


def test_a_purchase_takes_from_the_free_balance_what_the_hold_lacks() -> None:
    desk = Desk({"USDT": 200}, fee_taker="0.001").last(100)
    desk.send("buy", "market", 1)
    desk.bar(150, 151, 149, 150)
    assert desk.free("USDT") == D(200) - 150 - D("0.15")


def test_cancel_voids_what_the_order_held() -> None:
    desk = Desk().last(100)
    order = desk.send("buy", "limit", 1, 90)
    assert desk.held("USDT") == D("90.09")
    assert desk.cancel(order)
    assert desk.held("USDT") == 0
    assert not desk.cancel(order)
    assert desk.reasons() == [Reason.REQUESTED, Reason.UNKNOWN_ORDER]


@pytest.mark.parametrize(
    ("reason", "order"),
    [
        (Reason.BELOW_MIN_NOTIONAL, {"side": 1, "ord_type": 1, "qty": 100_000}),
        (Reason.INVALID_AMOUNT, {"side": 1, "ord_type": 1, "qty": 0}),
        (Reason.INVALID_AMOUNT, {"side": -1, "ord_type": 1, "qty": -100_000}),
        (Reason.OFF_LOT, {"side": 1, "ord_type": 1, "qty": 150_000}),
        (Reason.BELOW_MIN_AMOUNT, {"side": 1, "ord_type": 1, "qty": 100_000, "tight": True}),
        (Reason.ABOVE_MAX_AMOUNT, {"side": 1, "ord_type": 1, "qty": 10**12, "tight": True}),
        (Reason.INVALID_PRICE, {"side": 1, "ord_type": 2, "qty": 10**8, "price": 0}),
        (Reason.INVALID_PRICE, {"side": 1, "ord_type": 2, "qty": 10**8, "price": -5}),
        (Reason.INVALID_PRICE, {"side": -1, "ord_type": 4, "qty": 10**8}),
        (Reason.OFF_TICK, {"side": 1, "ord_type": 2, "qty": 10**8, "price": 10_003, "tight": True}),
        (Reason.TOO_LARGE, {"side": 1, "ord_type": 2, "qty": 2**62 // 100_000 * 100_000, "price": 10**18}),
        (Reason.INSUFFICIENT_BALANCE, {"side": 1, "ord_type": 1, "qty": 10**10}),
        (Reason.INSUFFICIENT_BALANCE, {"side": -1, "ord_type": 1, "qty": 2 * 10**8}),
        (Reason.NO_POSITION, {"side": 1, "ord_type": 1, "qty": 10**8, "reduce_only": True}),
        (Reason.INVALID_TYPE, {"side": 1, "ord_type": 9, "qty": 10**8}),
        (Reason.INVALID_TYPE, {"side": 0, "ord_type": 1, "qty": 10**8}),
    ],
)
def test_each_rule_refuses_with_its_reason_and_changes_nothing(reason, order) -> None:
    from dataclasses import replace

    tight = order.pop("tight", False)
    m = replace(BTC, tick=5, min_amount=10**6, max_amount=10**11) if tight else BTC
    desk = Desk({"USDT": 1000, "BTC": 1}, instrument=m).last(100)
    before = desk.engine.ledger.copy()
    desk.engine.submit(1, 0, order.pop("side"), order.pop("ord_type"), order.pop("qty"), **order)
    desk._drain()
    assert desk.reasons() == [reason]
    assert (desk.engine.ledger == before).all()
    assert desk.open_ids() == []
    assert reason.text


def test_without_a_price_there_is_no_market_and_without_a_position_nothing_to_reduce() -> None:
    desk = Desk()
    desk.send("buy", "market", 1)
    desk.last(100)
    desk.send("sell", "stop", 1, 90, reduce_only=True)
    assert desk.reasons() == [Reason.NO_MARKET, Reason.NO_POSITION]


def test_no_account_can_outgrow_its_integers() -> None:
    desk = Desk({"USDT": 1000, "BTC": "46_000_000_000".replace("_", "")}).last(100)
    desk.send("buy", "market", 8)
    assert desk.reasons() == []
    with pytest.raises(OrderError, match="would not fit"):
        desk.engine.deposit(0, "BTC", "200000000")
    desk = Desk({"USDT": 46_116_860_000, "BTC": 1_000_000}).last(100)
    desk.send("sell", "limit", 100_000, 100)
    assert desk.reasons() == [Reason.TOO_LARGE]


def test_the_order_table_has_an_end() -> None:
    desk = Desk().last(100)
    for _ in range(65):
        desk.send("buy", "limit", "0.1", 90)
    assert desk.reasons() == [Reason.TOO_MANY_ORDERS]


def test_quotes_fill_market_orders_on_the_other_side_and_leave_stops_alone() -> None:
    desk = Desk({"USDT": 1000, "BTC": 1}, fee_maker=0, fee_taker=0).last(100)
    desk.send("sell", "stop", "0.5", 99)
    desk.send("buy", "market", 1)
    assert desk.quote(98, "98.5") == [("buy", D("98.50"), D(1))]
    desk.send("sell", "market", "0.5")
    assert desk.quote(98, "98.5") == [("sell", D(98), D("0.5"))]
    assert desk.trade(99) == [("sell", D(99), D("0.5"))]


def test_a_crossing_limit_takes_the_quote_and_a_resting_one_fills_at_its_own_price() -> None:
    desk = Desk(fee_maker=0, fee_taker=0).last(100)
    desk.send("buy", "limit", 1, 101)
    assert desk.quote(99, 100) == [("buy", D(100), D(1))]
    desk.send("buy", "limit", 1, 98)
    assert desk.quote(99, 100) == []
    assert desk.quote(97, 98) == []
    assert desk.quote(96, 97) == [("buy", D(98), D(1))]


def test_a_trade_through_a_resting_limit_fills_it_at_its_price() -> None:
    desk = Desk(fee_maker=0, fee_taker=0).last(100)
    desk.send("buy", "limit", 1, 98)
    assert desk.quote(99, 100) == []
    assert desk.trade(98) == []
    assert desk.trade(97) == [("buy", D(98), D(1))]


# --- the strategy's side -------------------------------------------------------------------------------------


def test_stop_and_entry_proposed_together_arm_with_the_fill_and_end_with_the_position() -> None:
    floor = Floor({"USDT": 10_000})
    floor.step(
        (100, 101, 99, 100), (Proposal.STOP, NAN, 95.0), (Proposal.TRAIL, NAN, 6.0), (Proposal.BUY, NAN, NAN)
    )
    assert len(floor.open_ids()) == 3
    fills = floor.step((100, 101, 99, 100))
    assert fills == [("buy", D(100), D("95.000"))]
    assert "ARMED" in floor.kinds()
    assert floor.step((100, 108, 99, 107)) == []
    assert floor.step((107, 107, 101, 103)) == [
        ("sell", D(102), D("95.000"))
    ]  # 108 - 6, before the stop at 95
    assert floor.open_ids() == []
    assert Reason.POSITION_CLOSED in floor.reasons()


def test_protection_without_a_position_or_an_entry_is_denied() -> None:
    floor = Floor()
    floor.step(
        (100, 101, 99, 100), (Proposal.STOP, NAN, 95.0), (Proposal.CLOSE, NAN, NAN), (Proposal.SELL, 1.0, NAN)
    )
    assert floor.reasons() == [Reason.NO_POSITION] * 3
    assert floor.kinds().count("DENIED") == 3


def test_protection_ends_when_its_entry_is_canceled() -> None:
    floor = Floor()
    floor.step((100, 101, 99, 100), (Proposal.BUY_LIMIT, 1.0, 90.0), (Proposal.STOP, NAN, 85.0))
    entry = floor.open_ids()[0]
    floor.cancel(entry)
    assert floor.open_ids() == []
    assert floor.reasons() == [Reason.REQUESTED, Reason.POSITION_CLOSED]


def test_moving_a_stop_replaces_it_and_repeating_it_says_nothing() -> None:
    floor = Floor()
    floor.step(
        (100, 101, 99, 100),
        (Proposal.BUY, 1.0, NAN),
        (Proposal.STOP, NAN, 90.0),
        (Proposal.TRAIL_RATE, NAN, 0.2),
    )
    floor.step((100, 101, 99, 100), (Proposal.STOP, NAN, 92.0), (Proposal.TRAIL_RATE, NAN, 0.1))
    assert floor.kinds().count("REPLACED") == 2
    floor.step((100, 101, 99, 100), (Proposal.STOP, NAN, 92.0), (Proposal.TRAIL_RATE, NAN, 0.1))
    assert floor.kinds().count("REPLACED") == 2
    floor.step((100, 101, 99, 100), (Proposal.STOP, NAN, NAN), (Proposal.TRAIL, NAN, -1.0))
    assert floor.reasons() == [Reason.INVALID_PRICE] * 2
    assert floor.step((100, 100, 91, 95)) == [("sell", D(92), D(1))]


def test_close_sells_everything_at_the_next_open_and_takes_the_stops_along() -> None:
    floor = Floor({"USDT": 10_000}, fee_taker=0)
    floor.step((100, 101, 99, 100), (Proposal.BUY, NAN, NAN), (Proposal.STOP, NAN, 90.0))
    floor.step((100, 101, 99, 100), (Proposal.CLOSE, NAN, NAN))
    assert floor.step((101, 102, 100, 101)) == [("sell", D(101), D("95.000"))]
    assert floor.open_ids() == []
    assert floor.free("USDT") == 10_000 + 95


def test_fill_on_close_fills_at_the_bar_of_the_signal() -> None:
    floor = Floor({"USDT": 10_000}, fill="close", amount=1)
    assert floor.step((100, 103, 99, 102), (Proposal.BUY, NAN, NAN)) == [("buy", D(102), D(1))]
    assert floor.ctx[0]["position"] == 1.0
    assert floor.ctx[0]["entry"] == 102.0


def test_amounts_round_down_to_the_lot_and_prices_to_the_nearest_tick() -> None:
    floor = Floor()
    floor.step((100, 101, 99, 100), (Proposal.BUY_LIMIT, 0.12399999, 90.004999))
    order = floor.engine.open_orders()[0]
    assert order["order_qty"] == BTC.amount_units("0.123")
    assert order["price"] == BTC.price_units("90.00")
    floor.step(
        (100, 101, 99, 100),
        (Proposal.BUY_LIMIT, 0.3, 90.0),
        (Proposal.BUY_STOP, 0.0001, 120.0),
        (Proposal.BUY, -1.0, NAN),
    )
    assert floor.engine.open_orders()[1]["order_qty"] == BTC.amount_units("0.3")
    assert floor.reasons() == [Reason.INVALID_AMOUNT] * 2


def test_cancel_withdraws_everything_and_a_flood_of_proposals_is_counted() -> None:
    floor = Floor()
    floor.step((100, 101, 99, 100), (Proposal.BUY_LIMIT, 1.0, 90.0), (Proposal.BUY_STOP, 1.0, 120.0))
    floor.step((100, 101, 99, 100), (Proposal.CANCEL, NAN, NAN))
    assert floor.open_ids() == []
    assert floor.reasons() == [Reason.REQUESTED] * 2
    floor.ctx["denied"] = 0
    floor.step((100, 101, 99, 100), *[(Proposal.BUY_LIMIT, 1.0, 90.0)] * 16)
    assert len(floor.open_ids()) == 16


def test_close_out_cancels_and_sells_at_the_latest_price() -> None:
    floor = Floor({"USDT": 10_000}, fee_taker=0)
    floor.step((100, 101, 99, 100), (Proposal.BUY, NAN, NAN), (Proposal.STOP, NAN, 90.0))
    floor.step((100, 101, 99, 98))
    floor.engine.close_out()
    floor._drain()
    assert floor.open_ids() == []
    assert floor.free("BTC") == 0
    assert floor.free("USDT") == 10_000 - 2 * 95


def test_a_snapshot_brings_an_account_back_to_the_byte() -> None:
    floor = Floor({"USDT": 10_000})
    floor.step((100, 101, 99, 100), (Proposal.BUY, NAN, NAN), (Proposal.STOP, NAN, 90.0))
    floor.step((100, 101, 99, 100))
    kept = floor.engine.snapshot()
    twin = Floor({"USDT": 1})
    twin.engine.restore(kept)
    twin.ts = floor.ts
    assert twin.engine.snapshot() == kept
    assert floor.bar(100, 101, 80, 85) == twin.bar(100, 101, 80, 85)
    assert twin.engine.snapshot() == floor.engine.snapshot()
