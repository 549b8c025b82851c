"""The end of a position that its collateral no longer carries: closed whole at the price, marked, its loss capped."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import outlined
from twinstar_kit.kernel.admission import CLOSE_POSITION, MARKET, REDUCE_ONLY
from twinstar_kit.kernel.book import WORKING, cancel_row, clear_ask, drop, end_protection, enter
from twinstar_kit.kernel.fees import count_volume, fee_of, fee_rate
from twinstar_kit.kernel.fills import CLOSES, FILLED, LIQUIDATED_FILL, close_part, profit_of
from twinstar_kit.kernel.ledger import FEES
from twinstar_kit.kernel.margin import backing, cross_collateral, draw, is_below_maintenance, maintenance
from twinstar_kit.kernel.orders import EventKind, Reason
from twinstar_kit.kernel.tables import latest, note, report
from twinstar_kit.kernel.values import SPOT, marked, slipped, value_up

LIQUIDATED, LIQUIDATION = int(EventKind.LIQUIDATED), int(Reason.LIQUIDATION)


@outlined
def liquidate(d: Any, j: int, slot: int, price: int) -> None:
    """Close a position at `price` because its collateral is gone: orders that lean on it first, then the position, as a taker.

    A loss beyond the collateral, and a fee beyond what is left, are not the account's.
    """
    m = d.inst[j]
    position = m.position[slot]
    qty = abs(position)
    side = 1 if position > 0 else -1
    isolated = m.isolated != 0
    order_id = d.state[0].next_order_id
    note(d, LIQUIDATED, LIQUIDATION, j, side, 0, 0, order_id, 0, 0, 0, qty, m.settle, backing(d, j, slot))
    r = latest(d)
    r.last_px = price
    r.last_qty = qty
    r.ref_px = maintenance(m, value_up(m, price, qty))
    r.ref_qty = profit_of(m, slot, price, qty)
    k = 0
    while k < d.state[0].n_orders:
        i = d.orders[k].instrument
        leans = i == j if isolated else d.inst[i].kind != SPOT and d.inst[i].settle == m.settle
        if leans:
            cancel_row(d, k, LIQUIDATION)
        else:
            k += 1
    cap = m.margin[slot] if isolated else max(0, cross_collateral(d, m.settle))
    clear_ask(d, j, -side, MARKET, REDUCE_ONLY | CLOSE_POSITION, qty, 0, 0)
    d.ask[0].position_side = side if d.state[0].hedge != 0 else 0
    k = enter(d, WORKING)
    o = d.orders[k]
    o.cum_qty = qty
    at = slipped(d, j, price, -side, qty)
    value = value_up(m, at, qty)
    gain = profit_of(m, slot, at, qty)
    fee = min(max(0, fee_of(value, fee_rate(d, j, False))), max(0, cap + gain))
    report(d, k, FILLED, LIQUIDATION, at, qty, fee, CLOSES | LIQUIDATED_FILL, m.settle, price, 0)
    close_part(d, j, slot, at, qty, cap, o.order_id)
    draw(d, m.settle, FEES, fee, fee, j, o.order_id)
    count_volume(d, j, value)
    drop(d, k)
    end_protection(d, j)


@outlined
def check_positions(d: Any, j: int) -> None:
    """Liquidate what has fallen below its maintenance margin at the present mark of instrument `j`.

    A cross position that fails pulls the others of its wallet after it, one by one, as long as the wallet does not
    carry what is left.
    """
    row, kind = d.inst[j].settle, d.inst[j].kind
    if kind == SPOT:
        return
    for i in range(d.inst.shape[0]):
        m = d.inst[i]
        if i == j or (m.kind != SPOT and m.settle == row and m.isolated == 0 and d.inst[j].isolated == 0):
            for slot in range(2):
                if m.position[slot] != 0 and is_below_maintenance(d, i, slot, marked(m)):
                    liquidate(d, i, slot, marked(m))
