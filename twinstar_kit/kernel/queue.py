"""The queue at a price: what stands before a resting order, as trades and cancels take it away; see `models.Queue`."""

from __future__ import annotations

import math
from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel.admission import HIDDEN, LIMIT
from twinstar_kit.kernel.depth import level_qty
from twinstar_kit.kernel.models import Queue
from twinstar_kit.kernel.values import UNBOUNDED

NONE, RISK_AVERSE = int(Queue.NONE), int(Queue.RISK_AVERSE)
LOG, POWER = int(Queue.PROBABILITY_LOG), int(Queue.PROBABILITY_POWER)


@outlined
def join(d: Any, k: int) -> None:
    """Let the order in row `k` queue behind everything that rests at its price; a hidden one queues for nothing.

    At a price further out than all that is known of the book it is not known what rests: it queues when the book gets there.
    """
    o = d.orders[k]
    if d.state[0].queue_model == NONE or o.works_as != LIMIT or o.flags & HIDDEN:
        return
    side = 0 if o.side > 0 else 1
    if (
        d.inst[o.instrument].n_levels[side] == 0
        or (o.price - d.depth[o.instrument, side, 0].price) * o.side < 0
    ):
        return
    o.ahead = level_qty(d, o.instrument, side, o.price)
    o.traded = 0


@inlined
def weight(d: Any, qty: int) -> float:
    """f(x) of the probability models: log(1 + x), or x to the power that the broker names."""
    if d.state[0].queue_model == LOG:
        return math.log(1.0 + qty)
    return math.pow(float(qty), d.state[0].queue_power)


@outlined
def on_level(d: Any, j: int, side: int, price: int, before: int, after: int) -> None:
    """A level went from `before` to `after`: of what left without a trade, part stood before our orders there.

    The fraction before an order is taken to be f(before it) / (f(before it) + f(behind it)), as in the queue models
    that Rigtorp (2013) describes; the risk-averse model takes all of it to have stood behind.
    """
    sign = 1 if side == 0 else -1
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument != j or o.ahead < 0 or o.price != price or o.side != sign or o.works_as != LIMIT:
            continue
        # trades were taken off `ahead` as they came, and are a part of this change
        gone = before - after - o.traded
        o.traded = 0
        if gone > 0 and d.state[0].queue_model != RISK_AVERSE:
            front = o.ahead
            back = max(0, before - front)
            of_front, of_back = weight(d, front), weight(d, back)
            share = of_front / (of_front + of_back) if of_front + of_back > 0.0 else 1.0
            o.ahead = max(0, front - int(gone * share))
        o.ahead = min(o.ahead, after)


@outlined
def on_traded(d: Any, k: int, qty: int, left: int) -> int:
    """A trade of `qty` at the price of the order in row `k`: what of it reaches the order, after what stood before it.

    `left` of the trade is what orders of this account before it have not taken. No more than the tip of an iceberg: what it
    hides stands behind what others show.
    """
    o = d.orders[k]
    reaches = max(0, left - o.ahead)
    if o.display_qty > 0:
        reaches = min(reaches, o.shown_qty)
    o.traded = min(UNBOUNDED, o.traded + min(qty, UNBOUNDED - 1))
    o.ahead = max(0, o.ahead - qty)
    return reaches
