"""Quotes, books and changes of levels: how each reaches the levels that orders meet."""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import inlined, outlined
from twinstar_kit.kernel import flow
from twinstar_kit.kernel.depth import BIDS, set_level
from twinstar_kit.kernel.queue import on_level
from twinstar_kit.kernel.values import UNBOUNDED


@inlined
def change_level(d: Any, j: int, side: int, price: int, qty: int) -> None:
    """Set a level, and tell the orders that queue there what became of it."""
    before = set_level(d, j, side, price, qty)
    if d.state[0].n_orders > 0 and before != qty:
        on_level(d, j, side, price, before, qty)


@outlined
def on_quote(d: Any, j: int, ts: int, bid: int, ask_px: int, bid_qty: int, ask_qty: int) -> None:
    """The best bid and ask as a book of one level a side; a price of 0 is none, a quantity of 0 is not known and bounds nothing."""
    for side in range(2):
        price = bid if side == BIDS else ask_px
        qty = bid_qty if side == BIDS else ask_qty
        if d.inst[j].n_levels[side] > 1 or (
            d.inst[j].n_levels[side] == 1 and d.depth[j, side, 0].price != price
        ):
            d.inst[j].n_levels[side] = 0
        if price > 0:
            change_level(d, j, side, price, qty if qty > 0 else UNBOUNDED)
    flow.on_book(d, j, ts)


@outlined
def on_snapshot(d: Any, j: int, ts: int, rows: Any) -> None:
    """A whole book: int64 (n, 3) of side (1 bids, -1 asks), price and quantity, the best of each side first."""
    for side in range(2):
        forget_unnamed(d, j, side, rows)
    for i in range(rows.shape[0]):
        change_level(d, j, BIDS if rows[i, 0] > 0 else 1, rows[i, 1], rows[i, 2])
    flow.on_book(d, j, ts)


@outlined
def forget_unnamed(d: Any, j: int, side: int, rows: Any) -> None:
    """Forget the levels of a side that a whole book does not name, so that what it names keeps what was taken from it.

    What lies further out than all that it names is not known to be gone; nothing is told of it.
    """
    sign = 1 if side == BIDS else -1
    furthest = 0
    for row in range(rows.shape[0]):
        if rows[row, 0] == sign and (furthest == 0 or (rows[row, 1] - furthest) * sign < 0):
            furthest = rows[row, 1]
    i = d.inst[j].n_levels[side] - 1
    while i >= 0:
        price = d.depth[j, side, i].price
        named = False
        for row in range(rows.shape[0]):
            if rows[row, 1] == price and rows[row, 0] == sign:
                named = True
                break
        if not named:
            if furthest != 0 and (price - furthest) * sign > 0:
                change_level(d, j, side, price, 0)
            else:
                set_level(d, j, side, price, 0)
        i -= 1


@outlined
def on_levels(d: Any, j: int, ts: int, rows: Any) -> None:
    """Changes of levels that count at one instant: int64 (n, 3) of side (1 bids, -1 asks), price, quantity (0: gone)."""
    for i in range(rows.shape[0]):
        side = 0 if rows[i, 0] > 0 else 1
        change_level(d, j, side, rows[i, 1], rows[i, 2])
    flow.on_book(d, j, ts)
