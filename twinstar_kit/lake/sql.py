"""DuckDB over the lake: a view for each series that a query names, straight over its files and its tail."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinstar_kit.lake import codec
from twinstar_kit.lake.files import RemoteFiles
from twinstar_kit.lake.leases import Lease
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.reading import Plan, decoded_groups, laid_over
from twinstar_kit.lake.rows import AMOUNTS, COLUMNS, PRICES, RATE_SCALE


class Session:
    """One DuckDB connection with views; the files stay for as long as it lives."""

    def __init__(self, place: Place) -> None:
        import duckdb

        self._place = place
        self.connection = duckdb.connect()
        self.connection.execute("SET TimeZone = 'UTC'")
        self._pins: list[Lease] = []
        if isinstance(place.files, RemoteFiles):
            self.connection.register_filesystem(place.files.fs)

    def view(self, name: str, plan: Plan, pin: Lease) -> None:
        """Make `name` the rows of a plan: timestamp in ms, prices and amounts as doubles, provenance as a number.

        Every file is checked whole beforehand, since DuckDB does not look at page checksums.
        """
        self._pins.append(pin)
        kind, scales = plan.known.series.kind, plan.known.instrument
        parts: list[str] = []
        for ref in plan.files:
            if ref.part in plan.tail:
                continue
            first = next(decoded_groups(self._place, kind, ref, ["timestamp"]))
            scan = f"read_parquet('{_quoted(self._place.files.address(ref.path))}')"
            parts.append(_select(kind, scan, first, scales))
        tables = {ref.part: ref for ref in plan.files}
        for part, batches in plan.tail.items():
            rows, marks = laid_over(self._place, kind, tables.get(part), batches)
            table = f"{name}__{part.replace('-', '_')}"
            self.connection.register(table, _arrow(kind, rows, marks))
            parts.append(_select(kind, table, codec.Decoded({}, 1, 1), scales))
        if not parts:
            table = f"{name}__none"
            width = len(COLUMNS[kind])
            self.connection.register(
                table, _arrow(kind, np.empty((0, width), np.int64), np.empty(0, np.int8))
            )
            parts.append(_select(kind, table, codec.Decoded({}, 1, 1), scales))
        self.connection.execute(f'CREATE VIEW "{name}" AS ' + " UNION ALL ".join(parts))

    def close(self) -> None:
        """Let the files go."""
        self.connection.close()
        for pin in self._pins:
            pin.close()


def _select(kind: Any, source: str, decoded: codec.Decoded, scales: Any) -> str:
    columns = []
    for name in COLUMNS[kind]:
        scale = scales.price_scale if name in PRICES else scales.amount_scale if name in AMOUNTS else None
        scale = RATE_SCALE if name == "rate" else scale
        if scale is None:
            columns.append(f'CAST("{name}" AS BIGINT) AS "{name}"')
        else:
            columns.append(f'(CAST("{name}" AS BIGINT) * {decoded.factor(name)}) / 1e{scale} AS "{name}"')
    return f"SELECT {', '.join(columns)}, provenance FROM {source}"


def _arrow(kind: Any, rows: Any, marks: Any) -> Any:
    import pyarrow as pa

    columns = {name: np.ascontiguousarray(rows[:, k]) for k, name in enumerate(COLUMNS[kind])}
    return pa.table({**columns, "provenance": marks})


def _quoted(text: str) -> str:
    return text.replace("'", "''")
