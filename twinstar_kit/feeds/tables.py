"""Tables from Parquet, CSV and Feather files, and their columns as numbers: what is wrong names the file and the row."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
NUMBERS = (*COLUMNS[1:], "price", "amount", "rate", "funding_rate")
LABEL = b"twinstar"  # key of the file's metadata that keeps where bars came from


Choose = Callable[[list[str]], tuple[str, ...]]


def read_table(file: Path, choose: Choose = lambda names: COLUMNS) -> tuple[pa.Table, dict[str, Any]]:
    """The six columns of bars in a Parquet, CSV or Feather file, and the label that `save_bars` left.

    `choose` says, for the names that a file has, which columns it must hold instead.
    """
    import pyarrow as pa

    try:
        size = file.stat().st_size
    except FileNotFoundError:
        raise DataError(f"no file {file}; check the path{_near(file)}") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    if file.is_dir():
        raise DataError(f"{file} is a folder; name one Parquet, CSV or Feather file")
    if not size:
        raise DataError(f"{file}: the file is empty")
    if file.suffix.lower() not in READERS:
        raise DataError(f"{file}: a file of bars ends in .parquet, .csv or .feather")
    kind, read = READERS[file.suffix.lower()]
    try:
        return read(file, choose)
    except (pa.ArrowException, OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{file}: this is not a readable {kind} file ({_printable(error)})") from None


def _near(file: Path) -> str:
    import difflib

    try:
        names = [entry.name for entry in file.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(file.name, names, 1)
    return f"; did you mean {file.with_name(near[0])}?" if near else ""


def _read_parquet(file: Path, choose: Choose) -> tuple[pa.Table, dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source:
        columns = _checked_names(file, source.schema_arrow.names, choose)
        label = (source.schema_arrow.metadata or {}).get(LABEL)
        return source.read(columns=columns), json.loads(label) if label else {}


def _read_feather(file: Path, choose: Choose) -> tuple[pa.Table, dict[str, Any]]:
    from pyarrow import feather

    table = feather.read_table(file, memory_map=False)
    columns = _checked_names(file, table.column_names, choose)
    label = (table.schema.metadata or {}).get(LABEL)
    return table.select(columns), json.loads(label) if label else {}


def _read_csv(file: Path, choose: Choose) -> tuple[pa.Table, dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(file) as source:
        names = source.schema.names
    columns = _checked_names(file, names, choose)

    def read(types: dict[str, pa.DataType]) -> pa.Table:
        options = csv.ConvertOptions(column_types=types, include_columns=columns, strings_can_be_null=True)
        return csv.read_csv(file, convert_options=options)

    try:
        table = read({name: pa.float64() for name in columns if name in NUMBERS})
    except pa.ArrowInvalid:  # text among the numbers: read it as text, so that the row can be named
        table = read({name: pa.string() for name in columns if name in NUMBERS})
    if getattr(table["timestamp"].type, "tz", None):
        only = csv.ConvertOptions(column_types={"timestamp": pa.string()}, include_columns=["timestamp"])
        _refuse_mixed_zones(csv.read_csv(file, convert_options=only)["timestamp"])
    return table, {}


def _checked_names(file: Path, names: list[str], choose: Choose) -> list[str]:
    """The columns that must be there; DataError when one is not."""
    columns = choose(names)
    missing = [name for name in columns if name not in names]
    if missing:
        raise DataError(
            f"{file}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; it has"
            f" {', '.join(names[:12])}; rename them to {' '.join(columns)}"
        )
    return list(columns)


def _refuse_first(bad: npt.NDArray[np.bool_], rule: Callable[[int], str], first: int) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"row {first + row}: {rule(row)}")


def _refuse_nulls(column: pa.ChunkedArray, name: str, first: int) -> None:
    if column.null_count:
        row = next(row for row, value in enumerate(column, first) if not value.is_valid)
        raise DataError(f"row {row}: {name} is missing; drop the row or fetch it again")


def plain(column: pa.ChunkedArray, dtype: type[Any]) -> npt.NDArray[Any]:
    """The values of a column without nulls. Arrow's own conversion would import pandas, which takes 0.3 s."""
    parts = [
        np.frombuffer(part.buffers()[1], dtype)[part.offset : part.offset + len(part)]
        for part in column.chunks
        if len(part)
    ]
    return np.concatenate(parts)


def _refuse_mixed_zones(column: pa.ChunkedArray) -> None:
    """DataError where times written as text do not all name the same time zone, or only some of them name one."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = pc.match_substring_regex(column, r"^\d{4}-\d\d-\d\d")
    if not pc.all(times).as_py():
        return  # what is no time at all is told elsewhere
    zones = pc.struct_field(pc.extract_regex(column, r"(?P<zone>Z|[+-]\d\d(?::?\d\d)?)?$"), "zone")
    zones = zones.combine_chunks() if isinstance(zones, pa.ChunkedArray) else zones
    first = zones[0].as_py()
    other = pc.index(pc.equal(zones, first), False).as_py()
    if other >= 0:
        raise DataError(
            f"row {other}: time zones are mixed: {zones[other].as_py() or 'none'} here, {first or 'none'} in the first row;"
            " write all times in UTC"
        )


def numbers(column: pa.ChunkedArray, name: str, first: int = 0) -> npt.NDArray[np.float64]:
    """A column of prices or volumes as floats; `first` is the number of its first row in the file."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parse_text(column, name, first)
    elif not any(
        test(kind)
        for test in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
    ):
        raise DataError(f"column {name} holds {kind}, not numbers")
    _refuse_nulls(column, name, first)
    return plain(column.cast(pa.float64(), safe=False), np.float64)


def _parse_text(column: pa.ChunkedArray, name: str, first: int) -> pa.ChunkedArray:
    """Numbers that were stored as text; DataError names the first that is none."""
    import pyarrow as pa

    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, text in enumerate(column.to_pylist(), first):
            try:
                float("nan" if text is None else text)
            except ValueError:
                raise DataError(f"row {row}: {name} is the text {text!r}, not a number") from None
        raise DataError(f"column {name} holds text that is not numbers") from None


def timestamps(column: pa.ChunkedArray, first: int = 0) -> npt.NDArray[np.int64]:
    """Bar opens in milliseconds, from integers in milliseconds or from a date column, which knows its unit.

    `first` is the number of the column's first row in the file.
    """
    import pyarrow as pa

    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            column, kind = column.cast(pa.int64()), pa.int64()
        except pa.ArrowInvalid:
            _refuse_mixed_zones(column)
            raise DataError(
                f"timestamp holds text such as {column[0].as_py()!r}; write milliseconds UTC (1735689600000) or ISO times"
            ) from None
    _refuse_nulls(column, "timestamp", first)
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        try:
            typed = column.cast(pa.timestamp("ms", tz=getattr(kind, "tz", None)))
        except pa.ArrowInvalid:
            raise DataError(
                "timestamp holds fractions of a millisecond; bars open on whole milliseconds"
            ) from None
        return plain(typed.cast(pa.int64()), np.int64)
    if pa.types.is_floating(kind):
        values = plain(column.cast(pa.float64()), np.float64)
        _refuse_first(
            ~np.isfinite(values) | (values != np.floor(values)),
            lambda row: f"timestamp {values[row]} is not a whole number of milliseconds",
            first,
        )
        stamps = values.astype(np.int64)
    elif pa.types.is_integer(kind):
        stamps = plain(column.cast(pa.int64(), safe=False), np.int64)
    else:
        raise DataError(f"timestamp holds {kind}; write milliseconds UTC, such as 1735689600000")
    _check_unit(int(stamps[0]))
    return stamps


def _check_unit(stamp: int) -> None:
    """Refuse seconds, microseconds and nanoseconds: as milliseconds they would lie before 1973 or after 5138."""
    for low, high, unit, cure in (
        (10**8, 10**11, "seconds", "multiply them by 1000"),
        (10**14, 10**17, "microseconds", "divide them by 1000"),
        (10**17, 2**63, "nanoseconds", "divide them by 1000000"),
    ):
        if low <= stamp < high:
            raise DataError(f"timestamp {stamp} looks like {unit}; timestamps are milliseconds UTC: {cure}")


READERS: dict[str, tuple[str, Callable[[Path, Choose], tuple[pa.Table, dict[str, Any]]]]] = {
    ".parquet": ("Parquet", _read_parquet),
    ".pq": ("Parquet", _read_parquet),
    ".csv": ("CSV", _read_csv),
    ".feather": ("Feather", _read_feather),
}
"""What each suffix is called and read by."""


def _printable(error: BaseException) -> str:
    """The first line of a parser's message without the bytes that it quotes where they are no text."""
    parts = str(error).splitlines()[0].split(": ")
    return ": ".join(part for part in parts if part.isprintable() and part.isascii())
