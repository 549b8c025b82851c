"""When and at what price orders fill; the one implementation behind back-test, paper and the virtual exchange.

Conditions of a fill, on bars, along the price path (see `models.PricePath`):

- MARKET fills at the first point after it was sent: the next bar's open, or the latest quote.
- LIMIT fills when the price goes strictly through it, at the limit; at the open if the bar opened beyond it. The
  first market data after its arrival makes it a taker, everything later a maker.
- STOP fires when the price reaches its trigger and fills there, or at the open when the bar opened beyond it, as a taker.
- TRAILING_STOP is a stop whose trigger follows the best price since it began, moved at the end of each stretch of
  the path and never back.
- A taker's price is moved against it by the slippage.

Unrealistic: fills are whole (volume does not bound them), the queue at a limit is ignored in both directions (a
touch never fills, a trade through always does), and inside a bar one assumed path stands for the true one.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import compiled, hot, inlined
from twinstar_kit.kernel.book import (
    CLOSE_POSITION,
    INSUFFICIENT_BALANCE,
    LIMIT,
    MARKET,
    OK,
    POSITION_CLOSED,
    REDUCE_ONLY,
    SEEN,
    STOP,
    TRAILING_STOP,
    WORKING,
    arm,
    buying_cost,
    cancel_row,
    drop,
    end_protection,
    position_of,
    worse,
)
from twinstar_kit.kernel.ledger import FEES, FREE, HELD, ROUNDING, post
from twinstar_kit.kernel.ledger import MARKET as EVERYBODY
from twinstar_kit.kernel.models import PricePath
from twinstar_kit.kernel.money import RATE_SCALE, mul_div, mul_div_up
from twinstar_kit.kernel.orders import EventKind, Reason
from twinstar_kit.kernel.tables import report

FILLED, TRIGGERED = int(EventKind.FILLED), int(EventKind.TRIGGERED)
LINKED_ORDER_FILLED = int(Reason.LINKED_ORDER_FILLED)
ADVERSE_FIRST, HIGH_FIRST = int(PricePath.ADVERSE_FIRST), int(PricePath.OPEN_HIGH_LOW_CLOSE)
O, H, L, C = 1, 2, 3, 4
NO_HIT = -1
MAKER = 1


@inlined
def cancel_linked(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, k: int) -> int:
    """Cancel the other orders of row `k`'s link before it fills; returns where that order stands afterwards."""
    link = orders[k].link_id
    if link == 0:
        return k
    i = 0
    while i < state[0].n_orders:
        if i != k and orders[i].link_id == link:
            cancel_row(state, inst, orders, ledger, out, i, LINKED_ORDER_FILLED)
            if i < k:
                k -= 1
        else:
            i += 1
    return k


@inlined
def fill(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, k: int, price: int, maker: bool) -> None:
    """Fill the order in row `k` whole at `price`, post the money, and settle what hangs on it.

    Checked before anything is written: a sell is cut to the position when it only reduces, a purchase that the
    balance no longer covers is canceled.
    """
    o = orders[k]
    j = o.instrument
    m = inst[j]
    if not maker:
        price = worse(state, inst, j, price, o.side)
        if o.ord_type == LIMIT:
            price = min(price, o.price) if o.side > 0 else max(price, o.price)
    if o.flags & REDUCE_ONLY:
        free = ledger[m.base, FREE] // m.lot * m.lot
        o.order_qty = free if o.flags & CLOSE_POSITION else min(o.order_qty, free)
        if o.order_qty <= 0:
            cancel_row(state, inst, orders, ledger, out, k, POSITION_CLOSED)
            return
    elif o.side > 0 and buying_cost(inst, j, price, o.order_qty) > o.held + ledger[m.quote, FREE]:
        cancel_row(state, inst, orders, ledger, out, k, INSUFFICIENT_BALANCE)
        end_protection(state, inst, orders, ledger, out, j)
        return
    k = cancel_linked(state, inst, orders, ledger, out, k)
    settle(state, inst, orders, ledger, out, k, price, maker)
    side = orders[k].side
    drop(state, orders, k)
    if side > 0:
        arm(state, orders, out, j, price)
    else:
        end_protection(state, inst, orders, ledger, out, j)


@inlined
def settle(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, k: int, price: int, maker: bool
) -> None:
    """Report the fill of row `k` and post its legs: the trade, the fee, the rounding, and what is no longer held."""
    o = orders[k]
    j = o.instrument
    m = inst[j]
    qty = o.order_qty
    notional = mul_div(price, qty, m.divisor)
    residue = mul_div_up(price, qty, m.divisor) - notional
    rate = m.fee_maker if maker else m.fee_taker
    if o.side > 0:
        paid = notional + residue
        fee = mul_div_up(paid, rate, RATE_SCALE)
        report(state, orders, out, k, FILLED, OK, price, qty, 0, fee, MAKER if maker else 0)
        post(state, ledger, out, m.quote, FREE, HELD, max(paid + fee - o.held, 0), j, o.order_id)
        post(state, ledger, out, m.quote, HELD, EVERYBODY, notional, j, o.order_id)
        post(state, ledger, out, m.quote, HELD, ROUNDING, residue, j, o.order_id)
        post(state, ledger, out, m.quote, HELD, FEES, fee, j, o.order_id)
        post(state, ledger, out, m.base, EVERYBODY, FREE, qty, j, o.order_id)
        post(state, ledger, out, m.quote, HELD, FREE, max(o.held - paid - fee, 0), j, o.order_id)
        m.cost += paid
    else:
        fee = mul_div_up(notional, rate, RATE_SCALE)
        position = position_of(inst, ledger, j)
        m.cost -= m.cost if qty >= position else mul_div(m.cost, qty, position)
        report(state, orders, out, k, FILLED, OK, price, qty, 0, fee, MAKER if maker else 0)
        post(state, ledger, out, m.base, HELD if o.held > 0 else FREE, EVERYBODY, qty, j, o.order_id)
        post(state, ledger, out, m.quote, EVERYBODY, FREE, notional, j, o.order_id)
        post(state, ledger, out, m.quote, EVERYBODY, ROUNDING, residue, j, o.order_id)
        post(state, ledger, out, m.quote, FREE, FEES, fee, j, o.order_id)


@inlined
def execute(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, k: int, price: int) -> None:
    """Fill the order in row `k` that the path hit at `price`."""
    o = orders[k]
    if o.ord_type == STOP or o.ord_type == TRAILING_STOP:
        report(state, orders, out, k, TRIGGERED, OK, 0, 0, o.order_qty, 0, o.flags)
    fill(state, inst, orders, ledger, out, k, price, o.ord_type == LIMIT and o.flags & SEEN != 0)


@inlined
def hit(orders: Any, k: int, here: int, there: int) -> int:
    """The price at which a path from `here` straight to `there` hits the order in row `k`, or NO_HIT."""
    o = orders[k]
    if o.status != WORKING:
        return NO_HIT
    if o.ord_type == MARKET:
        return here
    if o.ord_type == LIMIT:
        if o.side > 0:
            return min(here, o.price) if min(here, there) < o.price else NO_HIT
        return max(here, o.price) if max(here, there) > o.price else NO_HIT
    if o.side > 0:
        return max(here, o.stop_px) if max(here, there) >= o.stop_px else NO_HIT
    return min(here, o.stop_px) if min(here, there) <= o.stop_px else NO_HIT


@inlined
def travel(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, here: int, there: int) -> None:
    """Move the price of instrument `j` straight from `here` to `there`, filling what it hits, the nearest first.

    Of orders hit at one price the older fills first. A fill may arm or end others; they count from that price on.
    """
    while True:
        best = NO_HIT
        best_price = 0
        for k in range(state[0].n_orders):
            if orders[k].instrument == j:
                price = hit(orders, k, here, there)
                if price != NO_HIT and (best == NO_HIT or abs(price - here) < abs(best_price - here)):
                    best = k
                    best_price = price
        if best == NO_HIT:
            break
        here = best_price
        execute(state, inst, orders, ledger, out, best, best_price)
    for k in range(state[0].n_orders):
        if orders[k].instrument == j:
            follow(orders, k, there)


@hot
def follow(orders: Any, k: int, price: int) -> None:
    """Let the trailing stop in row `k` follow `price` if that is better than all before; mark the order as seen."""
    o = orders[k]
    o.flags |= SEEN
    if o.ord_type == TRAILING_STOP and o.status == WORKING and (price - o.anchor) * o.side < 0:
        o.anchor = price
        distance = o.trail if o.trail > 0 else mul_div(price, o.trail_rate, RATE_SCALE)
        trigger = max(price + o.side * distance, 1)
        if (trigger - o.stop_px) * o.side < 0:
            o.stop_px = trigger


@inlined
def high_first(state: Any, inst: Any, orders: Any, ledger: Any, j: int) -> bool:
    """Whether the path of the bar goes up first; see `models.PricePath`."""
    path = state[0].path
    if path != ADVERSE_FIRST:
        return path == HIGH_FIRST
    if position_of(inst, ledger, j) >= inst[j].lot:
        return False
    for k in range(state[0].n_orders):
        o = orders[k]
        if o.instrument == j and o.status == WORKING:
            return o.side > 0
    return False


@compiled
def walk(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, bars: Any, i: int) -> None:
    """Walk the orders of instrument `j` along the price path of bar `i`: the open, both extremes, the close."""
    s = state[0]
    s.now = bars[i, 0]
    travel(state, inst, orders, ledger, out, j, bars[i, O], bars[i, O])
    s.now = bars[i, 0] + s.timeframe_ms
    if high_first(state, inst, orders, ledger, j):
        first, second = bars[i, H], bars[i, L]
    else:
        first, second = bars[i, L], bars[i, H]
    travel(state, inst, orders, ledger, out, j, bars[i, O], first)
    travel(state, inst, orders, ledger, out, j, first, second)
    travel(state, inst, orders, ledger, out, j, second, bars[i, C])


@hot
def quiet(orders: Any, k: int, high: int, low: int) -> bool:
    """Whether a bar from `low` to `high` provably leaves the order in row `k` as it is, but for a trail that follows."""
    o = orders[k]
    if o.status != WORKING:
        return True
    if o.ord_type == LIMIT:
        return o.flags & SEEN != 0 and (low >= o.price if o.side > 0 else high <= o.price)
    if o.ord_type == STOP:
        return high < o.stop_px if o.side > 0 else low > o.stop_px
    if o.ord_type == TRAILING_STOP and o.side < 0:
        best = max(o.anchor, high)
        distance = o.trail if o.trail > 0 else mul_div(best, o.trail_rate, RATE_SCALE)
        return low > max(o.stop_px, best - distance)
    return False


@hot
def on_bar(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, bars: Any, i: int) -> None:
    """Let bar `i` of instrument `j` meet the open orders, and remember its close as the latest price.

    A bar that provably fills nothing is not walked; it only moves the trailing stops.
    """
    s = state[0]
    high, low = bars[i, H], bars[i, L]
    still = True
    for k in range(s.n_orders):
        if orders[k].instrument == j and not quiet(orders, k, high, low):
            still = False
            break
    if still:
        for k in range(s.n_orders):
            if orders[k].instrument == j:
                follow(orders, k, high if orders[k].side < 0 else low)
        s.now = bars[i, 0] + s.timeframe_ms
    else:
        walk(state, inst, orders, ledger, out, j, bars, i)
    inst[j].last = bars[i, C]


@inlined
def on_trade(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, ts: int, price: int) -> None:
    """Let one trade of instrument `j` meet the open orders.

    Stops fire on it and fill at its price; a resting limit fills at its own price when the trade went through it.
    """
    state[0].now = ts
    inst[j].last = price
    k = 0
    while k < state[0].n_orders:
        o = orders[k]
        if o.instrument == j:
            met = hit(orders, k, price, price)
            if met != NO_HIT:
                resting = o.ord_type == LIMIT and o.flags & SEEN != 0
                execute(state, inst, orders, ledger, out, k, o.price if resting else price)
                k = 0
                continue
        k += 1
    for k in range(state[0].n_orders):
        if orders[k].instrument == j:
            follow(orders, k, price)


@inlined
def on_quote(
    state: Any, inst: Any, orders: Any, ledger: Any, out: Any, j: int, ts: int, bid: int, ask: int
) -> None:
    """Let the best bid and ask of instrument `j` meet market and limit orders; stops wait for a trade.

    A market order takes the other side. A limit that crosses on arrival takes it too; one that rested fills at its
    own price once the other side has gone through it.
    """
    state[0].now = ts
    k = 0
    while k < state[0].n_orders:
        o = orders[k]
        if o.instrument == j and o.status == WORKING and (o.ord_type == MARKET or o.ord_type == LIMIT):
            other = ask if o.side > 0 else bid
            through = (o.price - other) * o.side
            if o.ord_type == MARKET or (through >= 0 and not o.flags & SEEN):
                fill(state, inst, orders, ledger, out, k, other, False)
                k = 0
                continue
            if through > 0:
                fill(state, inst, orders, ledger, out, k, o.price, True)
                k = 0
                continue
            o.flags |= SEEN
        k += 1
