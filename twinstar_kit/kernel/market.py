"""Quotes, books and changes of levels: how each reaches the levels that orders meet."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import outlined
from twinstar_kit.kernel import flow
from twinstar_kit.kernel.depth import BIDS, replace_side, set_level
from twinstar_kit.kernel.queue import on_level
from twinstar_kit.kernel.values import UNBOUNDED


@outlined
def on_quote(d: Any, j: int, ts: int, bid: int, ask_px: int, bid_qty: int, ask_qty: int) -> None:
    """The best bid and ask as a book of one level a side; a quantity of 0 is not known, and bounds nothing."""
    for side in range(2):
        price = bid if side == BIDS else ask_px
        qty = bid_qty if side == BIDS else ask_qty
        if d.inst[j].n_levels[side] > 1 or (d.inst[j].n_levels[side] == 1 and d.depth[j, side, 0].price != price):
            d.inst[j].n_levels[side] = 0
        set_level(d, j, side, price, qty if qty > 0 else UNBOUNDED)
    flow.on_book(d, j, ts)


@outlined
def on_snapshot(d: Any, j: int, ts: int, rows: Any) -> None:
    """A whole book: int64 (n, 3) of side (1 bids, -1 asks), price and quantity, the best of each side first."""
    replace_side(d, j, BIDS, rows)
    replace_side(d, j, 1, rows)
    flow.on_book(d, j, ts)


@outlined
def on_levels(d: Any, j: int, ts: int, rows: Any) -> None:
    """Changes of levels that count at one instant: int64 (n, 3) of side (1 bids, -1 asks), price, quantity (0: gone)."""
    for i in range(rows.shape[0]):
        side = 0 if rows[i, 0] > 0 else 1
        before = set_level(d, j, side, rows[i, 1], rows[i, 2])
        if d.state[0].n_orders > 0 and before != rows[i, 2]:
            on_level(d, j, side, rows[i, 1], before, rows[i, 2])
    flow.on_book(d, j, ts)
