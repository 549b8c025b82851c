"""The journal's canonical records: one fixed layout for every event, and the digest over them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np
import numpy.typing as npt

event_t = np.dtype(
    [
        ("seq", "<i8"),
        ("ts_event", "<i8"),
        ("kind", "<i2"),
        ("reason", "<i2"),
        ("instrument", "<i2"),
        ("side", "<i2"),
        ("ord_type", "<i2"),
        ("flags", "<i2"),
        ("asset", "<i2"),
        ("debit", "<i1"),
        ("credit", "<i1"),
        ("order_id", "<i8"),
        ("link_id", "<i8"),
        ("price", "<i8"),
        ("stop_px", "<i8"),
        ("order_qty", "<i8"),
        ("last_px", "<i8"),
        ("last_qty", "<i8"),
        ("cum_qty", "<i8"),
        ("leaves_qty", "<i8"),
        ("amount", "<i8"),
    ]
)
"""One event, 112 bytes, little-endian. Fields that a kind does not use are zero.

`kind`, `reason`, `side`, `ord_type` and `flags` are the enums of `orders`; `instrument` and `asset` index the
engine's tables; prices are price units, quantities amount units. On POSTED records `amount` money units of
`asset` went from account `debit` to account `credit` (see `ledger.Account`). On FILLED records `amount` is the
fee, in quote units, and `flags` is 1 for a maker. On PROPOSED and PLACE records of a trailing stop `price` is the
distance and `amount` the distance as a rate; a PROPOSED record with side 0 withdraws all orders. `ts_event` is UTC milliseconds of the venue."""

KERNEL_VERSION = 1
"""Raised whenever the same inputs would give other records."""


def canonical_json(value: Any) -> bytes:
    """JSON with sorted keys and no spaces: one text for one value.

    >>> canonical_json({"b": 1, "a": [True, None]})
    b'{"a":[true,null],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    ).encode()


class Digest:
    """SHA-256 over a journal: its header, its records in order, and the market data they were made from.

    >>> a, b = Digest({"seed": 0}), Digest({"seed": 0})
    >>> a.update(np.zeros(2, event_t)); b.update(np.zeros(1, event_t)); b.update(np.zeros(1, event_t))
    >>> a.hexdigest("data", 5) == b.hexdigest("data", 5)
    True
    """

    def __init__(self, header: dict[str, Any]) -> None:
        self._hash = hashlib.sha256(canonical_json(header))

    def update(self, events: npt.NDArray[np.void]) -> None:
        """Take in records in journal order."""
        self._hash.update(np.ascontiguousarray(events, event_t).view(np.uint8).data)

    def hexdigest(self, data_digest: str, bars: int) -> str:
        """The digest so far, closed with what was consumed."""
        closed = self._hash.copy()
        closed.update(canonical_json({"bars": bars, "data_digest": data_digest}))
        return closed.hexdigest()
