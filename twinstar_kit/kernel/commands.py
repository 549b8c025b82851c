"""What an account can be told: orders, amendments, cancels, money and settings; each is journalled before it acts."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel import margin
from twinstar_kit.kernel.admission import (
    INVALID_AMOUNT,
    INVALID_TERMS,
    OK,
    REDUCE_ONLY,
    SEEN,
    bad_amount,
    bad_price,
    bad_terms,
    cost_of,
    has_trigger,
    is_limit,
    is_trailing,
    reference_px,
    refusal,
    too_large,
)
from twinstar_kit.kernel.book import (
    ACTIVE,
    DORMANT,
    IN_FLIGHT,
    REPLACED,
    WORKING,
    cancel_row,
    drop,
    end_protection,
    enter,
    hold,
    note_ask,
    refuse,
    release,
    row_of,
    set_wake,
    start_trail,
)
from twinstar_kit.kernel.chance import normal
from twinstar_kit.kernel.ledger import CAPITAL, FREE, TRANSFER, post
from twinstar_kit.kernel.margin import available
from twinstar_kit.kernel.models import Latency
from twinstar_kit.kernel.money import mul_div
from twinstar_kit.kernel.orders import EventKind, Reason
from twinstar_kit.kernel.tables import note, report
from twinstar_kit.kernel.values import SPOT

PLACE, CANCEL, AMEND = int(EventKind.PLACE), int(EventKind.CANCEL), int(EventKind.AMEND)
DEPOSITED, WITHDRAWN, TRANSFERRED = (
    int(EventKind.DEPOSITED),
    int(EventKind.WITHDRAWN),
    int(EventKind.TRANSFER),
)
REJECTED = int(EventKind.REJECTED)
REQUESTED, UNKNOWN_ORDER = int(Reason.REQUESTED), int(Reason.UNKNOWN_ORDER)
INSUFFICIENT_BALANCE = int(Reason.INSUFFICIENT_BALANCE)
NORMAL, MEASURED = int(Latency.NORMAL), int(Latency.MEASURED)
ORDER_LEG, RESPONSE_LEG, FEED_LEG = 0, 1, 2


@outlined
def latency(d: Any, leg: int) -> int:
    """How long a leg (0 order entry, 1 response, 2 feed) takes now, in the unit of the times."""
    s = d.state[0]
    if s.latency_model == NORMAL:
        return max(0, normal(d, s.latency_mean[leg], s.latency_spread[leg]))
    if s.latency_model == MEASURED:
        return measured(d, s.now, leg + 1)
    return s.latency_mean[leg]  # type: ignore[no-any-return]


@inlined
def measured(d: Any, ts: int, column: int) -> int:
    """A column of the table of latencies at `ts`: linear between its rows, rounded down from the earlier one's value."""
    low, high = 0, d.delays.shape[0]
    while low < high:
        middle = (low + high) // 2
        if d.delays[middle, 0] <= ts:
            low = middle + 1
        else:
            high = middle
    if low == 0 or low == d.delays.shape[0]:
        return d.delays[max(low - 1, 0), column]
    before, after = d.delays[low - 1, column], d.delays[low, column]
    passed, span = ts - d.delays[low - 1, 0], d.delays[low, 0] - d.delays[low - 1, 0]
    change = mul_div(abs(after - before), passed, span)
    return before + change if after > before else before - change


@outlined
def admit(d: Any, ts: int) -> int:
    """Journal the request in `d.ask`, check it, and accept or reject it; returns the order's id either way.

    With `parent_id` it waits for that order to fill, and covers at once what has filled already. With latency, or with its own `arrive_ts`, it is on its way until then.
    """
    d.state[0].now = ts
    o = d.ask[0]
    note_ask(d, PLACE, OK, 0)
    if o.side * o.position_side < 0:
        # a long position is sold, and a short one bought back, to reduce it: neither turns into the other
        o.flags |= REDUCE_ONLY
    waits, reason = o.parent_id != 0, OK
    if waits:
        parent = row_of(d, o.parent_id)
        if parent < 0:
            reason = UNKNOWN_ORDER
        elif d.orders[parent].status == DORMANT:
            # chains of orders that wait for each other have one link
            reason = INVALID_TERMS
        elif d.orders[parent].cum_qty > 0:
            o.order_qty = d.orders[parent].cum_qty
            waits = False
    if reason == OK:
        reason = refusal(d, waits)
        if waits and reason == INSUFFICIENT_BALANCE:
            # what it needs is held when it is armed
            reason = OK
    if reason != OK:
        return refuse(d, REJECTED, reason)
    if o.arrive_ts == 0:
        o.arrive_ts = ts + latency(d, ORDER_LEG)
    if waits:
        return d.orders[enter(d, DORMANT)].order_id  # type: ignore[no-any-return]
    return d.orders[enter(d, IN_FLIGHT if o.arrive_ts > ts else WORKING)].order_id  # type: ignore[no-any-return]


@outlined
def withdraw_order(d: Any, ts: int, order_id: int) -> bool:
    """Journal the command and cancel the order, if it is open; with latency the cancel is on its way first."""
    d.state[0].now = ts
    note(d, CANCEL, OK, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, 0)
    k = row_of(d, order_id)
    if k < 0:
        note(d, REJECTED, UNKNOWN_ORDER, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, 0)
        return False
    o = d.orders[k]
    late = latency(d, ORDER_LEG)
    if late > 0:
        # a cancel does not overtake its order, and the first of two counts
        at = max(ts + late, o.arrive_ts if o.status == IN_FLIGHT else 0)
        o.cancel_ts = min(o.cancel_ts, at) if o.cancel_ts > 0 else at
        set_wake(o)
        return True
    j = o.instrument
    cancel_row(d, k, REQUESTED)
    end_protection(d, j)
    return True


@outlined
def amend_order(
    d: Any, ts: int, order_id: int, qty: int, price: int, stop_px: int, trail: int, trail_rate: int
) -> int:
    """Change an open order (-1 leaves a field as it is); returns the reason of a refusal, or 0.

    An amount that only shrinks keeps the order's place in the queue; any other change loses it, and may take at once.
    """
    d.state[0].now = ts
    note(d, AMEND, OK, 0, 0, 0, 0, order_id, 0, price, stop_px, qty, 0, max(trail, trail_rate))
    k = row_of(d, order_id)
    if k < 0:
        note(d, REJECTED, UNKNOWN_ORDER, 0, 0, 0, 0, order_id, 0, 0, 0, 0, 0, 0)
        return UNKNOWN_ORDER
    o = d.orders[k]
    d.ask[0] = o
    a = d.ask[0]
    a.order_qty = qty if qty >= 0 else o.order_qty
    a.price = price if price >= 0 else o.price
    a.stop_px = stop_px if stop_px >= 0 else o.stop_px
    a.trail = trail if trail >= 0 else 0 if trail_rate > 0 else o.trail
    a.trail_rate = trail_rate if trail_rate >= 0 else 0 if trail > 0 else o.trail_rate
    if a.display_qty >= a.order_qty - a.cum_qty:
        a.display_qty = 0
    reason = amendment_refusal(d, k)
    if (price >= 0 and not is_limit(o.ord_type)) or (
        stop_px >= 0 and (o.works_as != 0 or not has_trigger(o.ord_type))
    ):
        reason = INVALID_TERMS
    if reason != OK:
        note(
            d,
            REJECTED,
            reason,
            o.instrument,
            o.side,
            o.ord_type,
            0,
            order_id,
            0,
            a.price,
            a.stop_px,
            a.order_qty,
            0,
            0,
        )
        return reason
    left = o.order_qty - o.cum_qty
    same = (
        a.price == o.price and a.stop_px == o.stop_px and a.trail == o.trail and a.trail_rate == o.trail_rate
    )
    if same and a.order_qty <= o.order_qty:
        if o.held > 0 and a.order_qty < o.order_qty:
            release(d, k, mul_div(o.held, o.order_qty - a.order_qty, left))
        o.order_qty = a.order_qty
        o.display_qty = a.display_qty
        o.shown_qty = min(o.shown_qty, a.display_qty)
    else:
        k = replace_row(d, k)
    report(d, k, REPLACED, REQUESTED, 0, 0, 0, d.orders[k].flags, 0, 0, 0)
    return OK


@outlined
def amendment_refusal(d: Any, k: int) -> int:
    """The first rule that the amended order in `d.ask` would break, or 0."""
    o, a = d.orders[k], d.ask[0]
    m = d.inst[o.instrument]
    if a.order_qty <= o.cum_qty:
        return INVALID_AMOUNT
    reason = bad_terms(d, a)
    if reason == OK:
        reason = bad_amount(m, a)
    if reason == OK:
        reason = bad_price(m, a)
    if reason != OK or o.flags & REDUCE_ONLY or o.status == DORMANT:
        return reason
    reason = too_large(d, a, reference_px(d, a))
    if reason != OK:
        return reason
    left = a.order_qty - o.cum_qty
    if m.kind == SPOT and o.side < 0:
        return INSUFFICIENT_BALANCE if left > o.held + d.ledger[m.base, FREE] else OK
    cost = cost_of(d, a, reference_px(d, a), left)
    return INSUFFICIENT_BALANCE if cost > o.held and cost - o.held > available(d, m.settle) else OK


@outlined
def replace_row(d: Any, k: int) -> int:
    """Put the amended order at the end of the table, fresh, holding what it needs now; returns its row."""
    o = d.orders[k]
    holds = not o.flags & REDUCE_ONLY and o.status != DORMANT
    if o.held > 0:
        release(d, k, o.held)
    a = d.ask[0]
    a.held = 0
    a.flags = o.flags & ~SEEN
    a.ahead = -1
    if o.status == WORKING:
        a.arrive_ts = d.state[0].now
    a.shown_qty = min(a.display_qty, a.order_qty - a.cum_qty)
    drop(d, k)
    k = d.state[0].n_orders
    d.state[0].n_orders += 1
    d.orders[k] = a
    o = d.orders[k]
    if is_trailing(o.ord_type) and o.works_as == 0 and o.status == WORKING and o.flags & ACTIVE:
        start_trail(d, k, d.inst[o.instrument].last)
    if holds:
        hold(d, k)
    return k  # type: ignore[no-any-return]


@outlined
def move_money(d: Any, ts: int, source: int, target: int, amount: int) -> int:
    """Move play money between ledger rows: a row of -1 is the outside world. Returns the reason of a refusal, or 0."""
    d.state[0].now = ts
    kind = DEPOSITED if source < 0 else WITHDRAWN if target < 0 else TRANSFERRED
    note(d, kind, OK, 0, 0, 0, 0, 0, max(source, 0), 0, 0, 0, target if target >= 0 else source, amount)
    if source >= 0 and amount > available(d, source):
        note(d, REJECTED, INSUFFICIENT_BALANCE, 0, 0, 0, 0, 0, 0, 0, 0, 0, source, amount)
        return INSUFFICIENT_BALANCE
    if source < 0:
        post(d, target, CAPITAL, FREE, amount, 0, 0)
    elif target < 0:
        post(d, source, FREE, CAPITAL, amount, 0, 0)
    else:
        post(d, source, FREE, TRANSFER, amount, 0, 0)
        post(d, target, TRANSFER, FREE, amount, 0, 0)
    return OK


@outlined
def configure(d: Any, ts: int, setting: int, j: int, slot: int, value: int) -> int:
    """Change a `Setting`; returns the reason of a refusal, or 0. See `margin`."""
    if setting == margin.LEVERAGE:
        return margin.set_leverage(d, ts, j, value)
    if setting == margin.ISOLATED:
        return margin.set_isolated(d, ts, j, value)
    if setting == margin.HEDGE:
        return margin.set_hedge(d, ts, value)
    return margin.add_margin(d, ts, j, slot, value)
