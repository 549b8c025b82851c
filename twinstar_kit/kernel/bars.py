"""A series of bars as the kernel consumes it: integer rows, one instrument, one timeframe, one digest."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.errors import DataError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import MAX_UNITS, SNAP
from twinstar_kit.kernel.records import canonical_json

TIMESTAMP, OPEN, HIGH, LOW, CLOSE, VOLUME, DOUBT = range(7)
PRICES = ("open", "high", "low", "close")

_UNITS_MS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def parse_timeframe(timeframe: str) -> int:
    """Milliseconds of a ccxt timeframe.

    >>> parse_timeframe("15m")
    900000
    """
    match = re.fullmatch(r"([1-9]\d*)([smhdw])", timeframe)
    if not match:
        raise DataError(f"{timeframe!r} is not a timeframe; write a number and one of s m h d w, such as 15m")
    return int(match[1]) * _UNITS_MS[match[2]]


def format_timeframe(timeframe_ms: int) -> str:
    """A timeframe in ccxt's words.

    >>> format_timeframe(14_400_000)
    '4h'
    """
    for unit in ("w", "d", "h", "m", "s"):
        if timeframe_ms % _UNITS_MS[unit] == 0:
            return f"{timeframe_ms // _UNITS_MS[unit]}{unit}"
    raise DataError(f"a timeframe of {timeframe_ms} ms is not a whole number of seconds")


@dataclass(frozen=True)
class Bars:
    """Bars of one instrument in ascending time.

    `rows` is int64, C-contiguous, shape (n, 6): timestamp (bar open, ms UTC), open, high, low, close in price
    units, volume in amount units. With bars that are not the venue's own word a seventh column says of each why
    not: 0 where it is, else its `lake.Provenance` (healed from elsewhere, disputed). `off_tick` counts prices that the data held off the instrument's tick.

    >>> bars = Bars.from_floats(Instrument.from_sizes("BTC/USDT"), 60_000, [0, 60_000],
    ...                         [1.0, 2.0], [2.0, 2.5], [1.0, 1.5], [2.0, 2.0], [3.0, 4.0])
    >>> len(bars), bars.timeframe, bars.close.tolist()
    (2, '1m', [2.0, 2.0])
    """

    instrument: Instrument
    timeframe_ms: int
    rows: npt.NDArray[np.int64] = field(repr=False)
    source: str = ""
    simulated: bool = False
    off_tick: int = 0

    @classmethod
    def from_floats(
        cls, instrument: Instrument, timeframe_ms: int, timestamp: Any, open: Any, high: Any, low: Any, close: Any,
        volume: Any, *, source: str = "", simulated: bool = False,
    ) -> Bars:  # fmt: skip
        """Check columns of floats (timestamps in ms) and count them in the instrument's units.

        Values within 1e-9 (relative) of a unit are taken to lie on it; others are rounded to the nearest unit.
        Raises DataError that names the first row and the rule it breaks.
        """
        stamps = np.asarray(timestamp)
        if stamps.dtype.kind not in "iu":
            raise DataError(f"timestamps must be whole milliseconds, not {stamps.dtype}")
        columns = {}
        for name, values in zip((*PRICES, "volume"), (open, high, low, close, volume), strict=True):
            column = np.asarray(values)
            if column.dtype.kind not in "fiu":
                raise DataError(f"column {name} holds {column.dtype}, not numbers")
            columns[name] = column.astype(np.float64)
        _check_columns(stamps, columns)
        rows = np.empty((len(stamps), 6), np.int64)
        rows[:, TIMESTAMP] = stamps
        off_tick = 0
        for at, name in enumerate(PRICES, start=OPEN):
            rows[:, at] = _count(columns[name], instrument.price_scale, name)
            exact = columns[name] * (10.0**instrument.price_scale / instrument.tick)
            off_tick += int((np.abs(exact - np.rint(exact)) > np.abs(exact) * SNAP).sum())
        rows[:, VOLUME] = _count(columns["volume"], instrument.amount_scale, "volume")
        return cls(instrument, timeframe_ms, rows, source, simulated, off_tick)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, at: slice) -> Bars:
        """A slice of the series; a view, not a copy."""
        return replace(self, rows=self.rows[at])

    def between(self, since_ms: int | None = None, until_ms: int | None = None) -> Bars:
        """The bars that open in [since_ms, until_ms)."""
        stamps = self.rows[:, TIMESTAMP]
        first = 0 if since_ms is None else int(np.searchsorted(stamps, since_ms))
        last = len(self) if until_ms is None else int(np.searchsorted(stamps, until_ms))
        return self[first:last]

    @property
    def timeframe(self) -> str:
        """The timeframe in ccxt's words."""
        return format_timeframe(self.timeframe_ms)

    @property
    def timestamp(self) -> npt.NDArray[np.int64]:
        """Open times in milliseconds."""
        return self.rows[:, TIMESTAMP]

    def _prices(self, column: int) -> npt.NDArray[np.float64]:
        return self.rows[:, column] / float(10**self.instrument.price_scale)

    @property
    def open(self) -> npt.NDArray[np.float64]:
        """Open prices in the quote."""
        return self._prices(OPEN)

    @property
    def high(self) -> npt.NDArray[np.float64]:
        """High prices in the quote."""
        return self._prices(HIGH)

    @property
    def low(self) -> npt.NDArray[np.float64]:
        """Low prices in the quote."""
        return self._prices(LOW)

    @property
    def close(self) -> npt.NDArray[np.float64]:
        """Close prices in the quote."""
        return self._prices(CLOSE)

    @property
    def volume(self) -> npt.NDArray[np.float64]:
        """Volumes in the base."""
        return self.rows[:, VOLUME] / float(10**self.instrument.amount_scale)

    @cached_property
    def data_digest(self) -> str:
        """SHA-256 over the instrument, the timeframe and the rows in order; see `DataDigest`."""
        digest = DataDigest(self.instrument, self.timeframe_ms)
        digest.update(self.rows)
        return digest.hexdigest()


class DataDigest:
    """The digest of market data as it is consumed, bar by bar or all at once, with the same result."""

    def __init__(self, instrument: Instrument, timeframe_ms: int) -> None:
        self._hash = hashlib.sha256(
            canonical_json({"instrument": instrument.canonical(), "timeframe_ms": timeframe_ms})
        )
        self.bars = 0

    def update(self, rows: npt.NDArray[np.int64]) -> None:
        """Take in rows of shape (n, 6)."""
        self._hash.update(np.ascontiguousarray(rows, "<i8").data)
        self.bars += len(rows)

    def hexdigest(self) -> str:
        """The digest of all rows so far."""
        return self._hash.hexdigest()


def _count(values: npt.NDArray[np.float64], scale: int, name: str) -> npt.NDArray[np.int64]:
    scaled = np.rint(values * 10.0**scale)
    if len(scaled) and scaled.max() >= MAX_UNITS:
        row = int(scaled.argmax())
        raise DataError(
            f"row {row}: {name} {values[row]} is too large for units of 1e-{scale}; set a larger tick or lot"
        )
    return scaled.astype(np.int64)


def _check_columns(stamps: npt.NDArray[Any], columns: dict[str, npt.NDArray[np.float64]]) -> None:
    def refuse(bad: npt.NDArray[np.bool_], rule: str) -> None:
        if bad.any():
            row = int(bad.argmax())
            raise DataError(f"row {row} (timestamp {stamps[row]}): {rule}")

    lengths = {name: len(column) for name, column in columns.items()} | {"timestamp": len(stamps)}
    if len(set(lengths.values())) != 1:
        raise DataError(f"columns differ in length: {lengths}")
    if not len(stamps):
        raise DataError("there are no bars")
    later = np.diff(stamps.astype(np.int64))
    refuse(np.r_[False, later == 0], "duplicate timestamp; keep one bar for each time")
    refuse(np.r_[False, later < 0], "timestamps must ascend; sort the bars by timestamp")
    for name, column in columns.items():
        refuse(~np.isfinite(column), f"{name} is not a finite number")
    for name in PRICES:
        refuse(columns[name] <= 0, f"{name} must be above zero")
    refuse(columns["volume"] < 0, "volume must not be negative")
    top, bottom = columns["high"], columns["low"]
    for name in ("open", "close"):
        refuse(columns[name] > top, f"{name} lies above high")
        refuse(columns[name] < bottom, f"{name} lies below low")
    refuse(top < bottom, "high lies below low")
