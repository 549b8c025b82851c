"""OKX's public files of spot trades: `BTC-USDT-trades-2025-01-05.zip` or .csv.

Columns instrument_name, trade_id, side, price, size, created_time (ms), in any order; older headers give each name in two
languages with a slash between. A day of OKX's files begins at 16:00 UTC. Sizes of swaps and futures count contracts,
so those files are left alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

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
    trades_part,
)
from twinstar_kit.lake.series import Kind

NAME = "okx"
COLUMNS = {"timestamp": "created_time", "price": "price", "amount": "size", "side": "side", "id": "trade_id"}
_NAME = re.compile(
    r"(?P<symbol>[A-Z\d]+-[A-Z\d]+(?P<more>(?:-[A-Z\d]+)*))-(?:agg)?trades-\d{4}-\d\d-\d\d\.(?:zip|csv)"
)


def recognise(path: Path, hints: Hints) -> Clue | None:
    """By the name.

    >>> recognise(Path("BTC-USDT-trades-2025-01-05.zip"), Hints()).symbol
    'BTC/USDT'
    """
    match = _NAME.fullmatch(path.name)
    if match is None:
        return None
    if match["more"]:
        return Clue(Kind.TRADES, NAME, skip="sizes of swaps, futures and options count contracts, not coins")
    detail = "aggTrades" if "-aggtrades-" in path.name else "trades"
    return Clue(Kind.TRADES, NAME, match["symbol"].replace("-", "/"), detail=detail)


def read(path: Path, clue: Clue) -> Iterator[Part]:
    """The trades in blocks."""
    names = [cell.partition("/")[0] for cell in first_line(path)]
    missing = [theirs for theirs in COLUMNS.values() if theirs not in names]
    if missing:
        raise DataError(
            f"missing column{'s' if len(missing) > 1 else ''} {', '.join(missing)}; it has {', '.join(names)}"
        )
    for first, table in csv_parts(path, names, COLUMNS, header=True):
        stamps = milliseconds(integers(table["timestamp"], "created_time", first), first)
        yield trades_part(first, stamps, table, sides(table["side"], "buy", "sell", first),
                          integers(table["id"], "trade_id", first))  # fmt: skip
