"""What all layouts share: clues from names, parts of rows, compressed CSV files read in blocks, symbols without a dash."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.tables import numbers, plain
from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.series import Kind

if TYPE_CHECKING:
    import pyarrow as pa

BARS = ("open", "high", "low", "close", "volume")
TRADES = ("price", "amount", "side", "id")
BLOCK = 16 << 20
"""Bytes of CSV text that become one part."""
MICROSECONDS = 10**14
"""A time above this, taken for milliseconds, would lie after the year 5138."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the caller says about files: it goes before what their names tell. `market` is spot or swap.

    `layout` names the one layout that is asked.
    """

    exchange: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    market: str | None = None
    layout: str | None = None


@dataclass(frozen=True, slots=True)
class Clue:
    """What a file's path tells about its content; None where it does not say.

    `unclear` says why a name can be read in two ways, `skip` why the file is left alone, `refuse` why its rows must
    not stand under its exchange's own name, `detail` what else a layout must know to read it.
    """

    kind: Kind = Kind.BARS
    exchange: str | None = None
    symbol: str | None = None
    timeframe: str | None = None
    unclear: str = ""
    skip: str = ""
    refuse: str = ""
    detail: str = ""


@dataclass(slots=True)
class Part:
    """Consecutive rows of a file: times in ms UTC, and float64 columns (sides, ids and flags: int64).

    `first` is the number of the first row in the file. `clue` holds what the rows themselves say of their series.
    """

    timestamp: npt.NDArray[np.int64]
    columns: dict[str, npt.NDArray[Any]]
    first: int = 0
    clue: Clue | None = None
    label: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.timestamp)

    def values(self, row: int) -> list[str]:
        """A row as text, in the order of the columns."""
        return [str(self.timestamp[row]), *(str(column[row]) for column in self.columns.values())]


@contextmanager
def opened(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a CSV file, unpacked from .zip (which holds one) or .gz; DataError when the archive is damaged."""
    try:
        if path.suffix.lower() == ".zip":
            with zipfile.ZipFile(path) as archive:
                names = [name for name in archive.namelist() if name.lower().endswith(".csv")]
                if len(names) != 1:
                    raise DataError(f"the archive holds {len(names)} CSV files; one is expected")
                with archive.open(names[0]) as file:
                    yield file
        elif path.suffix.lower() == ".gz":
            with gzip.open(path) as packed:
                yield packed  # type: ignore[misc]
        else:
            with path.open("rb") as bare:
                yield bare
    except (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"the archive is damaged ({error}); fetch it again") from None


def first_line(path: Path) -> list[str]:
    """The fields of the first line of a CSV file, packed or not; those of a damaged or empty file are none."""
    try:
        with opened(path) as file:
            line = file.readline(8192)
    except (DataError, OSError):
        return []
    text = line.decode("utf-8-sig", errors="replace").strip()
    return [cell.strip().strip('"') for cell in text.split(",")] if text else []


def is_header(cells: Sequence[str]) -> bool:
    """Whether a first line names columns: its first field is no number.

    >>> is_header(["open_time", "open"]), is_header(["1735689600000", "93576.00"])
    (True, False)
    """
    return bool(cells) and re.fullmatch(r"[+-]?[\d.]+(e[+-]?\d+)?", cells[0], re.IGNORECASE) is None


def csv_parts(
    path: Path, names: Sequence[str] | None, wanted: Mapping[str, str], *, header: bool = False
) -> Iterator[tuple[int, pa.Table]]:
    """Blocks of a CSV file as tables of text, with the number of their first row.

    `names` are the columns of a file without a header, or instead of its `header`; None where the first line has
    them. `wanted` maps our names to theirs. Text becomes numbers later, so that a row that holds none can be named.
    """
    import pyarrow as pa
    from pyarrow import csv

    with opened(path) as file:
        read = csv.ReadOptions(
            block_size=BLOCK, column_names=list(names) if names else None, skip_rows=int(header)
        )
        kinds = {theirs: pa.string() for theirs in wanted.values()}
        convert = csv.ConvertOptions(
            column_types=kinds, include_columns=list(kinds), strings_can_be_null=True
        )
        try:
            with csv.open_csv(file, read, convert_options=convert) as source:
                first = 0
                for batch in source:
                    table = pa.Table.from_batches([batch]).select(list(kinds)).rename_columns(list(wanted))
                    yield first, table
                    first += table.num_rows
        except (pa.ArrowException, UnicodeDecodeError) as error:
            raise DataError(f"this is not a readable CSV file ({str(error).splitlines()[0]})") from None


def integers(column: pa.ChunkedArray, name: str, first: int) -> npt.NDArray[np.int64]:
    """A column of whole numbers; DataError names the first row that holds none."""
    import pyarrow as pa

    try:
        if not column.null_count:
            return plain(column.cast(pa.int64()), np.int64)
    except pa.ArrowInvalid:
        pass  # the row is looked up below
    for row, text in enumerate(column.to_pylist(), first):
        if text is None or not re.fullmatch(r"\s*[+-]?\d{1,18}\s*", str(text)):
            shown = "missing" if text is None else f"the text {text!r}, not a whole number"
            raise DataError(f"row {row}: {name} is {shown}")
    raise DataError(f"column {name} holds no whole numbers")


def milliseconds(stamps: npt.NDArray[np.int64], first: int) -> npt.NDArray[np.int64]:
    """Times in ms from times in ms or, since an exchange changed its files, in microseconds: rows must not mix them."""
    if not len(stamps):
        return stamps
    fine = stamps >= MICROSECONDS
    if fine.any() and not fine.all():
        row = int(np.argmax(fine != fine[0]))
        raise DataError(f"row {first + row}: timestamp {stamps[row]} has another unit than the rows before")
    return stamps // 1000 if fine[0] else stamps


def trades_part(
    first: int,
    stamps: npt.NDArray[np.int64],
    table: pa.Table,
    side: npt.NDArray[np.int64],
    ids: npt.NDArray[np.int64],
) -> Part:
    """A part of trades from the columns `price` and `amount` of `table`, the taker's side and ids."""
    columns = {name: numbers(table[name], name, first) for name in ("price", "amount")}
    return Part(stamps, {**columns, "side": side, "id": ids}, first)


def sides(column: pa.ChunkedArray, buy: str, sell: str, first: int) -> npt.NDArray[np.int64]:
    """1 where the text is `buy`, -1 where it is `sell` (in any case); DataError names a row that is neither."""
    import pyarrow.compute as pc

    text = pc.utf8_lower(column.combine_chunks())
    bought = pc.equal(text, buy).to_numpy(zero_copy_only=False)
    sold = pc.equal(text, sell).to_numpy(zero_copy_only=False)
    neither = ~(bought.astype(bool) | sold.astype(bool))
    if neither.any():
        row = int(neither.argmax())
        raise DataError(f"row {first + row}: side is {column[row].as_py()!r}, neither {buy} nor {sell}")
    return np.where(bought.astype(bool), np.int64(1), np.int64(-1))


def split_joined(text: str, quotes: Sequence[str]) -> tuple[str | None, str]:
    """BASE/QUOTE from a symbol without a separator, and why not when there are several ways or none.

    >>> split_joined("BTCUSDT", ["USDT", "BTC"]), split_joined("BTTUSD", ["TUSD", "USD"])[1]
    (('BTC/USDT', ''), 'BTTUSD can be BT/TUSD or BTT/USD: say which with --symbol')
    """
    ways = [f"{text[: -len(quote)]}/{quote}" for quote in quotes if text.endswith(quote) and text != quote]
    if len(ways) == 1:
        return ways[0], ""
    if ways:
        return None, f"{text} can be {' or '.join(ways)}: say which with --symbol"
    return None, f"{text} does not show where its base ends: say --symbol BASE/QUOTE"


def timeframe_or_none(text: str) -> str | None:
    """`text` where it is a timeframe that bars have; None for months, whose length differs.

    >>> timeframe_or_none("15m"), timeframe_or_none("1mo"), timeframe_or_none("1M")
    ('15m', None, None)
    """
    try:
        parse_timeframe(text)
    except DataError:
        return None
    return text
