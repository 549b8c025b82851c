"""What the journal's tests are made of: headers, events and bars that need no engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from twinstar_kit.journal.inputs import Inputs
from twinstar_kit.journal.store import Batch, Journal
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.records import event_t

BTC = Instrument.from_sizes("BTC/USDT")
HEADER: dict[str, Any] = {
    "instruments": [BTC.canonical()],
    "timeframe_ms": 60_000,
    "granularity": "bars",
    "kernel": 1,
}


def events(first: int, count: int) -> np.ndarray:
    """`count` events whose fields all differ, numbered from `first`."""
    made = np.zeros(count, event_t)
    made["seq"] = np.arange(first, first + count)
    made["kind"] = EventKind.PROPOSED
    made["amount"] = made["seq"] * 7
    return made


def bars(first: int, count: int) -> np.ndarray:
    """`count` minutes from minute `first`."""
    rows = np.zeros((count, 6), np.int64)
    rows[:, 0] = np.arange(first, first + count) * 60_000
    rows[:, 1:5] = 100 + np.arange(first, first + count)[:, None]
    rows[:, 5] = 1
    return rows


def batch(number: int, size: int = 3, **more: Any) -> Batch:
    """Batch `number` (from 1) of a journal whose batches hold `size` bars and events each."""
    first = (number - 1) * size
    return Batch(
        (Inputs(0, bars(first, size)),), events(first + 1, size), np.arange(first, first + size), **more
    )


def filled(path: Path, batches: int, size: int = 3) -> Journal:
    """An open journal that holds `batches` batches."""
    journal = Journal.create(path, HEADER, {"account": "test"})
    for number in range(1, batches + 1):
        journal.commit(batch(number, size))
    return journal
