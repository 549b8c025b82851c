"""From ccxt's answers to integer rows; an answer that cannot be true is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from twinstar_kit.feeds.base import DAY_MS, Rows
from twinstar_kit.feeds.source import FUNDING_SCALE, BadAnswer, SourceError
from twinstar_kit.kernel.bars import PRICES
from twinstar_kit.kernel.errors import OrderError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import SNAP, to_units

SURE_UNITS = 2.0**51  # below it, a text read as a double and scaled is off by less than half a unit


@dataclass(frozen=True)
class Asked:
    """What bars were asked for: those of [since_ms, until_ms), when the venue's clock showed `venue_ms` or more.

    `bounded` says that the venue was told `until_ms`; `most` is how many bars it gives at once.
    """

    step_ms: int
    since_ms: int
    until_ms: int
    venue_ms: int
    most: int
    bounded: bool


def bar_rows(answer: Any, instrument: Instrument, asked: Asked) -> Rows:
    """Rows (n, 6) of an answer that the venue gave in order of time, oldest or newest first.

    Rows more than one bar outside what was asked are refused; of a venue that knows no end, what is later is cut off.
    SourceError when such a venue may have left out the beginning, because it keeps only its newest bars.
    """
    if not isinstance(answer, list) or not all(isinstance(row, list) and len(row) >= 6 for row in answer):
        raise BadAnswer("bars should be rows of six values")
    stamps = _stamps([row[0] for row in answer])
    stamps, order = _ascending(stamps)
    answer = [answer[at] for at in order]
    since_ms, until_ms, step_ms = asked.since_ms, asked.until_ms, asked.step_ms
    early, late = stamps < since_ms - step_ms, stamps >= until_ms + step_ms
    strange = (early | late) if asked.bounded else early
    if strange.any():
        raise BadAnswer(f"asked for bars of [{since_ms}, {until_ms}), got one of {stamps[strange][0]}")
    inside = (stamps >= since_ms) & (stamps < until_ms)
    if not asked.bounded and len(stamps) and int(stamps[0]) > since_ms:
        newest = int(stamps[-1]) + 2 * step_ms + DAY_MS > asked.venue_ms  # or nobody has traded since
        all_it_has = newest and len(stamps) >= asked.most
        if all_it_has or not inside.any():
            raise SourceError(
                f"{instrument.exchange} may have no bars as old as {since_ms}: its answer begins at {stamps[0]}; "
                "take them from another venue or from files"
            )
    rows = np.empty((len(answer), 6), np.int64)
    rows[:, 0] = stamps
    for at, name in enumerate(PRICES, start=1):
        rows[:, at] = units(
            [row[at] for row in answer], instrument.price_scale, f"{instrument.symbol} {name}"
        )
    rows[:, 5] = units([row[5] for row in answer], instrument.amount_scale, f"{instrument.symbol} volume")
    return rows[inside]


def trade_rows(answer: Any, instrument: Instrument) -> Rows:
    """Rows (n, 5) of ccxt's unified trades, ascending in time and id."""
    if not isinstance(answer, list) or not all(isinstance(trade, dict) for trade in answer):
        raise BadAnswer("trades should be a list of trades")
    rows = np.empty((len(answer), 5), np.int64)
    rows[:, 0] = _stamps([trade["timestamp"] for trade in answer])
    symbol = instrument.symbol
    rows[:, 1] = units([trade["price"] for trade in answer], instrument.price_scale, f"{symbol} price")
    rows[:, 2] = units([trade["amount"] for trade in answer], instrument.amount_scale, f"{symbol} amount")
    rows[:, 3] = [{"buy": 1, "sell": -1}.get(trade["side"], 0) for trade in answer]
    rows[:, 4] = [number_of(trade["id"]) for trade in answer]
    if np.any(rows[:, 3] == 0):
        raise BadAnswer("a trade is neither a buy nor a sale")
    rows = rows[np.lexsort((rows[:, 4], rows[:, 0]))]
    if len(np.unique(rows[:, 4])) < len(rows):
        raise BadAnswer("one trade comes twice")
    return rows


def funding_rows(answer: Any) -> Rows:
    """Rows (n, 2) of ccxt's unified funding rates, ascending."""
    if not isinstance(answer, list) or not all(isinstance(rate, dict) for rate in answer):
        raise BadAnswer("funding should be a list of rates")
    stamps, order = _ascending(_stamps([rate["timestamp"] for rate in answer]))
    rates = units([answer[at]["fundingRate"] for at in order], FUNDING_SCALE, "funding rate")
    return np.column_stack([stamps, rates])


def number_of(trade_id: Any) -> int:
    """A trade's id as an integer: its own number, or 62 bits of SHA-256 of an id that is none.

    >>> number_of("3770449921"), number_of("a1b2") == number_of("a1b2")
    (3770449921, True)
    """
    if trade_id is None or trade_id == "":
        raise BadAnswer("a trade has no id")
    text = str(trade_id)
    if text.isdigit() and int(text) < 2**63:
        return int(text)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 2


def units(values: Sequence[Any], scale: int, what: str) -> Rows:
    """Texts or floats as counts of 10**-scale, exactly.

    >>> units(["0.05", "61659.79", 7], 2, "price").tolist()
    [5, 6165979, 700]
    """
    try:
        floats = np.array(values, dtype=np.float64) if values else np.empty(0)
    except (TypeError, ValueError):
        raise BadAnswer(f"{what} is not a number") from None
    if not np.isfinite(floats).all():
        raise BadAnswer(f"{what} is missing or not finite")
    scaled = floats * 10.0**scale
    nearest = np.rint(scaled)
    sure = (np.abs(scaled) < SURE_UNITS) & (np.abs(scaled - nearest) <= np.abs(scaled) * SNAP)
    counts = np.where(sure, nearest, 0.0).astype(np.int64)
    for at in np.flatnonzero(~sure).tolist():
        try:
            counts[at] = to_units(values[at], scale, what=what)
        except OrderError as error:
            raise SourceError(f"{error}; give the source an instrument with other units") from None
    return counts


def _stamps(values: Sequence[Any]) -> Rows:
    if not all(isinstance(value, int) for value in values):
        raise BadAnswer("a timestamp is not a whole number of milliseconds")
    return np.array(values, np.int64).reshape(-1)


def _ascending(stamps: Rows) -> tuple[Rows, Rows]:
    """Timestamps in ascending order, and where each one stood; they must come in order, either way."""
    order = np.arange(len(stamps))
    steps = np.diff(stamps)
    if np.any(steps == 0):
        raise BadAnswer(f"the time {stamps[:-1][steps == 0][0]} comes twice")
    if np.all(steps < 0):
        order = order[::-1]
    elif np.any(steps < 0):
        raise BadAnswer(f"the row of {stamps[1:][steps < 0][0]} is out of order")
    return stamps[order], order
