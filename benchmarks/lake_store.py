"""The lake's store beside default Parquet files: how small, how fast to read and to append. Answers are compared first."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import lake_data
from benchmarks.measure import Row, alternate
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.lake import Lake, Series

APPENDS = 40


def store(rounds: int) -> list[Row]:
    """Bytes and decoding on real bars, a symbol's year, an append for every symbol."""
    return [*size(), *decoding(rounds), *year(rounds), *append()]


def size() -> list[Row]:
    """Bytes a bar of the lake's files and of the smaller of polars' and pyarrow's default files."""
    import pyarrow.parquet as pq

    stretches = lake_data.real_btc()
    if not stretches:
        return [_unmeasured("bytes a bar, real BTCUSDT minutes", "bytes", "<= 12, 40 % under")]
    ours, polars, arrow = [], [], []
    series = Series("binance", "BTC/USDT")
    with tempfile.TemporaryDirectory() as folder:
        for n, bars in enumerate(stretches):
            with Lake(Path(folder) / str(n)) as lake:
                lake.register(series, bars.instrument)
                lake.write(series, bars.rows)
                assert np.array_equal(lake.read("binance", "BTC/USDT").rows, bars.rows)
                ours.append(lake.info(series).bytes / len(bars))
            table, plain = lake_data.floats(bars), Path(folder) / "plain.parquet"
            table.write_parquet(plain)
            polars.append(plain.stat().st_size / len(bars))
            pq.write_table(table.to_arrow(), plain)
            arrow.append(plain.stat().st_size / len(bars))
    mean, peer = statistics.mean(ours), min(statistics.mean(polars), statistics.mean(arrow))
    each = ", ".join(f"{value:.2f}" for value in ours)
    return [
        Row(
            "bytes a bar, real BTCUSDT minutes", mean, "bytes", peer, "polars default (float64, zstd)", peer / mean,
            "<= 12, 40 % under", max(ours) <= 12 and mean <= 0.6 * peer,
            f"the same integers back; five stretches {each}; pyarrow default {statistics.mean(arrow):.2f}",
        )
    ]  # fmt: skip


def decoding(rounds: int) -> list[Row]:
    """Rows a CPU second, read from disk and checked byte by byte, against pyarrow on the same files with its checks."""
    import pyarrow.parquet as pq

    path = lake_data.real_lake()
    what = "read and decode, real BTCUSDT minutes"
    if path is None:
        return [_unmeasured(what, "M rows/s", ">= 1x")]
    names = ["timestamp", "open", "high", "low", "close", "volume"]
    with Lake(path) as lake:
        series = [info.series for info in lake.series()][:4]
        files = sorted(file for one in series for file in (path / one.folder).glob("*.parquet"))
        rows = sum(lake.info(one).rows for one in series)

        def ours() -> None:
            for one in series:
                for _ in lake.scan(one, columns=names):
                    pass

        def arrow() -> None:
            for file in files:
                pq.ParquetFile(file, page_checksum_verification=True).read(names, use_threads=False)

        first = next(lake.scan(series[0]))
        table = pq.read_table(next(f for f in files if str(first.month) in f.name))
        equal = all(np.array_equal(table[name].to_numpy(), first.columns[name]) for name in names)
        spent = alternate(rounds, ours=ours, arrow=arrow)
    return [
        Row(
            what, rows / spent["ours"] / 1e6, "M rows/s", rows / spent["arrow"] / 1e6, "pyarrow, the same files",
            spent["arrow"] / spent["ours"], ">= 1x", equal and spent["arrow"] >= spent["ours"],
            "equal numbers" if equal else "numbers differ",
        )
    ]  # fmt: skip


def year(rounds: int) -> list[Row]:
    """A symbol's year as integer rows, against polars reading twelve default files of the same bars."""
    import polars as pl

    path = lake_data.simulated_lake()
    with Lake(path) as lake, tempfile.TemporaryDirectory() as folder:
        bars = lake.read("virtual", "BTC/USDT").bars()
        for chunk in lake.scan(Series("virtual", "BTC/USDT")):
            part = Bars(bars.instrument, bars.timeframe_ms, chunk.rows)
            lake_data.floats(part).write_parquet(Path(folder) / f"{chunk.month}.parquet")
        plain = pl.read_parquet(f"{folder}/*.parquet")
        equal = np.array_equal(plain["close"].to_numpy(), bars.close)
        mine = _wall(rounds, lambda: lake.read("virtual", "BTC/USDT").rows)
        theirs = _wall(rounds, lambda: pl.read_parquet(f"{folder}/*.parquet"))
    return [
        Row(
            "a symbol's year (525,600 bars), wall", 1e3 * mine, "ms", 1e3 * theirs, "polars, default files, all threads",
            theirs / mine, "< 100 ms", equal and mine < 0.1, "equal closes" if equal else "closes differ",
        )
    ]  # fmt: skip


def append() -> list[Row]:
    """One bar for each of 98 symbols in one durable transaction, wall; and what a year of them is like to write."""
    from twinstar_kit.feeds.simulated import SimulatedMarket

    market = SimulatedMarket(7)
    bars = {
        i: market.bars(i.symbol, lake_data.START_MS, lake_data.START_MS + APPENDS * 60_000)
        for i in market.instruments
    }
    with tempfile.TemporaryDirectory(dir=lake_data.folder().parent) as folder, Lake(folder) as lake:
        held = {Series(i.exchange, i.symbol): rows.rows for i, rows in bars.items()}
        for (series, _), instrument in zip(held.items(), bars, strict=True):
            lake.register(series, instrument, simulated=True)
        spent = []
        for n in range(APPENDS):
            begun = time.perf_counter()
            lake.append_many((series, rows[n : n + 1]) for series, rows in held.items())
            spent.append(time.perf_counter() - begun)
        kept = all(np.array_equal(lake.read(s.exchange, s.symbol).rows, rows) for s, rows in held.items())
        rows = market.bars("ETH/USDT", lake_data.START_MS, lake_data.UNTIL_MS).rows
        begun = time.perf_counter()
        lake.write(Series("virtual", "ETH/USDT"), rows)
        wrote = time.perf_counter() - begun
    worst = max(spent)
    return [
        Row(
            "a bar for each of 98 symbols, durable, wall", 1e3 * statistics.median(spent), "ms", target="< 200 ms",
            holds=kept and worst < 0.2, answers=f"all rows back; the slowest of {APPENDS} took {1e3 * worst:.0f} ms",
        ),
        Row("a symbol's year written, 12 files, synced, wall", 1e3 * wrote, "ms"),
    ]  # fmt: skip


def _wall(rounds: int, work: Callable[[], Any]) -> float:
    work()
    spent = []
    for _ in range(max(rounds, 3)):
        begun = time.perf_counter()
        work()
        spent.append(time.perf_counter() - begun)
    return statistics.median(spent)


def _unmeasured(what: str, unit: str, target: str) -> Row:
    why = "NOT MEASURED: there are no real bars here; set TWINSTAR_REAL_DATA to the folder that holds ohlcv/"
    return Row(what, 0.0, unit, target=target, answers=why)
