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
        ("ref_px", "<i8"),
        ("ref_qty", "<i8"),
    ]
)
"""One event, 128 bytes, little-endian. Fields that a kind does not use are zero.

`kind`, `reason`, `side`, `ord_type` and `flags` are the enums of `orders`; `instrument` indexes the engine's table, `asset` is a
row of the ledger (see `ledger.Wallet`). `price` ... `leaves_qty` are price units and amount units. `ts_event` is the venue's time.

- POSTED: `amount` units of row `asset` went from account `debit` to account `credit` (see `ledger.Account`).
- FILLED: `amount` is the fee in units of row `asset`, `flags` holds `FillFlag`s; `reason` says what was met, `ref_px` the market's price
  before slippage, `ref_qty` the quantity that was there (0: not bounded).
- PLACE and PROPOSED: `order_qty`, `price`, `stop_px` as asked; of a trailing stop `price` is the distance and `amount` the distance as a
  rate. A PROPOSED record with side 0 withdraws all orders.
- TERMS: `flags` is time in force + 8 * trigger + 32 * self trade + 128 * (position side + 1), `price` the limit offset,
  `stop_px` the activation, `order_qty` the displayed quantity, `amount` the expiry, `link_id` the parent.
- ACCEPTED: `amount` is when it arrives; 0 when at once, -1 when it waits for another order or a position.
- TRIGGERED: `ref_px` is the price that fired it.
- FUNDED: `amount` is what was received (paid: below zero) in units of row `asset`, `last_px` the mark, `ref_px` the rate in 1e-8.
- LIQUIDATED: `last_px` is the mark, `last_qty` the position, `amount` the collateral, `ref_px` the maintenance margin.
- CONFIGURE: `flags` is a `Setting`, `amount` its value."""


KERNEL_VERSION = 2
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
