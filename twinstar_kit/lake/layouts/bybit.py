"""Bybit's public files of trades: spot `BTCUSDT_2025-01-05.csv.gz`, linear perpetuals `BTCUSDT2025-01-05.csv.gz`.

Spot: id, timestamp (ms), price, volume, side; ids begin anew with each file. Perpetuals: timestamp (seconds with a
fraction), symbol, side, size, price, ..., trdMatchID; the first 63 bits of that id stand for it. Sizes of inverse
perpetuals count dollars, so only those that settle in USDT are taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from twinstar_kit.feeds.tables import numbers
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake.layouts.base import (
    Clue,
    Hints,
    Part,
    csv_parts,
    first_line,
    integers,
    milliseconds,
    sides,
    split_joined,
    trades_part,
)
from twinstar_kit.lake.series import Kind

NAME = "bybit"
QUOTES = ("USDT", "USDC", "USDE", "BTC", "ETH", "DAI", "EUR", "BRL", "TRY", "PLN", "BRZ", "MNT", "SOL")
SPOT = {"timestamp": "timestamp", "price": "price", "amount": "volume", "side": "side", "id": "id"}
LINEAR = {"timestamp": "timestamp", "price": "price", "amount": "size", "side": "side", "id": "trdMatchID"}
_NAME = re.compile(r"(?P<symbol>[A-Z\d]+?)(?P<spot>_?)\d{4}-\d\d(?:-\d\d)?\.csv(?:\.gz)?")


def recognise(path: Path, hints: Hints) -> Clue | None:
    """By the name and the names of its columns.

    >>> recognise(Path("prices_2025-01-05.csv"), Hints()) is None
    True
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    spot = bool(match["spot"])
    if not set((SPOT if spot else LINEAR).values()) <= set(first_line(path)):
        return None
    symbol, unclear = split_joined(match["symbol"], QUOTES)
    if not spot and not match["symbol"].endswith("USDT"):
        return Clue(Kind.TRADES, NAME, skip="only perpetuals that settle in USDT count coins")
    if symbol and not spot:
        symbol += ":USDT"
    return Clue(
        Kind.TRADES,
        NAME,
        symbol,
        unclear="" if hints.symbol else unclear,
        detail="spot" if spot else "linear",
    )


def read(path: Path, clue: Clue) -> Iterator[Part]:
    """The trades in blocks."""
    if clue.detail == "spot":
        for first, table in csv_parts(path, None, SPOT):
            stamps = milliseconds(integers(table["timestamp"], "timestamp", first), first)
            yield trades_part(first, stamps, table, sides(table["side"], "buy", "sell", first),
                              integers(table["id"], "id", first))  # fmt: skip
        return
    for first, table in csv_parts(path, None, LINEAR):
        seconds = numbers(table["timestamp"], "timestamp", first)
        # a tenth of a millisecond is the finest they give; a float of seconds does not hold it exactly
        stamps = np.rint(seconds * 10_000).astype(np.int64) // 10
        ids = np.array(
            [_short(text, first + row) for row, text in enumerate(table["id"].to_pylist())], np.int64
        )
        yield trades_part(first, stamps, table, sides(table["side"], "buy", "sell", first), ids)


def _short(text: str | None, row: int) -> int:
    digits = (text or "").replace("-", "")
    if not re.fullmatch(r"[0-9a-f]{32}", digits):
        raise DataError(f"row {row}: trdMatchID is {text!r}, not a UUID")
    return int(digits[:16], 16) >> 1
