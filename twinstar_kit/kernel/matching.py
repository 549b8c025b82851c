"""Bars: when and at what price orders fill along the path that price takes inside one.

Conditions of a fill on bars, along the price path (see `models.PricePath`):

- MARKET fills at the first point after it arrived: the next bar's open without latency, else the next point of the path.
- LIMIT fills when the price goes strictly through it, at the limit; at the open if the bar opened beyond it. It is a taker at the
  first price that it meets, a maker when the price comes to it later. There POST_ONLY is canceled if it would take, and what IOC or
  FOK cannot have at that price is canceled, FOK whole.
- What fires (see `triggers`) fills where its trigger was reached, or at the open when the bar opened beyond it, as a taker.
- A taker's price is moved against it by the slippage model; a market order goes no further from the first price that it met than the
  price protection allows, slippage apart. With `liquidity="bounded"` all fills of a bar share
  `volume_share` of its volume, and what is left over works on in the next bar.
- A perpetual position is liquidated where the path reaches its liquidation price.

Unrealistic: without "bounded" fills are whole, the queue at a limit is ignored in both directions (a touch never fills, a trade
through always does), and inside a bar one assumed path stands for the true one.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import hot, inlined, outlined
from twinstar_kit.kernel.admission import (
    FOK,
    IOC,
    LIMIT,
    MARKET,
    OK,
    POST_ONLY,
    SEEN,
    TRAILING_STOP,
    WOULD_TAKE,
)
from twinstar_kit.kernel.book import IN_FLIGHT, WORKING, cancel_row, end_protection
from twinstar_kit.kernel.fills import fill
from twinstar_kit.kernel.gate import Op, through
from twinstar_kit.kernel.liquidation import liquidate
from twinstar_kit.kernel.margin import liquidation_px
from twinstar_kit.kernel.models import PricePath
from twinstar_kit.kernel.money import RATE_SCALE, mul_div
from twinstar_kit.kernel.orders import Reason
from twinstar_kit.kernel.triggers import BY_LAST, fire, follow, reached, wake, watched
from twinstar_kit.kernel.values import SPOT, UNBOUNDED, position_of, trigger_of

ADVERSE_FIRST, HIGH_FIRST = int(PricePath.ADVERSE_FIRST), int(PricePath.OPEN_HIGH_LOW_CLOSE)
MET_PATH, MET_GAP, BEYOND_PROTECTION = (
    int(Reason.MET_PATH),
    int(Reason.MET_GAP),
    int(Reason.BEYOND_PROTECTION),
)
NOT_FILLED_AT_ONCE = int(Reason.NOT_FILLED_AT_ONCE)
WALK, IS_SAFE = int(Op.WALK), int(Op.IS_SAFE)
O, H, L, C, V = 1, 2, 3, 4, 5
NO_HIT = -1


@inlined
def room(d: Any, j: int) -> int:
    """What may still be filled of instrument `j` in this bar or trade."""
    return d.inst[j].left if d.state[0].bounded else UNBOUNDED


@outlined
def beyond_protection(d: Any, k: int, price: int) -> bool:
    """Whether a market order would fill further from where it began than the price protection allows."""
    o = d.orders[k]
    limit = d.state[0].protection
    if limit == 0 or o.works_as != MARKET:
        return False
    if o.anchor <= 0:
        o.anchor = price
    return (price - o.anchor) * o.side > mul_div(o.anchor, limit, RATE_SCALE)  # type: ignore[no-any-return]


@outlined
def execute(d: Any, k: int, price: int, reason: int) -> None:
    """Let the order in row `k` trade at `price`, which the path or a trade has reached, within what is left there."""
    o = d.orders[k]
    j = o.instrument
    if beyond_protection(d, k, price):
        cancel_row(d, k, BEYOND_PROTECTION)
        end_protection(d, j)
        return
    maker = o.works_as == LIMIT and o.flags & SEEN != 0
    done = fill(d, k, price, maker, room(d, j), reason)
    if d.state[0].bounded:
        d.inst[j].left -= done


@inlined
def hit(d: Any, k: int, here: int, there: int) -> int:
    """The price at which a path from `here` straight to `there` hits the order in row `k`, or NO_HIT."""
    o = d.orders[k]
    if o.status != WORKING:
        return NO_HIT
    if o.works_as == MARKET:
        return here
    if o.works_as == LIMIT:
        if o.side > 0:
            return min(here, o.price) if min(here, there) < o.price else NO_HIT
        return max(here, o.price) if max(here, there) > o.price else NO_HIT
    if watched(d, o) != BY_LAST:
        return NO_HIT
    if reached(d, k, here):
        return here
    return o.stop_px if reached(d, k, there) else NO_HIT  # type: ignore[no-any-return]


@outlined
def liquidation_hit(d: Any, j: int, slot: int, here: int, there: int) -> int:
    """The price at which the path liquidates a position of instrument `j`, or NO_HIT."""
    m = d.inst[j]
    if m.kind == SPOT or m.position[slot] == 0 or m.mark > 0:
        return NO_HIT
    price = liquidation_px(d, j, slot)
    if price <= 0:
        return NO_HIT
    if m.position[slot] > 0:
        return min(here, price) if min(here, there) <= price else NO_HIT
    return max(here, price) if max(here, there) >= price else NO_HIT


@outlined
def travel(d: Any, j: int, here: int, there: int, reason: int) -> None:
    """Move the price of instrument `j` straight from `here` to `there`, filling what it hits, the nearest first.

    Of orders hit at one price the older fills first, after a liquidation there. A fill may arm or end others; they count from that price on.
    """
    while True:
        best, best_price, slot_hit = NO_HIT, 0, NO_HIT
        left = room(d, j)
        if d.inst[j].kind != SPOT:
            for slot in range(2):
                price = liquidation_hit(d, j, slot, here, there)
                if price != NO_HIT and (slot_hit == NO_HIT or abs(price - here) < abs(best_price - here)):
                    best_price = price
                    slot_hit = slot
        for k in range(d.state[0].n_orders):
            if d.orders[k].instrument == j and (left >= d.inst[j].lot or d.orders[k].works_as == 0):
                price = hit(d, k, here, there)
                none = best == NO_HIT and slot_hit == NO_HIT
                if price != NO_HIT and (none or abs(price - here) < abs(best_price - here)):
                    best = k
                    best_price = price
        if best == NO_HIT and slot_hit == NO_HIT:
            break
        moved = best_price != here
        here = best_price
        d.inst[j].last = here
        if best == NO_HIT:
            liquidate(d, j, slot_hit, here)
            continue
        o = d.orders[best]
        if o.works_as == 0:
            fire(d, best, here)
            if left < d.inst[j].lot or o.works_as == LIMIT:
                continue
        elif moved:
            # the price came to it, so it rested
            o.flags |= SEEN
        if not turned_away(d, best):
            execute(d, best, here, reason)
    settle_down(d, j, there)


@outlined
def turned_away(d: Any, k: int) -> bool:
    """Cancel the order in row `k`, which would trade now, if it must not: post-only as a taker, fill-or-kill in part."""
    o = d.orders[k]
    j = o.instrument
    reason = OK
    if o.flags & POST_ONLY and not o.flags & SEEN:
        reason = WOULD_TAKE
    elif o.time_in_force == FOK and room(d, j) < o.order_qty - o.cum_qty:
        reason = NOT_FILLED_AT_ONCE
    if reason == OK:
        return False
    cancel_row(d, k, reason)
    end_protection(d, j)
    return True


@inlined
def never_rests(o: Any) -> bool:
    """Whether an order that has met the market must not wait for more of it."""
    at_once = o.time_in_force == IOC or o.time_in_force == FOK
    return at_once and o.status == WORKING and o.works_as != 0


@outlined
def settle_down(d: Any, j: int, price: int) -> None:
    """Orders of instrument `j` have met `price`: what must not rest ends, trailing stops follow."""
    k = 0
    while k < d.state[0].n_orders:
        if d.orders[k].instrument == j:
            if never_rests(d.orders[k]):
                cancel_row(d, k, NOT_FILLED_AT_ONCE)
                end_protection(d, j)
                k = 0
                continue
            follow(d, k, price, BY_LAST)
        k += 1


@inlined
def high_first(d: Any, j: int) -> bool:
    """Whether the path of the bar goes up first; see `models.PricePath`."""
    path = d.state[0].path
    if path != ADVERSE_FIRST:
        return path == HIGH_FIRST  # type: ignore[no-any-return]
    position = position_of(d, j)
    if d.inst[j].kind == SPOT:
        if position >= d.inst[j].lot:
            return False
    elif position != 0:
        return position < 0
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and o.status == WORKING:
            return o.side > 0  # type: ignore[no-any-return]
    return False


@outlined
def walk(d: Any, j: int, bars: Any, i: int) -> None:
    """Walk the orders of instrument `j` along the price path of bar `i`: the open, both extremes, the close.

    An order in flight joins at the first point of the path that is not before its arrival; the extremes are taken to lie a
    third and two thirds into the bar.
    """
    s = d.state[0]
    m = d.inst[j]
    opened, third = bars[i, 0], s.timeframe_ms // 3
    m.left = mul_div(bars[i, V], s.volume_share, RATE_SCALE) // m.lot * m.lot
    s.now = opened
    wake(d, opened)
    travel(d, j, bars[i, O], bars[i, O], MET_GAP)
    if high_first(d, j):
        first, second = bars[i, H], bars[i, L]
    else:
        first, second = bars[i, L], bars[i, H]
    s.now = opened + s.timeframe_ms
    stretch(d, j, bars[i, O], first, opened + third)
    stretch(d, j, first, second, opened + 2 * third)
    stretch(d, j, second, bars[i, C], opened + s.timeframe_ms)


@outlined
def stretch(d: Any, j: int, here: int, there: int, ts: int) -> None:
    """One stretch of the path; what arrives or expires by its end, at `ts`, does so there."""
    travel(d, j, here, there, MET_PATH)
    if wake(d, ts):
        travel(d, j, there, there, MET_PATH)


@hot
def quiet(d: Any, k: int, high: int, low: int, ts: int) -> bool:
    """Whether a bar from `low` to `high`, closed at `ts`, provably leaves the order in row `k` as it is, but for a trail that follows."""
    o = d.orders[k]
    if o.wake_ts <= ts:
        return False
    if o.status != WORKING:
        return o.status != IN_FLIGHT  # type: ignore[no-any-return]
    if o.works_as == LIMIT:
        return o.flags & SEEN != 0 and (low >= o.price if o.side > 0 else high <= o.price)
    if o.works_as == MARKET:
        return False
    if watched(d, o) != BY_LAST:
        return True
    if o.ord_type < TRAILING_STOP:
        return high < o.stop_px if o.direction > 0 else low > o.stop_px
    if o.ord_type == TRAILING_STOP and o.activation_px == 0:
        m = d.inst[o.instrument]
        if o.side < 0:
            return low > max(o.stop_px, trigger_of(m, o.side, o.trail, o.trail_rate, max(o.anchor, high)))
        return high < min(o.stop_px, trigger_of(m, o.side, o.trail, o.trail_rate, min(o.anchor, low)))
    return False


@hot
def safe(d: Any, j: int, bars: Any, i: int, ctx: Any) -> bool:
    """Whether bar `i` provably liquidates no position of instrument `j`."""
    m = d.inst[j]
    if m.kind == SPOT or (m.position[0] == 0 and m.position[1] == 0) or m.mark > 0:
        return True
    return through(d, IS_SAFE, j, i, bars, ctx) != 0


@outlined
def is_safe(d: Any, j: int, high: int, low: int) -> bool:
    """`safe` for an instrument that has positions."""
    return liquidation_hit(d, j, 0, low, high) == NO_HIT and liquidation_hit(d, j, 1, low, high) == NO_HIT


@hot
def on_bar(d: Any, j: int, bars: Any, i: int, ctx: Any) -> None:
    """Let bar `i` of instrument `j` meet the open orders and positions, and remember its close as the latest price.

    A bar that provably fills nothing is not walked; it only moves the trailing stops.
    """
    s = d.state[0]
    high, low, closed = bars[i, H], bars[i, L], bars[i, 0] + s.timeframe_ms
    d.inst[j].volume = bars[i, V]
    still = safe(d, j, bars, i, ctx)
    for k in range(s.n_orders):
        if d.orders[k].instrument == j and not quiet(d, k, high, low, closed):
            still = False
            break
    if still:
        for k in range(s.n_orders):
            if d.orders[k].instrument == j:
                follow(d, k, high if d.orders[k].side < 0 else low, BY_LAST)
        s.now = closed
    else:
        through(d, WALK, j, i, bars, ctx)
    d.inst[j].last = bars[i, C]
