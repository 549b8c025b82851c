"""Rows to Parquet and back: whole numbers, packed as deltas, a checksum on every page.

A file says in its metadata what series and month it holds and how its numbers count: `price_scale` and
`amount_scale` are decimals of a unit, and a stored price is `price_factor` units (the greatest common divisor of the
file's prices, usually the tick), a stored amount `amount_factor` units. Columns are required, not nullable, without
statistics or dictionary; each is one page of a row group. Any Parquet reader reads them; ours does it several times as
fast, and checks every byte.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake.pages import Layout, find_layout
from twinstar_kit.lake.rows import AMOUNTS, COLUMNS, PRICES, Marks, Rows
from twinstar_kit.lake.series import Kind, Series
from twinstar_kit.lake.unpack import spread, unpack

LABEL = "twinstar"
FORMAT = 1
GROUP_ROWS = 1 << 18
"""Rows of a row group, which is what a reader of a long file holds at once; a month of minutes is one group."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Columns as they are stored: multiply prices by `price_factor` and amounts by `amount_factor` for units."""

    columns: dict[str, npt.NDArray[Any]]
    price_factor: int
    amount_factor: int

    def units(self, name: str) -> npt.NDArray[np.int64]:
        """One column in the instrument's units."""
        column = self.columns[name]
        factor = self.factor(name)
        return column.astype(np.int64) if factor == 1 else np.multiply(column, factor, dtype=np.int64)

    def factor(self, name: str) -> int:
        """What one of the numbers of a column counts."""
        return self.price_factor if name in PRICES else self.amount_factor if name in AMOUNTS else 1


def encode(
    series: Series, part: str, instrument: Instrument, rows: Rows, marks: Marks
) -> tuple[bytes, Layout]:
    """The Parquet file of `rows`, the same bytes for the same rows, and where its pages lie."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = COLUMNS[series.kind]
    prices = _common(rows, [k for k, name in enumerate(names) if name in PRICES])
    amounts = _common(rows, [k for k, name in enumerate(names) if name in AMOUNTS])
    label = {
        "format": FORMAT, "series": str(series), "part": part, "price_scale": instrument.price_scale,
        "amount_scale": instrument.amount_scale, "price_factor": prices, "amount_factor": amounts,
    }  # fmt: skip
    columns: dict[str, npt.NDArray[Any]] = {}
    for at, name in enumerate(names):
        factor = prices if name in PRICES else amounts if name in AMOUNTS else 1
        columns[name] = _narrow(name, rows[:, at] if factor == 1 else rows[:, at] // factor)
    columns["provenance"] = marks.astype(np.int32)
    fields = [
        pa.field(name, pa.from_numpy_dtype(column.dtype), nullable=False) for name, column in columns.items()
    ]
    schema = pa.schema(fields)
    out = io.BytesIO()
    with pq.ParquetWriter(
        out, schema, compression="none", use_dictionary=False, write_statistics=False, store_schema=False,
        column_encoding=dict.fromkeys(columns, "DELTA_BINARY_PACKED"), write_page_checksum=True,
        max_rows_per_page=GROUP_ROWS, data_page_size=1 << 30, write_batch_size=GROUP_ROWS,
    ) as writer:  # fmt: skip
        writer.add_key_value_metadata({LABEL: json.dumps(label, sort_keys=True)})
        writer.write_table(pa.table(columns, schema=schema), row_group_size=GROUP_ROWS)
    data = out.getvalue()
    return data, find_layout(data, prices, amounts)


def decode(data: bytes, layout: Layout, names: Sequence[str]) -> Iterator[Decoded]:
    """The named columns, row group by row group, of bytes that `pages.damage` found nothing wrong with."""
    whole = np.frombuffer(data, np.uint8)
    for group in layout.groups:
        columns: dict[str, npt.NDArray[Any]] = {}
        for name in names:
            column = np.empty(group.rows, np.int32 if name in group.narrow else np.int64)
            page = group.pages[name]
            if unpack(whole, page.start, column) != page.start + page.length:
                raise ValueError(f"the page of {name} does not hold {group.rows} values")
            columns[name] = column.astype(np.int8) if name == "provenance" else column
        yield Decoded(columns, layout.price_factor, layout.amount_factor)


def assemble(kind: Kind, decoded: Sequence[Decoded]) -> Rows:
    """Rows in units, C-contiguous, of all columns of the kind, one part after another."""
    names = COLUMNS[kind]
    ends = np.cumsum([len(part.columns["timestamp"]) for part in decoded], dtype=np.int64).tolist()
    rows = np.empty((ends[-1] if ends else 0, len(names)), np.int64)
    for part, begin, end in zip(decoded, [0, *ends], ends, strict=False):
        for at, name in enumerate(names):
            spread(part.columns[name], part.factor(name), rows[begin:end], at)
    return rows


def to_blob(rows: Rows) -> bytes:
    """Rows as they stand in the catalog's tail."""
    return np.ascontiguousarray(rows, "<i8").tobytes()


def from_blob(kind: Kind, blob: bytes) -> Rows:
    """The rows that `to_blob` wrote."""
    return np.frombuffer(blob, "<i8").astype(np.int64, copy=False).reshape(-1, len(COLUMNS[kind]))


def _common(rows: Rows, at: list[int]) -> int:
    if not at or not len(rows):
        return 1
    return int(np.gcd.reduce(np.gcd.reduce(rows[:, at], axis=1))) or 1


def _narrow(name: str, column: Rows) -> npt.NDArray[Any]:
    """32 bits where they suffice with room for any difference, which decode faster; times keep 64."""
    limit = 1 << 30
    if name == "timestamp" or (len(column) and (column.min() < -limit or column.max() >= limit)):
        return np.ascontiguousarray(column)
    return column.astype(np.int32)
