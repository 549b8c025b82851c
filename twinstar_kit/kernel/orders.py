"""Orders: FIX's words for their sides, types, conditions and states, the record they are kept in, and the table of their life."""

from __future__ import annotations

from enum import IntEnum, IntFlag

import numpy as np


class Side(IntEnum):
    """Side of an order or a fill; the number is the sign of the position it makes."""

    BUY = 1
    SELL = -1


class OrdType(IntEnum):
    """How an order meets the market; the exact condition of each fill stands in `matching` and `triggers`.

    A stop waits for the price to go against its side (a buy stop lies above the market), an if-touched order for it
    to come (a sell-if-touched lies above). A take-profit is an if-touched order that closes a position.
    """

    MARKET = 1
    LIMIT = 2
    STOP = 3
    STOP_LIMIT = 4
    MARKET_IF_TOUCHED = 5
    LIMIT_IF_TOUCHED = 6
    TRAILING_STOP = 7
    TRAILING_STOP_LIMIT = 8
    TAKE_PROFIT = 5
    TAKE_PROFIT_LIMIT = 6


class OrdStatus(IntEnum):
    """State of an order.

    IN_FLIGHT is on its way to the venue (order latency). DORMANT waits for the order that it hangs on, or for a
    position that is not there yet. PARTIAL has filled in part and works on.
    """

    NONE = 0
    DORMANT = 1
    WORKING = 2
    FILLED = 3
    CANCELED = 4
    REJECTED = 5
    IN_FLIGHT = 6
    PARTIAL = 7


class OrdFlag(IntFlag):
    """Conditions of an order.

    REDUCE_ONLY never opens or enlarges a position, holds no balance, shrinks with the position and ends with it.
    CLOSE_POSITION takes the whole position, however large it is when the order fires.
    SEEN is set by the kernel once an order has met market data; a limit that fills before is a taker.
    POST_ONLY is refused if it would take. HIDDEN shows nothing, so it fills only when the price goes through it.
    TRIGGERED and ACTIVE are set by the kernel: a stop that fired, a trailing stop that has begun to follow.
    """

    NONE = 0
    REDUCE_ONLY = 1
    CLOSE_POSITION = 2
    SEEN = 4
    POST_ONLY = 8
    HIDDEN = 16
    TRIGGERED = 32
    ACTIVE = 64


class TimeInForce(IntEnum):
    """How long an order works. DAY ends at the next midnight UTC, GTD at its `expire_ts`; IOC and FOK never rest."""

    GTC = 0
    IOC = 1
    FOK = 2
    GTD = 3
    DAY = 4


class TriggerBy(IntEnum):
    """Which price fires a trigger: the last trade, the mark price, or the quote (buys by the ask, sells by the bid)."""

    LAST = 0
    MARK = 1
    BID_ASK = 2


class SelfTrade(IntEnum):
    """What happens when an order would meet one of the same account; NONE lets both stand (the market is the counterparty)."""

    NONE = 0
    EXPIRE_TAKER = 1
    EXPIRE_MAKER = 2
    EXPIRE_BOTH = 3


class PositionSide(IntEnum):
    """Which position an order belongs to: BOTH in one-way mode, LONG or SHORT in hedge mode."""

    BOTH = 0
    LONG = 1
    SHORT = -1


class EventKind(IntEnum):
    """Kinds of journal records. Commands are imperative, what follows is past tense.

    TERMS follows a PLACE or PROPOSED that carries more than price and amount, and holds the rest.
    """

    PLACE = 1
    CANCEL = 2
    DEPOSITED = 3
    TERMS = 4
    AMEND = 5
    TRANSFER = 6
    CONFIGURE = 7
    WITHDRAWN = 8
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
    FUNDED = 31
    LIQUIDATED = 32


class Setting(IntEnum):
    """What a CONFIGURE record changed; the value stands in its `amount`."""

    LEVERAGE = 1
    ISOLATED = 2
    HEDGE = 3
    ADD_MARGIN = 4


class Reason(IntEnum):
    """Why something was denied, rejected or canceled, or why a fill happened; `text` is the rule in words."""

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
    WOULD_TAKE = 17
    INVALID_TERMS = 19
    REQUESTED = 20
    LINKED_ORDER_FILLED = 21
    POSITION_CLOSED = 22
    EXPIRED = 24
    NOT_FILLED_AT_ONCE = 25
    NO_LIQUIDITY = 26
    SELF_TRADE = 27
    LIQUIDATION = 28
    PARENT_ENDED = 29
    PRICE_TOO_FAR = 30
    ABOVE_MAX_POSITION = 31
    ABOVE_TIER = 32
    INVALID_LEVERAGE = 33
    POSITION_OPEN = 34
    WRONG_POSITION_SIDE = 35
    SHRANK_WITH_POSITION = 36
    BEYOND_PROTECTION = 37
    NOT_SPOT = 38
    MARGIN_TOO_SMALL = 39
    MET_QUOTE = 40
    MET_BOOK = 41
    MET_PATH = 42
    MET_GAP = 43
    MET_TRADE = 44
    MET_QUEUE = 45
    MET_CLOSE = 46

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
    Reason.WOULD_TAKE: "a post-only order must not take; choose a price that rests",
    Reason.INVALID_TERMS: "these conditions do not go together",
    Reason.REQUESTED: "canceled on request",
    Reason.LINKED_ORDER_FILLED: "the order linked to it filled",
    Reason.POSITION_CLOSED: "the position that it protected is closed",
    Reason.EXPIRED: "its time in force ended",
    Reason.NOT_FILLED_AT_ONCE: "it could not be filled at once, and must not rest",
    Reason.NO_LIQUIDITY: "nothing was left to trade with",
    Reason.SELF_TRADE: "it would have met an order of the same account",
    Reason.LIQUIDATION: "the position was liquidated",
    Reason.PARENT_ENDED: "the order that it hung on ended without a fill",
    Reason.PRICE_TOO_FAR: "the price is too far from the market",
    Reason.ABOVE_MAX_POSITION: "the position would be above the largest one allowed",
    Reason.ABOVE_TIER: "the position would be too large for this leverage; lower the leverage",
    Reason.INVALID_LEVERAGE: "the leverage is not allowed for this instrument",
    Reason.POSITION_OPEN: "positions or orders are open; close them first",
    Reason.WRONG_POSITION_SIDE: "hedge mode wants LONG or SHORT as position side, one-way mode neither",
    Reason.SHRANK_WITH_POSITION: "the position shrank, and the order with it",
    Reason.BEYOND_PROTECTION: "the rest lay beyond the price protection",
    Reason.NOT_SPOT: "this exists for derivatives only",
    Reason.MARGIN_TOO_SMALL: "the margin would not carry the position",
    Reason.MET_QUOTE: "it met the best quote",
    Reason.MET_BOOK: "it met what rested in the book",
    Reason.MET_PATH: "the price path inside the bar reached it",
    Reason.MET_GAP: "the market was beyond its price when it came",
    Reason.MET_TRADE: "a trade went through its price",
    Reason.MET_QUEUE: "what stood before it in the queue had traded",
    Reason.MET_CLOSE: "it was filled at the close of the bar that gave the signal",
}

# (state, event) -> state. What is not listed cannot happen; `next_status` raises on it.
TRANSITIONS: dict[tuple[OrdStatus, EventKind], OrdStatus] = {
    (OrdStatus.NONE, EventKind.ACCEPTED): OrdStatus.WORKING,
    (OrdStatus.NONE, EventKind.REJECTED): OrdStatus.REJECTED,
    (OrdStatus.NONE, EventKind.DENIED): OrdStatus.REJECTED,
    # what arrives at the venue works; what it finds there may end it at once
    (OrdStatus.IN_FLIGHT, EventKind.ARMED): OrdStatus.WORKING,
    (OrdStatus.IN_FLIGHT, EventKind.CANCELED): OrdStatus.CANCELED,
    (OrdStatus.IN_FLIGHT, EventKind.REPLACED): OrdStatus.IN_FLIGHT,
    # a protective order that was accepted while flat waits for its entry
    (OrdStatus.DORMANT, EventKind.ARMED): OrdStatus.WORKING,
    (OrdStatus.DORMANT, EventKind.REPLACED): OrdStatus.DORMANT,
    (OrdStatus.DORMANT, EventKind.CANCELED): OrdStatus.CANCELED,
    (OrdStatus.WORKING, EventKind.REPLACED): OrdStatus.WORKING,
    # a stop that fired works on as what it fires: a market or a limit order
    (OrdStatus.WORKING, EventKind.TRIGGERED): OrdStatus.WORKING,
    (OrdStatus.WORKING, EventKind.FILLED): OrdStatus.FILLED,
    (OrdStatus.WORKING, EventKind.CANCELED): OrdStatus.CANCELED,
    (OrdStatus.PARTIAL, EventKind.FILLED): OrdStatus.FILLED,
    (OrdStatus.PARTIAL, EventKind.REPLACED): OrdStatus.PARTIAL,
    (OrdStatus.PARTIAL, EventKind.CANCELED): OrdStatus.CANCELED,
    # an order that hangs on a parent that fills in parts is armed again with each part
    (OrdStatus.WORKING, EventKind.ARMED): OrdStatus.WORKING,
    (OrdStatus.PARTIAL, EventKind.ARMED): OrdStatus.PARTIAL,
}


def next_status(
    status: OrdStatus, kind: EventKind, *, dormant: bool = False, leaves_qty: int = 0, in_flight: bool = False
) -> OrdStatus:
    """State of an order after an event; ValueError when the table knows no such step.

    A FILLED event with something left leads to PARTIAL. `dormant` and `in_flight` say how an order was accepted.

    >>> next_status(OrdStatus.WORKING, EventKind.FILLED).name
    'FILLED'
    >>> next_status(OrdStatus.WORKING, EventKind.FILLED, leaves_qty=5).name
    'PARTIAL'
    """
    try:
        after = TRANSITIONS[status, kind]
    except KeyError:
        raise ValueError(f"an order that is {status.name} cannot be {kind.name}") from None
    if kind is EventKind.ACCEPTED and (dormant or in_flight):
        return OrdStatus.DORMANT if dormant else OrdStatus.IN_FLIGHT
    return OrdStatus.PARTIAL if kind is EventKind.FILLED and leaves_qty > 0 else after


NEVER = np.iinfo(np.int64).max
"""A time that does not come."""

order_t = np.dtype(
    [
        ("order_id", "<i8"),
        ("ts", "<i8"),
        ("instrument", "<i8"),
        ("side", "<i8"),
        ("ord_type", "<i8"),
        ("status", "<i8"),
        ("works_as", "<i8"),
        ("direction", "<i8"),
        ("trigger_by", "<i8"),
        ("time_in_force", "<i8"),
        ("position_side", "<i8"),
        ("self_trade", "<i8"),
        ("flags", "<i8"),
        ("link_id", "<i8"),
        ("parent_id", "<i8"),
        ("order_qty", "<i8"),
        ("cum_qty", "<i8"),
        ("price", "<i8"),
        ("stop_px", "<i8"),
        ("trail", "<i8"),
        ("trail_rate", "<i8"),
        ("activation_px", "<i8"),
        ("limit_offset", "<i8"),
        ("anchor", "<i8"),
        ("held", "<i8"),
        ("display_qty", "<i8"),
        ("shown_qty", "<i8"),
        ("ahead", "<i8"),
        ("traded", "<i8"),
        ("arrive_ts", "<i8"),
        ("expire_ts", "<i8"),
        ("cancel_ts", "<i8"),
        ("wake_ts", "<i8"),
        ("stamp", "<i8"),
    ],
    align=True,
)
"""An open order, and the form of a request. Prices in price units, quantities in amount units.

`works_as` is MARKET or LIMIT, or 0 while it waits for its trigger, which fires when (price - stop_px) * direction >= 0.
`trail` is a distance in price units, `trail_rate` one in hundred-millionths of the best price (`anchor`); a trailing stop begins
at once, or at `activation_px`. A TRAILING_STOP_LIMIT fires with a limit `limit_offset` beyond its trigger. `held` is in units of what it holds.
`display_qty` above zero makes an iceberg, `shown_qty` is what is left of the tip. `ahead` is what stands before it in the queue (-1: not
queued), `traded` what has traded at its price since the book last spoke of it. `wake_ts` is when the clock next does something with it: it arrives (`arrive_ts`), expires
(`expire_ts`) or is reached by its cancel (`cancel_ts`), or NEVER. `stamp` is the number of the trade that it met last.
Orders with one non-zero `link_id` end or shrink each other; one with a `parent_id` waits for that order's fills."""
