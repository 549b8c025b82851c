"""Recorded books and trades, row by row in one compiled loop: what the book was, and how a maker of quotes fares in it.

A recording is int64 (n, 6), ascending in time: when it happened at the venue, when it was seen here (nanoseconds), what it is, its
side (1 bids and buyers, -1 asks and sellers), price and quantity. Changes of one instant are LEVEL rows and end with a LAST row.

Three delays stand between a quoter and the market. It sees a book when the recording says that it was seen, and the broker's feed latency later;
its requests reach the venue after the order latency (`commands`); what became of them it knows after the response latency. Until then it acts on what
it knows: its position may be larger than it thinks, and an order that it cancels may have filled.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.jit import compiled, hot, inlined, outlined
from twinstar_kit.kernel.admission import HIDDEN, LIMIT, POST_ONLY, SEEN
from twinstar_kit.kernel.book import DORMANT, IN_FLIGHT, WORKING, clear_ask, row_of
from twinstar_kit.kernel.commands import FEED_LEG, RESPONSE_LEG, latency
from twinstar_kit.kernel.context import context_t
from twinstar_kit.kernel.depth import ASKS, BIDS, best_px, set_level, top_qty
from twinstar_kit.kernel.desk import as_desk
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.gate import Op, call
from twinstar_kit.kernel.market import change_level
from twinstar_kit.kernel.orders import NEVER, EventKind
from twinstar_kit.kernel.plain import as_kernel_sees
from twinstar_kit.kernel.step import RECORDS_PER_LEVEL, RECORDS_PER_ORDER

if TYPE_CHECKING:
    from twinstar_kit.kernel.engine import Engine

TS, SEEN_TS, WHAT, SIDE, PRICE, QTY, COLUMNS = range(7)
CLEAR, LEVEL, LAST, TRADE = range(4)
"""What a row can be: the book is not known any more, a level has changed, the last one of an instant has, a trade."""

PLACE, CANCEL, CLOCK, LEVELS, TRADES = (
    int(Op.PLACE),
    int(Op.CANCEL),
    int(Op.CLOCK),
    int(Op.LEVELS),
    int(Op.TRADE),
)
ARMED, ACCEPTED, REJECTED = int(EventKind.ARMED), int(EventKind.ACCEPTED), int(EventKind.REJECTED)
FILLED, CANCELED = int(EventKind.FILLED), int(EventKind.CANCELED)
NOTHING, SENT, LIVE, LEAVING = range(4)
"""What a quoter knows of its order on a side: there is none, it was sent, it works, its cancel was sent."""

quoter_t = np.dtype(
    [
        ("instrument", "<i8"),
        ("interval", "<i8"),
        ("distance", "<i8"),
        ("qty", "<i8"),
        ("max_position", "<i8"),
        ("next_step", "<i8"),
        ("position", "<i8"),
        ("bid", "<i8"),
        ("ask", "<i8"),
        ("order_id", "<i8", (2,)),
        ("price", "<i8", (2,)),
        ("knows", "<i8", (2,)),
        ("row", "<i8"),
        ("n_shown", "<i8"),
        ("n_seen", "<i8"),
        ("n_told", "<i8"),
        ("n_heard", "<i8"),
        ("n_out", "<i8"),
        ("fills", "<i8"),
        ("steps", "<i8"),
    ],
    align=True,
)
"""A quoter: its rules, and what it knows. Every `interval` (nanoseconds) it wants one bid and one ask of `qty`, `distance` (price units) from
the mid and never inside the best prices, while its `position` leaves room below `max_position`."""


@compiled
def rebuild(handle: Any, j: int, rows: Any, best: Any) -> int:
    """Apply the levels of a recording to the book of instrument `j`; returns how many instants there were.

    `best` int64 (instants, 5) takes, after each, the row that ended it, best bid, its quantity, best ask and its quantity.
    """
    d = as_desk(handle)
    n = 0
    for i in range(rows.shape[0]):
        what = rows[i, WHAT]
        if what == CLEAR:
            clear(d, j)
        elif what != TRADE:
            set_level(d, j, BIDS if rows[i, SIDE] > 0 else ASKS, rows[i, PRICE], rows[i, QTY])
            if what == LAST:
                best[n, 0] = i
                best[n, 1] = best_px(d, j, BIDS)
                best[n, 2] = top_qty(d, j, BIDS)
                best[n, 3] = best_px(d, j, ASKS)
                best[n, 4] = top_qty(d, j, ASKS)
                n += 1
    return n


@hot
def clear(d: Any, j: int) -> None:
    """The book is not known any more."""
    d.inst[j].n_levels[BIDS] = 0
    d.inst[j].n_levels[ASKS] = 0


@inlined
def meets_nothing(d: Any, j: int) -> bool:
    """Whether the book as it stands provably changes no order of instrument `j`: all rest, in their queues, with nothing through them."""
    s = d.state[0]
    bid, ask = best_px(d, j, BIDS), best_px(d, j, ASKS)
    for k in range(s.n_orders):
        o = d.orders[k]
        if o.instrument != j or o.status != WORKING:
            continue
        best = ask if o.side > 0 else bid
        if o.works_as != LIMIT or not o.flags & SEEN or (best > 0 and (o.price - best) * o.side > 0):
            return False
        if o.ahead < 0 and s.queue_model != 0 and not o.flags & HIDDEN:
            return False
    return True


@outlined
def tell(d: Any, q: Any, told: Any) -> None:
    """Send what the kernel has reported since the last look on its way to the quoter.

    `told` int64 (n, 5) holds, round and round, when it is known, its kind, side, quantity, and what is left of the order.
    """
    s = d.state[0]
    while q.n_out < s.n_out:
        r = d.out[q.n_out]
        q.n_out += 1
        if r.instrument != q.instrument or r.side == 0:
            continue
        kind = r.kind
        if kind == ACCEPTED:
            # an order that has no way to go works as soon as it is accepted
            k = row_of(d, r.order_id)
            if k < 0 or d.orders[k].status != IN_FLIGHT:
                kind = ARMED
        if kind in (ARMED, FILLED, CANCELED, REJECTED):
            at = q.n_told % told.shape[0]
            told[at, 0] = r.ts_event + latency(d, RESPONSE_LEG)
            told[at, 1] = kind
            told[at, 2] = r.side
            told[at, 3] = r.last_qty
            told[at, 4] = r.leaves_qty
            q.n_told += 1


@outlined
def hear(q: Any, shown: Any, told: Any, now: int) -> None:
    """Take in the books and the answers that have come by `now`."""
    while q.n_seen < q.n_shown and shown[q.n_seen, 0] <= now:
        q.bid = shown[q.n_seen, 1]
        q.ask = shown[q.n_seen, 2]
        q.n_seen += 1
    while q.n_heard < q.n_told and told[q.n_heard % told.shape[0], 0] <= now:
        at = q.n_heard % told.shape[0]
        kind, side = told[at, 1], told[at, 2]
        slot = 0 if side > 0 else 1
        q.n_heard += 1
        if kind == ARMED:
            if q.knows[slot] == SENT:
                q.knows[slot] = LIVE
        elif kind == FILLED:
            q.position += side * told[at, 3]
            q.fills += 1
            if told[at, 4] == 0:
                q.knows[slot] = NOTHING
        else:
            q.knows[slot] = NOTHING


@outlined
def requote(d: Any, q: Any, now: int, none: Any, ctx: Any) -> None:
    """Let the quoter act on what it knows: cancel what stands elsewhere, and place what is missing."""
    j = q.instrument
    tick = d.inst[j].tick
    for slot in range(2):
        side = 1 if slot == 0 else -1
        if slot == 0:
            price = min((q.bid + q.ask - 2 * q.distance) // (2 * tick) * tick, q.bid)
        else:
            price = max(-(-(q.bid + q.ask + 2 * q.distance) // (2 * tick)) * tick, q.ask)
        if q.knows[slot] == LIVE and q.price[slot] != price:
            q.knows[slot] = LEAVING
            call(d, CANCEL, j, now, q.order_id[slot], 0, 0, 0, none, ctx)
        elif q.knows[slot] == NOTHING and q.position * side < q.max_position and price > 0:
            clear_ask(d, j, side, LIMIT, POST_ONLY, q.qty, price, 0)
            q.order_id[slot] = call(d, PLACE, j, now, 0, 0, 0, 0, none, ctx)
            q.price[slot] = price
            q.knows[slot] = SENT


@inlined
def next_wake(d: Any) -> int:
    """When the clock next does something with an open order, or NEVER."""
    earliest = NEVER
    for k in range(d.state[0].n_orders):
        if d.orders[k].status != DORMANT:
            earliest = min(earliest, d.orders[k].wake_ts)
    return earliest


@outlined
def pass_time(d: Any, q: Any, told: Any, ts: int, none: Any, ctx: Any) -> None:
    """Let what is on its way reach the venue by `ts`, each at its time, and meet the book that stands there then."""
    wake = next_wake(d)
    while wake <= ts:
        call(d, CLOCK, 0, wake, 0, 0, 0, 0, none, ctx)
        tell(d, q, told)
        wake = next_wake(d)


@inlined
def happen(d: Any, q: Any, rows: Any, i: int, shown: Any, told: Any, none: Any, ctx: Any) -> int:
    """Let the instant that begins with row `i` happen at the venue; returns the row behind it."""
    s, j, ts = d.state[0], q.instrument, rows[i, TS]
    if rows[i, WHAT] == TRADE:
        call(d, TRADES, j, ts, rows[i, PRICE], rows[i, QTY], rows[i, SIDE], 0, none, ctx)
        tell(d, q, told)
        return i + 1
    if rows[i, WHAT] == CLEAR:
        clear(d, j)
        i += 1
    while i < rows.shape[0] and rows[i, WHAT] == LEVEL and rows[i, TS] == ts:
        change_level(d, j, BIDS if rows[i, SIDE] > 0 else ASKS, rows[i, PRICE], rows[i, QTY])
        i += 1
    if i < rows.shape[0] and rows[i, WHAT] == LAST and rows[i, TS] == ts:
        change_level(d, j, BIDS if rows[i, SIDE] > 0 else ASKS, rows[i, PRICE], rows[i, QTY])
        i += 1
    s.now = ts
    bid, ask = best_px(d, j, BIDS), best_px(d, j, ASKS)
    d.inst[j].bid = bid
    d.inst[j].ask = ask
    if not meets_nothing(d, j):
        call(d, LEVELS, j, ts, 0, 0, 0, 0, none, ctx)
        tell(d, q, told)
    shown[q.n_shown, 0] = rows[i - 1, SEEN_TS] + latency(d, FEED_LEG)
    shown[q.n_shown, 1] = bid
    shown[q.n_shown, 2] = ask
    q.n_shown += 1
    return i


@compiled
def run(handle: Any, quoter: Any, rows: Any, shown: Any, told: Any, none: Any, ctx: Any) -> int:
    """Let the recording happen from the quoter's row on; returns the next row: short of the end when the event buffer wants to be drained.

    `shown` int64 (instants, 3) takes when each book can be seen, and its best prices; `told` is the way that answers take.
    """
    d = as_desk(handle)
    q = quoter[0]
    q.n_out = 0
    while q.row < rows.shape[0]:
        ts = rows[q.row, TS]
        while q.next_step < ts:
            if crowded(d, q, told):
                return q.row
            pass_time(d, q, told, q.next_step, none, ctx)
            hear(q, shown, told, q.next_step)
            if q.bid > 0 and q.ask > 0:
                requote(d, q, q.next_step, none, ctx)
                if not meets_nothing(d, q.instrument):
                    # what has no way to go meets the book as it stands
                    call(d, LEVELS, q.instrument, q.next_step, 0, 0, 0, 0, none, ctx)
                tell(d, q, told)
            q.steps += 1
            q.next_step += q.interval
        if crowded(d, q, told):
            return q.row
        pass_time(d, q, told, ts, none, ctx)
        q.row = happen(d, q, rows, q.row, shown, told, none, ctx)
    return q.row


@inlined
def crowded(d: Any, q: Any, told: Any) -> bool:
    """Whether the event buffer, or the way of the answers, might not take what comes next."""
    s = d.state[0]
    room = RECORDS_PER_ORDER * (s.n_orders + 2) + RECORDS_PER_LEVEL * d.depth.shape[2]
    return d.out.shape[0] - s.n_out <= room or q.n_told - q.n_heard > told.shape[0] // 2


def count_nanoseconds(engine: Engine) -> None:
    """Let the times of `engine` be nanoseconds: its latencies, which the broker gives in milliseconds, and the length of its day.

    A table of measured latencies is in nanoseconds then.
    """
    broker, s = engine.broker, engine.state[0]
    s["day"] = 86_400 * 10**9
    if broker.latency in ("fixed", "normal"):
        legs = broker.latency_order_ms, broker.latency_response_ms, broker.latency_feed_ms
        s["latency_mean"] = [int(leg * 10**6) for leg in legs]
        s["latency_spread"] = int(broker.latency_spread_ms * 10**6)


def quote(
    engine: Engine, rows: npt.NDArray[np.int64], *, distance: int, qty: int, max_position: int, interval_ms: float = 100.0, j: int = 0,
    start: int | None = None, on_events: Callable[[npt.NDArray[np.void]], object] | None = None,
) -> npt.NDArray[np.void]:  # fmt: skip
    """Run a quoter over a recording, in an engine that counts nanoseconds; returns what it knew at the end, of dtype `quoter_t`.

    `start` is its first step in nanoseconds (default: the first row's time). `on_events` is given the events as they are drained.
    UsageError when its answers take longer than there is room for.
    """
    quoter = np.zeros(1, quoter_t)
    first = int(rows[0, TS]) if start is None else start
    rules = {"instrument": j, "interval": round(interval_ms * 10**6), "distance": distance, "qty": qty,
             "max_position": max_position, "next_step": first}  # fmt: skip
    for name, value in rules.items():
        quoter[name] = value
    instants = int((rows[:, WHAT] != TRADE).sum())
    shown, told = np.zeros((instants, 3), np.int64), np.zeros((4096, 5), np.int64)
    seen = as_kernel_sees(quoter)
    none, no_context = np.zeros((0, 6), np.int64), as_kernel_sees(np.zeros(1, context_t))
    before = -1, -1
    while run(engine.desk.handle, seen, rows, shown, told, none, no_context) < len(rows):
        events = engine.drain()
        if on_events is not None:
            on_events(events)
        now = int(quoter["row"][0]), int(quoter["steps"][0])
        if now == before and not len(events):
            raise UsageError(
                "answers take so long that there is no room for those under way; shorten the response latency"
            )
        before = now
    events = engine.drain()
    if on_events is not None:
        on_events(events)
    return quoter
