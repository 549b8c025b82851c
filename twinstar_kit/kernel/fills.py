"""What a fill does: the amounts that can be had, the postings of its legs, the position, and what hangs on the order."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import outlined
from twinstar_kit.kernel.admission import CLOSE_POSITION, LIMIT, REDUCE_ONLY, opening_qty
from twinstar_kit.kernel.book import (
    INSUFFICIENT_BALANCE,
    POSITION_CLOSED,
    arm,
    cancel_row,
    drop,
    end_parent,
    end_protection,
    tell_children,
    tell_links,
)
from twinstar_kit.kernel.fees import (
    count_volume,
    fee_flags,
    fee_of,
    fee_rate,
    fee_row,
    highest_rate,
    pay_fee,
    third_asset,
)
from twinstar_kit.kernel.ledger import FEES, FREE, HELD, MARGIN, ROUNDING, post
from twinstar_kit.kernel.ledger import MARKET as EVERYBODY
from twinstar_kit.kernel.margin import available, draw, initial_margin
from twinstar_kit.kernel.money import mul_div
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.tables import FillFlag, report
from twinstar_kit.kernel.values import (
    SPOT,
    UNBOUNDED,
    held_by,
    position_of,
    share_of,
    slipped,
    slot_of,
    toward,
    value_down,
    value_up,
)

FILLED = int(EventKind.FILLED)
MAKER, CLOSES, LIQUIDATED_FILL = int(FillFlag.MAKER), int(FillFlag.CLOSES), int(FillFlag.LIQUIDATION)


@outlined
def fill(d: Any, k: int, price: int, maker: bool, there: int, reason: int) -> int:
    """Fill the order in row `k` at `price`, as far as `there` (amount units) goes, and settle what hangs on it.

    Checked before anything is written: an order that reduces is cut to the position, and what the balance no longer
    covers is canceled. Returns the amount that was filled; the row may hold another order afterwards.
    """
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    met = price
    left = o.order_qty - o.cum_qty
    if o.flags & REDUCE_ONLY:
        left = reducible(d, k, left)
        if left <= 0:
            cancel_row(d, k, POSITION_CLOSED)
            return 0
    qty = left if there >= left else there // m.lot * m.lot
    if qty <= 0:
        return 0
    if not maker:
        price = slipped(d, j, price, o.side, qty)
        if o.works_as == LIMIT:
            price = min(price, o.price) if o.side > 0 else max(price, o.price)
    affordable = covered(d, k, price, qty, left)
    if affordable <= 0:
        cancel_row(d, k, INSUFFICIENT_BALANCE)
        end_protection(d, j)
        return 0
    starved = affordable < qty
    qty = min(qty, affordable)
    order_id, link_id, parent_id, side = o.order_id, o.link_id, o.parent_id, o.side
    entered = not o.flags & REDUCE_ONLY
    o.cum_qty += qty
    settle(d, k, price, qty, left, maker, reason, met, 0 if there >= UNBOUNDED else there)
    filled, done = o.cum_qty, o.cum_qty >= o.order_qty
    if o.display_qty > 0:
        o.shown_qty -= qty
        if o.shown_qty <= 0:
            # the next tip of an iceberg queues anew, behind everything that is shown
            o.shown_qty = min(o.display_qty, o.order_qty - o.cum_qty)
            o.ahead = -1
    if done:
        drop(d, k)
    elif starved:
        cancel_row(d, k, INSUFFICIENT_BALANCE)
    if link_id != 0:
        tell_links(d, order_id, link_id, qty)
    tell_children(d, order_id, filled, qty, price)
    if done and parent_id != 0 and not entered:
        end_parent(d, parent_id)
    if entered:
        arm(d, j, side, price)
    if not entered or m.kind != SPOT or side < 0:
        end_protection(d, j)
    return qty  # type: ignore[no-any-return]


@outlined
def reducible(d: Any, k: int, left: int) -> int:
    """What an order that only reduces can still take: the position, whole lots of what is free of a coin."""
    o = d.orders[k]
    m = d.inst[o.instrument]
    if m.kind == SPOT:
        own = d.ledger[m.base, FREE] // m.lot * m.lot if o.side < 0 else 0
    else:
        position = held_by(d, o.instrument, o.position_side)
        own = abs(position) if position * o.side < 0 else 0
    if o.flags & CLOSE_POSITION:
        o.order_qty = o.cum_qty + own
        return own  # type: ignore[no-any-return]
    if left > own:
        o.order_qty = o.cum_qty + own
        return own  # type: ignore[no-any-return]
    return left


@outlined
def covered(d: Any, k: int, price: int, qty: int, left: int) -> int:
    """How much of `qty` the account can pay at `price`: all, what closes a position, or nothing."""
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    if m.kind == SPOT:
        if o.side < 0:
            return qty
        value = value_up(m, price, qty)
        need = value + max(0, fee_of(value, highest_rate(d, j)))
        return qty if need <= share_of(o.held, qty, left) + d.ledger[m.quote, FREE] else 0
    part = opening_qty(d, o, qty)
    if part == 0:
        return qty
    value = value_up(m, price, qty)
    need = initial_margin(m, value_up(m, price, part)) + max(0, fee_of(value, highest_rate(d, j)))
    have = share_of(o.held, qty, left) + available(d, m.settle)
    if part < qty:
        slot = slot_of(o.position_side)
        gain = min(0, profit_of(m, slot, price, qty - part))
        have += max(0, m.margin[slot] + gain) if m.isolated != 0 else m.margin[slot] + gain
    return qty if need <= have else qty - part


@outlined
def profit_of(m: Any, slot: int, price: int, qty: int) -> int:
    """What closing `qty` of a derivative position at `price` brings, before the fee, rounded against the account."""
    position = m.position[slot]
    cost = share_of(m.cost[slot], qty, abs(position))
    if toward(m, position) > 0:
        return value_down(m, price, qty) - cost
    return cost - value_up(m, price, qty)


@outlined
def settle(
    d: Any, k: int, price: int, qty: int, left: int, maker: bool, reason: int, met: int, there: int
) -> None:
    """Report a fill and post its legs: the trade, the fee, the rounding, and what is no longer held."""
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    up, down = value_up(m, price, qty), value_down(m, price, qty)
    rate = fee_rate(d, j, maker)
    fee = fee_of(up if o.side > 0 and m.kind == SPOT else down if m.kind == SPOT else up, rate)
    units = third_asset(d, j, fee, qty if m.kind == SPOT and o.side < 0 and o.held == 0 else 0)
    paid_in = fee_row(d, j) if units > 0 else m.settle
    flags = (MAKER if maker else 0) | fee_flags(d, j, fee, units)
    if m.kind == SPOT:
        report(d, k, FILLED, reason, price, qty, units if units > 0 else fee, flags, paid_in, met, there)
        if o.side > 0:
            settle_purchase(d, k, qty, left, down, up, 0 if units > 0 else fee)
        else:
            settle_sale(d, k, qty, down, up, 0 if units > 0 else fee)
    else:
        closing = qty - opening_qty(d, o, qty)
        flags |= CLOSES if closing > 0 else 0
        report(d, k, FILLED, reason, price, qty, units if units > 0 else fee, flags, paid_in, met, there)
        settle_contract(d, k, price, qty, left, closing, 0 if units > 0 else fee)
    if units > 0:
        pay_fee(d, paid_in, FREE, units, j, o.order_id)
    count_volume(d, j, down)


@outlined
def settle_purchase(d: Any, k: int, qty: int, left: int, down: int, up: int, fee: int) -> None:
    """The legs of coins bought: money out of what is held and what is free, coins in."""
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    share = share_of(o.held, qty, left)
    need = up + max(fee, 0)
    post(d, m.quote, FREE, HELD, max(need - share, 0), j, o.order_id)
    post(d, m.quote, HELD, EVERYBODY, down, j, o.order_id)
    post(d, m.quote, HELD, ROUNDING, up - down, j, o.order_id)
    pay_fee(d, m.quote, HELD, fee, j, o.order_id)
    post(d, m.base, EVERYBODY, FREE, qty, j, o.order_id)
    post(d, m.quote, HELD, FREE, max(share - need, 0), j, o.order_id)
    o.held -= share
    m.cost[0] += up


@outlined
def settle_sale(d: Any, k: int, qty: int, down: int, up: int, fee: int) -> None:
    """The legs of coins sold: coins out of what is held, or free if the order held none, money in."""
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    position = position_of(d, j)
    m.cost[0] -= m.cost[0] if qty >= position else mul_div(m.cost[0], qty, position)
    post(d, m.base, HELD if o.held > 0 else FREE, EVERYBODY, qty, j, o.order_id)
    post(d, m.quote, EVERYBODY, FREE, down, j, o.order_id)
    post(d, m.quote, EVERYBODY, ROUNDING, up - down, j, o.order_id)
    pay_fee(d, m.quote, FREE, fee, j, o.order_id)
    if o.held > 0:
        o.held -= qty


@outlined
def settle_contract(d: Any, k: int, price: int, qty: int, left: int, closing: int, fee: int) -> None:
    """The legs of contracts: what was held comes free, the part that closes is settled, the part that opens is backed."""
    o = d.orders[k]
    j = o.instrument
    m = d.inst[j]
    row, slot = m.settle, slot_of(o.position_side)
    share = share_of(o.held, qty, left)
    post(d, row, HELD, FREE, share, j, o.order_id)
    o.held -= share
    if closing > 0:
        close_part(d, j, slot, price, closing, UNBOUNDED, o.order_id)
    if fee > 0:
        draw(d, row, FEES, fee, fee, j, o.order_id)
    else:
        pay_fee(d, row, FREE, fee, j, o.order_id)
    opening = qty - closing
    if opening > 0:
        m.position[slot] += o.side * opening
        up = value_up(m, price, opening)
        cost = up if toward(m, m.position[slot]) > 0 else value_down(m, price, opening)
        need = initial_margin(m, up)
        m.cost[slot] += cost
        m.margin[slot] += need
        post(d, row, FREE, MARGIN, need, j, o.order_id)


@outlined
def close_part(d: Any, j: int, slot: int, price: int, qty: int, cap: int, order_id: int) -> None:
    """Close `qty` of a position at `price`: its share of the collateral comes free, profit or loss is posted.

    A loss above `cap`, and of an isolated position above its collateral, is paid by the venue's insurance.
    """
    m = d.inst[j]
    position = m.position[slot]
    own = abs(position)
    gain = profit_of(m, slot, price, qty)
    margin = share_of(m.margin[slot], qty, own)
    if m.isolated != 0 and gain < 0:
        margin = max(margin, min(-gain, m.margin[slot]))
        cap = min(cap, margin)
    m.cost[slot] -= share_of(m.cost[slot], qty, own)
    m.margin[slot] -= margin
    m.position[slot] -= qty if position > 0 else -qty
    post(d, m.settle, MARGIN, FREE, margin, j, order_id)
    if gain >= 0:
        post(d, m.settle, EVERYBODY, FREE, gain, j, order_id)
    else:
        draw(d, m.settle, EVERYBODY, -gain, cap, j, order_id)
