"""Verifying a year of 98 symbols against polars over default Parquet files, each in processes of its own.

`python -m benchmarks.lake_verify WHO PATH` is one measured run: it prints counts, CPU seconds of all threads, and the
process's peak memory.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import lake_data
from benchmarks.measure import Row, fresh, resident

FLOOR, RATIO, MEMORY_GB = 40.0, 2.0, 0.5
NOTE = "verify --quick: gaps, duplicates with order, OHLC (ours besides: grid, signs, page checksums, proofs of absence)"


def ours(path: Path, *, quick: bool = True) -> dict[str, int]:
    """The lake's own verification."""
    from twinstar_kit.lake import Lake

    with Lake(path) as lake:
        found = lake.verify(quick=quick)
    checks = [check for one in found.series for check in one.checks]
    return {
        "rows": found.rows,
        "gaps": sum(len(one.gaps) for one in found.series),
        "missing": sum(one.missing for one in found.series),
        "repeated": sum(check.count for check in checks if check.name in ("duplicates", "order")),
        "ohlc": sum(check.count for check in checks if check.name == "ohlc"),
    }


def thorough(path: Path) -> dict[str, int]:
    """All checks, certificates left out."""
    return ours(path, quick=False)


def polars(path: Path) -> dict[str, int]:
    """The same counts from the plain copy, file by file; what lies between two files is compared as well."""
    import polars as pl

    step = pl.col("timestamp").diff()
    o, h, low, c = (pl.col(name) for name in ("open", "high", "low", "close"))
    counts = [
        pl.len().alias("rows"), (step > 60_000).sum().alias("gaps"),
        (step.filter(step > 60_000) // 60_000 - 1).sum().alias("missing"), (step <= 0).sum().alias("repeated"),
        ((h < o) | (h < c) | (h < low) | (low > o) | (low > c)).sum().alias("ohlc"),
        pl.col("timestamp").first().alias("first"), pl.col("timestamp").last().alias("last"),
    ]  # fmt: skip
    total = dict.fromkeys(("rows", "gaps", "missing", "repeated", "ohlc"), 0)
    for folder in sorted({file.parent for file in path.rglob("*.parquet")}):
        last = None
        for file in sorted(folder.glob("*.parquet")):
            found = pl.read_parquet(file).select(counts).row(0, named=True)
            between = 0 if last is None else found["first"] - last
            last = found["last"]
            total["gaps"] += between > 60_000
            total["missing"] += max(between // 60_000 - 1, 0)
            for name in total:
                total[name] += found[name]
    return total


WHO: dict[str, Callable[[Path], dict[str, int]]] = {"ours": ours, "thorough": thorough, "polars": polars}


def run(who: str, path: Path) -> dict[str, Any]:
    """One process: what it counted and spent."""
    _, out = fresh("-m", "benchmarks.lake_verify", who, str(path))
    found: dict[str, Any] = json.loads(out)
    return found


def faulty_lake(minutes: int = 200_000) -> Path:
    """A lake with holes and contradictory bars at random, so that the answers that are compared are not all zero."""
    from twinstar_kit.feeds.simulated import SimulatedMarket
    from twinstar_kit.lake import Lake, Series

    path = lake_data.folder() / "faulty"
    market, rng = SimulatedMarket(7), np.random.default_rng(1)
    with Lake(path) as lake:
        if not lake.series():
            until = lake_data.START_MS + minutes * 60_000
            rows = market.bars("BTC/USDT", lake_data.START_MS, until).rows.copy()
            torn = rng.choice(minutes, 500, replace=False)
            rows[torn, 2] = rows[torn, 3] - 1
            rows = np.delete(rows, rng.choice(minutes, 3_000, replace=False), axis=0)
            series = Series("simulated", "BTC/USDT")
            lake.register(series, market.instruments[0], simulated=True)
            lake.write(series, rows)
    return path


def lake_verify(rounds: int) -> list[Row]:
    """The generated year, then real bars tiled to the size of ten symbols; answers are compared on faulty data first."""
    faulty = faulty_lake()
    mine, theirs = (run(who, path)["counts"] for who, path in _both(faulty))
    rows = _rows("a year of 98 symbols", lake_data.simulated_lake(), rounds, mine, theirs)
    real = lake_data.real_lake(10)
    return rows + (_rows("10 years of real BTCUSDT, tiled", real, rounds, mine, theirs) if real else [])


def _both(path: Path) -> list[tuple[str, Path]]:
    return [("ours", path), ("polars", lake_data.plain_copy(path))]


def _rows(what: str, path: Path, rounds: int, mine: dict[str, int], theirs: dict[str, int]) -> list[Row]:
    spent: dict[str, list[dict[str, Any]]] = {"ours": [], "polars": []}
    for _ in range(min(rounds, 3)):
        for who, where in _both(path):
            spent[who].append(run(who, where))
    rate = {who: statistics.median(one["rows_per_cpu"] / 1e6 for one in runs) for who, runs in spent.items()}
    memory = {who: max(one["peak_gb"] for one in runs) for who, runs in spent.items()}
    here = [runs[0]["counts"] for runs in spent.values()]
    equal = here[0] == here[1] and mine == theirs and mine["gaps"] > 0 and mine["ohlc"] > 0
    told = f"{here[0]['rows']:,} rows; on faulty data {mine['gaps']:,} gaps, {mine['missing']:,} missing, {mine['ohlc']} OHLC"
    answers = f"equal: {told}" if equal else f"differ: {here} and {[mine, theirs]}"
    ratio = rate["ours"] / rate["polars"]
    full = run("thorough", path)
    return [
        Row(f"verify {what}, three checks", rate["ours"], "M rows/s", rate["polars"], "polars by file", ratio,
            f">= {FLOOR:g}, {RATIO:g}x", equal and rate["ours"] >= FLOOR and ratio >= RATIO, answers, [NOTE]),
        Row(f"verify {what}, peak memory", memory["ours"], "GB", memory["polars"], "polars by file",
            memory["polars"] / memory["ours"], f"< {MEMORY_GB} GB", memory["ours"] < MEMORY_GB),
        Row(f"verify {what}, every check", full["rows_per_cpu"] / 1e6, "M rows/s"),
        Row(f"verify {what}, every check, peak memory", full["peak_gb"], "GB", target=f"< {MEMORY_GB} GB",
            holds=full["peak_gb"] < MEMORY_GB),
    ]  # fmt: skip


def main() -> None:
    """One measured run; what is compiled or imported once is so before, on faulty data."""
    who, path = sys.argv[1], Path(sys.argv[2])
    work = WHO[who]
    warm = faulty_lake()
    work(lake_data.plain_copy(warm) if who == "polars" else warm)
    begun = time.process_time()
    counts = work(path)
    spent = time.process_time() - begun
    peak = resident("VmHWM") * 1024 / 1e9
    print(
        json.dumps({"counts": counts, "cpu": spent, "rows_per_cpu": counts["rows"] / spent, "peak_gb": peak})
    )


if __name__ == "__main__":
    main()
