"""Recorded books and trades, row by row in one compiled loop: what the book was after each change.

A recording is int64 (n, 6), ascending in time: when it happened at the venue, when it was seen here (nanoseconds), what it is, its
side (1 bids and buyers, -1 asks and sellers), price and quantity. Changes of one instant are LEVEL rows and end with a LAST row.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import compiled
from twinstar_kit.kernel.depth import ASKS, BIDS, best_px, set_level, top_qty
from twinstar_kit.kernel.desk import as_desk

TS, SEEN_TS, WHAT, SIDE, PRICE, QTY, COLUMNS = range(7)
CLEAR, LEVEL, LAST, TRADE = range(4)
"""What a row can be: the book is not known any more, a level has changed, the last one of an instant has, a trade."""


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
            d.inst[j].n_levels[BIDS] = 0
            d.inst[j].n_levels[ASKS] = 0
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
