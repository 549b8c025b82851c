"""Market data that went into an engine, recorded in order: with header and commands it reproduces every event."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.errors import JournalDamaged
from twinstar_kit.kernel.bars import DataDigest
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.records import canonical_json


class InputKind(IntEnum):
    """Kinds of market data; the fields of `input_t.v` that each uses, in order.

    BAR: timestamp (open), open, high, low, close, volume, timeframe_ms. TRADE: price, amount, side of the taker, id, and
    when it was made, if it was heard of later (`ts`), else 0.
    QUOTE: bid, ask. BOOK: side (1 bids, -1 asks), price, amount, how many rows the book has. MARK: mark price.
    FUNDING: rate (hundred-millionths), mark price. TIME: nothing but that it was then. LAST: last price, which met nothing.
    DOUBTED_BAR is a BAR in a run whose rows say why each is not the venue's own word; as a record that stands in `reserved`.
    Commands are recorded beside them, see `Batch.command`.
    """

    BAR = 1
    TRADE = 2
    QUOTE = 3
    BOOK = 4
    MARK = 5
    FUNDING = 6
    TIME = 7
    LAST = 8
    DOUBTED_BAR = 9


input_t = np.dtype(
    [("kind", "<i2"), ("instrument", "<i2"), ("reserved", "<i4"), ("ts", "<i8"), ("v", "<i8", (7,))]
)
"""One input, 72 bytes, little-endian: `ts` is when it counts (UTC ms of the venue; a bar counts at its close)."""

_HEAD = struct.Struct("<iiq")
_WIDTHS = {int(InputKind.BAR): 6, int(InputKind.DOUBTED_BAR): 7}
"""Columns of runs of bars."""


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """A run of inputs: `rows`, as in `Bars.rows`, of one instrument and timeframe, or `mixed`, `input_t` (n,)."""

    instrument: int
    rows: npt.NDArray[np.int64] | None = None
    mixed: npt.NDArray[np.void] | None = None

    def __len__(self) -> int:
        return len(self.rows) if self.rows is not None else len(self.mixed) if self.mixed is not None else 0

    def pack(self) -> bytes:
        """The bytes that are stored."""
        if self.rows is not None:
            kind = InputKind.BAR if self.rows.shape[1] == 6 else InputKind.DOUBTED_BAR
            return (
                _HEAD.pack(kind, self.instrument, len(self.rows))
                + np.ascontiguousarray(self.rows, "<i8").tobytes()
            )
        mixed = np.ascontiguousarray(self.mixed, input_t)
        return _HEAD.pack(0, self.instrument, len(mixed)) + mixed.tobytes()

    def records(self, timeframe_ms: int) -> npt.NDArray[np.void]:
        """The inputs as `input_t`, whichever way they were stored."""
        if self.mixed is not None:
            return self.mixed
        assert self.rows is not None
        out = np.zeros(len(self.rows), input_t)
        out["kind"], out["instrument"] = InputKind.BAR, self.instrument
        out["ts"] = self.rows[:, 0] + timeframe_ms
        out["v"][:, :6] = self.rows[:, :6]
        if self.rows.shape[1] > 6:
            out["kind"], out["reserved"] = InputKind.DOUBTED_BAR, self.rows[:, 6]
        out["v"][:, 6] = timeframe_ms
        return out


def pack_inputs(inputs: Iterable[Inputs]) -> bytes:
    """Runs of inputs as one blob."""
    return b"".join(run.pack() for run in inputs)


def unpack_inputs(blob: bytes) -> list[Inputs]:
    """The runs in a blob; JournalDamaged when it does not end where a run does."""
    runs, at = [], 0
    while at < len(blob):
        if at + _HEAD.size > len(blob):
            raise JournalDamaged("recorded inputs end inside a record")
        kind, instrument, n = _HEAD.unpack_from(blob, at)
        at += _HEAD.size
        width = _WIDTHS.get(kind, 0)
        end = at + n * (8 * width if width else input_t.itemsize)
        if (kind and not width) or n < 0 or end > len(blob):
            raise JournalDamaged("recorded inputs end inside a record")
        if width:
            runs.append(Inputs(instrument, rows=np.frombuffer(blob, "<i8", n * width, at).reshape(n, width)))
        else:
            runs.append(Inputs(instrument, mixed=np.frombuffer(blob, input_t, n, at)))
        at = end
    return runs


def record(kind: InputKind, instrument: int, ts: int, values: Sequence[int]) -> npt.NDArray[np.void]:
    """One input as an array of shape (1,).

    >>> record(InputKind.QUOTE, 0, 1_000, (99, 101))["v"][0, :2].tolist()
    [99, 101]
    """
    out = np.zeros(1, input_t)
    out["kind"], out["instrument"], out["ts"] = kind, instrument, ts
    out["v"][0, : len(values)] = values
    return out


class InputDigest:
    """The digest of recorded market data, the same however it was cut into runs; empty when nothing was recorded.

    A run over bars of one instrument has the digest of those `Bars`; anything else is hashed record by record.
    """

    def __init__(self, header: dict[str, Any]) -> None:
        self._timeframe_ms = int(header.get("timeframe_ms", 0))
        alone = self._timeframe_ms and header.get("granularity") == "bars" and len(header["instruments"]) == 1
        self._bars = (
            DataDigest(Instrument.from_canonical(header["instruments"][0]), self._timeframe_ms)
            if alone
            else None
        )
        self._hash = hashlib.sha256(canonical_json({"instruments": header["instruments"]}))
        self.count = 0

    def update(self, runs: Iterable[Inputs]) -> None:
        """Take in runs of inputs."""
        for run in runs:
            if self._bars is None:
                self._hash.update(run.records(self._timeframe_ms).tobytes())
            else:
                self._bars.update(run.rows if run.rows is not None else run.records(0)["v"][:, :6])
            self.count += len(run)

    def hexdigest(self) -> str:
        """The digest so far."""
        if not self.count:
            return ""
        return self._bars.hexdigest() if self._bars is not None else self._hash.hexdigest()
