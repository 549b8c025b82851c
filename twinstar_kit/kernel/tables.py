"""The engine's arrays: its state, its instruments as numbers, and the reports that it writes about orders."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinstar_kit.jit import inlined

state_t = np.dtype(
    [
        ("seq", "<i8"),
        ("now", "<i8"),
        ("next_order_id", "<i8"),
        ("n_orders", "<i8"),
        ("n_out", "<i8"),
        ("timeframe_ms", "<i8"),
        ("fill_on_close", "<i8"),
        ("path", "<i8"),
        ("slippage", "<i8"),
        ("fixed_amount", "<i8"),
    ],
    align=True,
)
"""`seq` numbers events, `now` is the instant being processed (ms), `n_orders` and `n_out` are fill levels of the order table and
the event buffer, `slippage` is in hundred-millionths, `fixed_amount` is in amount units (0: the default size)."""

instrument_t = np.dtype(
    [
        ("base", "<i8"),
        ("quote", "<i8"),
        ("divisor", "<i8"),
        ("tick", "<i8"),
        ("lot", "<i8"),
        ("min_amount", "<i8"),
        ("max_amount", "<i8"),
        ("min_notional", "<i8"),
        ("fee_maker", "<i8"),
        ("fee_taker", "<i8"),
        ("last", "<i8"),
        ("cost", "<i8"),
        ("price_one", "<f8"),
        ("amount_one", "<f8"),
        ("money_one", "<f8"),
    ],
    align=True,
)
"""`base` and `quote` index assets; price units * amount units / `divisor` = money units; `last` is the latest price; `cost` is what the
present position cost, in money units, without fees; the `_one` fields are units per one price, base and quote."""


@inlined
def report(
    state: Any, orders: Any, out: Any, k: int, kind: int, reason: int, last_px: int, last_qty: int, leaves_qty: int, amount: int, flags: int
) -> None:  # fmt: skip
    """Write an event about the order in row `k` of the table."""
    s = state[0]
    o = orders[k]
    r = out[s.n_out]
    s.n_out += 1
    s.seq += 1
    r.seq = s.seq
    r.ts_event = s.now
    r.kind = kind
    r.reason = reason
    r.instrument = o.instrument
    r.side = o.side
    r.ord_type = o.ord_type
    r.flags = flags
    r.asset = 0
    r.debit = 0
    r.credit = 0
    r.order_id = o.order_id
    r.link_id = o.link_id
    r.price = o.price
    r.stop_px = o.stop_px
    r.order_qty = o.order_qty
    r.last_px = last_px
    r.last_qty = last_qty
    r.cum_qty = last_qty
    r.leaves_qty = leaves_qty
    r.amount = amount


@inlined
def note(
    state: Any, out: Any, kind: int, reason: int, j: int, side: int, ord_type: int, flags: int, order_id: int, link_id: int,
    price: int, stop_px: int, qty: int, asset: int, amount: int,
) -> None:  # fmt: skip
    """Write an event that is not about an order in the table: a command, a proposal, a refusal."""
    s = state[0]
    r = out[s.n_out]
    s.n_out += 1
    s.seq += 1
    r.seq = s.seq
    r.ts_event = s.now
    r.kind = kind
    r.reason = reason
    r.instrument = j
    r.side = side
    r.ord_type = ord_type
    r.flags = flags
    r.asset = asset
    r.debit = 0
    r.credit = 0
    r.order_id = order_id
    r.link_id = link_id
    r.price = price
    r.stop_px = stop_px
    r.order_qty = qty
    r.last_px = 0
    r.last_qty = 0
    r.cum_qty = 0
    r.leaves_qty = 0
    r.amount = amount
