"""What a stream brings, in whatever order and however often, is handed on in order and once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twinstar_kit.feeds.ordering import BarOrder, TradeOrder
from twinstar_kit.kernel.errors import UsageError

MINUTE = 60_000


def bar(number: int, close: int = 100) -> np.ndarray:
    return np.array([number * MINUTE, close, close, close, close, number], np.int64)


def drain(order: BarOrder) -> list[tuple[int, bool]]:
    return [(int(row[0]) // MINUTE, live) for row, live in order.ready()]


@given(
    arrivals=st.lists(st.integers(0, 15), max_size=60),
    looks=st.lists(st.integers(0, 60), max_size=6),
)
def test_bars_in_any_order_with_copies_and_losses_come_out_complete_once_and_in_order(arrivals, looks):
    """Whatever arrives, and whenever the venue is asked for the first hole, no bar is missing, doubled or early."""
    order, out = BarOrder(MINUTE, 0), []
    for at, number in enumerate(arrivals):
        order.seen(bar(number))
        out += drain(order)
        if at in looks:
            hole = order.hole((number + 1) * MINUTE)
            if hole is not None:
                order.filled(np.array([bar(n) for n in range(hole[0] // MINUTE, hole[1] // MINUTE)]), hole[1])
                out += drain(order)
    while (hole := order.hole(16 * MINUTE)) is not None:
        order.filled(np.array([bar(n) for n in range(hole[0] // MINUTE, hole[1] // MINUTE)]), hole[1])
        out += drain(order)
    assert [number for number, _ in out] == list(range(16))
    assert {number for number, live in out if live} <= set(arrivals)


@given(st.sets(st.integers(0, 20)), st.integers(1, 5))
def test_bars_that_the_venue_does_not_have_are_passed_over(existing, page):
    """A quiet market: the answers hold no more than what exists, a few bars at a time."""
    order, out = BarOrder(MINUTE, 0), []
    while (hole := order.hole(21 * MINUTE)) is not None:
        until = min(hole[1], hole[0] + page * MINUTE)
        rows = [bar(n) for n in sorted(existing) if hole[0] <= n * MINUTE < until]
        order.filled(np.array(rows, np.int64).reshape(-1, 6), until)
        out += drain(order)
    assert [number for number, _ in out] == sorted(existing)


def test_a_bar_is_not_due_before_it_closed():
    order = BarOrder(MINUTE, 0)
    assert order.hole(MINUTE - 1) is None
    assert order.hole(MINUTE) == (0, MINUTE)
    assert order.hole(10 * MINUTE + 1) == (0, 10 * MINUTE)
    order.seen(bar(4))
    assert order.hole(10 * MINUTE) == (0, 4 * MINUTE)


def test_a_confirmed_bar_counts_as_seen_live_and_a_different_one_does_not():
    order = BarOrder(MINUTE, 0)
    seen = {0: bar(0), MINUTE: bar(1, close=99)}
    assert order.filled(np.array([bar(0), bar(1)]), 2 * MINUTE, seen) == 1
    assert drain(order) == [(0, True), (1, False)]


def test_bars_off_the_grid_and_old_ones_are_not_taken():
    order = BarOrder(MINUTE, 5 * MINUTE)
    assert not order.seen(np.array([5 * MINUTE + 1, 1, 1, 1, 1, 1]))
    assert not order.seen(bar(4))
    assert order.seen(bar(5))
    assert not order.seen(bar(5))
    with pytest.raises(UsageError, match="do not open at 7"):
        BarOrder(MINUTE, 7)


def trade(number: int, ts: int | None = None) -> list[int]:
    return [number * 10 if ts is None else ts, 100, 5, 1, number]


@given(st.permutations(range(100, 130)), st.sets(st.integers(101, 129), max_size=8), st.data())
def test_trades_in_any_order_with_losses_come_out_by_id_once(order_of, lost, data):
    order, out = TradeOrder(sequential=True), []
    order.seen([trade(100)])
    out += order.ready()[0][:, 4].tolist()
    for number in order_of:
        if number not in lost:
            order.seen([trade(number), trade(number)])
            if data.draw(st.booleans()):
                out += order.ready()[0][:, 4].tolist()
    out += order.ready()[0][:, 4].tolist()
    while (gap := order.hole()) is not None:
        assert set(range(gap[0] + 1, gap[1])) <= lost
        first_ms, last_ms = order.times_around()
        assert (first_ms, last_ms) == (gap[0] * 10, gap[1] * 10)
        order.seen([trade(number) for number in range(gap[0], gap[1] + 1)], live=False)
        rows, live = order.ready()
        out += rows[:, 4].tolist()
        assert set(rows[~live, 4].tolist()) <= lost
    last = max(set(range(100, 130)) - lost)
    assert out == list(range(100, last + 1))


def test_a_gap_that_the_venue_cannot_fill_is_given_up_and_named():
    order = TradeOrder(sequential=True)
    order.seen([trade(1), trade(5), trade(6)])
    assert order.ready()[0][:, 4].tolist() == [1]
    assert order.give_up() == (1, 5)
    assert order.ready()[0][:, 4].tolist() == [5, 6]
    assert order.hole() is None
    with pytest.raises(UsageError, match="no trade is missing"):
        order.give_up()
    with pytest.raises(UsageError, match="no trade is missing"):
        order.times_around()


def test_ids_that_mean_nothing_are_known_by_id_and_time():
    order = TradeOrder(sequential=False, memory=10)
    assert order.seen([trade(900, 5), trade(17, 5), trade(900, 5), trade(900, 6)]) == 1
    assert order.ready()[0][:, [0, 4]].tolist() == [[5, 17], [5, 900], [6, 900]]
    assert order.hole() is None
    assert order.seen([trade(17, 5)]) == 1
    for number in range(100):
        order.seen([trade(number, 1_000 + number)])
        order.ready()
    assert len(order._known) <= 10
