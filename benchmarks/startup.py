"""What starting costs: the import, the help, and a warm back-test as a command, each in new processes."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from benchmarks.measure import Row, fresh, median_fresh

MAIN = "import sys; from twinstar_kit.cli import main; sys.exit(main())"


def startup(rounds: int) -> list[Row]:
    """Import and help, less nothing: the interpreter's own start is inside, and stands beside them."""
    bare = median_fresh(rounds, "-c", "pass")
    rows = [Row("python -c pass", bare, "s")]
    for name, arguments, limit in (
        ("import twinstar_kit", ("-c", "import twinstar_kit"), 0.3),
        ("twinstar --help", ("-c", MAIN, "--help"), 0.6),
    ):
        spent = median_fresh(rounds, *arguments)
        rows.append(Row(name, spent, "s", target=f"< {limit} s", holds=spent < limit))
    return rows


def warm_backtest(rounds: int) -> list[Row]:
    """`twinstar backtest sma_cross` over 50,000 bars of a Parquet file when another process has compiled it."""
    from benchmarks.history import year
    from twinstar_kit.feeds.files import save_bars

    real = sorted(
        Path(os.environ.get("TWINSTAR_REAL_DATA", "/nowhere")).glob(
            "ohlcv/binance_BTCUSDT_spot_1m_2025*.parquet"
        )
    )
    with tempfile.TemporaryDirectory() as folder:
        path = real[0] if real else save_bars(year(50_000), Path(folder) / "bars.parquet")
        spent = median_fresh(
            min(rounds, 3), "-c", MAIN, "backtest", "sma_cross", "--data", str(path), "--json"
        )
    named = "real" if real else "simulated"
    return [
        Row(
            f"twinstar backtest sma_cross, 50,000 {named} bars, warm",
            spent,
            "s",
            target="<= 4 s",
            holds=spent <= 4,
        )
    ]


def cold_compile() -> list[Row]:
    """The first run of all, with an empty cache: what a user waits for once."""
    with tempfile.TemporaryDirectory() as cache:
        code = "from benchmarks.history import year; from twinstar_kit.session import backtest; backtest('sma_cross', year(2000))"
        cold, _ = fresh("-c", code, environment={"TWINSTAR_CACHE": cache})
        warm, _ = fresh("-c", code, environment={"TWINSTAR_CACHE": cache})
    return [Row("first back-test with an empty cache", cold, "s", warm, "the second process")]
