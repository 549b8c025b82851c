"""freqtrade's data folder: `data/EXCHANGE/BTC_USDT-1m.feather`, futures below `futures/`, trades, funding rates.

Bars: columns date, open, high, low, close, volume (feather or parquet), or JSON lists [ms, o, h, l, c, v], also .gz.
Trades: timestamp, id, type, side, price, amount, cost. A pair's name has `_` for `/` and for `:`, so
`BTC_USDT_USDT-1h-futures` is BTC/USDT:USDT; `1Mo` stands for a month.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinstar_kit.feeds.tables import numbers, timestamps
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.layouts.base import BARS, Clue, Hints, Part, integers, sides, timeframe_or_none
from twinstar_kit.lake.series import Kind

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "freqtrade"
COLUMNS = ("date", *BARS)
TRADES = ("timestamp", "id", "type", "side", "price", "amount", "cost")
_NAME = re.compile(
    r"(?P<pair>[A-Za-z\d]+_[A-Za-z\d]+(?:_[A-Za-z\d]+)?)-(?:(?P<trades>trades)|(?P<frame>\d+[A-Za-z]{1,2})"
    r"(?:-(?P<candle>spot|futures|mark|index|premiumIndex|funding_rate))?)\.(?:feather|parquet|json|json\.gz)"
)
_SKIPPED = {
    "mark": "mark prices are not what was traded",
    "index": "index prices are not what was traded",
    "premiumIndex": "a premium is no price",
}


def recognise(path: Path, hints: Hints) -> Clue | None:
    """By the name; the exchange is the folder below one that is called `data`.

    >>> clue = recognise(Path("user_data/data/okx/futures/BTC_USDT_USDT-1h-futures.feather"), Hints())
    >>> clue.exchange, clue.symbol, clue.timeframe
    ('okx', 'BTC/USDT:USDT', '1h')
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    symbol = match["pair"].replace("_", "/", 1).replace("_", ":")
    folder = path.parent.parent if path.parent.name == "futures" else path.parent
    exchange = folder.name if folder.parent.name == "data" else None
    candle = match["candle"] or ""
    if candle in _SKIPPED:
        return Clue(exchange=exchange, symbol=symbol, skip=_SKIPPED[candle])
    if candle == "funding_rate":
        return Clue(Kind.FUNDING, exchange, symbol)
    if match["trades"]:
        return Clue(Kind.TRADES, exchange, symbol)
    timeframe = timeframe_or_none(match["frame"])
    if timeframe is None:
        return Clue(exchange=exchange, symbol=symbol, skip=f"bars of {match['frame']} have no fixed length")
    return Clue(Kind.BARS, exchange, symbol, timeframe)


def read(path: Path, clue: Clue) -> Iterator[Part]:
    """The whole file as one part."""
    names = TRADES if clue.kind is Kind.TRADES else COLUMNS
    table = _table(path, names)
    if not table.num_rows:
        raise DataError("there are no rows in it")
    stamps = timestamps(table[names[0]])
    if clue.kind is Kind.TRADES:
        columns: dict[str, Any] = {name: numbers(table[name], name) for name in ("price", "amount")}
        columns["side"] = sides(table["side"], "buy", "sell", 0)
        columns["id"] = integers(table["id"], "id", 0)
        yield Part(stamps, columns)
    elif clue.kind is Kind.FUNDING:
        yield Part(stamps, {"rate": numbers(table["open"], "open")})
    else:
        yield Part(stamps, {name: numbers(table[name], name) for name in BARS})


def pair_name(symbol: str) -> str:
    """A symbol as freqtrade writes it into names.

    >>> pair_name("BTC/USDT:USDT")
    'BTC_USDT_USDT'
    """
    return re.sub(r"[/ .@$+:]", "_", symbol)


def file_name(symbol: str, timeframe: str, kind: Kind = Kind.BARS) -> Path:
    """Where freqtrade looks for a series, below the folder of its exchange.

    >>> str(file_name("BTC/USDT", "1m")), str(file_name("BTC/USDT:USDT", "1h"))
    ('BTC_USDT-1m.feather', 'futures/BTC_USDT_USDT-1h-futures.feather')
    """
    future = ":" in symbol
    tail = "trades" if kind is Kind.TRADES else timeframe + ("-futures" if future else "")
    name = Path(f"{pair_name(symbol)}-{tail}.feather")
    return Path("futures") / name if future else name


def _table(path: Path, names: tuple[str, ...]) -> pa.Table:
    import pyarrow as pa

    try:
        if path.name.endswith((".json", ".json.gz")):
            table = _from_json(path, names)
        elif path.suffix == ".parquet":
            import pyarrow.parquet as pq

            table = pq.read_table(path)
        else:
            from pyarrow import feather

            table = feather.read_table(path, memory_map=False)
    except (pa.ArrowException, OSError, EOFError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(
            f"this is not a readable file of freqtrade's ({str(error).splitlines()[0]})"
        ) from None
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise DataError(f"missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; it has"
                        f" {', '.join(table.column_names)}")  # fmt: skip
    return table


def _from_json(path: Path, names: tuple[str, ...]) -> pa.Table:
    """A list of lists in the order of `names`."""
    import pyarrow as pa

    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        rows = json.load(file)
    if not isinstance(rows, list):
        raise DataError("this is no list of rows")
    for number, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            raise DataError(f"row {number}: a row is a list of {len(names)}: {', '.join(names)}")
    columns = zip(*rows, strict=True) if rows else [()] * len(names)
    return pa.table({name: _column(values) for name, values in zip(names, columns, strict=True)})


def _column(values: tuple[Any, ...]) -> pa.Array:
    """Numbers as they are; where text stands among them all is text, so that the row can be named."""
    import pyarrow as pa

    if any(isinstance(value, str) for value in values):
        return pa.array([None if value is None else str(value) for value in values])
    return pa.array(values)
