"""One step of one strategy on one instrument: the market first, then what the strategy proposed.

The history loop, the live loop and the generated module of each strategy call these two functions, compiled. A
step is `market_step`, the indicators, `on_bar`, `order_step`; everything it did stands in the event buffer.
"""

from __future__ import annotations

import math
from typing import Any

from twinstar_kit.jit import compiled, hot, inlined
from twinstar_kit.kernel.book import (
    CLOSE_POSITION,
    DORMANT,
    LIMIT,
    MARKET,
    NO_POSITION,
    OK,
    REDUCE_ONLY,
    STOP,
    TRAILING_STOP,
    WORKING,
    cancel_row,
    end_protection,
    enter,
    has_entry,
    position_of,
    refusal,
    refuse,
    start_trail,
)
from twinstar_kit.kernel.context import MAX_PROPOSALS, Proposal
from twinstar_kit.kernel.ledger import FREE, HELD
from twinstar_kit.kernel.matching import fill, on_bar
from twinstar_kit.kernel.money import RATE_SCALE, mul_div
from twinstar_kit.kernel.orders import EventKind, Reason
from twinstar_kit.kernel.tables import note, report

DEFAULT_SHARE = 95 * RATE_SCALE // 100
"""A purchase without an amount uses this share of the equity."""

RECORDS_PER_ORDER = 24
"""No bar makes more events for one order: each is proposed, accepted, held, armed, fired, filled, posted, voided."""

BUY, SELL = int(Proposal.BUY), int(Proposal.SELL)
BUY_LIMIT, SELL_LIMIT, BUY_STOP = int(Proposal.BUY_LIMIT), int(Proposal.SELL_LIMIT), int(Proposal.BUY_STOP)
PROTECT_STOP, PROTECT_TRAIL, PROTECT_RATE = int(Proposal.STOP), int(Proposal.TRAIL), int(Proposal.TRAIL_RATE)
CLOSE, CANCEL = int(Proposal.CLOSE), int(Proposal.CANCEL)
PROPOSED, DENIED, REPLACED = int(EventKind.PROPOSED), int(EventKind.DENIED), int(EventKind.REPLACED)
REQUESTED, INVALID_PRICE = int(Reason.REQUESTED), int(Reason.INVALID_PRICE)
TOO_MANY_PROPOSALS = int(Reason.TOO_MANY_PROPOSALS)
INSTRUMENT = 0
"""A strategy trades instrument 0 of its engine."""


@hot
def has_room(state: Any, out: Any) -> bool:
    """Whether the event buffer can take whatever the next bar does; if not, drain it first."""
    s = state[0]
    return out.shape[0] - s.n_out > RECORDS_PER_ORDER * (s.n_orders + MAX_PROPOSALS)


@hot
def equity_of(inst: Any, ledger: Any, j: int) -> int:
    """Quote balance plus the position at the latest price, in money units."""
    m = inst[j]
    cash = ledger[m.quote, FREE] + ledger[m.quote, HELD]
    position = position_of(inst, ledger, j)
    return cash + mul_div(position, m.last, m.divisor) if position > 0 else cash


@hot
def market_step(
    bars: Any, i: int, ctx: Any, state: Any, inst: Any, orders: Any, ledger: Any, out: Any
) -> None:
    """Let bar `i` meet the orders sent before it, then show the bar and the account to the strategy."""
    s = state[0]
    before = s.seq
    if s.n_orders > 0:
        on_bar(state, inst, orders, ledger, out, INSTRUMENT, bars, i)
    else:
        s.now = bars[i, 0] + s.timeframe_ms
        inst[INSTRUMENT].last = bars[i, 4]
    c = ctx[0]
    m = inst[INSTRUMENT]
    c.open = bars[i, 1] / m.price_one
    c.high = bars[i, 2] / m.price_one
    c.low = bars[i, 3] / m.price_one
    c.close = bars[i, 4] / m.price_one
    c.volume = bars[i, 5] / m.amount_one
    c.ts = s.now
    c.index += 1
    c.n_proposals = 0
    c.denied = 0
    if s.seq != before or c.index == 0:
        show_account(ctx, inst, ledger)
    if c.position > 0.0:
        c.equity = equity_of(inst, ledger, INSTRUMENT) / m.money_one


@compiled
def show_account(ctx: Any, inst: Any, ledger: Any) -> None:
    """Write the account into the context, as floats for the strategy's arithmetic."""
    c = ctx[0]
    m = inst[INSTRUMENT]
    position = position_of(inst, ledger, INSTRUMENT)
    c.position = position / m.amount_one
    c.cash = ledger[m.quote, FREE] / m.money_one
    c.entry = (m.cost / m.money_one) / c.position if position > 0 else math.nan
    c.equity = equity_of(inst, ledger, INSTRUMENT) / m.money_one


@hot
def order_step(ctx: Any, state: Any, inst: Any, orders: Any, ledger: Any, out: Any) -> int:
    """Take the strategy's proposals through the risk gate to the venue; returns the equity in money units.

    Orders come first, protective ones after them, so that a stop proposed with its entry finds it.
    """
    c = ctx[0]
    if c.n_proposals > 0 or c.denied > 0:
        take_proposals(ctx, state, inst, orders, ledger, out)
    return equity_of(inst, ledger, INSTRUMENT)


@compiled
def take_proposals(ctx: Any, state: Any, inst: Any, orders: Any, ledger: Any, out: Any) -> None:
    """The rare part of `order_step`, apart so that the common part stays small enough to be inlined."""
    c = ctx[0]
    before = state[0].seq
    for p in range(c.n_proposals):
        if not is_protective(c.p_kind[p]):
            take_order(ctx, p, state, inst, orders, ledger, out)
    for p in range(c.n_proposals):
        if is_protective(c.p_kind[p]):
            take_protection(ctx, p, state, inst, orders, ledger, out)
    for _ in range(c.denied):
        refuse(state, out, DENIED, TOO_MANY_PROPOSALS, INSTRUMENT, 0, 0, 0, 0, 0, 0, 0)
    if state[0].seq != before:
        show_account(ctx, inst, ledger)


@inlined
def is_protective(kind: int) -> bool:
    """Whether a proposal sets or moves the order that protects the position."""
    return kind in (PROTECT_STOP, PROTECT_TRAIL, PROTECT_RATE)


@inlined
def to_lots(amount: float, one: float, lot: int) -> int:
    """An amount in base as units, rounded down to the lot; 0 for what is no positive number."""
    if not (amount > 0.0 and amount * one < 4.6e18):
        return 0
    exact = amount * one / lot
    nearest = math.floor(exact + 0.5)
    lots = nearest if abs(exact - nearest) <= 1e-9 * exact else math.floor(exact)
    return int(lots) * lot


@inlined
def to_ticks(price: float, one: float, tick: int) -> int:
    """A price in quote as units, rounded to the nearest tick; 0 for what is no positive number."""
    if not (price > 0.0 and price * one < 4.6e18):
        return 0
    return math.floor(price * one / tick + 0.5) * tick


@inlined
def default_qty(state: Any, inst: Any, ledger: Any, price: int) -> int:
    """The amount of a purchase that names none: the broker's, else 95 % of the equity at `price`, in whole lots."""
    m = inst[INSTRUMENT]
    if state[0].fixed_amount > 0:
        return state[0].fixed_amount
    spend = mul_div(equity_of(inst, ledger, INSTRUMENT), DEFAULT_SHARE, RATE_SCALE)
    return mul_div(spend, m.divisor, price) // m.lot * m.lot if price > 0 else 0


@inlined
def take_order(ctx: Any, p: int, state: Any, inst: Any, orders: Any, ledger: Any, out: Any) -> None:
    """Turn proposal `p` into an order, or deny it; in `fill="close"` a market order fills at once."""
    c = ctx[0]
    m = inst[INSTRUMENT]
    kind = c.p_kind[p]
    if kind == CANCEL:
        note(state, out, PROPOSED, OK, INSTRUMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        while state[0].n_orders > 0:
            cancel_row(state, inst, orders, ledger, out, 0, REQUESTED)
        return
    side, ord_type, flags, price, stop_px = 1, MARKET, 0, 0, 0
    if kind in (SELL, SELL_LIMIT, CLOSE):
        side, flags = -1, REDUCE_ONLY
    if kind in (BUY_LIMIT, SELL_LIMIT):
        ord_type, price = LIMIT, to_ticks(c.p_price[p], m.price_one, m.tick)
    elif kind == BUY_STOP:
        ord_type, stop_px = STOP, to_ticks(c.p_price[p], m.price_one, m.tick)
    amount = c.p_amount[p]
    if kind == CLOSE or (side < 0 and math.isnan(amount)):
        flags, qty = REDUCE_ONLY | CLOSE_POSITION, position_of(inst, ledger, INSTRUMENT)
    elif math.isnan(amount):
        qty = default_qty(
            state, inst, ledger, price if ord_type == LIMIT else stop_px if ord_type == STOP else m.last
        )
    else:
        qty = to_lots(amount, m.amount_one, m.lot)
    note(state, out, PROPOSED, OK, INSTRUMENT, side, ord_type, flags, 0, 0, price, stop_px, qty, 0, 0)
    reason = refusal(state, inst, orders, ledger, INSTRUMENT, side, ord_type, flags, qty, price, stop_px)
    if reason == OK and side < 0 and position_of(inst, ledger, INSTRUMENT) < m.lot:
        reason = NO_POSITION
    if reason != OK:
        refuse(state, out, DENIED, reason, INSTRUMENT, side, ord_type, flags, qty, price, stop_px, 0)
        return
    k = enter(
        state,
        inst,
        orders,
        ledger,
        out,
        INSTRUMENT,
        side,
        ord_type,
        flags,
        qty,
        price,
        stop_px,
        0,
        0,
        0,
        WORKING,
    )
    if ord_type == MARKET and state[0].fill_on_close:
        fill(state, inst, orders, ledger, out, k, m.last, False)


@inlined
def take_protection(ctx: Any, p: int, state: Any, inst: Any, orders: Any, ledger: Any, out: Any) -> None:
    """Set or move the stop or the trailing stop of the position; without one it waits for the entry that is open."""
    c = ctx[0]
    s = state[0]
    m = inst[INSTRUMENT]
    kind = c.p_kind[p]
    level = c.p_price[p]
    ord_type = STOP if kind == PROTECT_STOP else TRAILING_STOP
    stop_px, trail, rate = 0, 0, 0
    if kind == PROTECT_STOP:
        stop_px = to_ticks(level, m.price_one, m.tick)
    elif kind == PROTECT_TRAIL:
        trail = to_ticks(level, m.price_one, m.tick)
    elif level > 0.0 and level < 1.0:
        rate = math.floor(level * RATE_SCALE + 0.5)
    flags = REDUCE_ONLY | CLOSE_POSITION
    note(state, out, PROPOSED, OK, INSTRUMENT, -1, ord_type, flags, 0, 0, trail, stop_px, 0, 0, rate)
    for k in range(s.n_orders):
        o = orders[k]
        if o.ord_type == ord_type and o.flags & CLOSE_POSITION:
            if stop_px + trail + rate > 0:
                move_protection(state, orders, out, k, stop_px, trail, rate)
            else:
                refuse(state, out, DENIED, INVALID_PRICE, INSTRUMENT, -1, ord_type, flags, 0, 0, 0, 0)
            return
    position = position_of(inst, ledger, INSTRUMENT)
    reason = refusal(state, inst, orders, ledger, INSTRUMENT, -1, ord_type, flags, position, 0, stop_px)
    if reason == OK and stop_px + trail + rate <= 0:
        reason = INVALID_PRICE
    if reason == OK and position < m.lot and not has_entry(state, orders, INSTRUMENT):
        reason = NO_POSITION
    if reason != OK:
        refuse(state, out, DENIED, reason, INSTRUMENT, -1, ord_type, flags, position, 0, stop_px, 0)
        return
    status = WORKING if position >= m.lot else DORMANT
    enter(
        state,
        inst,
        orders,
        ledger,
        out,
        INSTRUMENT,
        -1,
        ord_type,
        flags,
        position,
        0,
        stop_px,
        trail,
        rate,
        0,
        status,
    )


@inlined
def move_protection(state: Any, orders: Any, out: Any, k: int, stop_px: int, trail: int, rate: int) -> None:
    """Give the protective order in row `k` another trigger or distance; nothing is said when nothing changes."""
    o = orders[k]
    if o.ord_type == STOP:
        if o.stop_px == stop_px:
            return
        o.stop_px = stop_px
    else:
        if o.trail == trail and o.trail_rate == rate:
            return
        o.trail = trail
        o.trail_rate = rate
        if o.status == WORKING:
            start_trail(orders, k, o.anchor)
    report(state, orders, out, k, REPLACED, OK, 0, 0, o.order_qty, 0, o.flags)


@compiled
def market_step_entry(
    bars: Any, i: int, ctx: Any, state: Any, inst: Any, orders: Any, ledger: Any, out: Any
) -> None:
    """`market_step`, callable from Python without compiling it anew in each process."""
    market_step(bars, i, ctx, state, inst, orders, ledger, out)


@compiled
def order_step_entry(ctx: Any, state: Any, inst: Any, orders: Any, ledger: Any, out: Any) -> int:
    """`order_step`, callable from Python without compiling it anew in each process."""
    return order_step(ctx, state, inst, orders, ledger, out)


@compiled
def close_out(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int) -> None:
    """Cancel what is open and sell the position of instrument `j` at its latest price, as a taker."""
    k = 0
    while k < state[0].n_orders:
        if orders[k].instrument == j:
            cancel_row(state, inst, orders, ledger, out, k, REQUESTED)
        else:
            k += 1
    position = position_of(inst, ledger, j)
    if position >= inst[j].lot:
        flags = REDUCE_ONLY | CLOSE_POSITION
        k = enter(state, inst, orders, ledger, out, j, -1, MARKET, flags, position, 0, 0, 0, 0, 0, WORKING)
        fill(state, inst, orders, ledger, out, k, inst[j].last, False)
    end_protection(state, inst, orders, ledger, out, j)
