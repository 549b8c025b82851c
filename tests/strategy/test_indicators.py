"""Every indicator against TA-Lib (or a loop from its definition), on walks and on real bars, to 1e-9."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import talib
from strategy.walks import Columns, Floats, feed, real, walk

from twinstar_kit.strategy.indicators import (
    ATR,
    EMA,
    RSI,
    SMA,
    VWAP,
    Bollinger,
    Donchian,
    RollingMax,
    RollingMin,
    RollingVWAP,
)

REAL = (
    "binance_BTCUSDT_spot_1m_20250101",
    "binance_ETHUSDT_spot_1m_20250301",
    "upbit_BTCKRW_spot_1m_20250901",
)


@pytest.fixture(scope="module", params=["walk", "cheap coin", *REAL])
def columns(request: pytest.FixtureRequest) -> Columns:
    if request.param == "walk":
        return walk(20_000)
    if request.param == "cheap coin":
        return walk(20_000, seed=2, start=0.00001234 * 100_000, step=2e-2)
    folder: Path = request.getfixturevalue("real_data")
    return real(folder, request.param, 20_000)


def agree(ours: Floats, theirs: Floats, tolerance: float = 1e-9) -> None:
    """Equal to a relative 1e-9 of the larger value, with NaN in the same places."""
    assert np.array_equal(np.isnan(ours), np.isnan(theirs)), "they are not ready on the same bars"
    known = ~np.isnan(theirs)
    assert known.sum() > 1_000, "the comparison must not be empty"
    np.testing.assert_allclose(ours[known], theirs[known], rtol=tolerance, atol=0)


@pytest.mark.parametrize("n", [1, 2, 20, 200])
def test_sma(columns: Columns, n: int):
    agree(*feed(SMA(n), columns, "value"), talib.SMA(columns.close, n) if n > 1 else columns.close)


@pytest.mark.parametrize("n", [2, 20, 200])
def test_ema_starts_from_the_simple_average(columns: Columns, n: int):
    agree(*feed(EMA(n), columns, "value"), talib.EMA(columns.close, n))


def test_ema_can_start_from_the_first_close(columns: Columns):
    import pandas as pd

    theirs = pd.Series(columns.close).ewm(span=20, adjust=False).mean().to_numpy()
    agree(*feed(EMA(20, seed_first=True), columns, "value"), theirs)


@pytest.mark.parametrize("n", [2, 14, 100])
def test_rsi(columns: Columns, n: int):
    (ours,), theirs = feed(RSI(n), columns, "value"), talib.RSI(columns.close, n)
    assert np.array_equal(np.isnan(ours), np.isnan(theirs))
    np.testing.assert_allclose(ours[n:], theirs[n:], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [1, 14, 100])
def test_atr(columns: Columns, n: int):
    agree(*feed(ATR(n), columns, "value"), talib.ATR(columns.high, columns.low, columns.close, n))


@pytest.mark.parametrize("n", [2, 20, 500])
def test_rolling_extremes(columns: Columns, n: int):
    agree(*feed(RollingMax(n), columns, "value"), talib.MAX(columns.high, n))
    agree(*feed(RollingMin(n), columns, "value"), talib.MIN(columns.low, n))


@pytest.mark.parametrize("n", [2, 55])
def test_donchian_leaves_this_bar_out(columns: Columns, n: int):
    upper, lower = feed(Donchian(n), columns, "upper", "lower")
    agree(upper, np.concatenate([[math.nan], talib.MAX(columns.high, n)[:-1]]))
    agree(lower, np.concatenate([[math.nan], talib.MIN(columns.low, n)[:-1]]))


@pytest.mark.parametrize(("n", "width"), [(5, 1.0), (20, 2.0), (200, 2.5)])
def test_bollinger(columns: Columns, n: int, width: float):
    ours = feed(Bollinger(n, width), columns, "upper", "middle", "lower")
    for mine, theirs in zip(ours, talib.BBANDS(columns.close, n, width, width), strict=True):
        agree(mine, theirs)


def test_bollinger_is_exact_where_prices_hardly_move():
    flat = walk(5_000, step=1e-9, start=98_765.43)
    upper, middle = feed(Bollinger(20), flat, "upper", "middle")
    windows = np.lib.stride_tricks.sliding_window_view(flat.close, 20)
    np.testing.assert_allclose(upper[19:] - middle[19:], 2 * windows.std(axis=1), rtol=0, atol=1e-9)


def test_vwap_begins_anew_every_day(columns: Columns):
    (ours,) = feed(VWAP(), columns, "value")
    theirs = np.full(len(ours), math.nan)
    day, paid, traded = -1, 0.0, 0.0
    for i in range(len(ours)):
        opened = (int(columns.ts[i]) - 60_000) // 86_400_000
        if opened != day:
            day, paid, traded = opened, 0.0, 0.0
        paid += (columns.high[i] + columns.low[i] + columns.close[i]) / 3 * columns.volume[i]
        traded += columns.volume[i]
        theirs[i] = paid / traded if traded else math.nan
    agree(ours, theirs)


@pytest.mark.parametrize("n", [1, 30, 1_440])
def test_rolling_vwap(columns: Columns, n: int):
    (ours,) = feed(RollingVWAP(n), columns, "value")
    window = np.lib.stride_tricks.sliding_window_view
    payments = (columns.high + columns.low + columns.close) / 3 * columns.volume
    paid, traded = window(payments, n).sum(axis=1), window(columns.volume, n).sum(axis=1)
    with np.errstate(invalid="ignore"):
        agree(ours[n - 1 :], np.where(traded > 0, paid / traded, math.nan))
    assert np.isnan(ours[: n - 1]).all()


def test_ready_says_when_values_count(columns: Columns):
    for indicator, output, first in [
        (SMA(20), "value", 19), (EMA(20), "value", 19), (RSI(14), "value", 14), (ATR(14), "value", 14),
        (Bollinger(20), "upper", 19), (Donchian(20), "upper", 20), (RollingMax(20), "value", 19), (RollingMin(20), "value", 19),
    ]:  # fmt: skip
        value, ready = feed(indicator, columns, output, "ready")
        assert int(np.argmax(ready > 0)) == first, type(indicator).__name__
        assert np.array_equal(ready > 0, ~np.isnan(value)), type(indicator).__name__


def test_running_sums_do_not_drift_over_a_year():
    year = walk(525_600, seed=3, step=2e-3)
    (ours,) = feed(SMA(50), year, "value")
    exact = np.array([math.fsum(year.close[i - 49 : i + 1]) / 50 for i in range(500_000, 525_600)])
    assert np.max(np.abs(ours[500_000:] / exact - 1)) < 1e-13
    upper, middle = feed(Bollinger(20), year, "upper", "middle")
    windows = np.lib.stride_tricks.sliding_window_view(year.close[-50_000:], 20)
    np.testing.assert_allclose(upper[-49_981:] - middle[-49_981:], 2 * windows.std(axis=1), rtol=1e-9)
