"""Binance's public files: klines, aggTrades and trades by day or month, as .zip or .csv, with and without a header.

`BTCUSDT-1m-2025-01.zip`, `BTCUSDT-aggTrades-2025-01-05.zip`, below `spot/`, `futures/um/` or `futures/cm/`. Spot times
are microseconds since 2025. A `.CHECKSUM` file beside a zip is compared by the import. Trades of COIN-M futures and
their bars count contracts, not coins, and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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
    milliseconds,
    sides,
    split_joined,
    timeframe_or_none,
    trades_part,
)
from twinstar_kit.lake.series import Kind

NAME = "binance"
QUOTES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "USDP", "USDS", "PAX", "UST", "USDE", "USD1", "DAI", "BTC", "ETH", "BNB",
          "XRP", "TRX", "DOGE", "DOT", "SOL", "EUR", "EURI", "GBP", "AUD", "TRY", "BRL", "JPY", "RUB", "UAH", "NGN", "ZAR",
          "IDRT", "BIDR", "BKRW", "BVND", "VAI", "PLN", "RON", "ARS", "MXN", "COP", "CZK", "IDR")  # fmt: skip
KLINES = ("open_time", "open", "high", "low", "close", "volume", "close_time", "quote_volume", "count",
          "taker_buy_volume", "taker_buy_quote_volume", "ignore")  # fmt: skip
AGGREGATED = ("agg_trade_id", "price", "quantity", "first_trade_id", "last_trade_id", "transact_time", "is_buyer_maker",
              "is_best_match")  # fmt: skip
SINGLE = ("id", "price", "qty", "quote_qty", "time", "is_buyer_maker", "is_best_match")
SINGLE_BESIDE_AGGREGATED = (
    "aggTrades, which ccxt gives too, hold the same trades under other ids: beside them these would count twice;"
    " import the aggTrades, or keep these under a name of their own, such as --exchange binance_trades"
)
_NAME = re.compile(
    r"(?P<symbol>[A-Z\d]{4,}(?:_PERP|_\d{6})?)-(?P<what>aggTrades|trades|\d+(?:s|m|h|d|w|mo))"
    r"-\d{4}-\d\d(?:-\d\d)?\.(?:zip|csv)"
)


def recognise(path: Path, hints: Hints) -> Clue | None:
    """By the name; the folders tell spot from futures.

    >>> recognise(Path("futures/um/monthly/klines/BTCUSDT/1m/BTCUSDT-1m-2025-01.zip"), Hints()).symbol
    'BTC/USDT:USDT'
    >>> recognise(Path("BTCUSDT-1m-2025-01.zip"), Hints(market="spot")).symbol
    'BTC/USDT'
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    what = match["what"]
    trades = what in ("aggTrades", "trades")
    kind = Kind.TRADES if trades else Kind.BARS
    timeframe = None if trades else timeframe_or_none(what)
    if not trades and timeframe is None:
        return Clue(exchange=NAME, skip=f"bars of {what} have no fixed length")
    if {"cm", "coin"} & set(path.parts) or "_" in match["symbol"]:
        return Clue(exchange=NAME, skip="amounts of COIN-M and dated futures count contracts, not coins")
    symbol, unclear = _symbol(path, match["symbol"], hints)
    return Clue(
        kind,
        NAME,
        symbol,
        timeframe,
        unclear="" if hints.symbol else unclear,
        refuse=SINGLE_BESIDE_AGGREGATED if what == "trades" else "",
        detail=what if trades else "",
    )


def read(path: Path, clue: Clue) -> Iterator[Part]:
    """The rows in blocks; the maker's side is turned into the taker's."""
    if clue.kind is Kind.BARS:
        names = _names(path, KLINES)
        for first, table in csv_parts(
            path, names, {"timestamp": "open_time", **{name: name for name in BARS}}
        ):
            stamps = milliseconds(integers(table["timestamp"], "open_time", first), first)
            yield Part(stamps, {name: numbers(table[name], name, first) for name in BARS}, first)
        return
    single = clue.detail == "trades"
    wanted = dict(zip(("id", "price", "amount", "timestamp", "maker"),
                      ("id", "price", "qty", "time", "is_buyer_maker") if single else
                      ("agg_trade_id", "price", "quantity", "transact_time", "is_buyer_maker"), strict=True))  # fmt: skip
    for first, table in csv_parts(path, _names(path, SINGLE if single else AGGREGATED), wanted):
        stamps = milliseconds(integers(table["timestamp"], "time", first), first)
        side = sides(table["maker"], "false", "true", first)  # the buyer made the price: the taker sold
        yield trades_part(first, stamps, table, side, integers(table["id"], "id", first))


def _symbol(path: Path, joined: str, hints: Hints) -> tuple[str | None, str]:
    symbol, unclear = split_joined(joined, QUOTES)
    folders = set(path.parts)
    market = hints.market or ("spot" if "spot" in folders else "swap" if "um" in folders else None)
    if symbol is None or market == "spot":
        return symbol, unclear
    future = f"{symbol}:{symbol.rpartition('/')[2]}"
    if market == "swap":
        return future, ""
    return (
        None,
        f"{joined} can be {symbol} or {future}: say --market spot or swap (or keep Binance's folders)",
    )


def _names(path: Path, usual: tuple[str, ...]) -> tuple[str, ...] | None:
    """The columns of a file without a header; None when it has one, whose names must be the known ones."""
    cells = first_line(path)
    if is_header(cells):
        strange = [cell for cell in cells if cell not in usual]
        if strange:
            raise DataError(f"unknown column {', '.join(strange)}; Binance's are {', '.join(usual)}")
        return None
    if cells and not len(usual) - 1 <= len(cells) <= len(usual):
        raise DataError(f"a row has {len(cells)} fields; Binance's have {len(usual)}: {', '.join(usual)}")
    return usual[: len(cells)] if cells else usual
