"""Orders: FIX's words for their sides, types and states, the record they are kept in, and the table of their life."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np


class Side(IntEnum):
    """Side of an order or a fill; the number is the sign of the position it makes."""

    BUY = 1
    SELL = -1


class OrdType(IntEnum):
    """How an order meets the market; the exact condition of each fill stands in `matching`."""

    MARKET = 1
    LIMIT = 2
    STOP = 3
    TRAILING_STOP = 4


class OrdStatus(IntEnum):
    """State of an order. DORMANT protects a position that is not there yet: it works from the entry's fill on."""

    NONE = 0
    DORMANT = 1
    WORKING = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5


class OrdFlag(IntFlag):
    """Conditions of an order.

    REDUCE_ONLY never opens or enlarges a position, holds no balance, and ends when the position does.
    CLOSE_POSITION takes the whole position, however large it is when the order fires.
    SEEN is set by the kernel once an order has met market data; a limit that fills before is a taker.
    """

    NONE = 0
    REDUCE_ONLY = 1
    CLOSE_POSITION = 2
    SEEN = 4


class EventKind(IntEnum):
    """Kinds of journal records. Commands are imperative, what follows is past tense."""

    PLACE = 1
    CANCEL = 2
    DEPOSITED = 3
    PROPOSED = 10
    DENIED = 11
    ACCEPTED = 20
    REJECTED = 21
    ARMED = 22
    REPLACED = 23
    TRIGGERED = 24
    FILLED = 25
    CANCELED = 26
    POSTED = 30


class Reason(IntEnum):
    """Why something was denied, rejected or canceled; `text` is the rule in words."""

    NONE = 0
    UNKNOWN_INSTRUMENT = 1
    INVALID_AMOUNT = 2
    OFF_LOT = 3
    BELOW_MIN_AMOUNT = 4
    ABOVE_MAX_AMOUNT = 5
    INVALID_PRICE = 6
    OFF_TICK = 7
    BELOW_MIN_NOTIONAL = 8
    INSUFFICIENT_BALANCE = 9
    NO_POSITION = 10
    TOO_MANY_ORDERS = 11
    TOO_LARGE = 12
    NO_MARKET = 13
    UNKNOWN_ORDER = 14
    INVALID_TYPE = 15
    TOO_MANY_PROPOSALS = 16
    REQUESTED = 20
    LINKED_ORDER_FILLED = 21
    POSITION_CLOSED = 22
    REPLACED_BY_STRATEGY = 23

    @property
    def text(self) -> str:
        """The rule in words."""
        return _TEXT[self]


_TEXT = {
    Reason.NONE: "",
    Reason.UNKNOWN_INSTRUMENT: "the instrument is not on this venue",
    Reason.INVALID_AMOUNT: "the amount must be a positive number",
    Reason.OFF_LOT: "the amount is not a multiple of the lot",
    Reason.BELOW_MIN_AMOUNT: "the amount is below the smallest one allowed",
    Reason.ABOVE_MAX_AMOUNT: "the amount is above the largest one allowed",
    Reason.INVALID_PRICE: "the price must be a positive number",
    Reason.OFF_TICK: "the price is not a multiple of the tick",
    Reason.BELOW_MIN_NOTIONAL: "price times amount is below the smallest value allowed",
    Reason.INSUFFICIENT_BALANCE: "the free balance does not cover the order and its fee",
    Reason.NO_POSITION: "there is no position to reduce; spot is long only",
    Reason.TOO_MANY_ORDERS: "too many open orders; cancel some first",
    Reason.TOO_LARGE: "price times amount does not fit the account's integers",
    Reason.NO_MARKET: "there is no market data for this instrument yet",
    Reason.UNKNOWN_ORDER: "there is no open order with this id",
    Reason.INVALID_TYPE: "this order type is not known",
    Reason.TOO_MANY_PROPOSALS: "a strategy may propose at most 16 orders at once",
    Reason.REQUESTED: "canceled on request",
    Reason.LINKED_ORDER_FILLED: "the order linked to it filled",
    Reason.POSITION_CLOSED: "the position that it protected is closed",
    Reason.REPLACED_BY_STRATEGY: "the strategy replaced it",
}

# (state, event) -> state. What is not listed cannot happen; `next_status` raises on it.
TRANSITIONS: dict[tuple[OrdStatus, EventKind], OrdStatus] = {
    (OrdStatus.NONE, EventKind.ACCEPTED): OrdStatus.WORKING,
    (OrdStatus.NONE, EventKind.REJECTED): OrdStatus.REJECTED,
    (OrdStatus.NONE, EventKind.DENIED): OrdStatus.REJECTED,
    # a protective order that was accepted while flat waits for its entry
    (OrdStatus.DORMANT, EventKind.ARMED): OrdStatus.WORKING,
    (OrdStatus.DORMANT, EventKind.REPLACED): OrdStatus.DORMANT,
    (OrdStatus.DORMANT, EventKind.CANCELED): OrdStatus.CANCELED,
    (OrdStatus.WORKING, EventKind.REPLACED): OrdStatus.WORKING,
    # a stop that fired is a market order from then on, and fills at the same instant
    (OrdStatus.WORKING, EventKind.TRIGGERED): OrdStatus.WORKING,
    (OrdStatus.WORKING, EventKind.FILLED): OrdStatus.FILLED,
    (OrdStatus.WORKING, EventKind.CANCELED): OrdStatus.CANCELED,
}


def next_status(status: OrdStatus, kind: EventKind, *, dormant: bool = False) -> OrdStatus:
    """State of an order after an event; ValueError when the table knows no such step.

    >>> next_status(OrdStatus.WORKING, EventKind.FILLED).name
    'FILLED'
    """
    try:
        after = TRANSITIONS[status, kind]
    except KeyError:
        raise ValueError(f"an order that is {status.name} cannot be {kind.name}") from None
    return OrdStatus.DORMANT if dormant and kind is EventKind.ACCEPTED else after


order_t = np.dtype(
    [
        ("order_id", "<i8"),
        ("ts", "<i8"),
        ("instrument", "<i2"),
        ("side", "<i2"),
        ("ord_type", "<i2"),
        ("status", "<i2"),
        ("flags", "<i8"),
        ("link_id", "<i8"),
        ("order_qty", "<i8"),
        ("price", "<i8"),
        ("stop_px", "<i8"),
        ("trail", "<i8"),
        ("trail_rate", "<i8"),
        ("anchor", "<i8"),
        ("held", "<i8"),
    ],
    align=True,
)
"""An open order. Prices in price units, `order_qty` in amount units, `held` in units of the asset it holds.
`trail` is a distance in price units, `trail_rate` one in hundred-millionths of the anchor; `stop_px` is the
present trigger. Orders with one non-zero `link_id` cancel each other: the first to fill ends the rest."""
