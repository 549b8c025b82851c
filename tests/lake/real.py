"""The real files as int64 rows in units of 1e-8, read by polars alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from lake.bars import Rows


def bars(folder: Path, name: str) -> Rows:
    """The rows of `ohlcv/NAME.parquet`."""
    table = pl.read_parquet(folder / "ohlcv" / f"{name}.parquet")
    values = [np.rint(table[c].to_numpy() * 1e8) for c in ("open", "high", "low", "close", "volume")]
    return np.column_stack([table["timestamp"].to_numpy(), *values]).astype(np.int64)


def trades(folder: Path, name: str) -> Rows:
    """The rows of `trades/NAME.parquet`: timestamp, price, amount, side, id."""
    table = pl.read_parquet(folder / "trades" / f"{name}.parquet")
    side = np.where(table["side"].to_numpy() == "buy", 1, -1)
    price, amount = (np.rint(table[c].to_numpy() * 1e8) for c in ("price", "amount"))
    return np.column_stack(
        [table["timestamp"].to_numpy(), price, amount, side, table["id"].cast(pl.Int64).to_numpy()]
    ).astype(np.int64)


def described(readme: str) -> Iterator[tuple[str, str, dict[str, int]]]:
    """Every row of the README's table of bars: file, timeframe, and its counts."""
    for line in readme.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if len(cells) == 11 and cells[0].endswith(".parquet"):
            gaps, missing, longest = (int(part) for part in cells[6].split("/"))
            counts = {"rows": int(cells[5]), "gaps": gaps, "missing": missing, "longest": longest}
            yield (
                cells[0].removesuffix(".parquet"),
                cells[2],
                counts | {"zero_volume": int(cells[7]), "ohlc": int(cells[8])},
            )
