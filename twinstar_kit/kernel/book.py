"""The table of open orders: what entering it holds, how orders leave it, and what hangs on what."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import hot, inlined, outlined
from twinstar_kit.kernel.admission import (
    CLOSE_POSITION,
    DAY,
    IF_TOUCHED,
    LIMIT,
    LIMIT_IF_TOUCHED,
    MARKET,
    OK,
    REDUCE_ONLY,
    cost_of,
    is_trailing,
    reference_px,
)
from twinstar_kit.kernel.ledger import FREE, HELD, post
from twinstar_kit.kernel.margin import available
from twinstar_kit.kernel.money import mul_div
from twinstar_kit.kernel.orders import NEVER, EventKind, OrdFlag, OrdStatus, Reason
from twinstar_kit.kernel.tables import note, report
from twinstar_kit.kernel.values import SPOT, held_by, tick_at, trigger_of

DORMANT, WORKING, IN_FLIGHT = int(OrdStatus.DORMANT), int(OrdStatus.WORKING), int(OrdStatus.IN_FLIGHT)
ACTIVE, TRIGGERED_FLAG = int(OrdFlag.ACTIVE), int(OrdFlag.TRIGGERED)
ACCEPTED, CANCELED, ARMED = int(EventKind.ACCEPTED), int(EventKind.CANCELED), int(EventKind.ARMED)
REPLACED, TERMS = int(EventKind.REPLACED), int(EventKind.TERMS)
POSITION_CLOSED, PARENT_ENDED = int(Reason.POSITION_CLOSED), int(Reason.PARENT_ENDED)
INSUFFICIENT_BALANCE = int(Reason.INSUFFICIENT_BALANCE)
LINKED_ORDER_FILLED, SHRANK = int(Reason.LINKED_ORDER_FILLED), int(Reason.SHRANK_WITH_POSITION)
NO_TIME = NEVER
NARROW, PLAIN, NO_TERMS = 2**15 - 1, 128, 7


@outlined
def clear_ask(
    d: Any, j: int, side: int, ord_type: int, flags: int, qty: int, price: int, stop_px: int
) -> None:
    """Begin a request: a plain order with these terms, good till canceled, triggered by the last price."""
    o = d.ask[0]
    o.order_id = 0
    o.ts = 0
    o.instrument = j
    o.side = side
    o.ord_type = ord_type
    o.status = 0
    o.works_as = 0
    o.direction = 0
    o.trigger_by = 0
    o.time_in_force = 0
    o.position_side = 0
    o.self_trade = 0
    o.flags = flags
    o.link_id = 0
    o.parent_id = 0
    o.order_qty = qty
    o.cum_qty = 0
    o.price = price
    o.stop_px = stop_px
    o.trail = 0
    o.trail_rate = 0
    o.activation_px = 0
    o.limit_offset = 0
    o.anchor = 0
    o.held = 0
    o.display_qty = 0
    o.shown_qty = 0
    o.ahead = -1
    o.traded = 0
    o.arrive_ts = 0
    o.expire_ts = 0
    o.cancel_ts = 0
    o.wake_ts = 0
    o.stamp = 0


@inlined
def narrow(number: int) -> int:
    """A number as the narrow fields of a record can hold it: what does not fit stays a number that nothing is called by."""
    return min(max(number, -NARROW), NARROW)


@outlined
def note_ask(d: Any, kind: int, reason: int, order_id: int) -> None:
    """Write the request as a command or a proposal, and what it carries beyond price and amount as TERMS."""
    o = d.ask[0]
    j, side, ord_type = narrow(o.instrument), narrow(o.side), narrow(o.ord_type)
    note(d, kind, reason, j, side, ord_type, o.flags, order_id, o.link_id, o.trail if is_trailing(o.ord_type) else o.price,
         o.stop_px, o.order_qty, 0, o.trail_rate)  # fmt: skip
    known = (
        0 <= o.time_in_force <= DAY
        and 0 <= o.trigger_by <= 2
        and 0 <= o.self_trade <= 3
        and -1 <= o.position_side <= 1
    )
    # terms that do not exist are written as one that does not
    packed = (
        o.time_in_force + 8 * o.trigger_by + 32 * o.self_trade + 128 * (o.position_side + 1)
        if known
        else NO_TERMS
    )
    more = (
        o.limit_offset != 0
        or o.activation_px != 0
        or o.display_qty != 0
        or o.expire_ts != 0
        or o.parent_id != 0
    )
    if packed != PLAIN or more:
        note(d, TERMS, 0, j, side, ord_type, packed, order_id, o.parent_id, o.limit_offset, o.activation_px,
             o.display_qty, 0, o.expire_ts)  # fmt: skip


@outlined
def refuse(d: Any, kind: int, reason: int) -> int:
    """Say that the request was denied (by our risk gate) or rejected (by the venue), and give it an id all the same."""
    s = d.state[0]
    o = d.ask[0]
    order_id = s.next_order_id
    s.next_order_id += 1
    j, side, ord_type = narrow(o.instrument), narrow(o.side), narrow(o.ord_type)
    note(
        d,
        kind,
        reason,
        j,
        side,
        ord_type,
        o.flags,
        order_id,
        o.link_id,
        o.price,
        o.stop_px,
        o.order_qty,
        0,
        0,
    )
    return order_id  # type: ignore[no-any-return]


@outlined
def enter(d: Any, status: int) -> int:
    """Put the request, which nothing refuses, into the table, hold what it may need, and return its row."""
    s = d.state[0]
    k = s.n_orders
    s.n_orders += 1
    d.orders[k] = d.ask[0]
    o = d.orders[k]
    o.order_id = s.next_order_id
    s.next_order_id += 1
    o.ts = s.now
    o.status = status
    o.works_as = o.ord_type if o.ord_type == MARKET or o.ord_type == LIMIT else 0
    o.direction = -o.side if o.ord_type == IF_TOUCHED or o.ord_type == LIMIT_IF_TOUCHED else o.side
    o.cum_qty = 0
    o.held = 0
    o.ahead = -1
    o.anchor = 0
    o.shown_qty = o.display_qty
    if o.time_in_force == DAY:
        o.expire_ts = (s.now // s.day + 1) * s.day
    if status == WORKING:
        o.arrive_ts = s.now
    set_wake(o)
    if is_trailing(o.ord_type) and status != DORMANT and o.activation_px == 0:
        start_trail(d, k, d.inst[o.instrument].last)
    comes = -1 if status == DORMANT else o.arrive_ts if status == IN_FLIGHT else 0
    report(d, k, ACCEPTED, OK, 0, 0, comes, o.flags, 0, 0, 0)
    if not o.flags & REDUCE_ONLY and status != DORMANT:
        hold(d, k)
    return k  # type: ignore[no-any-return]


@inlined
def set_wake(o: Any) -> None:
    """Note when the clock next does something with an order."""
    wake = o.expire_ts if o.expire_ts > 0 else NO_TIME
    if o.cancel_ts > 0:
        wake = min(wake, o.cancel_ts)
    if o.status == IN_FLIGHT:
        wake = min(wake, o.arrive_ts)
    o.wake_ts = wake


@outlined
def hold(d: Any, k: int) -> None:
    """Hold what the order in row `k` may need for what is left of it: the base of a sale, else money."""
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    left = o.order_qty - o.cum_qty
    if m.kind == SPOT and o.side < 0:
        o.held = left
        post(d, m.base, FREE, HELD, left, j, o.order_id)
    else:
        o.held = cost_of(d, o, reference_px(d, o), left)
        post(d, m.settle, FREE, HELD, o.held, j, o.order_id)


@outlined
def release(d: Any, k: int, amount: int) -> None:
    """Give back `amount` of what the order in row `k` holds."""
    o = d.orders[k]
    m = d.inst[o.instrument]
    post(
        d, m.base if m.kind == SPOT and o.side < 0 else m.settle, HELD, FREE, amount, o.instrument, o.order_id
    )
    o.held -= amount


@outlined
def start_trail(d: Any, k: int, price: int) -> None:
    """Let a trailing stop begin at `price`."""
    o = d.orders[k]
    o.flags |= ACTIVE
    o.anchor = price
    o.stop_px = trigger_of(d.inst[o.instrument], o.side, o.trail, o.trail_rate, price)


@outlined
def drop(d: Any, k: int) -> None:
    """Take row `k` out of the table; the rest keeps its order, which is its priority."""
    s = d.state[0]
    for i in range(k, s.n_orders - 1):
        d.orders[i] = d.orders[i + 1]
    s.n_orders -= 1


@inlined
def row_of(d: Any, order_id: int) -> int:
    """The row of an open order, or -1."""
    for k in range(d.state[0].n_orders):
        if d.orders[k].order_id == order_id:
            return k
    return -1


@outlined
def remove(d: Any, k: int, reason: int) -> None:
    """Cancel the order in row `k` and give back what it held, without a look at what hangs on it."""
    report(d, k, CANCELED, reason, 0, 0, 0, 0, 0, 0, 0)
    if d.orders[k].held > 0:
        release(d, k, d.orders[k].held)
    drop(d, k)


@outlined
def end_children(d: Any, parent_id: int) -> None:
    """Cancel the orders that waited for a parent that ended without a fill."""
    k = 0
    while k < d.state[0].n_orders:
        if d.orders[k].parent_id == parent_id and d.orders[k].status == DORMANT:
            remove(d, k, PARENT_ENDED)
        else:
            k += 1


@outlined
def cancel_row(d: Any, k: int, reason: int) -> None:
    """Cancel the order in row `k`, and what waited for it."""
    order_id, alone = d.orders[k].order_id, d.orders[k].cum_qty > 0
    remove(d, k, reason)
    if not alone:
        end_children(d, order_id)


@outlined
def shrink(d: Any, k: int, qty: int, reason: int) -> bool:
    """Take `qty` off what is left of the order in row `k`; True when nothing is left and it was canceled."""
    o = d.orders[k]
    left = o.order_qty - o.cum_qty
    if qty >= left:
        cancel_row(d, k, reason)
        return True
    if o.held > 0:
        release(d, k, mul_div(o.held, qty, left))
    o.order_qty -= qty
    if o.display_qty >= o.order_qty - o.cum_qty:
        o.display_qty = 0
        o.shown_qty = 0
    report(d, k, REPLACED, reason, 0, 0, 0, o.flags, 0, 0, 0)
    return False


@outlined
def tell_links(d: Any, order_id: int, link_id: int, qty: int) -> None:
    """An order filled `qty`: orders linked to it that only reduce shrink by as much, others are canceled."""
    k = 0
    while k < d.state[0].n_orders:
        o = d.orders[k]
        if o.link_id == link_id and o.order_id != order_id and not o.flags & REDUCE_ONLY:
            cancel_row(d, k, LINKED_ORDER_FILLED)
            k = 0
        else:
            k += 1
    k = 0
    while k < d.state[0].n_orders:
        o = d.orders[k]
        tied = o.link_id == link_id and o.order_id != order_id and not o.flags & CLOSE_POSITION
        if not (tied and shrink(d, k, qty, LINKED_ORDER_FILLED)):
            k += 1


@outlined
def set_to_work(d: Any, k: int, price: int) -> None:
    """Arm the order in row `k`, which waited for a fill that was made at `price`; it may still be on its way to the venue."""
    o = d.orders[k]
    o.status = IN_FLIGHT if o.arrive_ts > d.state[0].now else WORKING
    set_wake(o)
    if o.status == WORKING:
        if is_trailing(o.ord_type) and o.activation_px == 0:
            start_trail(d, k, price)
        report(d, k, ARMED, OK, 0, 0, 0, o.flags, 0, 0, 0)


@outlined
def tell_children(d: Any, parent_id: int, filled: int, qty: int, price: int) -> None:
    """A parent has filled `qty` more at `price`, `filled` in all: what hangs on it covers exactly what filled, and works."""
    k = 0
    while k < d.state[0].n_orders:
        o = d.orders[k]
        if o.parent_id == parent_id:
            # what a sibling has closed since is off its amount already
            o.order_qty = filled if o.status == DORMANT else o.order_qty + qty
            if o.status == DORMANT:
                set_to_work(d, k, price)
            elif o.status == WORKING:
                report(d, k, ARMED, OK, 0, 0, 0, o.flags, 0, 0, 0)
            if not o.flags & REDUCE_ONLY:
                if o.held > 0:
                    release(d, k, o.held)
                if not hold_or_cancel(d, k):
                    continue
        k += 1


@outlined
def end_parent(d: Any, parent_id: int) -> None:
    """What a parent opened is closed by what hung on it: the rest of the parent must not open it again, unprotected."""
    k = row_of(d, parent_id)
    if k >= 0:
        cancel_row(d, k, LINKED_ORDER_FILLED)


@outlined
def hold_or_cancel(d: Any, k: int) -> bool:
    """Hold what an order that was just armed needs, or cancel it when that is not there; whether it stands."""
    o = d.orders[k]
    m = d.inst[o.instrument]
    left = o.order_qty - o.cum_qty
    sells = m.kind == SPOT and o.side < 0
    need = left if sells else cost_of(d, o, reference_px(d, o), left)
    if need > (d.ledger[m.base, FREE] if sells else available(d, m.settle)):
        cancel_row(d, k, INSUFFICIENT_BALANCE)
        return False
    hold(d, k)
    return True


@inlined
def has_entry(d: Any, j: int) -> bool:
    """Whether an order is open that could still make a position in instrument `j`."""
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and not o.flags & REDUCE_ONLY and (o.side > 0 or d.inst[j].kind != SPOT):
            return True
    return False


@inlined
def entry_side(d: Any, j: int) -> int:
    """The side of the oldest open order that could make a position in instrument `j`, or 0."""
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and not o.flags & REDUCE_ONLY and (o.side > 0 or d.inst[j].kind != SPOT):
            return o.side  # type: ignore[no-any-return]
    return 0


@outlined
def end_protection(d: Any, j: int) -> None:
    """Cancel what only reduces a position that is gone, and shrink what is larger than the position that is left."""
    m = d.inst[j]
    least = m.lot if m.kind == SPOT else 1
    entry = has_entry(d, j)
    k = 0
    while k < d.state[0].n_orders:
        o = d.orders[k]
        if o.instrument == j and o.flags & REDUCE_ONLY:
            position = held_by(d, j, o.position_side)
            own = abs(position) if position * o.side < 0 else 0
            left = o.order_qty - o.cum_qty
            waits = o.status == DORMANT and (entry or o.parent_id != 0)
            if own < least and not waits:
                cancel_row(d, k, POSITION_CLOSED)
                k = 0
                continue
            if own >= least and left > own and not o.flags & CLOSE_POSITION and o.status != DORMANT:
                shrink(d, k, left - own, SHRANK)
        k += 1


@outlined
def arm(d: Any, j: int, side: int, price: int) -> None:
    """An entry on `side` filled at `price`: orders that waited for a position start to work."""
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and o.status == DORMANT and o.parent_id == 0 and o.side == -side:
            set_to_work(d, k, price)


@hot
def limit_of_trail(d: Any, k: int) -> int:
    """The limit with which a trailing stop limit fires: its trigger moved on by its offset, on the tick."""
    o = d.orders[k]
    price = o.stop_px + o.side * o.limit_offset
    tick = tick_at(d.inst[o.instrument], max(price, 1))
    return max(price // tick * tick if o.side < 0 else -(-price // tick) * tick, tick)
