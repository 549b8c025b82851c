"""Market data of several instruments in the order of time, row by row: the loop that needs no Python between two events."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel import flow, liquidation, margin, matching
from twinstar_kit.kernel.book import WORKING
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.orders import OrdStatus
from twinstar_kit.kernel.step import RECORDS_PER_LEVEL, RECORDS_PER_ORDER
from twinstar_kit.kernel.values import SPOT

BAR, TRADE, MARK, FUNDING = int(Op.BAR), int(Op.TRADE), int(Op.MARK), int(Op.FUNDING)
QUOTE, LAST, CLOCK = int(Op.QUOTE), int(Op.LAST), int(Op.CLOCK)
PARKED = int(OrdStatus.NONE)
MADE, OP, INSTRUMENT, TS, COLUMNS = 4, 7, 8, 9, 10
"""Columns of a row: of a trade, when it was made if it was heard of later (else 0); behind the seven numbers of the operation (of a
bar: `Bars.rows`) which one it is, of what, and when."""


@inlined
def concerns(d: Any, j: int) -> bool:
    """Whether instrument `j` has an open order or a position of contracts."""
    for k in range(d.state[0].n_orders):
        if d.orders[k].instrument == j:
            return True
    m = d.inst[j]
    return m.kind != SPOT and (m.position[0] != 0 or m.position[1] != 0)


@outlined
def set_aside(d: Any, j: int, ts: int) -> None:
    """Take orders of instrument `j` that came to the venue after `ts` out of what happens next."""
    for k in range(d.state[0].n_orders):
        o = d.orders[k]
        if o.instrument == j and o.status == WORKING and o.arrive_ts > ts:
            o.status = PARKED


@outlined
def bring_back(d: Any) -> None:
    """The orders that were set aside work again."""
    for k in range(d.state[0].n_orders):
        if d.orders[k].status == PARKED:
            d.orders[k].status = WORKING


@outlined
def whole_bar(d: Any, j: int, rows: Any, i: int, ctx: Any) -> None:
    """Let a bar meet the orders that were there when it opened: of one that came later nobody knows what it saw."""
    set_aside(d, j, rows[i, 0])
    matching.on_bar(d, j, rows, i, ctx)
    bring_back(d)


@outlined
def trade(d: Any, j: int, rows: Any, i: int) -> None:
    """Let a trade meet the orders; one that was heard of late meets those that were there when it was made."""
    made = rows[i, MADE]
    if made > 0:
        set_aside(d, j, made)
    flow.on_trade(d, j, rows[i, TS], rows[i, 0], rows[i, 1], rows[i, 2])
    if made > 0:
        bring_back(d)


@outlined
def run(d: Any, rows: Any, i: int, ctx: Any) -> int:
    """Let rows from `i` on happen, int64 (n, 10) as `COLUMNS` says, ascending in time; returns the next row.

    A QUOTE only fires triggers here: the book that it belongs to comes when one did. It stops behind the first row that made an event, and before one that might not fit the event buffer. Trades and
    bars of instruments without orders and positions are passed over.
    """
    s = d.state[0]
    while i < rows.shape[0]:
        if (
            d.out.shape[0] - s.n_out
            <= RECORDS_PER_ORDER * (s.n_orders + 1) + RECORDS_PER_LEVEL * d.depth.shape[2]
        ):
            return i
        op, j, ts, before = rows[i, OP], rows[i, INSTRUMENT], rows[i, TS], s.seq
        if op == LAST:
            d.inst[j].last = rows[i, 0]
        elif op == MARK:
            flow.on_mark(d, j, ts, rows[i, 0])
        elif op == FUNDING:
            margin.pay_funding(d, j, ts, rows[i, 0], rows[i, 1])
            liquidation.check_positions(d, j)
        elif op == QUOTE:
            flow.on_look(d, j, ts, rows[i, 0], rows[i, 1])
        elif op == CLOCK:
            flow.on_time(d, ts)
        elif concerns(d, j):
            if op == BAR:
                whole_bar(d, j, rows, i, ctx)
            else:
                trade(d, j, rows, i)
        i += 1
        if s.seq != before:
            return i
    return i
