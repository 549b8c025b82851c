"""Plain tables in Parquet, CSV or Feather; the columns tell what they hold.

Bars: timestamp open high low close volume. Trades: timestamp price amount side id. Funding: timestamp rate (or
funding_rate). Book changes: timestamp update_id side price amount flags, where an amount of 0 deletes a level.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinstar_kit.feeds.files import guess_name
from twinstar_kit.feeds.tables import COLUMNS, READERS, numbers, read_table, timestamps
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.layouts.base import BARS, Clue, Hints, Part, integers, sides, timeframe_or_none
from twinstar_kit.lake.series import Kind

if TYPE_CHECKING:
    import pyarrow as pa

NAME = "tables"
TRADES = ("timestamp", "price", "amount", "side", "id")
DEPTH = ("timestamp", "update_id", "side", "price", "amount", "flags")
RATES = ("rate", "funding_rate")
CONTRACTS = {"perp", "swap", "linear", "futures", "inverse", "quarter"}


def recognise(path: Path, hints: Hints) -> Clue | None:
    """By the suffix; exchange, symbol and timeframe from a name such as binance_BTCUSDT_spot_1m_2025.parquet.

    >>> recognise(Path("upbit_BTCKRW_spot_1m_20250901.parquet"), Hints()).symbol
    'BTC/KRW'
    """
    if path.suffix.lower() not in READERS:
        return None
    exchange, symbol = guess_name(path)
    words = re.split(r"[_.\-]", path.name)
    lengths = [word for word in words if re.fullmatch(r"\d+[smhdw]", word)]
    timeframe = timeframe_or_none(lengths[0]) if len(lengths) == 1 else None
    if "mark" in words:
        return Clue(exchange=exchange, symbol=symbol, skip="mark prices are not what was traded")
    if symbol and (hints.market == "swap" or CONTRACTS & set(words)):
        future = f"{symbol}:{symbol.rpartition('/')[2]}"
        if hints.market == "swap":
            return Clue(exchange=exchange, symbol=future, timeframe=timeframe)
        unclear = f"{symbol} is no spot market by its name: say --market swap for {future}, or --symbol"
        return Clue(exchange=exchange, timeframe=timeframe, unclear=unclear)
    return Clue(exchange=exchange, symbol=symbol, timeframe=timeframe)


def read(path: Path, clue: Clue) -> Iterator[Part]:
    """The whole table as one part; the label that `save_bars` and exports leave says whose rows they are."""
    columns: dict[str, Any]
    table, label = read_table(path, _wanted)
    if not table.num_rows:
        raise DataError("there are no rows in it")
    kind, frame = _kind(table.column_names), None
    if kind is Kind.TRADES:
        columns = {name: numbers(table[name], name) for name in ("price", "amount")}
        columns |= {"side": _sides(table["side"], "buy", "sell"), "id": integers(table["id"], "id", 0)}
    elif kind is Kind.DEPTH:
        columns = {"update_id": integers(table["update_id"], "update_id", 0)}
        columns |= {"side": _sides(table["side"], "bid", "ask")}
        columns |= {name: numbers(table[name], name) for name in ("price", "amount")}
        columns |= {"flags": integers(table["flags"], "flags", 0)}
    elif kind is Kind.FUNDING:
        name = table.column_names[1]
        columns = {"rate": numbers(table[name], name)}
    else:
        frame = label.get("timeframe") or clue.timeframe
        columns = {name: numbers(table[name], name) for name in BARS}
    named = label.get("instrument") or {}
    said = Clue(
        kind, named.get("exchange") or clue.exchange, named.get("symbol") or clue.symbol, frame, clue.unclear
    )
    yield Part(timestamps(table["timestamp"]), columns, clue=said, label=label)


def _kind(names: Sequence[str]) -> Kind:
    """What a table with these columns holds; bars, unless they say otherwise.

    >>> _kind(["timestamp", "rate"]).value, _kind(["timestamp", "open"]).value
    ('funding', 'bars')
    """
    if {"update_id", "side"} <= set(names):
        return Kind.DEPTH
    if {"price", "side"} <= set(names):
        return Kind.TRADES
    return Kind.FUNDING if set(RATES) & set(names) else Kind.BARS


def _wanted(names: list[str]) -> tuple[str, ...]:
    """The columns that such a table must have."""
    kind = _kind(names)
    if kind is Kind.FUNDING:
        return "timestamp", next(rate for rate in RATES if rate in names)
    return {Kind.DEPTH: DEPTH, Kind.TRADES: TRADES}.get(kind, COLUMNS)


def _sides(column: pa.ChunkedArray, positive: str, negative: str) -> Any:
    """Sides as 1 and -1, written so or in words."""
    import pyarrow as pa

    column = column.cast(pa.string())
    if set(column.unique().to_pylist()) <= {"1", "-1"}:
        return sides(column, "1", "-1", 0)
    return sides(column, positive, negative, 0)
