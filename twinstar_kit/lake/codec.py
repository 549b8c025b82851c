"""Rows to Parquet and back: whole numbers, packed as deltas, a checksum on every page.

A file says in its metadata what series and month it holds and how its numbers count: `price_scale` and
`amount_scale` are decimals of a unit, and a stored price is `price_factor` units (the greatest common divisor of the
file's prices, usually the tick), a stored amount `amount_factor` units. Columns are required, not nullable, and have
no statistics or dictionary, except the provenance, whose runs cost nearly nothing.
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
from twinstar_kit.lake.rows import AMOUNTS, COLUMNS, PRICES, Marks, Rows
from twinstar_kit.lake.series import Kind, Series

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


def encode(series: Series, part: str, instrument: Instrument, rows: Rows, marks: Marks) -> bytes:
    """The Parquet file of `rows`; the same bytes for the same rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = COLUMNS[series.kind]
    factors = {
        "price_factor": _common(rows, [k for k, name in enumerate(names) if name in PRICES]),
        "amount_factor": _common(rows, [k for k, name in enumerate(names) if name in AMOUNTS]),
    }
    label = {
        "format": FORMAT, "series": str(series), "part": part, "price_scale": instrument.price_scale,
        "amount_scale": instrument.amount_scale, **factors,
    }  # fmt: skip
    columns: dict[str, npt.NDArray[Any]] = {}
    for at, name in enumerate(names):
        factor = (
            factors["price_factor"] if name in PRICES else factors["amount_factor"] if name in AMOUNTS else 1
        )
        columns[name] = _narrow(name, rows[:, at] if factor == 1 else rows[:, at] // factor)
    columns["provenance"] = marks
    schema = pa.schema([
        pa.field(name, pa.from_numpy_dtype(column.dtype), nullable=False) for name, column in columns.items()
    ])  # fmt: skip
    out = io.BytesIO()
    with pq.ParquetWriter(
        out, schema, compression="none", use_dictionary=["provenance"], write_statistics=False, store_schema=False,
        column_encoding=dict.fromkeys(names, "DELTA_BINARY_PACKED"), write_page_checksum=True,
    ) as writer:  # fmt: skip
        writer.add_key_value_metadata({LABEL: json.dumps(label, sort_keys=True)})
        writer.write_table(pa.table(columns, schema=schema), row_group_size=GROUP_ROWS)
    return out.getvalue()


def decode(kind: Kind, data: bytes, columns: Sequence[str] | None = None) -> Iterator[Decoded]:
    """The columns that were asked for (default: all, with `provenance`) row group by row group, every page checked.

    Raises whatever pyarrow raises for bytes that are no such file; `reading` turns that into one clear error.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = list(columns) if columns is not None else [*COLUMNS[kind], "provenance"]
    file = pq.ParquetFile(pa.BufferReader(pa.py_buffer(data)), page_checksum_verification=True)
    label = json.loads(file.metadata.metadata[LABEL.encode()])
    for group in range(file.metadata.num_row_groups):
        table = file.read_row_group(group, names, use_threads=False)
        arrays = {name: table.column(name).to_numpy() for name in names}
        yield Decoded(arrays, label["price_factor"], label["amount_factor"])


def assemble(kind: Kind, decoded: Decoded) -> Rows:
    """Rows in units, C-contiguous, of all columns of the kind."""
    names = COLUMNS[kind]
    rows = np.empty((len(decoded.columns["timestamp"]), len(names)), np.int64)
    for at, name in enumerate(names):
        np.multiply(decoded.columns[name], decoded.factor(name), out=rows[:, at], dtype=np.int64)
    return rows


def pack(rows: Rows) -> bytes:
    """Rows as they stand in the catalog's tail."""
    return np.ascontiguousarray(rows, "<i8").tobytes()


def unpack(kind: Kind, blob: bytes) -> Rows:
    """The rows that `pack` wrote."""
    return np.frombuffer(blob, "<i8").astype(np.int64, copy=False).reshape(-1, len(COLUMNS[kind]))


def _common(rows: Rows, at: list[int]) -> int:
    if not at or not len(rows):
        return 1
    return int(np.gcd.reduce(np.gcd.reduce(rows[:, at], axis=1))) or 1


def _narrow(name: str, column: Rows) -> npt.NDArray[Any]:
    """32 bits where they suffice, which decode faster; times keep 64."""
    limits = np.iinfo(np.int32)
    if name == "timestamp" or (len(column) and (column.min() < limits.min or column.max() > limits.max)):
        return np.ascontiguousarray(column)
    return column.astype(np.int32)
