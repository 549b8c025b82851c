"""One step of one strategy on one instrument: the market first, then what the strategy proposed.

The history loop, the live loop and the generated module of each strategy call these two functions, compiled. A
step is `market_step`, the indicators, `on_bar`, `order_step`; everything it did stands in the event buffer.
"""

from __future__ import annotations

import math
from typing import Any

from twinstar_kit.jit import hot, inlined, outlined
from twinstar_kit.kernel.admission import (
    CLOSE_POSITION,
    IF_TOUCHED,
    LIMIT,
    MARKET,
    NO_POSITION,
    OK,
    REDUCE_ONLY,
    STOP,
    TRAILING_STOP,
    is_trailing,
    refusal,
)
from twinstar_kit.kernel.book import (
    DORMANT,
    IN_FLIGHT,
    WORKING,
    cancel_row,
    clear_ask,
    end_protection,
    enter,
    entry_side,
    note_ask,
    refuse,
    start_trail,
)
from twinstar_kit.kernel.commands import FEED_LEG, ORDER_LEG, latency
from twinstar_kit.kernel.context import MAX_PROPOSALS, Proposal
from twinstar_kit.kernel.fills import fill
from twinstar_kit.kernel.gate import Op, through
from twinstar_kit.kernel.ledger import FREE, HELD, MARGIN
from twinstar_kit.kernel.matching import on_bar
from twinstar_kit.kernel.money import RATE_SCALE, mul_div
from twinstar_kit.kernel.orders import EventKind, Reason
from twinstar_kit.kernel.tables import note, report
from twinstar_kit.kernel.values import INVERSE, SPOT, UNBOUNDED, position_of, tick_at, unrealised

DEFAULT_SHARE = 95 * RATE_SCALE // 100
"""An order without an amount uses this share of the equity, times the leverage."""

RECORDS_PER_ORDER = 64
"""No bar makes more events for one order: it is proposed, accepted, held, armed, fired, filled in parts, posted, voided."""
RECORDS_PER_LEVEL = 24
"""No level of a book makes more events: one fill, and what hangs on it."""

BUY, SELL = int(Proposal.BUY), int(Proposal.SELL)
BUY_LIMIT, SELL_LIMIT = int(Proposal.BUY_LIMIT), int(Proposal.SELL_LIMIT)
BUY_STOP, SELL_STOP = int(Proposal.BUY_STOP), int(Proposal.SELL_STOP)
PROTECT_STOP, PROTECT_TRAIL, PROTECT_RATE = int(Proposal.STOP), int(Proposal.TRAIL), int(Proposal.TRAIL_RATE)
PROTECT_TARGET = int(Proposal.TARGET)
CLOSE, CANCEL = int(Proposal.CLOSE), int(Proposal.CANCEL)
PROPOSED, DENIED, REPLACED = int(EventKind.PROPOSED), int(EventKind.DENIED), int(EventKind.REPLACED)
REQUESTED, INVALID_PRICE = int(Reason.REQUESTED), int(Reason.INVALID_PRICE)
TOO_MANY_PROPOSALS, MET_CLOSE = int(Reason.TOO_MANY_PROPOSALS), int(Reason.MET_CLOSE)
SHOW, PROPOSALS = int(Op.SHOW), int(Op.PROPOSALS)
INSTRUMENT = 0
"""A strategy trades instrument 0 of its engine."""


@hot
def has_room(d: Any) -> bool:
    """Whether the event buffer can take whatever the next bar does; if not, drain it first."""
    s = d.state[0]
    return d.out.shape[0] - s.n_out > RECORDS_PER_ORDER * (s.n_orders + MAX_PROPOSALS)  # type: ignore[no-any-return]


@hot
def equity_of(d: Any, j: int) -> int:
    """What the wallet of instrument `j` is worth at the latest price, in money units: balance and position."""
    m = d.inst[j]
    cash = d.ledger[m.settle, FREE] + d.ledger[m.settle, HELD]
    if m.kind != SPOT:
        return cash + d.ledger[m.settle, MARGIN] + unrealised(m, 0, m.last) + unrealised(m, 1, m.last)
    position = position_of(d, j)
    return cash + mul_div(position, m.last, m.divisor) if position > 0 else cash


@hot
def market_step(d: Any, bars: Any, i: int, ctx: Any) -> None:
    """Let bar `i` meet the orders sent before it, then show the bar and the account to the strategy."""
    s = d.state[0]
    if s.n_orders > 0 or d.inst[INSTRUMENT].kind != SPOT:
        on_bar(d, INSTRUMENT, bars, i, ctx)
    else:
        s.now = bars[i, 0] + s.timeframe_ms
        d.inst[INSTRUMENT].last = bars[i, 4]
        d.inst[INSTRUMENT].volume = bars[i, 5]
    c = ctx[0]
    m = d.inst[INSTRUMENT]
    c.open = bars[i, 1] / m.price_one
    c.high = bars[i, 2] / m.price_one
    c.low = bars[i, 3] / m.price_one
    c.close = bars[i, 4] / m.price_one
    c.volume = bars[i, 5] / m.amount_one
    c.ts = s.now
    c.index += 1
    c.doubt = bars[i, 6] if bars.shape[1] > 6 else 0
    c.n_proposals = 0
    c.denied = 0
    if s.seq != c.seen:
        through(d, SHOW, INSTRUMENT, i, bars, ctx)
    elif c.position != 0.0:
        c.worth = equity_of(d, INSTRUMENT)
        c.equity = c.worth / m.money_one


@outlined
def show_account(d: Any, ctx: Any) -> None:
    """Write the account into the context, as floats for the strategy's arithmetic."""
    c = ctx[0]
    m = d.inst[INSTRUMENT]
    position = position_of(d, INSTRUMENT)
    c.position = position / m.amount_one
    c.cash = d.ledger[m.settle, FREE] / m.money_one
    c.entry = math.nan
    if position != 0:
        money, amount = m.cost[0] / m.money_one, abs(c.position)
        c.entry = (
            amount * (m.divisor / (m.price_one * m.money_one) * m.amount_one) / money
            if m.kind == INVERSE
            else money / amount
        )
    c.worth = equity_of(d, INSTRUMENT)
    c.equity = c.worth / m.money_one
    c.seen = d.state[0].seq


@hot
def order_step(d: Any, bars: Any, i: int, ctx: Any) -> int:
    """Take the strategy's proposals through the risk gate to the venue; returns the equity in money units.

    Orders come first, protective ones after them, so that a stop proposed with its entry finds it.
    """
    c = ctx[0]
    if c.n_proposals > 0 or c.denied > 0:
        through(d, PROPOSALS, INSTRUMENT, i, bars, ctx)
    return c.worth  # type: ignore[no-any-return]


@outlined
def take_proposals(d: Any, ctx: Any) -> None:
    """The rare part of `order_step`, apart so that the common part stays small enough to be inlined."""
    c = ctx[0]
    before = d.state[0].seq
    for p in range(c.n_proposals):
        if not is_protective(c.p_kind[p]):
            take_order(d, ctx, p)
    for p in range(c.n_proposals):
        if is_protective(c.p_kind[p]):
            take_protection(d, ctx, p)
    for _ in range(c.denied):
        clear_ask(d, INSTRUMENT, 0, 0, 0, 0, 0, 0)
        refuse(d, DENIED, TOO_MANY_PROPOSALS)
    if d.state[0].seq != before:
        show_account(d, ctx)


@inlined
def is_protective(kind: int) -> bool:
    """Whether a proposal sets or moves an order that protects the position."""
    return kind in (PROTECT_STOP, PROTECT_TRAIL, PROTECT_RATE, PROTECT_TARGET)


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
def on_grid(m: Any, price: float) -> int:
    """A price in quote as units on the tick that holds there."""
    return to_ticks(price, m.price_one, tick_at(m, to_ticks(price, m.price_one, m.tick)))


@outlined
def default_qty(d: Any, price: int) -> int:
    """The amount of an order that names none: the broker's, else 95 % of the equity at `price`, in whole lots."""
    m = d.inst[INSTRUMENT]
    if d.state[0].fixed_amount > 0:
        return d.state[0].fixed_amount  # type: ignore[no-any-return]
    if price <= 0:
        return 0
    spend = mul_div(max(0, equity_of(d, INSTRUMENT)), DEFAULT_SHARE, RATE_SCALE)
    if m.kind != SPOT:
        spend *= m.leverage
    return (
        (mul_div(spend, price, m.divisor) if m.kind == INVERSE else mul_div(spend, m.divisor, price))
        // m.lot
        * m.lot
    )


@outlined
def form_order(d: Any, ctx: Any, p: int) -> None:
    """Write proposal `p` into the request."""
    c = ctx[0]
    m = d.inst[INSTRUMENT]
    kind, amount = c.p_kind[p], c.p_amount[p]
    spot = m.kind == SPOT
    position = position_of(d, INSTRUMENT)
    side, ord_type, flags, price, stop_px = 1, MARKET, 0, 0, 0
    if kind in (SELL, SELL_LIMIT, SELL_STOP):
        side, flags = -1, REDUCE_ONLY if spot else 0
    if kind in (BUY_LIMIT, SELL_LIMIT):
        ord_type, price = LIMIT, on_grid(m, c.p_price[p])
    elif kind in (BUY_STOP, SELL_STOP):
        ord_type, stop_px = STOP, on_grid(m, c.p_price[p])
    if kind == CLOSE or (spot and side < 0 and math.isnan(amount)):
        flags, qty = REDUCE_ONLY | CLOSE_POSITION, abs(position)
        if kind == CLOSE:
            side = 1 if position < 0 else -1
    elif math.isnan(amount):
        qty = default_qty(d, price if ord_type == LIMIT else stop_px if ord_type == STOP else m.last)
    else:
        qty = to_lots(amount, m.amount_one, m.lot)
    clear_ask(d, INSTRUMENT, side, ord_type, flags, qty, price, stop_px)


@outlined
def take_order(d: Any, ctx: Any, p: int) -> None:
    """Turn proposal `p` into an order, or deny it; in `fill="close"` a market order fills at once."""
    if ctx[0].p_kind[p] == CANCEL:
        note(d, PROPOSED, OK, INSTRUMENT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        while d.state[0].n_orders > 0:
            cancel_row(d, 0, REQUESTED)
        return
    form_order(d, ctx, p)
    note_ask(d, PROPOSED, OK, 0)
    reason = refusal(d, False)
    if reason != OK:
        refuse(d, DENIED, reason)
        return
    at_once = d.ask[0].ord_type == MARKET and d.state[0].fill_on_close
    k = send(d, 0 if at_once else latency(d, FEED_LEG) + latency(d, ORDER_LEG))
    if at_once:
        fill(d, k, d.inst[INSTRUMENT].last, False, UNBOUNDED, MET_CLOSE)


@outlined
def send(d: Any, late: int) -> int:
    """Enter the request, on its way for `late`; returns its row."""
    if late > 0:
        d.ask[0].arrive_ts = d.state[0].now + late
        return enter(d, IN_FLIGHT)
    return enter(d, WORKING)


@outlined
def form_protection(d: Any, kind: int, level: float) -> bool:
    """Write a protective order into the request, on the side that closes the position or the entry; whether it has a level."""
    m = d.inst[INSTRUMENT]
    position = position_of(d, INSTRUMENT)
    there = position >= m.lot if m.kind == SPOT else position != 0
    side = (1 if position < 0 else -1) if there else (1 if entry_side(d, INSTRUMENT) < 0 else -1)
    ord_type = STOP if kind == PROTECT_STOP else IF_TOUCHED if kind == PROTECT_TARGET else TRAILING_STOP
    stop_px, trail, rate = 0, 0, 0
    if kind in (PROTECT_STOP, PROTECT_TARGET):
        stop_px = on_grid(m, level)
    elif kind == PROTECT_TRAIL:
        trail = to_ticks(level, m.price_one, m.tick)
    elif level > 0.0 and level < 1.0:
        rate = math.floor(level * RATE_SCALE + 0.5)
    clear_ask(
        d, INSTRUMENT, side, ord_type, REDUCE_ONLY | CLOSE_POSITION, abs(position) if there else 0, 0, stop_px
    )
    d.ask[0].trail = trail
    d.ask[0].trail_rate = rate
    return stop_px + trail + rate > 0


@outlined
def take_protection(d: Any, ctx: Any, p: int) -> None:
    """Set or move a protective order of the position; without one it waits for the entry that is open."""
    valid = form_protection(d, ctx[0].p_kind[p], ctx[0].p_price[p])
    a = d.ask[0]
    note_ask(d, PROPOSED, OK, 0)
    if not valid:
        refuse(d, DENIED, INVALID_PRICE)
        return
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.ord_type == a.ord_type and o.flags & CLOSE_POSITION:
            move_protection(d, k)
            return
    waits = a.order_qty == 0
    reason = refusal(d, True)
    if reason == OK and waits and entry_side(d, INSTRUMENT) == 0:
        reason = NO_POSITION
    if reason != OK:
        refuse(d, DENIED, reason)
    elif waits:
        a.arrive_ts = d.state[0].now + latency(d, FEED_LEG) + latency(d, ORDER_LEG)
        enter(d, DORMANT)
    else:
        send(d, latency(d, FEED_LEG) + latency(d, ORDER_LEG))


@outlined
def move_protection(d: Any, k: int) -> None:
    """Give the protective order in row `k` the trigger or distance of the request; nothing is said when nothing changes."""
    o, a = d.orders[k], d.ask[0]
    if is_trailing(o.ord_type):
        if o.trail == a.trail and o.trail_rate == a.trail_rate:
            return
        o.trail = a.trail
        o.trail_rate = a.trail_rate
        if o.status == WORKING:
            start_trail(d, k, o.anchor)
    else:
        if o.stop_px == a.stop_px:
            return
        o.stop_px = a.stop_px
    report(d, k, REPLACED, OK, 0, 0, 0, o.flags, 0, 0, 0)


@outlined
def close_out(d: Any, j: int) -> None:
    """Cancel what is open and close the positions of instrument `j` at its latest price, as a taker."""
    k = 0
    while k < d.state[0].n_orders:
        if d.orders[k].instrument == j:
            cancel_row(d, k, REQUESTED)
            k = 0
        else:
            k += 1
    m = d.inst[j]
    for slot in range(2):
        position = (
            m.position[slot] if m.kind != SPOT else position_of(d, j) // m.lot * m.lot if slot == 0 else 0
        )
        if position != 0:
            side = -1 if position > 0 else 1
            clear_ask(d, j, side, MARKET, REDUCE_ONLY | CLOSE_POSITION, abs(position), 0, 0)
            d.ask[0].position_side = -side if d.state[0].hedge != 0 and m.kind != SPOT else 0
            fill(d, enter(d, WORKING), m.last, False, UNBOUNDED, MET_CLOSE)
    end_protection(d, j)
