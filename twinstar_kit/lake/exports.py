"""Series of the lake as files of other programs: one month after the other, whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.feeds.files import Time
from twinstar_kit.feeds.tables import LABEL
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake.layouts import freqtrade, jesse
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.rows import AMOUNTS, COLUMNS, PRICES, RATE_SCALE, Marks, Rows
from twinstar_kit.lake.series import Kind, Series

if TYPE_CHECKING:
    import pyarrow as pa

    from twinstar_kit.lake.store import Lake

FORMATS = ("parquet", "csv", "feather", "freqtrade", "jesse")
Progress = Callable[[float, float | None, str], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """A file that was written: `sha256` is that of its bytes."""

    path: str
    series: str
    rows: int
    bytes: int
    sha256: str

    def to_dict(self) -> dict[str, Any]:
        """The file as `data export --json` lists it."""
        return asdict(self)


def export(
    lake: Lake,
    series: Series | Iterable[Series],
    to: str | Path,
    *,
    format: str = "parquet",
    since: Time | None = None,
    until: Time | None = None,
    as_of: str | int | None = None,
    provenance: bool = False,
    progress: Progress | None = None,
) -> list[Exported]:
    """Write series to files that other programs read; the rows with times in [since, until).

    `format` is parquet, csv or feather (columns timestamp in ms UTC, open, high, low, close, volume; of trades
    timestamp, price, amount, side, id, and so on as in `lake.rows.COLUMNS`; with `provenance` one more that says where each row is from), freqtrade (`to` is its
    `user_data/data`, or any folder) or jesse (CSV of its candle table). `to` is the file where one series goes into
    one, else a folder. `as_of` is a snapshot. A file appears whole or not at all. Parquet and Feather keep the
    instrument, so that an import or `load_bars` gets the same integers back.

    Raises UsageError for a format or a series that cannot be written so.
    """
    wanted = [series] if isinstance(series, Series) else list(series)
    if format not in FORMATS:
        raise UsageError(f"format {format!r}: there are {', '.join(FORMATS)}")
    if provenance and format in ("freqtrade", "jesse"):
        raise UsageError(f"{format}'s files have no place for provenance; leave it out")
    if not wanted:
        raise UsageError("there is nothing to export: no series was named")
    target = Path(to).expanduser()
    since_ms, until_ms = (None if when is None else to_milliseconds(when) for when in (since, until))
    known = {info.series: info for info in lake.series()}
    done = []
    for number, each in enumerate(wanted):
        instrument = lake.instrument(each)
        shape = _Shape(each, instrument, known[each].simulated, format, provenance)
        path = _path(each, target, format, alone=len(wanted) == 1)
        chunks = lake.scan(each, since_ms, until_ms, as_of=as_of)
        rows = _write(path, shape, ((chunk.rows, chunk.provenance) for chunk in chunks))
        with path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        done.append(Exported(str(path), str(each), rows, path.stat().st_size, digest))
        if progress is not None:
            progress(number + 1, len(wanted), str(each))
    return done


@dataclass(frozen=True, slots=True)
class _Shape:
    """What a file's columns are made of."""

    series: Series
    instrument: Instrument
    simulated: bool
    format: str
    provenance: bool

    def table(self, rows: Rows, marks: Marks) -> pa.Table:
        """Rows of the lake in the columns of the format."""
        import pyarrow as pa

        columns = {name: self._column(name, rows[:, at]) for at, name in enumerate(COLUMNS[self.series.kind])}
        if self.format == "freqtrade":
            return _for_freqtrade(self.series, columns)
        if self.format == "jesse":
            stamps = columns.pop("timestamp")
            named = self.series.exchange, self.series.symbol, self.series.timeframe
            candles = jesse.candle_table(*named, stamps, columns)
            texts = {
                name: pa.array(values, pa.string())
                for name, values in candles.items()
                if isinstance(values, list)
            }
            return pa.table({**candles, **texts})
        if self.provenance:
            columns["provenance"] = pa.array(
                [Provenance(mark).name.lower() for mark in marks.tolist()], pa.string()
            )
        label = {"instrument": self.instrument.canonical(), "timeframe": self.series.timeframe,
                 "source": f"lake:{self.series}", "simulated": self.simulated}  # fmt: skip
        return pa.table(columns).replace_schema_metadata({LABEL: json.dumps(label, sort_keys=True).encode()})

    def _column(self, name: str, units: Rows) -> Any:
        import pyarrow as pa

        if name in PRICES:
            return units / 10.0**self.instrument.price_scale
        if name in AMOUNTS:
            return units / 10.0**self.instrument.amount_scale
        if name == "rate":
            return units / 10.0**RATE_SCALE
        if name == "side":
            words = ("bid", "ask") if self.series.kind is Kind.DEPTH else ("buy", "sell")
            return pa.array(np.where(units > 0, *words).tolist(), pa.string())
        return units


def _for_freqtrade(series: Series, columns: dict[str, Any]) -> pa.Table:
    import pyarrow as pa

    stamps = columns.pop("timestamp")
    if series.kind is Kind.TRADES:
        count = len(stamps)
        values = {
            "timestamp": stamps, "id": pa.array([str(n) for n in columns["id"].tolist()], pa.string()),
            "type": pa.nulls(count, pa.string()), "side": columns["side"], "price": columns["price"],
            "amount": columns["amount"], "cost": columns["price"] * columns["amount"],
        }  # fmt: skip
        return pa.table({name: values[name] for name in freqtrade.TRADES})
    dates = pa.array(stamps, pa.timestamp("ms", tz="UTC"))
    return pa.table({"date": dates, **columns})


def _path(series: Series, target: Path, format: str, *, alone: bool) -> Path:
    """Where a series goes; UsageError where the format has no place for it."""
    if format == "freqtrade":
        if series.kind not in (Kind.BARS, Kind.TRADES):
            raise UsageError(f"{series}: freqtrade takes bars and trades")
        return target / series.exchange / freqtrade.file_name(series.symbol, series.timeframe, series.kind)
    if format == "jesse":
        if series.kind is not Kind.BARS or series.timeframe != "1m":
            raise UsageError(f"{series}: jesse's candle table holds bars of 1m, and makes longer ones itself")
        jesse.exchange_name(series.exchange, series.symbol)
    suffix = ".csv" if format == "jesse" else f".{format}"
    if alone and target.suffix.lower() == suffix:
        return target
    pair, colon, settle = series.symbol.partition(":")
    market = f"_swap-{settle}" if colon else ""
    name = (
        f"{series.exchange}_{pair.replace('/', '-')}{market}_{series.timeframe or series.kind.value}{suffix}"
    )
    return target / name


def _write(path: Path, shape: _Shape, chunks: Iterator[tuple[Rows, Marks]]) -> int:
    """Write chunk by chunk beside `path` and put it in place when it is whole; returns the number of rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    empty = shape.table(np.empty((0, len(COLUMNS[shape.series.kind])), np.int64), np.empty(0, np.int8))
    count = 0
    try:
        with _writer(aside, path.suffix, empty.schema) as put:
            for rows, marks in chunks:
                put(shape.table(rows, marks))
                count += len(rows)
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
    return count


@contextmanager
def _writer(path: Path, suffix: str, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Takes tables of one schema, one after the other."""
    import pyarrow as pa

    if suffix == ".parquet":
        import pyarrow.parquet as pq

        with pq.ParquetWriter(path, schema, compression="zstd") as parquet:
            yield parquet.write_table
    elif suffix == ".feather":
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema, options=options) as feather:
            yield feather.write_table
    else:
        from pyarrow import csv

        with csv.CSVWriter(path, schema, write_options=csv.WriteOptions(quoting_style="needed")) as text:
            yield text.write_table


__all__ = ["FORMATS", "Exported", "export"]
