"""Perpetual contracts: what positions hold as collateral, when that no longer suffices, funding, and how accounts are set up.

A position's collateral is its value at entry over the leverage, moved from FREE to MARGIN. With cross margin the whole wallet stands
behind all positions and MARGIN is only reserved; isolated positions stand on their own. A position is liquidated when what stands behind
it, with the profit at the mark, falls below the maintenance margin of its tier; it is closed whole at that price, as a taker, and
what it loses beyond its collateral is posted to the venue's insurance. Unrealistic: real venues reduce large positions in steps.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel.ledger import FREE, HELD, INSURANCE, MARGIN, MARKET, post
from twinstar_kit.kernel.money import RATE_SCALE, mul_div, mul_div_up
from twinstar_kit.kernel.orders import EventKind, Reason, Setting
from twinstar_kit.kernel.tables import latest, note
from twinstar_kit.kernel.values import INVERSE, SPOT, marked, toward, unrealised, value_down, value_up

FUNDED, CONFIGURE, REJECTED = int(EventKind.FUNDED), int(EventKind.CONFIGURE), int(EventKind.REJECTED)
INVALID_LEVERAGE, POSITION_OPEN, ABOVE_TIER = (
    int(Reason.INVALID_LEVERAGE),
    int(Reason.POSITION_OPEN),
    int(Reason.ABOVE_TIER),
)
INSUFFICIENT_BALANCE, NOT_SPOT = int(Reason.INSUFFICIENT_BALANCE), int(Reason.NOT_SPOT)
MARGIN_TOO_SMALL, NO_POSITION = int(Reason.MARGIN_TOO_SMALL), int(Reason.NO_POSITION)
LEVERAGE, ISOLATED, HEDGE, ADD_MARGIN = (int(s) for s in Setting)
OK = 0


@inlined
def initial_margin(m: Any, value: int) -> int:
    """Collateral of a position that is worth `value`, rounded up."""
    return mul_div_up(value, 1, m.leverage)


@inlined
def tier_of(m: Any, value: int) -> int:
    """The maintenance tier of a position worth `value`; the last one above all caps."""
    for i in range(m.n_tiers):
        if value <= m.tier_cap[i]:
            return i
    return m.n_tiers - 1


@outlined
def maintenance(m: Any, value: int) -> int:
    """The margin below which a position worth `value` is liquidated; without tiers half of a hundredth."""
    if m.n_tiers == 0:
        return mul_div_up(value, RATE_SCALE // 200, RATE_SCALE)
    i = tier_of(m, value)
    return max(0, mul_div_up(value, m.tier_rate[i], RATE_SCALE) - m.tier_amount[i])


@inlined
def above_tier(m: Any, value: int) -> bool:
    """Whether a position worth `value` is too large for the leverage that is set."""
    if m.n_tiers == 0:
        return False
    if value > m.tier_cap[m.n_tiers - 1]:
        return True
    return m.leverage > m.tier_leverage[tier_of(m, value)]


@outlined
def cross_unrealised(d: Any, row: int) -> int:
    """Profit at the mark of all cross positions that settle in ledger row `row`."""
    total = 0
    for j in range(d.inst.shape[0]):
        m = d.inst[j]
        if m.kind != SPOT and m.settle == row and m.isolated == 0:
            for slot in range(2):
                total += unrealised(m, slot, marked(m))
    return total


@outlined
def cross_maintenance(d: Any, row: int) -> int:
    """Maintenance margins of all cross positions that settle in ledger row `row`."""
    total = 0
    for j in range(d.inst.shape[0]):
        m = d.inst[j]
        if m.kind != SPOT and m.settle == row and m.isolated == 0:
            for slot in range(2):
                if m.position[slot] != 0:
                    total += maintenance(m, value_up(m, marked(m), abs(m.position[slot])))
    return total


@outlined
def cross_collateral(d: Any, row: int) -> int:
    """What stands behind the cross positions of a wallet: all of it but the collateral of isolated positions."""
    total = d.ledger[row, FREE] + d.ledger[row, HELD] + d.ledger[row, MARGIN]
    for j in range(d.inst.shape[0]):
        m = d.inst[j]
        if m.kind != SPOT and m.settle == row and m.isolated != 0:
            total -= m.margin[0] + m.margin[1]
    return total


@outlined
def available(d: Any, row: int) -> int:
    """What new orders may use of a ledger row: the free balance, less what cross positions lose at the mark."""
    free = d.ledger[row, FREE]
    if row >= d.state[0].n_assets:
        free += min(0, cross_unrealised(d, row))
    return free


@outlined
def backing(d: Any, j: int, slot: int) -> int:
    """What may be lost on a position before it is liquidated, without its own profit and maintenance margin."""
    m = d.inst[j]
    if m.isolated != 0:
        return m.margin[slot]
    own_need = maintenance(m, value_up(m, marked(m), abs(m.position[slot])))
    others = cross_unrealised(d, m.settle) - unrealised(m, slot, marked(m))
    return cross_collateral(d, m.settle) + others - (cross_maintenance(d, m.settle) - own_need)


@outlined
def is_below_maintenance(d: Any, j: int, slot: int, price: int) -> bool:
    """Whether a position must be liquidated at `price`."""
    m = d.inst[j]
    if m.position[slot] == 0 or price <= 0:
        return False
    need = maintenance(m, value_up(m, price, abs(m.position[slot])))
    return backing(d, j, slot) + unrealised(m, slot, price) < need


@outlined
def liquidation_px(d: Any, j: int, slot: int) -> int:
    """The price at which a position is liquidated, other prices unchanged; 0 when there is none.

    Solves backing + profit(value) = maintenance(value) for each tier. As rates rise from tier to tier the maintenance
    margin is the highest of what the tiers ask, so what counts is the tier that is reached first.
    """
    m = d.inst[j]
    position = m.position[slot]
    way = toward(m, position)
    if way == 0:
        return 0
    qty, worth, behind = abs(position), 0, backing(d, j, slot)
    if way < 0 and m.cost[slot] + behind <= 0:
        return marked(m)
    for i in range(max(1, m.n_tiers)):
        rate, amount = RATE_SCALE // 200, 0
        if m.n_tiers > 0:
            rate, amount = m.tier_rate[i], m.tier_amount[i]
        if way > 0:
            # behind + worth - cost = rate * worth - amount
            left = m.cost[slot] - behind - amount
            worth = max(worth, mul_div_up(left, RATE_SCALE, RATE_SCALE - rate) if left > 0 else 0)
        else:
            # behind + cost - worth = rate * worth - amount
            most = mul_div(m.cost[slot] + behind + amount, RATE_SCALE, RATE_SCALE + rate)
            worth = most if i == 0 else min(worth, most)
    if worth <= 0:
        return 0
    if m.kind == INVERSE:
        return mul_div_up(qty, m.divisor, worth) if position > 0 else mul_div(qty, m.divisor, worth)
    return mul_div_up(worth, m.divisor, qty) if position > 0 else mul_div(worth, m.divisor, qty)


@outlined
def free_up(d: Any, row: int, need: int) -> None:
    """Let FREE of a swap wallet hold `need`, as far as open orders and cross positions have it reserved."""
    k = d.state[0].n_orders - 1
    while k >= 0 and d.ledger[row, FREE] < need:
        o = d.orders[k]
        if o.held > 0 and d.inst[o.instrument].kind != SPOT and d.inst[o.instrument].settle == row:
            part = min(o.held, need - d.ledger[row, FREE])
            post(d, row, HELD, FREE, part, o.instrument, o.order_id)
            o.held -= part
        k -= 1
    for j in range(d.inst.shape[0]):
        m = d.inst[j]
        if m.kind != SPOT and m.settle == row and m.isolated == 0:
            for slot in range(2):
                part = min(m.margin[slot], need - d.ledger[row, FREE])
                if part > 0:
                    post(d, row, MARGIN, FREE, part, j, 0)
                    m.margin[slot] -= part


@outlined
def draw(d: Any, row: int, target: int, amount: int, cap: int, j: int, order_id: int) -> None:
    """Pay `amount` out of a swap wallet: up to `cap` and to what stands behind it, the rest from the venue's insurance."""
    own = min(amount, max(cap, 0))
    if own > d.ledger[row, FREE]:
        free_up(d, row, own)
        own = min(own, max(0, d.ledger[row, FREE]))
    post(d, row, FREE, target, own, j, order_id)
    post(d, row, INSURANCE, target, amount - own, j, order_id)


@outlined
def pay_funding(d: Any, j: int, ts: int, rate: int, price: int) -> None:
    """Exchange funding on the positions of instrument `j`: value at the mark times `rate` (1e-8), longs to shorts if positive.

    What is paid is rounded up, what is received down. An isolated position pays from its own margin and no more, a cross
    position from its wallet.
    """
    d.state[0].now = ts
    m = d.inst[j]
    for slot in range(2):
        position = m.position[slot]
        if position == 0 or rate == 0:
            continue
        pays = (position > 0) == (rate > 0)
        qty = abs(position)
        if pays:
            amount = mul_div_up(value_up(m, price, qty), abs(rate), RATE_SCALE)
        else:
            amount = mul_div(value_down(m, price, qty), abs(rate), RATE_SCALE)
        side = 1 if position > 0 else -1
        note(d, FUNDED, OK, j, side, 0, 0, 0, 0, 0, 0, qty, m.settle, -amount if pays else amount)
        r = latest(d)
        r.last_px = price
        r.last_qty = qty
        r.ref_px = rate
        if pays:
            own = min(amount, m.margin[slot]) if m.isolated != 0 else 0
            post(d, m.settle, MARGIN, MARKET, own, j, 0)
            m.margin[slot] -= own
            draw(d, m.settle, MARKET, amount - own, 0 if m.isolated != 0 else amount, j, 0)
        else:
            post(d, m.settle, MARKET, FREE, amount, j, 0)


@inlined
def reject_setting(d: Any, j: int, reason: int) -> int:
    """Say why a setting was refused."""
    note(d, REJECTED, reason, j, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    return reason


@outlined
def set_leverage(d: Any, ts: int, j: int, leverage: int) -> int:
    """Change the leverage of an instrument and the collateral of its positions; returns the reason of a refusal, or 0."""
    d.state[0].now = ts
    m = d.inst[j]
    note(d, CONFIGURE, OK, j, 0, 0, LEVERAGE, 0, 0, 0, 0, 0, 0, leverage)
    if m.kind == SPOT:
        return reject_setting(d, j, NOT_SPOT)
    if leverage < 1 or (m.n_tiers > 0 and leverage > m.tier_leverage[0]) or leverage > 1000:
        return reject_setting(d, j, INVALID_LEVERAGE)
    before = m.leverage
    m.leverage = leverage
    need = 0
    for slot in range(2):
        if m.position[slot] != 0:
            if above_tier(m, value_up(m, marked(m), abs(m.position[slot]))):
                m.leverage = before
                return reject_setting(d, j, ABOVE_TIER)
            # more leverage never takes out of an isolated position what was put there
            wanted = initial_margin(m, m.cost[slot])
            need += max(0, wanted - m.margin[slot]) if m.isolated != 0 else wanted - m.margin[slot]
    if need > available(d, m.settle):
        m.leverage = before
        return reject_setting(d, j, INSUFFICIENT_BALANCE)
    for slot in range(2):
        if m.position[slot] != 0:
            change = initial_margin(m, m.cost[slot]) - m.margin[slot]
            if change > 0:
                post(d, m.settle, FREE, MARGIN, change, j, 0)
                m.margin[slot] += change
            elif change < 0 and m.isolated == 0:
                post(d, m.settle, MARGIN, FREE, -change, j, 0)
                m.margin[slot] += change
    return OK


@inlined
def busy(d: Any, j: int) -> bool:
    """Whether instrument `j` has a position or an open order."""
    for k in range(d.state[0].n_orders):
        if d.orders[k].instrument == j:
            return True
    return d.inst[j].position[0] != 0 or d.inst[j].position[1] != 0


@outlined
def set_isolated(d: Any, ts: int, j: int, isolated: int) -> int:
    """Choose isolated (1) or cross (0) margin for an instrument; returns the reason of a refusal, or 0.

    A position takes its collateral along: alone it must carry the position, and what stays the others. Back on cross margin, what
    lies above the initial margin comes free.
    """
    d.state[0].now = ts
    m = d.inst[j]
    note(d, CONFIGURE, OK, j, 0, 0, ISOLATED, 0, 0, 0, 0, 0, 0, isolated)
    if m.kind == SPOT:
        return reject_setting(d, j, NOT_SPOT)
    before = m.isolated
    m.isolated = isolated
    for slot in range(2):
        if is_below_maintenance(d, j, slot, marked(m)):
            m.isolated = before
            return reject_setting(d, j, MARGIN_TOO_SMALL)
    if isolated != before and available(d, m.settle) < 0:
        m.isolated = before
        return reject_setting(d, j, INSUFFICIENT_BALANCE)
    if isolated == 0 and before != 0:
        for slot in range(2):
            spare = m.margin[slot] - initial_margin(m, m.cost[slot])
            if m.position[slot] != 0 and spare > 0:
                post(d, m.settle, MARGIN, FREE, spare, j, 0)
                m.margin[slot] -= spare
    return OK


@outlined
def set_hedge(d: Any, ts: int, hedge: int) -> int:
    """Choose hedge (1) or one-way (0) mode for an account without derivative positions or orders; returns a reason or 0."""
    d.state[0].now = ts
    note(d, CONFIGURE, OK, 0, 0, 0, HEDGE, 0, 0, 0, 0, 0, 0, hedge)
    for j in range(d.inst.shape[0]):
        if d.inst[j].kind != SPOT and d.state[0].hedge != hedge and busy(d, j):
            return reject_setting(d, j, POSITION_OPEN)
    d.state[0].hedge = hedge
    return OK


@outlined
def add_margin(d: Any, ts: int, j: int, slot: int, amount: int) -> int:
    """Move `amount` (below zero: back) between the free balance and an isolated position; returns a reason or 0."""
    d.state[0].now = ts
    m = d.inst[j]
    note(d, CONFIGURE, OK, j, -1 if slot else 1, 0, ADD_MARGIN, 0, 0, 0, 0, 0, m.settle, amount)
    if m.kind == SPOT:
        return reject_setting(d, j, NOT_SPOT)
    if m.position[slot] == 0 or m.isolated == 0:
        return reject_setting(d, j, NO_POSITION)
    if amount > 0:
        if amount > available(d, m.settle):
            return reject_setting(d, j, INSUFFICIENT_BALANCE)
        post(d, m.settle, FREE, MARGIN, amount, j, 0)
    else:
        least = initial_margin(m, value_up(m, marked(m), abs(m.position[slot])))
        if m.margin[slot] + amount + min(0, unrealised(m, slot, marked(m))) < least:
            return reject_setting(d, j, MARGIN_TOO_SMALL)
        post(d, m.settle, MARGIN, FREE, -amount, j, 0)
    m.margin[slot] += amount
    return OK
