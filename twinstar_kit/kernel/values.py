"""What prices and amounts are worth: ticks, notional, positions and what a trade would cost, in whole units."""

from __future__ import annotations

import math
from typing import Any

from twinstar_kit.jit import hot, inlined, outlined
from twinstar_kit.kernel.instruments import Kind
from twinstar_kit.kernel.ledger import FREE, HELD
from twinstar_kit.kernel.models import Slippage
from twinstar_kit.kernel.money import RATE_SCALE, mul_div, mul_div_up

SPOT, INVERSE = int(Kind.SPOT), int(Kind.INVERSE)
BPS, TICKS, VOLUME_SHARE = int(Slippage.BPS), int(Slippage.TICKS), int(Slippage.VOLUME_SHARE)
UNBOUNDED = 2**62


@inlined
def value_down(m: Any, price: int, qty: int) -> int:
    """Money units that `qty` is worth at `price`, rounded down."""
    if m.kind == INVERSE:
        return mul_div(qty, m.divisor, price)
    return mul_div(price, qty, m.divisor)


@inlined
def value_up(m: Any, price: int, qty: int) -> int:
    """Money units that `qty` is worth at `price`, rounded up."""
    if m.kind == INVERSE:
        return mul_div_up(qty, m.divisor, price)
    return mul_div_up(price, qty, m.divisor)


@inlined
def value_fits(m: Any, price: int, qty: int) -> bool:
    """Whether `value_down` and `value_up` stay inside 64 bits."""
    if m.kind == INVERSE:
        return float(qty) * float(m.divisor) / float(price) < 4.6e18
    return float(price) * float(qty) / float(m.divisor) < 4.6e18


@inlined
def tick_at(m: Any, price: int) -> int:
    """The tick that holds at `price`."""
    tick = m.tick
    for i in range(m.n_ladder):
        if price >= m.ladder_from[i]:
            tick = m.ladder_tick[i]
    return tick


@hot
def trigger_of(m: Any, side: int, trail: int, trail_rate: int, best: int) -> int:
    """The trigger of a trailing stop whose best price is `best`: its distance away, to the next tick against the account."""
    trigger = max(best + side * (trail if trail > 0 else mul_div_up(best, trail_rate, RATE_SCALE)), 1)
    tick = tick_at(m, trigger)
    return max(trigger // tick * tick, tick) if side < 0 else -(-trigger // tick) * tick


@hot
def position_of(d: Any, j: int) -> int:
    """The position of instrument `j` in amount units: the base balance, or the contracts, short ones below zero."""
    m = d.inst[j]
    if m.kind == SPOT:
        return d.ledger[m.base, FREE] + d.ledger[m.base, HELD]
    return m.position[0] + m.position[1]


@inlined
def slot_of(position_side: int) -> int:
    """Which of an instrument's two positions a position side means."""
    return 1 if position_side < 0 else 0


@inlined
def held_by(d: Any, j: int, position_side: int) -> int:
    """The position that an order of this position side would change, in amount units."""
    m = d.inst[j]
    if m.kind == SPOT:
        return d.ledger[m.base, FREE] + d.ledger[m.base, HELD]
    return m.position[slot_of(position_side)]


@inlined
def toward(m: Any, position: int) -> int:
    """1 when a position gains as its value rises (long, or short an inverse contract), -1 when it loses, 0 when flat."""
    sign = 1 if position > 0 else -1 if position < 0 else 0
    return -sign if m.kind == INVERSE else sign


@outlined
def unrealised(m: Any, slot: int, price: int) -> int:
    """What a derivative position would bring if it were closed at `price`, in money units, rounded against the account."""
    position = m.position[slot]
    way = toward(m, position)
    if way == 0 or price <= 0:
        return 0
    if way > 0:
        return value_down(m, price, abs(position)) - m.cost[slot]
    return m.cost[slot] - value_up(m, price, abs(position))


@inlined
def marked(m: Any) -> int:
    """The price that positions are valued at: the mark, or the last price where there is none."""
    return m.mark if m.mark > 0 else m.last


@outlined
def slipped(d: Any, j: int, price: int, side: int, qty: int) -> int:
    """`price` moved against a taker of `qty` by the slippage model, to the next tick."""
    s = d.state[0]
    if s.slippage == 0:
        return price
    m = d.inst[j]
    tick = tick_at(m, price)
    if s.slippage_model == TICKS:
        move = mul_div_up(s.slippage, tick, RATE_SCALE)
    else:
        rate = s.slippage
        if s.slippage_model != BPS:
            share = min(1.0, float(qty) / float(m.volume)) if m.volume > 0 else 1.0
            rate = int(rate * (share * share if s.slippage_model == VOLUME_SHARE else math.sqrt(share)))
        move = mul_div_up(price, rate, RATE_SCALE)
    move = (move + tick - 1) // tick * tick
    return price + move if side > 0 else max(price - move, tick)


@inlined
def share_of(whole: int, part: int, parts: int) -> int:
    """`part` of `parts` of an amount, rounded down; all of it for the last part."""
    return whole if part >= parts else mul_div(whole, part, parts)
