"""The real bars: every count of their README is found anew, to the bar."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from lake import real

from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.lake.checks import (
    BasicScan,
    Columns,
    Unusual,
    check_gaps,
    check_spikes,
    months_of,
)

pytestmark = pytest.mark.real_data


def table() -> list[tuple[str, str, dict[str, int]]]:
    readme = Path(os.environ.get("TWINSTAR_REAL_DATA", ""), "README.md")
    return list(real.described(readme.read_text())) if readme.is_file() else []


def test_the_readme_was_understood(real_data: Path):
    assert {name for name, _, _ in table()} == {path.stem for path in (real_data / "ohlcv").glob("*.parquet")}


@pytest.mark.parametrize(("name", "timeframe", "told"), table(), ids=[name for name, _, _ in table()])
def test_gaps_missing_bars_and_faults_are_those_of_the_readme(
    real_data: Path, name: str, timeframe: str, told: dict[str, int]
):
    rows, step = real.bars(real_data, name), parse_timeframe(timeframe)
    scan, unusual = BasicScan(step), Unusual(step)
    for month in months_of(Columns.of(rows)):
        scan.feed(month)
        unusual.feed(month)
    unusual.feed(Columns.of(rows[:0]), last=True)
    lengths = [(until - since) // step for since, until in scan.gaps]
    found = {check.name: check.count for check in [*scan.checks(), check_gaps(scan.gaps, [], step)]}
    assert {
        "rows": scan.rows,
        "gaps": found.pop("gaps"),
        "missing": sum(lengths),
        "longest": max(lengths, default=0),
        "zero_volume": unusual.zero_volume,
        "ohlc": found["ohlc"],
    } == told
    assert not any(found.values())


def test_known_outages_are_where_the_readme_says(real_data: Path):
    scan = BasicScan(60_000)
    scan.feed(Columns.of(real.bars(real_data, "binance_BTCUSDT_spot_1m_20210326")))
    days = [str(np.datetime64(since, "ms"))[:10] for since, _ in scan.gaps]
    assert list(zip(days, ((until - since) // 60_000 for since, until in scan.gaps), strict=True)) == [
        ("2021-04-20", 150),
        ("2021-04-25", 284),
    ]


def grid_of(folder: Path, name: str) -> tuple[list[str], str]:
    unusual = Unusual(60_000)
    unusual.feed(Columns.of(real.bars(folder, name)), last=True)
    checks = {check.name: check for check in unusual.checks()}
    return [str(np.datetime64(day, "ms"))[:10] for day in checks["tick_changes"].first], checks[
        "off_tick"
    ].detail


def test_a_stray_price_is_no_change_of_the_tick(real_data: Path):
    days, words = grid_of(real_data, "ftx_BTC-PERP_1m_20211231")  # 0.25 on the first day, 0.125 on another
    assert not days
    assert "stand on 100000000 units" in words


def test_bitfinex_quotes_five_digits_so_its_tick_moves_with_the_price(real_data: Path):
    days, words = grid_of(real_data, "bitfinex_BTCUSD_spot_1m_2017")
    rows = real.bars(real_data, "bitfinex_BTCUSD_spot_1m_2017")
    first = int(np.datetime64(days[0], "ms").astype(np.int64))
    before, after = (
        rows[(rows[:, 0] >= at) & (rows[:, 0] < at + 86_400_000), 1:5] for at in (first - 86_400_000, first)
    )
    assert int(np.gcd.reduce(before.ravel())) != int(np.gcd.reduce(after.ravel()))
    assert words.count("then") >= 3


def test_no_month_of_btc_holds_a_volume_that_looks_like_a_mistake(real_data: Path):
    for path in (real_data / "ohlcv").glob("binance_BTCUSDT_spot_1m_*.parquet"):
        for month in months_of(Columns.of(real.bars(real_data, path.stem))):
            assert not check_spikes(month).count
