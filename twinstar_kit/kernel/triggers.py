"""What makes an order act: it arrives, it expires, the price reaches its trigger, or its trail follows.

- STOP and STOP_LIMIT fire when the price goes against their side to `stop_px` or beyond: a buy at or above it, a sell at or below.
- MARKET_IF_TOUCHED and LIMIT_IF_TOUCHED (take-profits) fire when it comes to `stop_px` from the other side.
- TRAILING_STOP and TRAILING_STOP_LIMIT are stops whose trigger keeps its distance from the best price since they began, and never
  goes back. With an activation price they begin when the market reaches it.
- What fired works on as a market order, or as a limit order at its price. The price that is looked at is the last trade, the mark price, or
  the quote (buys by the ask, sells by the bid), as the order says; where no mark or no quote is known, the last trade.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import hot, outlined
from twinstar_kit.kernel.admission import LIMIT, MARKET, OK, SEEN, TRAILING_STOP_LIMIT, is_limit, is_trailing
from twinstar_kit.kernel.book import (
    ACTIVE,
    ARMED,
    IN_FLIGHT,
    TRIGGERED_FLAG,
    WORKING,
    cancel_row,
    end_protection,
    limit_of_trail,
    set_wake,
    start_trail,
)
from twinstar_kit.kernel.orders import EventKind, Reason, TriggerBy
from twinstar_kit.kernel.tables import report
from twinstar_kit.kernel.values import trigger_of

TRIGGERED = int(EventKind.TRIGGERED)
EXPIRED, REQUESTED = int(Reason.EXPIRED), int(Reason.REQUESTED)
BY_LAST, BY_MARK, BY_QUOTE = int(TriggerBy.LAST), int(TriggerBy.MARK), int(TriggerBy.BID_ASK)


@outlined
def fire(d: Any, k: int, price: int) -> None:
    """Turn the order in row `k`, whose trigger was reached at `price`, into a market or a limit order."""
    o = d.orders[k]
    if o.ord_type == TRAILING_STOP_LIMIT:
        o.price = limit_of_trail(d, k)
    o.works_as = LIMIT if is_limit(o.ord_type) else MARKET
    o.flags = (o.flags | TRIGGERED_FLAG) & ~SEEN
    o.anchor = price
    report(d, k, TRIGGERED, OK, 0, 0, 0, o.flags, 0, price, 0)


@hot
def watched(d: Any, o: Any) -> int:
    """The kind of price that an order's trigger looks at: the last trade where no mark, or no quote, has been heard of."""
    m = d.inst[o.instrument]
    if o.trigger_by == BY_MARK and m.mark == 0:
        return BY_LAST
    if o.trigger_by == BY_QUOTE and m.bid == 0 and m.ask == 0:
        return BY_LAST
    return o.trigger_by  # type: ignore[no-any-return]


@hot
def reached(d: Any, k: int, price: int) -> bool:
    """Whether the trigger of the order in row `k` is reached at `price`."""
    o = d.orders[k]
    if o.works_as != 0 or o.status != WORKING or (is_trailing(o.ord_type) and not o.flags & ACTIVE):
        return False
    return (price - o.stop_px) * o.direction >= 0  # type: ignore[no-any-return]


@hot
def follow(d: Any, k: int, price: int, by: int) -> None:
    """Let the trailing stop in row `k` follow `price`, which is of kind `by`, if that is better than all before; mark the order as seen.

    A limit that still crosses `price`, for want of something to trade with, has not come to rest: it goes on taking.
    """
    o = d.orders[k]
    if o.status != WORKING:
        return
    if o.works_as != LIMIT or (o.price - price) * o.side <= 0:
        o.flags |= SEEN
    if o.works_as == 0 and is_trailing(o.ord_type) and watched(d, o) == by:
        if not o.flags & ACTIVE:
            if (price - o.activation_px) * o.side <= 0:
                start_trail(d, k, price)
        elif (price - o.anchor) * o.side < 0:
            o.anchor = price
            trigger = trigger_of(d.inst[o.instrument], o.side, o.trail, o.trail_rate, price)
            if (trigger - o.stop_px) * o.side < 0:
                o.stop_px = trigger


@outlined
def arrive(d: Any, k: int) -> None:
    """Let the order in row `k` reach the venue."""
    o = d.orders[k]
    o.status = WORKING
    set_wake(o)
    if is_trailing(o.ord_type) and o.activation_px == 0:
        start_trail(d, k, d.inst[o.instrument].last)
    report(d, k, ARMED, OK, 0, 0, 0, o.flags, 0, 0, 0)


@outlined
def wake(d: Any, ts: int) -> bool:
    """Let orders arrive and expire that are due at `ts`; whether any arrived."""
    arrived = False
    k = 0
    while k < d.state[0].n_orders:
        o = d.orders[k]
        if o.wake_ts <= ts:
            expired = o.expire_ts > 0 and o.expire_ts <= ts
            if expired or (o.cancel_ts > 0 and o.cancel_ts <= ts):
                j = o.instrument
                cancel_row(d, k, EXPIRED if expired else REQUESTED)
                end_protection(d, j)
                k = 0
                continue
            if o.status == IN_FLIGHT:
                arrive(d, k)
                arrived = True
        k += 1
    return arrived
