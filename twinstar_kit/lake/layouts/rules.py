"""The rules that rows of a file must keep, each with its words, and rows counted in the instrument's units."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import MAX_UNITS
from twinstar_kit.lake.layouts.base import BARS, Part
from twinstar_kit.lake.rows import COLUMNS, RATE_SCALE, Rows, on_grid
from twinstar_kit.lake.series import FIRST_MS, LAST_MS, Kind, Series

Bad = npt.NDArray[np.bool_]
UNITS = ((10**8, 10**11, "seconds"), (10**14, 10**17, "microseconds"), (10**17, 2**63 - 1, "nanoseconds"))


def broken(series: Series, part: Part, before_ms: int) -> dict[int, str]:
    """The rows of `part` that break a rule, by their place in it, with the first rule that each breaks.

    `before_ms` is the time of the last row before this part; bars and funding rates must come later than that.
    """
    found: dict[int, str] = {}
    for bad, say in _rules(series, part, before_ms):
        for row in np.flatnonzero(bad).tolist():
            found.setdefault(row, say(row))
    return dict(sorted(found.items()))


def counted(series: Series, part: Part, instrument: Instrument, kept: Bad) -> Rows:
    """The rows where `kept` holds, as the lake stores them, sorted by time; DataError when a number is too large."""
    stamps = part.timestamp[kept]
    columns = {name: column[kept] for name, column in part.columns.items()}
    if not len(stamps):
        return np.empty((0, len(COLUMNS[series.kind])), np.int64)
    if series.kind is Kind.BARS:
        values = [columns[name] for name in BARS]
        return Bars.from_floats(instrument, series.timeframe_ms, stamps, *values).rows
    if series.kind is Kind.FUNDING:
        return np.column_stack([stamps, np.rint(columns["rate"] * 10**RATE_SCALE).astype(np.int64)])
    columns["price"] = _units(columns["price"], instrument.price_scale, "price")
    columns["amount"] = _units(columns["amount"], instrument.amount_scale, "amount")
    rows = np.column_stack([stamps, *(columns[name] for name in COLUMNS[series.kind][1:])])
    return rows[np.argsort(stamps, kind="stable")]


def _units(values: npt.NDArray[np.float64], scale: int, name: str) -> npt.NDArray[np.int64]:
    scaled = np.rint(values * 10.0**scale)
    if scaled.max() >= MAX_UNITS:
        raise DataError(
            f"{name} {values[int(scaled.argmax())]} is too large for units of 1e-{scale}; set a larger tick or lot"
        )
    return scaled.astype(np.int64)


def _rules(series: Series, part: Part, before_ms: int) -> Iterator[tuple[Bad, Callable[[int], str]]]:
    stamps = part.timestamp
    yield from _times(stamps)
    for name, column in part.columns.items():
        if column.dtype.kind == "f":
            yield ~np.isfinite(column), _say(f"{name} is not a finite number")
    if series.kind in (Kind.BARS, Kind.FUNDING):
        # a row whose time is no time cannot say that those after it come too late
        sane = (stamps >= FIRST_MS) & (stamps < LAST_MS) & on_grid(series, stamps)
        newest = np.maximum.accumulate(np.r_[before_ms, np.where(sane, stamps, before_ms)])[:-1]
        yield stamps == newest, _say("duplicate timestamp; keep one row for each time")
        yield stamps < newest, _say("timestamps must ascend; sort the rows by time")
    if series.kind is Kind.BARS:
        yield (
            ~on_grid(series, stamps),
            lambda row: f"timestamp {stamps[row]} is not on the grid of {series.timeframe}",
        )
        yield from _bars(part)
    elif series.kind is Kind.TRADES:
        for name in ("price", "amount"):
            yield part.columns[name] <= 0, _say(f"{name} must be above zero")
    elif series.kind is Kind.DEPTH:
        yield part.columns["price"] <= 0, _say("price must be above zero")
        yield part.columns["amount"] < 0, _say("amount must not be negative; 0 deletes a level")


def _times(stamps: npt.NDArray[np.int64]) -> Iterator[tuple[Bad, Callable[[int], str]]]:
    def looks_like(row: int) -> str:
        unit = next(unit for low, high, unit in UNITS if low <= stamps[row] < high)
        return f"timestamp {stamps[row]} looks like {unit}; timestamps are milliseconds UTC"

    strange = np.zeros(len(stamps), np.bool_)
    for low, high, _ in UNITS:
        strange |= (stamps >= low) & (stamps < high)
    yield strange, looks_like
    outside = (stamps < FIRST_MS) | (stamps >= LAST_MS)
    yield (
        outside,
        lambda row: f"timestamp {stamps[row]} is not a time in milliseconds UTC between 1990 and 2100",
    )


def _bars(part: Part) -> Iterator[tuple[Bad, Callable[[int], str]]]:
    opened, high, low, close, volume = (part.columns[name] for name in BARS)
    for name in BARS[:4]:
        yield part.columns[name] <= 0, _say(f"{name} must be above zero")
    yield volume < 0, _say("volume must not be negative")
    for name, column in (("open", opened), ("close", close)):
        yield column > high, _say(f"{name} lies above high")
        yield column < low, _say(f"{name} lies below low")
    yield high < low, _say("high lies below low")


def _say(rule: str) -> Callable[[int], str]:
    return lambda row: rule
