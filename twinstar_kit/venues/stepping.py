"""Compiled loops that lead many trades or bars past the open orders of an account, in time order."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import compiled
from twinstar_kit.kernel import matching, step
from twinstar_kit.kernel.orders import OrdStatus

WORKING, PARKED = int(OrdStatus.WORKING), int(OrdStatus.NONE)
RECORDS = step.RECORDS_PER_ORDER


@compiled
def meet_trades(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, which: Any, ts: Any, prices: Any, i: int) -> int:
    """Let trades from number `i` on meet the orders; returns the next one: less than all when `out` is full.

    `which` (instrument), `ts` (ms) and `prices` (price units) are int64 arrays of one length, ascending in time.
    """
    while i < len(ts):
        s = state[0]
        if s.n_orders == 0:
            return len(ts)
        if out.shape[0] - s.n_out <= RECORDS * (s.n_orders + 1):
            return i
        matching.on_trade(state, inst, orders, ledger, out, which[i], ts[i], prices[i])
        i += 1
    return i


@compiled
def meet_bars(state: Any, inst: Any, orders: Any, ledger: Any, out: Any, which: Any, rows: Any, i: int) -> int:
    """Let complete bars from number `i` on meet the orders; returns the next one, as `meet_trades` does.

    `rows` are bars of one timeframe as in `Bars.rows`, ascending in time; `which` names their instruments. An
    order that arrived after a bar opened does not meet that bar: nobody knows what came before it and what after.
    """
    while i < len(rows):
        s = state[0]
        if s.n_orders == 0:
            return len(rows)
        if out.shape[0] - s.n_out <= RECORDS * (s.n_orders + 1):
            return i
        j = which[i]
        for k in range(s.n_orders):
            if orders[k].instrument == j and orders[k].status == WORKING and orders[k].ts > rows[i, 0]:
                orders[k].status = PARKED
        matching.on_bar(state, inst, orders, ledger, out, j, rows, i)
        for k in range(s.n_orders):
            if orders[k].status == PARKED:
                orders[k].status = WORKING
        i += 1
    return i
