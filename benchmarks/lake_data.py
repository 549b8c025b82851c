"""What the lake's benchmarks read: a year of 98 symbols, made once and kept in the cache folder, and its plain copies.

The year is the simulated market's; real bars come from `TWINSTAR_REAL_DATA`, and are tiled where a size is asked for.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds import minutes, noise, universe
from twinstar_kit.jit import cache_dir
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Lake, Series, catalog, codec
from twinstar_kit.lake.provenance import Provenance

SYMBOLS, MINUTES = 98, 525_600
START_MS = 1_735_689_600_000
UNTIL_MS = START_MS + MINUTES * 60_000
REAL_BTC = ("20210326", "20220615", "20230826", "20241001", "20250101")


@cache
def folder() -> Path:
    """Where generated data is kept: named by the sources that make it, so that it is made anew when they change."""
    made_by = [Path(module.__file__).read_bytes() for module in (minutes, noise, universe, codec, catalog)]
    return cache_dir() / "bench" / hashlib.sha256(b"".join(made_by)).hexdigest()[:16]


def simulated_lake(symbols: int = SYMBOLS) -> Path:
    """The folder of a lake with a year of minutes of the first `symbols` symbols; made once, resumed after a kill."""
    from twinstar_kit.feeds.simulated import SimulatedMarket

    path = folder() / f"lake-{symbols}"
    market = SimulatedMarket(7)
    with Lake(path) as lake:
        rows = {info.series.symbol: info.rows for info in lake.series()}
        todo = [i for i in market.instruments[:symbols] if rows.get(i.symbol, 0) < MINUTES]
        for n, instrument in enumerate(todo, 1):
            if sys.stderr.isatty():
                print(
                    f"\r    making the lake: {n} of {len(todo)} symbols ", end="", file=sys.stderr, flush=True
                )
            series = Series(instrument.exchange, instrument.symbol)
            lake.register(series, instrument, simulated=True)
            lake.write(series, market.bars(instrument.symbol, START_MS, UNTIL_MS).rows)
    return path


def plain_copy(lake: Path) -> Path:
    """The same bars as polars writes them by default: float64 and zstd, one file for each symbol and month."""
    path = lake.with_name(f"{lake.name}-plain")
    if (path / "done").exists():
        return path
    shutil.rmtree(path, ignore_errors=True)
    with Lake(lake) as source:
        for info in source.series():
            at = path / info.series.folder
            at.mkdir(parents=True)
            for chunk in source.scan(info.series):
                table = floats(Bars(info.instrument, info.series.timeframe_ms, chunk.rows))
                table.write_parquet(at / f"{chunk.month}.parquet")
    (path / "done").touch()
    return path


def floats(bars: Bars) -> Any:
    """Bars as a polars table of float64."""
    import polars as pl

    names = ("timestamp", "open", "high", "low", "close", "volume")
    return pl.DataFrame({name: getattr(bars, name) for name in names})


@cache
def real_btc() -> tuple[Bars, ...]:
    """Binance's BTCUSDT minutes, each file as the bars of an instrument with the venue's tick and lot; () without data."""
    from twinstar_kit.feeds import load_bars

    root = Path(os.environ.get("TWINSTAR_REAL_DATA", "")) / "ohlcv"
    if not os.environ.get("TWINSTAR_REAL_DATA") or not root.is_dir():
        return ()
    files = [root / f"binance_BTCUSDT_spot_1m_{date}.parquet" for date in REAL_BTC]
    return tuple(load_bars(file, "BTC/USDT", "binance", tick="0.01", lot="0.00001") for file in files)


def real_lake(years: int = 20) -> Path | None:
    """A lake of real BTCUSDT minutes, tiled to `years` series of 525,600 rows; None without data.

    The five stretches follow on each other, on new timestamps; where one ends and the next begins the price jumps.
    """
    stretches = real_btc()
    if not stretches:
        return None
    path = folder() / f"real-{years}"
    year = tiled(np.concatenate([bars.rows for bars in stretches]), MINUTES)
    instrument: Instrument = stretches[0].instrument
    with Lake(path) as lake:
        held = {info.series.exchange for info in lake.series() if info.rows == MINUTES}
        for n in range(years):
            series = Series(f"binance{n}", "BTC/USDT")
            if series.exchange not in held:
                lake.register(series, instrument)
                lake.write(series, year, Provenance.BACKFILLED)
    return path


def tiled(rows: npt.NDArray[np.int64], count: int) -> npt.NDArray[np.int64]:
    """`count` rows that repeat `rows`, a minute apart from the start of the year."""
    out = np.resize(rows, (count, rows.shape[1]))
    out[:, 0] = START_MS + 60_000 * np.arange(count)
    return out
