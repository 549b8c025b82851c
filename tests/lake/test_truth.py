"""Ground truth: bars against longer bars, trades and a second venue, planted faults and real data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lake import real
from lake.bars import MINUTE, START, Rows, shifted, walk

from twinstar_kit.lake.checks import Status
from twinstar_kit.lake.truth import against_longer, against_trades, against_venue, bars_from_trades, best_lag

HOUR = 3_600_000
N = 3_000
some_rows = st.sets(st.integers(0, N - 1), max_size=12).map(sorted)


def longer(rows: Rows, step: str = "1h") -> Rows:
    """Longer bars as polars makes them."""
    names = ["timestamp", "open", "high", "low", "close", "volume"]
    table = pl.DataFrame(rows, schema=names).with_columns(pl.from_epoch("timestamp", "ms"))
    joined = table.group_by_dynamic("timestamp", every=step).agg(
        pl.col("open").first(),
        pl.col("high").max(),
        pl.col("low").min(),
        pl.col("close").last(),
        pl.col("volume").sum(),
    )
    return joined.with_columns(pl.col("timestamp").dt.epoch("ms")).to_numpy().astype(np.int64)


@given(at=some_rows, gone=some_rows)
@settings(max_examples=40, deadline=None)
def test_a_minute_that_was_changed_shows_in_its_hour_unless_the_hour_is_incomplete(
    at: list[int], gone: list[int]
):
    truth = walk(N)
    rows = truth.copy()
    rows[at, 5] += 1
    rows = np.delete(rows, gone, axis=0)
    found = against_longer(rows, MINUTE, longer(truth), HOUR)
    hours = {int(stamp) for stamp in truth[at, 0] // HOUR * HOUR}
    torn = {int(stamp) for stamp in truth[gone, 0] // HOUR * HOUR}
    assert set(found.mismatched) == hours - torn
    assert (found.compared, found.skipped) == (N // 60 - len(torn), len(torn))
    assert found.fields == {"open": 0, "high": 0, "low": 0, "close": 0, "volume": len(hours - torn)}
    check = found.to_check("1h", "1h bars")
    assert check.status is (Status.DISPUTED if hours - torn else Status.PASSED)


def some_trades(rows: Rows, seed: int = 3) -> Rows:
    """Five trades a minute that make exactly these bars."""
    rng = np.random.default_rng(seed)
    made = np.empty((len(rows), 5, 5), np.int64)
    made[:, :, 0] = rows[:, :1] + np.sort(rng.integers(0, MINUTE, (len(rows), 5)))
    made[:, :, 1] = rows[:, [1, 2, 3, 4, 4]]
    made[:, :, 2] = rows[:, 5:] // 5
    made[:, 4, 2] += rows[:, 5] % 5
    made[:, :, 3] = 1
    made[:, :, 4] = np.arange(5 * len(rows)).reshape(-1, 5)
    return made.reshape(-1, 5)


@given(at=st.sets(st.integers(1, 298), max_size=9).map(sorted))
@settings(max_examples=40, deadline=None)
def test_trades_tell_which_minutes_are_wrong_missing_or_invented(at: list[int]):
    truth = walk(300)
    third = len(at) // 3
    wrong, missing, invented = at[:third], at[third : 2 * third], at[2 * third :]
    rows = truth.copy()
    rows[wrong, 2] += 1
    rows = np.delete(rows, missing, axis=0)
    trades = some_trades(truth)
    trades = trades[~np.isin(trades[:, 0] // MINUTE * MINUTE, truth[invented, 0])]
    found = against_trades(rows, trades, MINUTE)
    assert found.mismatched == tuple(truth[at, 0].tolist())
    assert (found.compared, found.skipped) == (300, 0)
    assert found.fields["high"] == len(wrong)


def test_trades_in_any_order_make_the_same_bars():
    trades = some_trades(walk(50))
    assert (bars_from_trades(trades[::-1], MINUTE) == walk(50)).all()


def test_a_bar_that_the_trades_cover_in_part_is_not_held_against_it():
    rows = walk(10)
    found = against_trades(rows, some_trades(rows)[2:-2], MINUTE)
    assert (found.compared, found.skipped, found.mismatched) == (8, 2, ())


def test_nothing_to_compare_is_not_run_rather_than_passed():
    rows = walk(10)
    hours = longer(walk(10, start=START + 30 * HOUR))
    assert against_longer(rows, MINUTE, hours, HOUR).to_check("1h", "1h bars").status is Status.NOT_RUN
    assert against_trades(rows, rows[:0, :5], MINUTE).to_check("trades", "trades").status is Status.NOT_RUN
    assert against_venue(rows, rows).to_check("kraken").status is Status.NOT_RUN
    assert best_lag(rows, MINUTE, rows, MINUTE).to_check("kraken").status is Status.NOT_RUN


@given(at=some_rows)
@settings(max_examples=30, deadline=None)
def test_prices_far_from_a_second_venue_are_found(at: list[int]):
    rows, rng = walk(N), np.random.default_rng(5)
    other = rows.copy()
    other[:, 4] += 300 + rng.integers(-50, 51, N)  # a premium of 3 basis points, and noise
    other[at, 4] += 20_000
    found = against_venue(rows, other)
    assert found.outliers.tolist() == rows[at, 0].tolist()
    assert found.median == pytest.approx(-3e-4, rel=0.1)
    assert found.to_check("kraken").status is (Status.NOTICED if at else Status.PASSED)


@given(lag=st.integers(-26, 26))
@settings(max_examples=20, deadline=None)
def test_a_series_on_another_clock_is_found_with_its_shift(lag: int):
    rows = walk(20_000)
    late = shifted(rows, lag * HOUR)
    found = best_lag(late, MINUTE, longer(rows), HOUR)
    assert found.best_ms == lag * HOUR
    assert found.to_check("1h").status is (Status.VIOLATED if lag else Status.PASSED)


def test_strangers_have_no_lag():
    check = best_lag(walk(20_000, seed=1), MINUTE, walk(20_000, seed=2), MINUTE).to_check("kraken")
    assert check.status is Status.NOT_RUN
    assert "too weak" in check.detail


@pytest.mark.real_data
def test_xrp_eth_trades_rebuild_every_bar(real_data: Path):
    rows = real.bars(real_data, "binance_XRP_ETH_spot_1m_ft")
    found = against_trades(rows, real.trades(real_data, "binance_XRP_ETH_trades_201910"), MINUTE)
    assert (found.compared, found.skipped, found.mismatched) == (2469, 0, ())


@pytest.mark.real_data
@pytest.mark.parametrize(("coin", "hours"), [("BTC", 694), ("ETH", 695), ("XRP", 696)])
def test_upbit_minutes_join_to_its_hours(real_data: Path, coin: str, hours: int):
    minutes = real.bars(real_data, f"upbit_{coin}KRW_spot_1m_20250901")
    found = against_longer(minutes, MINUTE, real.bars(real_data, f"upbit_{coin}KRW_spot_1h_20220101"), HOUR)
    assert (found.compared, found.mismatched) == (hours, ())


@pytest.mark.real_data
def test_upbit_minutes_shifted_to_korean_time_are_found(real_data: Path):
    minutes = real.bars(real_data, "upbit_BTCKRW_spot_1m_20250901")
    hours = real.bars(real_data, "upbit_BTCKRW_spot_1h_20220101")
    assert best_lag(minutes, MINUTE, hours, HOUR).to_check("1h").status is Status.PASSED
    korean = best_lag(shifted(minutes, 9 * HOUR), MINUTE, hours, HOUR)
    assert korean.best_ms == 9 * HOUR
    assert korean.to_check("1h").status is Status.VIOLATED


@pytest.mark.real_data
def test_the_fall_of_usdc_shows_between_two_venues(real_data: Path):
    kraken = real.bars(real_data, "kraken_BTCUSDC_spot_1m_2023")
    other = real.bars(real_data, "binanceus_BTCUSD_spot_1m_20230301")
    found = against_venue(kraken, other)
    days = found.outliers.astype("datetime64[ms]").astype("datetime64[D]")
    assert len(days) > 1_000
    assert {str(day) for day in np.unique(days)} == {"2023-03-11", "2023-03-12", "2023-03-13"}
    assert best_lag(kraken, MINUTE, other, MINUTE).to_check("binanceus").status is Status.PASSED


@pytest.mark.real_data
def test_two_quotes_of_one_venue_stand_on_one_clock(real_data: Path):
    tether, dollar = (
        real.bars(real_data, f"binanceus_BTC{quote}_spot_1m_20230301") for quote in ("USDT", "USD")
    )
    found = best_lag(tether, MINUTE, dollar, MINUTE)
    assert found.best_ms == 0
    assert found.correlation > 0.99
