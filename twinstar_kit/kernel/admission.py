"""What an order must satisfy before the venue takes it. The checks stand in a fixed order, and none of them writes."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel.fees import fee_of, highest_rate
from twinstar_kit.kernel.ledger import FREE, HELD
from twinstar_kit.kernel.margin import above_tier, available, initial_margin
from twinstar_kit.kernel.money import MAX_UNITS, RATE_SCALE, mul_div
from twinstar_kit.kernel.orders import OrdFlag, OrdType, Reason, TimeInForce
from twinstar_kit.kernel.values import (
    SPOT,
    held_by,
    marked,
    slipped,
    slot_of,
    tick_at,
    unrealised,
    value_down,
    value_fits,
    value_up,
)

# numba reads these as constants
MARKET, LIMIT, STOP, STOP_LIMIT = (
    int(OrdType.MARKET),
    int(OrdType.LIMIT),
    int(OrdType.STOP),
    int(OrdType.STOP_LIMIT),
)
IF_TOUCHED, LIMIT_IF_TOUCHED = int(OrdType.MARKET_IF_TOUCHED), int(OrdType.LIMIT_IF_TOUCHED)
TRAILING_STOP, TRAILING_STOP_LIMIT = int(OrdType.TRAILING_STOP), int(OrdType.TRAILING_STOP_LIMIT)
REDUCE_ONLY, CLOSE_POSITION, SEEN = int(OrdFlag.REDUCE_ONLY), int(OrdFlag.CLOSE_POSITION), int(OrdFlag.SEEN)
POST_ONLY, HIDDEN = int(OrdFlag.POST_ONLY), int(OrdFlag.HIDDEN)
GTC, IOC, FOK, GTD, DAY = (int(t) for t in TimeInForce)
OK = int(Reason.NONE)
UNKNOWN_INSTRUMENT, INVALID_TYPE = int(Reason.UNKNOWN_INSTRUMENT), int(Reason.INVALID_TYPE)
INVALID_TERMS = int(Reason.INVALID_TERMS)
WRONG_POSITION_SIDE, TOO_MANY_ORDERS = int(Reason.WRONG_POSITION_SIDE), int(Reason.TOO_MANY_ORDERS)
INVALID_AMOUNT, OFF_LOT = int(Reason.INVALID_AMOUNT), int(Reason.OFF_LOT)
BELOW_MIN_AMOUNT, ABOVE_MAX_AMOUNT = int(Reason.BELOW_MIN_AMOUNT), int(Reason.ABOVE_MAX_AMOUNT)
INVALID_PRICE, OFF_TICK, PRICE_TOO_FAR = (
    int(Reason.INVALID_PRICE),
    int(Reason.OFF_TICK),
    int(Reason.PRICE_TOO_FAR),
)
NO_MARKET, NO_POSITION, TOO_LARGE = int(Reason.NO_MARKET), int(Reason.NO_POSITION), int(Reason.TOO_LARGE)
BELOW_MIN_NOTIONAL, ABOVE_MAX_POSITION = int(Reason.BELOW_MIN_NOTIONAL), int(Reason.ABOVE_MAX_POSITION)
ABOVE_TIER, INSUFFICIENT_BALANCE = int(Reason.ABOVE_TIER), int(Reason.INSUFFICIENT_BALANCE)
WOULD_TAKE = int(Reason.WOULD_TAKE)


@inlined
def is_limit(ord_type: int) -> bool:
    """Whether an order of this type ends as a limit order."""
    return ord_type in (LIMIT, STOP_LIMIT, LIMIT_IF_TOUCHED, TRAILING_STOP_LIMIT)


@inlined
def has_trigger(ord_type: int) -> bool:
    """Whether an order of this type has a trigger price of its own."""
    return ord_type in (STOP, STOP_LIMIT, IF_TOUCHED, LIMIT_IF_TOUCHED)


@inlined
def is_trailing(ord_type: int) -> bool:
    """Whether an order of this type follows the price."""
    return ord_type in (TRAILING_STOP, TRAILING_STOP_LIMIT)


@outlined
def bad_terms(d: Any, o: Any) -> int:
    """The first condition of an order that makes no sense with the others, or 0."""
    limit, plain = is_limit(o.ord_type), o.ord_type == MARKET or o.ord_type == LIMIT
    if o.ord_type < MARKET or o.ord_type > TRAILING_STOP_LIMIT or (o.side != 1 and o.side != -1):
        return INVALID_TYPE
    if o.time_in_force < GTC or o.time_in_force > DAY or o.trigger_by < 0 or o.trigger_by > 2:
        return INVALID_TERMS
    if (o.time_in_force == IOC or o.time_in_force == FOK) and not plain:
        return INVALID_TERMS
    # an order that is amended has its number, and the end of its day, already
    until = o.expire_ts if o.order_id == 0 or o.time_in_force != DAY else 0
    if (o.time_in_force == GTD) != (until != 0) or (o.time_in_force == GTD and until <= d.state[0].now):
        return INVALID_TERMS
    if o.flags & POST_ONLY and (o.ord_type != LIMIT or o.time_in_force == IOC or o.time_in_force == FOK):
        return INVALID_TERMS
    if (o.display_qty != 0 or o.flags & HIDDEN) and (
        not limit or o.time_in_force == IOC or o.time_in_force == FOK
    ):
        return INVALID_TERMS
    if o.display_qty < 0 or (o.display_qty > 0 and (o.flags & HIDDEN or o.display_qty >= o.order_qty)):
        return INVALID_TERMS
    if o.flags & CLOSE_POSITION and limit and o.ord_type != LIMIT:
        return INVALID_TERMS
    if is_trailing(o.ord_type):
        if (
            o.trail < 0
            or o.trail_rate < 0
            or o.trail_rate >= RATE_SCALE
            or (o.trail > 0) == (o.trail_rate > 0)
        ):
            return INVALID_PRICE
    elif o.trail != 0 or o.trail_rate != 0 or o.activation_px != 0 or o.limit_offset != 0:
        return INVALID_TERMS
    if o.activation_px < 0 or o.self_trade < 0 or o.self_trade > 3:
        return INVALID_TERMS
    if d.state[0].hedge != 0 and d.inst[o.instrument].kind != SPOT:
        return OK if o.position_side == 1 or o.position_side == -1 else WRONG_POSITION_SIDE
    return OK if o.position_side == 0 else WRONG_POSITION_SIDE


@outlined
def bad_amount(m: Any, o: Any) -> int:
    """The rule about amounts that an order breaks, or 0."""
    if o.flags & CLOSE_POSITION:
        return OK
    lot = m.market_lot if o.ord_type == MARKET and m.market_lot > 0 else m.lot
    most = m.market_max_amount if o.ord_type == MARKET and m.market_max_amount > 0 else m.max_amount
    if o.order_qty <= 0:
        return INVALID_AMOUNT
    if o.order_qty % lot != 0 or o.display_qty % m.lot != 0:
        return OFF_LOT
    if o.order_qty < m.min_amount:
        return BELOW_MIN_AMOUNT
    return ABOVE_MAX_AMOUNT if o.order_qty > most else OK


@outlined
def bad_price(m: Any, o: Any) -> int:
    """The rule about prices that an order breaks, or 0."""
    if is_limit(o.ord_type) and o.ord_type != TRAILING_STOP_LIMIT:
        if o.price <= 0:
            return INVALID_PRICE
        if o.price % tick_at(m, o.price) != 0:
            return OFF_TICK
        if m.last > 0:
            if m.percent_up > 0 and o.price - m.last > mul_div(m.last, m.percent_up, RATE_SCALE):
                return PRICE_TOO_FAR
            if m.percent_down > 0 and m.last - o.price > mul_div(m.last, m.percent_down, RATE_SCALE):
                return PRICE_TOO_FAR
    if has_trigger(o.ord_type):
        if o.stop_px <= 0:
            return INVALID_PRICE
        if o.stop_px % tick_at(m, o.stop_px) != 0:
            return OFF_TICK
    if o.activation_px > 0 and o.activation_px % tick_at(m, o.activation_px) != 0:
        return OFF_TICK
    return OK


@outlined
def reference_px(d: Any, o: Any) -> int:
    """The price that an order is checked and held by: its limit, its trigger, or the last price; takers with slippage."""
    m = d.inst[o.instrument]
    if is_limit(o.ord_type) and o.ord_type != TRAILING_STOP_LIMIT:
        return o.price  # type: ignore[no-any-return]
    price = o.stop_px if has_trigger(o.ord_type) else m.last
    return slipped(d, o.instrument, price, o.side, o.order_qty) if price > 0 else 0


@outlined
def opening_qty(d: Any, o: Any, qty: int) -> int:
    """How much of `qty` would open or enlarge a derivative position rather than close the opposite one."""
    position = held_by(d, o.instrument, o.position_side)
    if position * o.side >= 0:
        return qty
    return max(0, qty - abs(position))


@outlined
def cost_of(d: Any, o: Any, price: int, qty: int) -> int:
    """What `qty` of an order takes from the account at `price` as a taker: value or margin, and the fee, both rounded up."""
    m = d.inst[o.instrument]
    value = value_up(m, price, qty)
    fee = max(0, fee_of(value, highest_rate(d, o.instrument)))
    if m.kind == SPOT:
        return value + fee
    part = opening_qty(d, o, qty)
    if part == 0:
        return 0
    cost = initial_margin(m, value_up(m, price, part)) + fee
    if part < qty:
        # it closes the opposite position first, whose collateral comes free
        slot = slot_of(o.position_side)
        lost = min(0, unrealised(m, slot, marked(m))) if m.isolated != 0 else 0
        cost -= max(0, m.margin[slot] + lost)
    return max(0, cost)


@inlined
def pending(d: Any, o: Any) -> int:
    """What other open orders on the side of `o` may still add to its position."""
    total = 0
    for k in range(d.state[0].n_orders):
        other = d.orders[k]
        if (
            other.instrument == o.instrument and other.side == o.side and other.position_side == o.position_side
            and other.order_id != o.order_id and not other.flags & REDUCE_ONLY
        ):  # fmt: skip
            total += other.order_qty - other.cum_qty
    return total


@outlined
def too_large(d: Any, o: Any, price: int) -> int:
    """The bound of integers, notional, position or leverage that an order would break at `price`, or 0."""
    m = d.inst[o.instrument]
    if not value_fits(m, price, o.order_qty):
        return TOO_LARGE
    if m.kind == SPOT:
        received = o.order_qty if o.side > 0 else value_down(m, price, o.order_qty)
        row = m.base if o.side > 0 else m.quote
        if d.ledger[row, FREE] + d.ledger[row, HELD] > MAX_UNITS - received:
            return TOO_LARGE
        if (
            m.max_position > 0
            and o.side > 0
            and held_by(d, o.instrument, 0) + o.order_qty + pending(d, o) > m.max_position
        ):
            return ABOVE_MAX_POSITION
        return BELOW_MIN_NOTIONAL if value_down(m, price, o.order_qty) < m.min_notional else OK
    if value_down(m, price, o.order_qty) < m.min_notional:
        return BELOW_MIN_NOTIONAL
    part = opening_qty(d, o, o.order_qty)
    if part == 0:
        return OK
    position = held_by(d, o.instrument, o.position_side)
    after = part + (abs(position) if position * o.side > 0 else 0)
    if not value_fits(m, price, after):
        return TOO_LARGE
    if m.max_position > 0 and after + pending(d, o) > m.max_position:
        return ABOVE_MAX_POSITION
    return ABOVE_TIER if above_tier(m, value_up(m, price, after)) else OK


@inlined
def reduces(d: Any, o: Any) -> bool:
    """Whether there is a position that the order of this side can reduce."""
    m = d.inst[o.instrument]
    position = held_by(d, o.instrument, o.position_side)
    return position * o.side < 0 and (m.kind != SPOT or position >= m.lot)


@outlined
def refusal(d: Any, may_wait: bool) -> int:
    """The first rule that the request in `d.ask` breaks, or 0; `may_wait`: a position to reduce need not be there yet."""
    o = d.ask[0]
    if o.instrument < 0 or o.instrument >= d.inst.shape[0]:
        return UNKNOWN_INSTRUMENT
    m = d.inst[o.instrument]
    reason = bad_terms(d, o)
    if reason != OK:
        return reason
    # one row stays free for a liquidation
    if d.state[0].n_orders >= d.orders.shape[0] - 1:
        return TOO_MANY_ORDERS
    if m.max_orders > 0:
        open_here = 0
        for k in range(d.state[0].n_orders):
            open_here += 1 if d.orders[k].instrument == o.instrument else 0
        if open_here >= m.max_orders:
            return TOO_MANY_ORDERS
    reason = bad_amount(m, o)
    if reason == OK:
        reason = bad_price(m, o)
    if reason != OK:
        return reason
    price = reference_px(d, o)
    if price <= 0 or (m.last <= 0 and (o.ord_type == MARKET or is_trailing(o.ord_type))):
        return NO_MARKET
    if o.flags & REDUCE_ONLY:
        if m.kind == SPOT and o.side > 0:
            return NO_POSITION
        return OK if may_wait or reduces(d, o) else NO_POSITION
    reason = too_large(d, o, price)
    if reason != OK:
        return reason
    if m.kind == SPOT and o.side < 0:
        return INSUFFICIENT_BALANCE if o.order_qty > d.ledger[m.base, FREE] else OK
    cost = cost_of(d, o, price, o.order_qty)
    return INSUFFICIENT_BALANCE if cost > 0 and cost > available(d, m.settle) else OK
