"""The table of open orders: what an order must satisfy to enter it, what entering holds, and how orders leave it."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import hot, inlined
from twinstar_kit.kernel.ledger import FREE, HELD, post
from twinstar_kit.kernel.money import MAX_UNITS, RATE_SCALE, fits, mul_div, mul_div_up
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdStatus, OrdType, Reason
from twinstar_kit.kernel.tables import note, report

# numba reads these as constants
MARKET, LIMIT, STOP, TRAILING_STOP = (int(t) for t in OrdType)
DORMANT, WORKING = int(OrdStatus.DORMANT), int(OrdStatus.WORKING)
REDUCE_ONLY, CLOSE_POSITION, SEEN = int(OrdFlag.REDUCE_ONLY), int(OrdFlag.CLOSE_POSITION), int(OrdFlag.SEEN)
ACCEPTED, CANCELED, ARMED = int(EventKind.ACCEPTED), int(EventKind.CANCELED), int(EventKind.ARMED)
OK = int(Reason.NONE)
INVALID_AMOUNT, OFF_LOT = int(Reason.INVALID_AMOUNT), int(Reason.OFF_LOT)
BELOW_MIN_AMOUNT, ABOVE_MAX_AMOUNT = int(Reason.BELOW_MIN_AMOUNT), int(Reason.ABOVE_MAX_AMOUNT)
INVALID_PRICE, OFF_TICK, INVALID_TYPE = (
    int(Reason.INVALID_PRICE),
    int(Reason.OFF_TICK),
    int(Reason.INVALID_TYPE),
)
BELOW_MIN_NOTIONAL, TOO_LARGE = int(Reason.BELOW_MIN_NOTIONAL), int(Reason.TOO_LARGE)
INSUFFICIENT_BALANCE, NO_POSITION = int(Reason.INSUFFICIENT_BALANCE), int(Reason.NO_POSITION)
TOO_MANY_ORDERS, NO_MARKET = int(Reason.TOO_MANY_ORDERS), int(Reason.NO_MARKET)
POSITION_CLOSED = int(Reason.POSITION_CLOSED)


@hot
def position_of(inst: Any, ledger: Any, j: int) -> int:
    """The position of instrument `j` in amount units."""
    base = inst[j].base
    return ledger[base, FREE] + ledger[base, HELD]


@inlined
def worse(state: Any, inst: Any, j: int, price: int, side: int) -> int:
    """`price` moved against a taker by the slippage, to the next tick."""
    slippage = state[0].slippage
    if slippage == 0:
        return price
    tick = inst[j].tick
    move = mul_div_up(price, slippage, RATE_SCALE)
    move = (move + tick - 1) // tick * tick
    return price + move if side > 0 else max(price - move, tick)


@inlined
def buying_cost(inst: Any, j: int, price: int, qty: int) -> int:
    """What a purchase as a taker takes from the account: the notional and the fee, both rounded up."""
    m = inst[j]
    notional = mul_div_up(price, qty, m.divisor)
    return notional + mul_div_up(notional, m.fee_taker, RATE_SCALE)


@inlined
def refusal(
    state: Any, inst: Any, orders: Any, ledger: Any, j: int, side: int, ord_type: int, flags: int, qty: int, price: int, stop_px: int,
) -> int:  # fmt: skip
    """The first rule that an order breaks, or 0. The checks stand in a fixed order; none of them writes."""
    m = inst[j]
    if ord_type < MARKET or ord_type > TRAILING_STOP or (side != 1 and side != -1):
        return INVALID_TYPE
    if state[0].n_orders >= orders.shape[0]:
        return TOO_MANY_ORDERS
    if not flags & CLOSE_POSITION:
        if qty <= 0:
            return INVALID_AMOUNT
        if qty % m.lot != 0:
            return OFF_LOT
        if qty < m.min_amount:
            return BELOW_MIN_AMOUNT
        if qty > m.max_amount:
            return ABOVE_MAX_AMOUNT
    if ord_type == LIMIT:
        reference = price
    elif ord_type == STOP:
        reference = stop_px
    else:
        reference = m.last
        if reference <= 0:
            return NO_MARKET
    if reference <= 0:
        return INVALID_PRICE
    if (ord_type in (LIMIT, STOP)) and reference % m.tick != 0:
        return OFF_TICK
    if flags & REDUCE_ONLY:
        return NO_POSITION if side > 0 else OK
    if ord_type != LIMIT:
        reference = worse(state, inst, j, reference, side)
    if not fits(reference, qty, m.divisor):
        return TOO_LARGE
    received = qty if side > 0 else mul_div(reference, qty, m.divisor)
    asset = m.base if side > 0 else m.quote
    if ledger[asset, FREE] + ledger[asset, HELD] > MAX_UNITS - received:
        return TOO_LARGE
    if mul_div(reference, qty, m.divisor) < m.min_notional:
        return BELOW_MIN_NOTIONAL
    if side > 0:
        return INSUFFICIENT_BALANCE if buying_cost(inst, j, reference, qty) > ledger[m.quote, FREE] else OK
    return INSUFFICIENT_BALANCE if qty > ledger[m.base, FREE] else OK


@inlined
def enter(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, side: int, ord_type: int, flags: int, qty: int, price: int,
    stop_px: int, trail: int, trail_rate: int, link_id: int, status: int,
) -> int:  # fmt: skip
    """Put an order that nothing refuses into the table, hold what it may need, and return its row."""
    s = state[0]
    m = inst[j]
    k = s.n_orders
    s.n_orders += 1
    o = orders[k]
    o.order_id = s.next_order_id
    s.next_order_id += 1
    o.ts = s.now
    o.instrument = j
    o.side = side
    o.ord_type = ord_type
    o.status = status
    o.flags = flags
    o.link_id = link_id
    o.order_qty = qty
    o.price = price
    o.stop_px = stop_px
    o.trail = trail
    o.trail_rate = trail_rate
    o.anchor = 0
    o.held = 0
    if ord_type == TRAILING_STOP and status == WORKING:
        start_trail(orders, k, m.last)
    report(state, orders, out, k, ACCEPTED, OK, 0, 0, qty, 0, flags)
    if not flags & REDUCE_ONLY:
        if side > 0:
            reference = (
                price
                if ord_type == LIMIT
                else worse(state, inst, j, stop_px if ord_type == STOP else m.last, side)
            )
            o.held = buying_cost(inst, j, reference, qty)
            post(state, ledger, out, m.quote, FREE, HELD, o.held, j, o.order_id)
        else:
            o.held = qty
            post(state, ledger, out, m.base, FREE, HELD, qty, j, o.order_id)
    return k


@inlined
def refuse(
    state: Any, out: Any, kind: int, reason: int, j: int, side: int, ord_type: int, flags: int, qty: int, price: int, stop_px: int, link_id: int
) -> int:  # fmt: skip
    """Say that an order was denied (by our risk gate) or rejected (by the venue), and give it an id all the same."""
    s = state[0]
    order_id = s.next_order_id
    s.next_order_id += 1
    note(state, out, kind, reason, j, side, ord_type, flags, order_id, link_id, price, stop_px, qty, 0, 0)
    return order_id


@inlined
def start_trail(orders: Any, k: int, price: int) -> None:
    """Let a trailing stop begin at `price`."""
    o = orders[k]
    o.anchor = price
    distance = o.trail if o.trail > 0 else mul_div(price, o.trail_rate, RATE_SCALE)
    o.stop_px = max(price + o.side * distance, 1)


@inlined
def drop(state: Any, orders: Any, k: int) -> None:
    """Take row `k` out of the table; the rest keeps its order, which is its priority."""
    s = state[0]
    for i in range(k, s.n_orders - 1):
        orders[i] = orders[i + 1]
    s.n_orders -= 1


@inlined
def cancel_row(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, k: int, reason: int) -> None:
    """Cancel the order in row `k` and void what it held."""
    o = orders[k]
    j = o.instrument
    m = inst[j]
    report(state, orders, out, k, CANCELED, reason, 0, 0, 0, 0, 0)
    if o.held > 0:
        post(state, ledger, out, m.quote if o.side > 0 else m.base, HELD, FREE, o.held, j, o.order_id)
    drop(state, orders, k)


@inlined
def has_entry(state: Any, orders: Any, j: int) -> bool:
    """Whether an order is open that could still make a position in instrument `j`."""
    for k in range(state[0].n_orders):
        o = orders[k]
        if o.instrument == j and o.side > 0 and not o.flags & REDUCE_ONLY:
            return True
    return False


@inlined
def end_protection(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int) -> None:
    """Without a position, cancel what protected it; orders that wait for an entry stay while one is open."""
    if position_of(inst, ledger, j) >= inst[j].lot:
        return
    entry = has_entry(state, orders, j)
    k = 0
    while k < state[0].n_orders:
        o = orders[k]
        if o.instrument == j and o.flags & REDUCE_ONLY and not (entry and o.status == DORMANT):
            cancel_row(state, inst, orders, ledger, out, k, POSITION_CLOSED)
        else:
            k += 1


@inlined
def arm(state: Any, orders: Any, out: Any, j: int, price: int) -> None:
    """An entry filled at `price`: orders that waited for it start to work."""
    for k in range(state[0].n_orders):
        o = orders[k]
        if o.instrument == j and o.status == DORMANT:
            o.status = WORKING
            if o.ord_type == TRAILING_STOP:
                start_trail(orders, k, price)
            report(state, orders, out, k, ARMED, OK, 0, 0, o.order_qty, 0, o.flags)
