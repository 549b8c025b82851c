"""What a strategy sees and what it may propose: one record, written by the kernel and read back by it."""

from __future__ import annotations

from enum import IntEnum

import numpy as np

MAX_PROPOSALS = 16


class Proposal(IntEnum):
    """What a strategy can ask for. An amount of NaN means the default size.

    STOP, TRAIL, TRAIL_RATE and TARGET (a take-profit) set or move the protective order of the position: `price` is the trigger, the
    distance in quote, or the distance as a share of the best price. CLOSE ends the whole position at market.
    CANCEL withdraws every open order of the strategy, the protective ones too.
    """

    BUY = 0
    SELL = 1
    BUY_LIMIT = 2
    SELL_LIMIT = 3
    STOP = 4
    TRAIL = 5
    CLOSE = 6
    CANCEL = 7
    BUY_STOP = 8
    TRAIL_RATE = 9
    SELL_STOP = 10
    TARGET = 11


context_t = np.dtype(
    [
        ("open", "f8"),
        ("high", "f8"),
        ("low", "f8"),
        ("close", "f8"),
        ("volume", "f8"),
        ("ts", "i8"),
        ("index", "i8"),
        ("doubt", "i8"),
        ("position", "f8"),
        ("cash", "f8"),
        ("equity", "f8"),
        ("entry", "f8"),
        ("denied", "i8"),
        ("n_proposals", "i8"),
        ("worth", "i8"),
        ("seen", "i8"),
        ("p_kind", "i8", (MAX_PROPOSALS,)),
        ("p_amount", "f8", (MAX_PROPOSALS,)),
        ("p_price", "f8", (MAX_PROPOSALS,)),
    ],
    align=True,
)
"""`ts` is the bar's close in ms, `index` counts bars from zero, `doubt` is 0 for what the venue said itself; `position` is in base, `cash` (free quote),
`equity` and `entry` (average price paid, NaN while flat) are in quote. `denied` counts proposals that found no room
in this record. `worth` is the equity in money units, `seen` the number of the last event that the account here shows."""


def new_context() -> np.ndarray:
    """A context for one strategy before its first bar, of shape (1,)."""
    context = np.zeros(1, context_t)
    context["index"] = context["seen"] = -1
    return context
