"""Latency: what an order meets, and when, with fixed, normal and measured delays."""

from __future__ import annotations

from decimal import Decimal as D

import numpy as np
import pytest
from kernel.builders import BTC, MINUTE, Desk, Floor

from twinstar_kit.kernel.context import Proposal
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import OrdStatus, Reason

NAN = float("nan")
TABLE = np.array([[1_000, 10, 5, 2], [2_000, 20, 5, 4], [4_000, 0, 9, 4]], np.int64)


def fixed(order=50, feed=0, **broker) -> Desk:
    return Desk(
        {"USDT": 10_000, "BTC": 10}, fee_maker=0, fee_taker="0.001", latency="fixed", latency_order_ms=order,
        latency_feed_ms=feed, **broker,
    ).last(100)  # fmt: skip


def test_an_order_on_its_way_meets_nothing() -> None:
    d = fixed()
    order = d.send("buy", "market", 1)
    d.ts = 48
    assert d.trade(101) == []
    assert d.order(order)["status"] == OrdStatus.IN_FLIGHT
    assert d.trade(102) == [("buy", D(102), D(1))]


def test_what_it_flew_past_does_not_make_it_a_maker() -> None:
    d = fixed()
    d.send("buy", "limit", 1, 105)
    d.ts = 10
    d.trade(101)
    d.ts = 60
    assert d.trade(102) == [("buy", D(102), D(1))]
    assert d.fees() == D("0.102"), "the fee of a taker"


def test_on_bars_it_joins_at_the_next_point_of_the_path() -> None:
    # the points of a bar lie at its open, a third, two thirds and its end
    for late, price in ((0, 100), (1, 110), (MINUTE // 3, 110), (MINUTE // 3 + 1, 90), (MINUTE - 1, 95)):
        d = fixed(order=late, path="open_high_low_close")
        d.send("buy", "market", 1)
        assert d.bar(100, 110, 90, 95) == [("buy", D(price), D(1))], late


def test_a_limit_in_flight_is_a_taker_where_it_arrives() -> None:
    d = fixed(order=1_000, path="open_high_low_close")
    d.send("sell", "limit", 1, 95)
    assert d.bar(100, 110, 90, 95) == [("sell", D(110), D(1))]
    assert d.fees() == D("0.11")


def test_a_cancel_takes_time_and_may_come_too_late() -> None:
    d = fixed()
    order = d.send("buy", "limit", 1, 99)
    d.time(100)
    assert d.cancel(order)
    d.ts = 120
    assert d.trade(98) == [("buy", D(98), D(1))], "the first data it met, while the cancel was on its way"
    second = d.send("buy", "limit", 1, 90)
    d.time(200)
    d.cancel(second)
    d.time(230)
    d.cancel(second)
    d.time(249)
    assert d.order(second) is not None
    d.time(250)
    assert d.order(second) is None, "the first of two cancels counts"


def test_a_cancel_does_not_overtake_its_order() -> None:
    d = Desk({"USDT": 10_000}, latency="normal", latency_order_ms=50, latency_spread_ms=20, seed=3).last(100)
    for _ in range(40):
        order = d.send("buy", "limit", 1, 99)
        d.cancel(order)
        o = d.order(order)
        assert o["cancel_ts"] >= o["arrive_ts"]
        d.time(d.ts + 1_000)
    assert d.reasons() == [Reason.REQUESTED] * 40


def test_a_waiting_child_is_reached_by_its_cancel() -> None:
    d = fixed()
    parent = d.send("buy", "limit", 1, 90)
    child = d.send("sell", "limit", 1, 110, parent_id=parent, reduce_only=True)
    d.cancel(child)
    d.time(50)
    assert d.order(child) is None


def test_orders_that_arrive_meet_a_live_book_at_once() -> None:
    d = Desk(
        {"USDT": 10_000},
        latency="fixed",
        latency_order_ms=50,
        engine={"levels": 2, "live_book": True},
    ).last(100)
    d.book([(99, 1)], [(101, 1)])
    d.send("buy", "market", 1)
    d.time(50)
    assert d.events[-1]["kind"] != 25
    assert d.time(60) == [("buy", D(101), D(1))]


def test_a_strategy_acts_on_what_it_saw_the_feed_leg_later() -> None:
    for feed, price in ((0, 110), (MINUTE // 3, 90)):
        floor = Floor(
            {"USDT": 10_000}, latency="fixed", latency_order_ms=1, latency_feed_ms=feed, path="open_high_low_close"
        )  # fmt: skip
        floor.step((100, 101, 99, 100), (Proposal.BUY, 1.0, NAN))
        assert floor.step((100, 110, 90, 95)) == [("buy", D(price), D(1))]


# --- models -------------------------------------------------------------------------------------------------------


def engine(**terms) -> Engine:
    table = terms.pop("latencies", None)
    return Engine([BTC], Broker(**terms), {"USDT": 1000}, latencies=table)


def test_fixed_legs_are_what_they_are_told_to_be() -> None:
    e = engine(latency="fixed", latency_order_ms=7, latency_response_ms=5, latency_feed_ms=3)
    assert [e.delay(0, leg) for leg in range(3)] == [7, 5, 3]


def test_a_normal_leg_has_its_mean_and_spread_and_never_runs_backwards() -> None:
    e = engine(latency="normal", latency_order_ms=1_000, latency_spread_ms=100, seed=5)
    drawn = np.array([e.delay(0, 0) for _ in range(4_000)])
    assert abs(drawn.mean() - 1_000) < 10
    assert abs(drawn.std() - 100) < 5
    again = engine(latency="normal", latency_order_ms=1_000, latency_spread_ms=100, seed=5)
    assert [again.delay(0, 0) for _ in range(50)] == drawn[:50].tolist()
    other = engine(latency="normal", latency_order_ms=1_000, latency_spread_ms=100, seed=6)
    assert [other.delay(0, 0) for _ in range(50)] != drawn[:50].tolist()
    short = engine(latency="normal", latency_order_ms=10, latency_spread_ms=100, seed=5)
    assert min(short.delay(0, 0) for _ in range(500)) == 0


def test_a_measured_leg_agrees_with_numpy_between_its_rows_and_stays_outside_them() -> None:
    e = engine(latency="measured", latencies=TABLE)
    for ts in (0, 999, 1_000, 1_001, 1_500, 1_999, 2_000, 2_700, 3_999, 4_000, 9_000):
        for leg in range(3):
            exact = np.interp(ts, TABLE[:, 0], TABLE[:, leg + 1])
            assert abs(e.delay(ts, leg) - exact) < 1, (ts, leg)
    assert e.delay(1_500, 0) == 15
    assert e.delay(3_000, 0) == 10


def test_a_measured_order_arrives_by_the_table() -> None:
    e = engine(latency="measured", latencies=TABLE)
    e.on_trade(0, 1_500, 10_000)
    e.submit(1_500, 0, 1, 1, 10**8)
    assert e.open_orders()["arrive_ts"].tolist() == [1_515]
    assert e.header()["latencies"] != engine(latency="measured", latencies=TABLE + 1).header()["latencies"]


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ({"latency": "measured"}, "needs one"),
        ({"latency": "fixed", "latencies": TABLE}, "belongs to latency = 'measured'"),
        ({"latency": "measured", "latencies": TABLE[::-1]}, "must ascend"),
        ({"latency": "measured", "latencies": -TABLE}, "must ascend"),
        ({"latency": "measured", "latencies": TABLE[:, :3]}, r"shape \(n, 4\)"),
        ({"latency": "measured", "latencies": TABLE[:0]}, r"shape \(n, 4\)"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused(terms, words) -> None:
    with pytest.raises(UsageError, match=words):
        engine(**terms)
