"""Trades, quotes and books: when and at what price orders fill on market data finer than bars.

Conditions of a fill, at each instant, in this order:

- What arrives meets the book, or the best quote: MARKET takes the other side level by level, LIMIT takes what is not beyond its
  price and rests with what is left. IOC cancels what is left; FOK is canceled whole unless everything is there; POST_ONLY is
  canceled if it would take. What was taken stays taken until the book says otherwise.
- A trade fires stops by the last price; a market order of a stop takes from a live book, else fills at the trade's price.
- A resting LIMIT fills as a maker at its own price when a trade goes strictly through it, and, with a queue model, when a trade at its price
  reaches it in the queue; at most what traded. It also fills when the other side's best has gone through it, at most what rests there.
- Of several resting orders a trade meets the best price first, and at one price the older.
- A HIDDEN order fills only when a trade goes through its price. An iceberg queues anew with each tip.
- What must not rest is canceled by the first market data that it meets: with trades alone, the first trade.
- An order that takes meets this account's own resting orders where they stand between it and the level, as its self-trade mode says.
- With `liquidity="unlimited"` amounts are not bounded: an order of any size fills whole.
- A perpetual position is liquidated at the mark price, or at the last price where no mark is known.

Unrealistic: nobody reacts to our orders, and what they take is not missing from the trades and books that follow.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel.admission import FOK, IOC, LIMIT, MARKET, POST_ONLY, SEEN, WOULD_TAKE
from twinstar_kit.kernel.book import WORKING, cancel_row, end_protection, row_of
from twinstar_kit.kernel.depth import BIDS, best_px
from twinstar_kit.kernel.fills import fill
from twinstar_kit.kernel.liquidation import check_positions
from twinstar_kit.kernel.matching import beyond_protection, execute, settle_down, turned_away
from twinstar_kit.kernel.orders import Reason, SelfTrade
from twinstar_kit.kernel.queue import join, on_traded
from twinstar_kit.kernel.triggers import BY_LAST, BY_MARK, BY_QUOTE, fire, follow, reached, wake, watched
from twinstar_kit.kernel.values import SPOT, UNBOUNDED

MET_QUOTE, MET_BOOK, MET_TRADE, MET_QUEUE = (
    int(Reason.MET_QUOTE), int(Reason.MET_BOOK), int(Reason.MET_TRADE), int(Reason.MET_QUEUE),
)  # fmt: skip
NOT_FILLED_AT_ONCE, NO_LIQUIDITY = int(Reason.NOT_FILLED_AT_ONCE), int(Reason.NO_LIQUIDITY)
SELF_TRADE, BEYOND_PROTECTION = int(Reason.SELF_TRADE), int(Reason.BEYOND_PROTECTION)
EXPIRE_TAKER, EXPIRE_MAKER, EXPIRE_BOTH = (
    int(SelfTrade.EXPIRE_TAKER), int(SelfTrade.EXPIRE_MAKER), int(SelfTrade.EXPIRE_BOTH),
)  # fmt: skip


@inlined
def crosses(o: Any, price: int) -> bool:
    """Whether an order would take at `price`, the best of the other side."""
    return price > 0 and (o.works_as == MARKET or (o.price - price) * o.side >= 0)


@outlined
def there_for(d: Any, k: int) -> int:
    """How much rests on the other side at prices that the order in row `k` accepts."""
    o = d.orders[k]
    other = 1 if o.side > 0 else 0
    if not d.state[0].bounded:
        return UNBOUNDED if crosses(o, best_px(d, o.instrument, other)) else 0
    total, lot = 0, d.inst[o.instrument].lot
    for i in range(d.inst[o.instrument].n_levels[other] - 1, -1, -1):
        level = d.depth[o.instrument, other, i]
        if crosses(o, level.price) and not beyond_protection(d, k, level.price):
            # a level is filled in whole lots
            total += max(0, level.qty - level.taken) // lot * lot
    return total


@outlined
def take(d: Any, k: int) -> None:
    """Let the order in row `k` take from the other side, the best level first, until it or what it accepts is used up."""
    o = d.orders[k]
    j, order_id = o.instrument, o.order_id
    other = 1 if o.side > 0 else 0
    bounded = d.state[0].bounded != 0
    i = d.inst[j].n_levels[other] - 1
    reason = MET_BOOK if i > 0 else MET_QUOTE
    while i >= 0:
        level = d.depth[j, other, i]
        if not crosses(d.orders[k], level.price):
            return
        if not prevent_self_trade(d, k, level.price):
            return
        k = row_of(d, order_id)
        if beyond_protection(d, k, level.price):
            cancel_row(d, k, BEYOND_PROTECTION)
            end_protection(d, j)
            return
        there = max(0, level.qty - level.taken) if bounded else UNBOUNDED
        done = fill(d, k, level.price, False, there, reason)
        if bounded:
            level.taken += done
        k = row_of(d, order_id)
        if k < 0:
            return
        i -= 1


@outlined
def prevent_self_trade(d: Any, k: int, level: int) -> bool:
    """End the order in row `k`, or what of this account it would meet before or at `level`, as it asks; whether it still stands.

    A `level` of 0 stands for as far as the order goes.
    """
    o = d.orders[k]
    mode, order_id = o.self_trade, o.order_id
    if mode == 0:
        return True
    j, side = o.instrument, o.side
    i = 0
    while i < d.state[0].n_orders:
        other = d.orders[i]
        own = row_of(d, order_id)
        meets = (
            other.instrument == j and other.side == -side and other.works_as == LIMIT and other.status == WORKING
            and crosses(d.orders[own], other.price) and (level == 0 or (other.price - level) * side <= 0)
        )  # fmt: skip
        if not meets:
            i += 1
            continue
        if mode in (EXPIRE_MAKER, EXPIRE_BOTH):
            cancel_row(d, i, SELF_TRADE)
            i = 0
        if mode in (EXPIRE_TAKER, EXPIRE_BOTH):
            cancel_row(d, row_of(d, order_id), SELF_TRADE)
            end_protection(d, j)
            return False
    return True


@outlined
def meet_fresh(d: Any, k: int) -> None:
    """Let the order in row `k`, which has met nothing yet, meet the book or the best quote."""
    o = d.orders[k]
    j, order_id = o.instrument, o.order_id
    best = best_px(d, j, 1 if o.side > 0 else 0)
    ends = o.works_as == MARKET or o.time_in_force == IOC or o.time_in_force == FOK
    if crosses(o, best):
        if o.flags & POST_ONLY:
            cancel_row(d, k, WOULD_TAKE)
            end_protection(d, j)
            return
        if o.time_in_force == FOK and there_for(d, k) < o.order_qty - o.cum_qty:
            cancel_row(d, k, NOT_FILLED_AT_ONCE)
            end_protection(d, j)
            return
        take(d, k)
        k = row_of(d, order_id)
        if k < 0:
            return
    if not ends and not prevent_self_trade(d, k, 0):
        return
    k = row_of(d, order_id)
    if ends:
        cancel_row(d, k, NO_LIQUIDITY if d.orders[k].works_as == MARKET else NOT_FILLED_AT_ONCE)
        end_protection(d, j)
    elif d.orders[k].works_as == LIMIT:
        d.orders[k].flags |= SEEN
        join(d, k)


@outlined
def meet(d: Any, j: int) -> None:
    """Let the orders of instrument `j` meet its book: what is fresh takes, what rested fills if the other side went through it."""
    k = 0
    while k < d.state[0].n_orders:
        o = d.orders[k]
        if o.instrument != j or o.status != WORKING or o.works_as == 0:
            k += 1
            continue
        if o.works_as == MARKET or not o.flags & SEEN:
            order_id = o.order_id
            meet_fresh(d, k)
            if row_of(d, order_id) != k:
                k = 0
                continue
            if o.works_as == MARKET:
                k += 1
            continue
        other = 1 if o.side > 0 else 0
        best = best_px(d, j, other)
        if best > 0 and (o.price - best) * o.side > 0:
            if rest_filled(d, k, other):
                k = 0
                continue
        elif o.ahead < 0:
            join(d, k)
        k += 1


@outlined
def rest_filled(d: Any, k: int, other: int) -> bool:
    """Fill a resting order at its own price against levels of the other side that have gone through it."""
    o = d.orders[k]
    j, done_any = o.instrument, False
    if not d.state[0].bounded:
        fill(d, k, o.price, True, UNBOUNDED, MET_QUOTE)
        return True
    i = d.inst[j].n_levels[other] - 1
    order_id = o.order_id
    while i >= 0 and k >= 0:
        level = d.depth[j, other, i]
        if (d.orders[k].price - level.price) * d.orders[k].side <= 0:
            break
        done = fill(d, k, d.orders[k].price, True, max(0, level.qty - level.taken), MET_BOOK)
        level.taken += done
        done_any = done_any or done > 0
        k = row_of(d, order_id)
        i -= 1
    return done_any or k < 0


@outlined
def fire_all(d: Any, j: int, by: int, price: int) -> bool:
    """Fire the triggers of instrument `j` that look at this kind of price; whether any did."""
    any_fired = False
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and watched(d, o) == by and reached(d, k, price):
            fire(d, k, price)
            any_fired = True
    return any_fired


@outlined
def on_trade(d: Any, j: int, ts: int, price: int, qty: int, side: int) -> None:
    """Let one trade of instrument `j` (side of the taker, 0: unknown) meet the open orders and positions."""
    s = d.state[0]
    m = d.inst[j]
    s.now = ts
    m.last = price
    m.volume = qty
    m.left = qty
    if wake(d, ts):
        meet_arrivals(d, j)
    if m.kind != SPOT and m.mark == 0:
        check_positions(d, j)
    if fire_all(d, j, BY_LAST, price):
        meet_arrivals(d, j)
    s.trades += 1
    k = next_met(d, j, price)
    while k >= 0:
        # rows move when orders end; the stamp sees to it that none meets the trade twice
        d.orders[k].stamp = s.trades
        meet_trade(d, k, price, qty, side)
        k = next_met(d, j, price)
    settle_down(d, j, price)


@inlined
def next_met(d: Any, j: int, price: int) -> int:
    """The row of the order that meets the present trade next: market orders, then the best price, the older first; or -1."""
    best, furthest = -1, 0
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and o.status == WORKING and o.works_as != 0 and o.stamp != d.state[0].trades:
            through = UNBOUNDED if o.works_as == MARKET else (o.price - price) * o.side
            if best < 0 or through > furthest:
                best = k
                furthest = through
    return best


@outlined
def meet_trade(d: Any, k: int, price: int, qty: int, side: int) -> None:
    """Let a trade meet the order in row `k`."""
    o = d.orders[k]
    resting = o.works_as == LIMIT and o.flags & SEEN != 0
    through = o.works_as == MARKET or (o.price - price) * o.side > 0
    left = d.inst[o.instrument].left
    used_up = d.state[0].bounded != 0 and left < d.inst[o.instrument].lot
    if through:
        if not used_up and not turned_away(d, k):
            execute(d, k, o.price if resting else price, MET_TRADE)
    elif resting and price == o.price and o.ahead >= 0 and side != o.side:
        reaches = on_traded(d, k, qty, left)
        if reaches > 0 and not used_up:
            d.inst[o.instrument].left = min(left, reaches)
            execute(d, k, o.price, MET_QUEUE)
            d.inst[o.instrument].left = left - min(left, reaches) + d.inst[o.instrument].left


@inlined
def meet_arrivals(d: Any, j: int) -> None:
    """Let what has just arrived, or fired, meet a book that follows every change; else it waits for the next market data."""
    if d.state[0].live_book and d.inst[j].n_levels[0] + d.inst[j].n_levels[1] > 0:
        meet(d, j)


@outlined
def look(d: Any, j: int) -> None:
    """Fire the triggers of instrument `j` that look at its quote, and let such trails follow it."""
    m = d.inst[j]
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and o.trigger_by == BY_QUOTE:
            price = m.ask if o.side > 0 else m.bid
            if price > 0 and reached(d, k, price):
                fire(d, k, price)
            elif price > 0 and o.works_as == 0:
                follow(d, k, price, BY_QUOTE)


@outlined
def on_look(d: Any, j: int, ts: int, bid: int, ask_px: int) -> None:
    """The best prices alone: they fire triggers, and what fires waits for the book."""
    d.state[0].now = ts
    d.inst[j].bid = bid
    d.inst[j].ask = ask_px
    wake(d, ts)
    look(d, j)


@outlined
def on_book(d: Any, j: int, ts: int) -> None:
    """The book of instrument `j` has changed: let orders arrive, fire what looks at quotes, and let all meet it."""
    s = d.state[0]
    s.now = ts
    m = d.inst[j]
    m.bid = best_px(d, j, BIDS)
    m.ask = best_px(d, j, 1)
    if s.n_orders == 0:
        return
    wake(d, ts)
    look(d, j)
    meet(d, j)


@outlined
def on_mark(d: Any, j: int, ts: int, price: int) -> None:
    """A new mark price: liquidate what it no longer carries, fire what looks at it."""
    d.state[0].now = ts
    d.inst[j].mark = price
    wake(d, ts)
    check_positions(d, j)
    if fire_all(d, j, BY_MARK, price):
        meet_arrivals(d, j)
    for k in range(d.state[0].n_orders):
        if d.orders[k].instrument == j and d.orders[k].works_as == 0:
            follow(d, k, price, BY_MARK)


@outlined
def on_time(d: Any, ts: int) -> None:
    """Nothing but time has passed: orders arrive and expire."""
    d.state[0].now = ts
    if wake(d, ts):
        for j in range(d.inst.shape[0]):
            meet_arrivals(d, j)
