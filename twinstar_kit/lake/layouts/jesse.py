"""jesse's candle table as CSV: id, timestamp, open, close, high, low, volume, exchange, symbol, timeframe; close before high.

`\\copy candle FROM ... CSV HEADER` puts such a file into jesse's database. A file may hold several series. Without a header
a row is [timestamp, open, close, high, low, volume], as jesse's arrays are; as that order cannot be told from the
common one, such a file is read this way only when it is asked for (`--format jesse`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.tables import numbers
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.layouts.base import (
    BARS,
    Clue,
    Hints,
    Part,
    csv_parts,
    first_line,
    integers,
    is_header,
    timeframe_or_none,
)
from twinstar_kit.lake.series import Kind

NAME = "jesse"
ARRAY = ("timestamp", "open", "close", "high", "low", "volume")
TABLE = ("id", *ARRAY, "exchange", "symbol", "timeframe")
EXCHANGES = {
    "Binance Spot": "binance", "Binance Perpetual Futures": "binance", "Binance US Spot": "binanceus",
    "Bitfinex Spot": "bitfinex", "Coinbase Spot": "coinbase", "Bybit Spot": "bybit", "Bybit USDT Perpetual": "bybit",
}  # fmt: skip
"""jesse's names of exchanges and ccxt's; those of perpetuals settle in the quote."""


def recognise(path: Path, hints: Hints) -> Clue | None:
    """By the names of the columns: exchange and symbol stand in every row; without a header only when asked for."""
    if path.suffix.lower() != ".csv":
        return None
    cells = first_line(path)
    if is_header(cells):
        return Clue() if {*ARRAY, "exchange", "symbol"} <= set(cells) else None
    return Clue(timeframe="1m") if hints.layout == NAME else None


def read(path: Path, clue: Clue) -> Iterator[Part]:
    """A part for each series and block, in the order of the file."""
    cells = first_line(path)
    if not is_header(cells):
        yield from _array(path, cells)
        return
    named = [name for name in ("exchange", "symbol", "timeframe") if name in cells]
    wanted = {name: name for name in (*ARRAY, *named)}
    for first, table in csv_parts(path, None, wanted):
        stamps = integers(table["timestamp"], "timestamp", first)
        columns = {name: numbers(table[name], name, first) for name in BARS}
        keys = list(zip(*(table[name].to_pylist() for name in named), strict=True))
        for start, end in _runs(keys):
            rows = slice(start, end)
            part = {name: column[rows] for name, column in columns.items()}
            yield Part(
                stamps[rows],
                part,
                first + start,
                _clue(dict(zip(named, keys[start], strict=True)), first + start),
            )


def exchange_name(exchange: str, symbol: str) -> str:
    """What jesse calls an exchange of ccxt's; DataError for one that it does not have.

    >>> exchange_name("binance", "BTC/USDT"), exchange_name("bybit", "BTC/USDT:USDT")
    ('Binance Spot', 'Bybit USDT Perpetual')
    """
    for theirs, ours in EXCHANGES.items():
        if ours == exchange and ("Perpetual" in theirs) == (":" in symbol):
            return theirs
    raise DataError(f"jesse has no name for {exchange} {symbol}; it has {', '.join(EXCHANGES)}")


def candle_table(exchange: str, symbol: str, timeframe: str, stamps: npt.NDArray[np.int64],
                 columns: dict[str, npt.NDArray[np.float64]]) -> dict[str, Any]:  # fmt: skip
    """Rows of the candle table; the id of a bar is always the same (a UUID of its name, version 5)."""
    theirs, pair = exchange_name(exchange, symbol), symbol.partition(":")[0].replace("/", "-")
    count = len(stamps)
    ids = [
        str(uuid.uuid5(uuid.NAMESPACE_URL, f"{theirs}/{pair}/{timeframe}/{stamp}"))
        for stamp in stamps.tolist()
    ]
    values = {name: columns[name] for name in ARRAY[1:]}
    return {"id": ids, "timestamp": stamps, **values, "exchange": [theirs] * count, "symbol": [pair] * count,
            "timeframe": [timeframe] * count}  # fmt: skip


def _array(path: Path, cells: list[str]) -> Iterator[Part]:
    if len(cells) != len(ARRAY):
        raise DataError(f"a row has {len(cells)} fields; jesse's have {len(ARRAY)}: {', '.join(ARRAY)}")
    for first, table in csv_parts(path, ARRAY, {name: name for name in ARRAY}):
        # numpy writes its arrays as floats: 1.7356896e+12
        floats = numbers(table["timestamp"], "timestamp", first)
        stamps = np.rint(floats).astype(np.int64)
        off = stamps != floats
        if off.any():
            row = int(off.argmax())
            raise DataError(
                f"row {first + row}: timestamp {floats[row]} is not a whole number of milliseconds"
            )
        yield Part(stamps, {name: numbers(table[name], name, first) for name in BARS}, first)


def _runs(keys: list[tuple[Any, ...]]) -> Iterator[tuple[int, int]]:
    """Where equal neighbours begin and end."""
    start = 0
    for at in range(1, len(keys) + 1):
        if at == len(keys) or keys[at] != keys[start]:
            yield start, at
            start = at


def _clue(said: dict[str, Any], row: int) -> Clue:
    theirs, pair, frame = said["exchange"], said["symbol"] or "", said.get("timeframe")
    if theirs not in EXCHANGES:
        raise DataError(
            f"row {row}: jesse's exchange {theirs!r} is unknown here; known are {', '.join(EXCHANGES)}"
        )
    symbol = pair.replace("-", "/", 1)
    if "Perpetual" in theirs:
        symbol += ":" + symbol.rpartition("/")[2]
    timeframe = timeframe_or_none(str(frame).lower()) if frame and frame != "1M" else None
    if frame == "1M":
        raise DataError(f"row {row}: bars of 1M have no fixed length")
    return Clue(Kind.BARS, EXCHANGES[theirs], symbol, timeframe or "1m")
