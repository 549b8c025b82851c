"""Says in words where two runs part: the first event that differs, or the first bar whose equity does."""

from __future__ import annotations

from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.context import Proposal
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Side
from twinstar_kit.kernel.records import event_t

_WORDS: dict[str, type[IntEnum]] = {"kind": EventKind, "side": Side, "ord_type": OrdType, "reason": Reason}
_PRICES = ("price", "stop_px", "last_px")
_AMOUNTS = ("order_qty", "last_qty", "cum_qty", "leaves_qty")


def first_difference(
    one: npt.NDArray[np.void], other: npt.NDArray[np.void], instrument: Instrument, names: tuple[str, str]
) -> str:
    """One sentence about the first event in which two journals differ; empty when they are the same."""
    shared = min(len(one), len(other))
    equal = one[:shared] == other[:shared]
    if equal.all():
        if len(one) == len(other):
            return ""
        longer, name = (one, names[0]) if len(one) > len(other) else (other, names[1])
        return f"event {shared} is only in {name}: {event_words(longer[shared], instrument)}"
    at = int(np.argmin(equal))
    return f"event {at} differs: {names[0]} has {event_words(one[at], instrument)}, {names[1]} has {event_words(other[at], instrument)}"


def equity_difference(
    one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], instrument: Instrument, names: tuple[str, str]
) -> str:
    """One sentence about the first bar at which two runs are worth different amounts; empty when there is none."""
    apart = np.flatnonzero(one != other)
    if not len(apart):
        return ""
    i = int(apart[0])
    return f"the equity after bar {i} is {instrument.money(int(one[i]))} in {names[0]}, {instrument.money(int(other[i]))} in {names[1]}"


def event_words(event: Any, instrument: Instrument) -> str:
    """An event as people read it: its kind, its time, and what is not zero."""
    when = datetime.fromtimestamp(int(event["ts_event"]) / 1_000, UTC)
    shown = [f"{EventKind(int(event['kind'])).name} at {when:%Y-%m-%d %H:%M:%S}"]
    for name in event_t.names or ():
        value = int(event[name])
        if value and name not in ("seq", "ts_event", "kind", "instrument"):
            shown.append(f"{name}={_word(name, value, int(event['kind']), instrument)}")
    return " ".join(shown)


def _word(name: str, value: int, kind: int, instrument: Instrument) -> str:
    if name == "reason" and kind == EventKind.PROPOSED:
        return Proposal(value).name
    if name in _WORDS:
        return _WORDS[name](value).name
    if name in _PRICES:
        return f"{instrument.price(value):g}" if kind != EventKind.PROPOSED else str(value)
    return f"{instrument.amount(value):g}" if name in _AMOUNTS else str(value)
