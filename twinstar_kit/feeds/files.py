"""Bars from Parquet and CSV files: every rule that a file can break is named in one line, with the way out."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.feeds.resample import resample
from twinstar_kit.kernel.bars import Bars, parse_timeframe
from twinstar_kit.kernel.errors import DataError, InstrumentError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.money import to_decimal

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = ("timestamp", "open", "high", "low", "close", "volume")
LABEL = b"twinstar"  # key of the Parquet metadata that keeps where bars came from
UNNAMED = "DATA/USDT"  # what is traded when neither the caller nor the file's name says it

# Quotes that an unseparated symbol may end with, longest first where one ends like another.
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDD", "USDE", "DAI", "USD", "KRW", "EUR", "GBP", "JPY", "TRY",
          "BRL", "AUD", "BTC", "ETH", "BNB")  # fmt: skip

Time = int | str | datetime


def load_bars(
    path: str | os.PathLike[str],
    symbol: str | None = None,
    exchange: str | None = None,
    timeframe: str | None = None,
    tick: Number | None = None,
    lot: Number | None = None,
    since: Time | None = None,
    until: Time | None = None,
) -> Bars:
    """Read bars from a Parquet or CSV file with the columns timestamp, open, high, low, close and volume.

    Timestamps are bar opens in whole milliseconds UTC, or a column of a date type. `symbol` and `exchange` name the
    instrument; what is not given is taken from a file name such as `binance_BTCUSDT_spot_1m_2025.parquet`. Prices
    count 1e-8 whatever the rows hold; `tick` and `lot` are the grid of orders. The timeframe is the smallest
    distance of two rows; a longer `timeframe` joins bars. Bars that open in [since, until) are kept.

    DataError for everything that is wrong with the file or its rows; the message names the file and the row (the
    first is row 0).
    """
    file = Path(path)
    table, label = _read(file)

    def refused(error: Exception) -> DataError:
        return DataError(f"{file}: {error}")

    try:
        if not table.num_rows:
            raise DataError("there are no bars in it")
        stamps = _timestamps(table)
        columns = {name: _numbers(table, name) for name in COLUMNS[1:]}
        bars = _count(file, stamps, columns, label, symbol, exchange, tick, lot, timeframe)
        if timeframe is not None:
            bars = resample(bars, parse_timeframe(timeframe))
    except DataError as error:
        raise refused(error) from None
    since_ms, until_ms = (None if when is None else to_milliseconds(when) for when in (since, until))
    if since_ms is not None or until_ms is not None:
        kept = bars.between(since_ms, until_ms)
        if not len(kept):
            first, last = (_show_time(int(at)) for at in bars.timestamp[[0, -1]])
            raise refused(DataError(f"no bars between since and until; the file holds {first} to {last}"))
        bars = kept
    if not len(bars):
        raise refused(DataError(f"too short for one complete bar of {timeframe}"))
    return bars


def save_bars(bars: Bars, path: str | os.PathLike[str]) -> Path:
    """Write `bars` to a Parquet file that `load_bars` reads back to the same integers.

    The instrument and where the bars came from are kept in the file's metadata, so that simulated bars stay
    labelled as simulated. The file appears complete or not at all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path)
    label = {"instrument": bars.instrument.canonical(), "source": bars.source, "simulated": bars.simulated}
    table = pa.table({name: getattr(bars, name) for name in COLUMNS})
    table = table.replace_schema_metadata({LABEL: json.dumps(label, sort_keys=True).encode()})
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        pq.write_table(table, aside, compression="zstd")
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)
    return file


def normalise_symbol(symbol: str) -> str:
    """A symbol in ccxt's form, from the forms that exchanges use.

    >>> [normalise_symbol(s) for s in ("BTCUSDT", "btc/usdt", "ETH-USDT", "KRW-XRP", "BTC_KRW")]
    ['BTC/USDT', 'BTC/USDT', 'ETH/USDT', 'XRP/KRW', 'BTC/KRW']
    """
    text = symbol.strip().upper()
    parts = [part for part in re.split(r"[/_-]", text) if part]
    if len(parts) == 2 and "KRW" in parts[:1] and "-" in text:  # Korean exchanges write the quote first
        parts.reverse()
    if len(parts) == 1:
        quote = next((q for q in QUOTES if text.endswith(q) and len(text) > len(q)), None)
        parts = [text[: -len(quote)], quote] if quote else parts
    if len(parts) != 2 or not all(re.fullmatch(r"[A-Z0-9.]+(:[A-Z0-9]+)?", part) for part in parts):
        raise InstrumentError(f"{symbol!r} is not a symbol; write it as BASE/QUOTE, such as BTC/USDT")
    return "/".join(parts)


def guess_name(path: str | os.PathLike[str]) -> tuple[str | None, str | None]:
    """Exchange and symbol that a file's name tells, or None for each that it does not.

    >>> guess_name("binance_BTCUSDT_spot_1m_20250101.parquet"), guess_name("prices.csv")
    (('binance', 'BTC/USDT'), (None, None))
    """
    words = re.split(r"[_.]", Path(path).name)
    for at, exchange in ((1, words[0]), (0, None)):
        for width in (1, 2):  # BTCUSDT, or BTC_USDT
            text = "/".join(words[at : at + width])
            known = text.isupper() and any(text.endswith(quote) for quote in QUOTES)
            if known and len(words) > at + width:
                try:
                    return exchange, normalise_symbol(text)
                except InstrumentError:
                    continue
    return None, None


def _read(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    """The table with the six columns, and the label that `save_bars` left."""
    import pyarrow as pa

    try:
        size = file.stat().st_size
    except FileNotFoundError:
        raise DataError(f"no file {file}; check the path{_near(file)}") from None
    except OSError as error:
        raise DataError(f"{file}: {error.strerror}") from None
    if file.is_dir():
        raise DataError(f"{file} is a folder; name one Parquet or CSV file")
    if not size:
        raise DataError(f"{file}: the file is empty")
    parquet = file.suffix.lower() in (".parquet", ".pq")
    if not parquet and file.suffix.lower() != ".csv":
        raise DataError(f"{file}: a file of bars ends in .parquet or .csv")
    try:
        return (_read_parquet if parquet else _read_csv)(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        kind = "Parquet" if parquet else "CSV"
        raise DataError(
            f"{file}: this is not a readable {kind} file ({str(error).splitlines()[0]})"
        ) from None


def _near(file: Path) -> str:
    import difflib

    try:
        names = [entry.name for entry in file.parent.iterdir()]
    except OSError:
        return ""
    near = difflib.get_close_matches(file.name, names, 1)
    return f"; did you mean {file.with_name(near[0])}?" if near else ""


def _read_parquet(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(file) as source:
        _check_names(file, source.schema_arrow.names)
        label = (source.schema_arrow.metadata or {}).get(LABEL)
        return source.read(columns=list(COLUMNS)), json.loads(label) if label else {}


def _read_csv(file: Path) -> tuple[pa.Table, dict[str, Any]]:
    import pyarrow as pa
    from pyarrow import csv

    with csv.open_csv(file) as source:
        names = source.schema.names
    _check_names(file, names)

    def read(types: dict[str, pa.DataType]) -> pa.Table:
        options = csv.ConvertOptions(
            column_types=types, include_columns=list(COLUMNS), strings_can_be_null=True
        )
        return csv.read_csv(file, convert_options=options)

    try:
        return read({name: pa.float64() for name in COLUMNS[1:]}), {}
    except pa.ArrowInvalid:  # text among the numbers: read it as text, so that the row can be named
        return read({name: pa.string() for name in COLUMNS[1:]}), {}


def _check_names(file: Path, names: list[str]) -> None:
    missing = [name for name in COLUMNS if name not in names]
    if missing:
        raise DataError(
            f"{file}: missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; it has"
            f" {', '.join(names[:12])}; rename them to {' '.join(COLUMNS)}"
        )


def _refuse_first(bad: npt.NDArray[np.bool_], rule: Callable[[int], str]) -> None:
    if bad.any():
        row = int(bad.argmax())
        raise DataError(f"row {row}: {rule(row)}")


def _refuse_nulls(column: pa.ChunkedArray, name: str) -> None:
    if column.null_count:
        row = next(row for row, value in enumerate(column) if not value.is_valid)
        raise DataError(f"row {row}: {name} is missing; drop the row or fetch it again")


def _plain(column: pa.ChunkedArray, dtype: type[Any]) -> npt.NDArray[Any]:
    """The values of a column without nulls. Arrow's own conversion would import pandas, which takes 0.3 s."""
    parts = [
        np.frombuffer(part.buffers()[1], dtype)[part.offset : part.offset + len(part)]
        for part in column.chunks
        if len(part)
    ]
    return np.concatenate(parts)


def _numbers(table: pa.Table, name: str) -> npt.NDArray[np.float64]:
    """A column of prices or volumes as floats."""
    import pyarrow as pa

    column = table[name]
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        column = _parse_text(column, name)
    elif not any(
        test(kind)
        for test in (pa.types.is_floating, pa.types.is_integer, pa.types.is_decimal, pa.types.is_null)
    ):
        raise DataError(f"column {name} holds {kind}, not numbers")
    _refuse_nulls(column, name)
    return _plain(column.cast(pa.float64(), safe=False), np.float64)


def _parse_text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    """Numbers that were stored as text; DataError names the first that is none."""
    import pyarrow as pa

    try:
        return column.cast(pa.float64())
    except pa.ArrowInvalid:
        for row, text in enumerate(column.to_pylist()):
            try:
                float("nan" if text is None else text)
            except ValueError:
                raise DataError(f"row {row}: {name} is the text {text!r}, not a number") from None
        raise DataError(f"column {name} holds text that is not numbers") from None


def _timestamps(table: pa.Table) -> npt.NDArray[np.int64]:
    """Bar opens in milliseconds, from integers in milliseconds or from a date column, which knows its unit."""
    import pyarrow as pa

    column = table["timestamp"]
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        try:
            column, kind = column.cast(pa.int64()), pa.int64()
        except pa.ArrowInvalid:
            raise DataError(
                f"timestamp holds text such as {column[0].as_py()!r}; write milliseconds UTC (1735689600000) or ISO times"
            ) from None
    _refuse_nulls(column, "timestamp")
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        try:
            typed = column.cast(pa.timestamp("ms", tz=getattr(kind, "tz", None)))
        except pa.ArrowInvalid:
            raise DataError(
                "timestamp holds fractions of a millisecond; bars open on whole milliseconds"
            ) from None
        return _plain(typed.cast(pa.int64()), np.int64)
    if pa.types.is_floating(kind):
        values = _plain(column.cast(pa.float64()), np.float64)
        _refuse_first(
            ~np.isfinite(values) | (values != np.floor(values)),
            lambda row: f"timestamp {values[row]} is not a whole number of milliseconds",
        )
        stamps = values.astype(np.int64)
    elif pa.types.is_integer(kind):
        stamps = _plain(column.cast(pa.int64(), safe=False), np.int64)
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


def _infer_timeframe(stamps: npt.NDArray[np.int64], stated: str | None) -> int:
    """The distance of the closest two rows, which all distances must be a multiple of."""
    steps = np.diff(stamps)
    if not len(steps):
        if stated is None:
            raise DataError("one bar does not tell its timeframe; pass timeframe, such as 1m")
        return parse_timeframe(stated)
    if (steps <= 0).any():
        return 1  # refused, row by row, when the bars are made
    shortest = int(steps.min())
    off = steps % shortest != 0
    if stated is not None and off.any():  # bars of a quiet market: the caller knows what they are
        shortest = parse_timeframe(stated)
        off = steps % shortest != 0
    if off.any():
        row = int(off.argmax()) + 1
        raise DataError(
            f"row {row}: timestamp {stamps[row]} is {steps[row - 1]} ms after the row before, while others are"
            f" {shortest} ms apart; timestamps must lie on one grid (or pass timeframe)"
        )
    if shortest % 1000:
        raise DataError(f"rows are {shortest} ms apart; bars last whole seconds (is this a file of trades?)")
    return shortest


def _count(
    file: Path, stamps: npt.NDArray[np.int64], columns: dict[str, npt.NDArray[np.float64]], label: dict[str, Any],
    symbol: str | None, exchange: str | None, tick: Number | None, lot: Number | None, timeframe: str | None,
) -> Bars:  # fmt: skip
    timeframe_ms = _infer_timeframe(stamps, timeframe)
    if label and symbol is None and exchange is None and tick is None and lot is None:
        instrument = _labelled_instrument(label)
    else:
        instrument = loose_instrument(file, symbol, exchange, tick, lot)
    return Bars.from_floats(
        instrument, timeframe_ms, stamps, **columns,
        source=label.get("source") or f"file:{file.name}", simulated=bool(label.get("simulated", False)),
    )  # fmt: skip


def _labelled_instrument(label: dict[str, Any]) -> Instrument:
    try:
        return Instrument.from_canonical(label["instrument"])
    except (KeyError, TypeError):
        raise DataError(
            "its instrument was saved by another version; name it, such as symbol BTC/USDT"
        ) from None


def loose_instrument(
    file: str | os.PathLike[str], symbol: str | None = None, exchange: str | None = None,
    tick: Number | None = None, lot: Number | None = None,
) -> Instrument:  # fmt: skip
    """The rules for a file that comes without any: fixed units of 1e-8, never taken from the rows.

    Amounts count whole units instead when `lot` is 1 or more, for coins of which billions change hands.
    """
    guessed_exchange, guessed_symbol = guess_name(file)
    name = normalise_symbol(symbol) if symbol else guessed_symbol or UNNAMED
    venue = exchange or guessed_exchange or "virtual"
    tick, lot = (
        None if size is None else str(size) for size in (tick, lot)
    )  # a size of 0 is refused, not left out
    if lot is not None and to_decimal(lot) >= 1:
        return Instrument.from_sizes(name, tick or "1e-8", lot, exchange=venue, price_scale=8, amount_scale=0)
    return Instrument.loose(name, tick=tick, lot=lot, exchange=venue)


def _show_time(ts_ms: int) -> str:
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M}"
