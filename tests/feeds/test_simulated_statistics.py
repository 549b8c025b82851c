"""The simulated market looks like a market: the stylised facts of returns (Cont 2001) and of volume."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from feeds.market import DAY, HOUR, MARKET, MINUTE, START, autocorrelation, kurtosis, log_returns

from twinstar_kit.feeds import minutes

YEAR = 364 * DAY  # whole weeks
SYMBOLS = ("BTC/USDT", "ETH/USDT", "XRP/USDT", "DOGE/USDT", "BTC/KRW", "PEPE/USDT")


@pytest.fixture(scope="module")
def year():
    return {symbol: MARKET.bars(symbol, START, START + YEAR) for symbol in SYMBOLS}


def correlation(a, b, minutes=1):
    joined = [x[: len(x) // minutes * minutes].reshape(-1, minutes).sum(axis=1) for x in (a, b)]
    return float(np.corrcoef(*joined)[0, 1])


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_returns_have_fat_tails_that_thin_out_with_time(year, symbol):
    returns = log_returns(year[symbol])
    minutes, days = kurtosis(returns), kurtosis(returns[: 363 * 1440].reshape(-1, 1440).sum(axis=1))
    assert 6 < minutes < 120  # a month of real minutes has 9 to 107
    assert 2.5 < days < 12 < minutes + 6


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_volatility_clusters_for_days_while_returns_do_not_repeat(year, symbol):
    returns = log_returns(year[symbol])
    size = np.abs(returns)
    assert 0.15 < autocorrelation(size, 1) < 0.5
    assert all(autocorrelation(size, lag) > 0.05 for lag in (2, 5, 10, 30, 60, 100, 240))
    assert autocorrelation(size, 1440) > 0.02
    assert autocorrelation(size, 1) > autocorrelation(size, 60) > autocorrelation(size, 720)
    # Where a tick is as large as a move (PEPE), or a premium comes and goes (KRW), prices bounce for a minute.
    lags = range(1 if symbol in SYMBOLS[:4] else 2, 8)
    assert max(abs(autocorrelation(returns, lag)) for lag in lags) < 0.03


def test_yearly_volatility_is_that_of_the_coin(year):
    for symbol, low, high in (("BTC/USDT", 0.3, 0.9), ("ETH/USDT", 0.4, 1.1), ("PEPE/USDT", 0.8, 2.4)):
        assert low < log_returns(year[symbol]).std() * np.sqrt(525_600) < high


def test_symbols_move_together_but_not_alike(year):
    returns = {symbol: log_returns(bars) for symbol, bars in year.items()}
    assert 0.75 < correlation(returns["BTC/USDT"], returns["ETH/USDT"]) < 0.95  # real minutes: 0.84
    for symbol in ("XRP/USDT", "DOGE/USDT", "PEPE/USDT"):
        assert 0.35 < correlation(returns["BTC/USDT"], returns[symbol], 60) < 0.9
    size = [np.abs(returns[symbol]) for symbol in ("BTC/USDT", "ETH/USDT")]
    assert correlation(*size) > 0.5


def test_coins_of_a_sector_share_more_than_the_market():
    hours = {
        s: log_returns(MARKET.bars(s, START, START + YEAR, HOUR))
        for s in ("BTC/USDT", "PEPE/USDT", "FLOKI/USDT", "TAO/USDT")
    }
    assert correlation(hours["PEPE/USDT"], hours["FLOKI/USDT"]) > correlation(
        hours["PEPE/USDT"], hours["TAO/USDT"]
    )


def test_a_krw_pair_follows_its_usdt_pair_times_the_rate():
    krw, usdt, rate = (
        MARKET.bars(symbol, START, START + 30 * DAY).close for symbol in ("BTC/KRW", "BTC/USDT", "USDT/KRW")
    )
    premium = krw / (usdt * rate) - 1
    assert np.abs(premium).max() < 0.015
    assert 0.0003 < premium.std() < 0.004
    assert 0.85 < correlation(np.diff(np.log(krw)), np.diff(np.log(usdt))) < 0.999
    assert rate.std() / rate.mean() < 0.05


def test_volume_has_the_shape_of_the_day_and_of_the_week(year):
    for symbol, busiest, quietest in (
        ("BTC/USDT", {13, 14, 15, 16}, {3, 4, 5, 6}),
        ("BTC/KRW", {0, 12, 13, 14}, {18, 19, 20}),
    ):
        bars = year[symbol]
        hour, day = bars.timestamp // HOUR % 24, (bars.timestamp // DAY + 3) % 7
        by_hour = np.array([bars.volume[hour == h].mean() for h in range(24)])
        assert int(by_hour.argmax()) in busiest
        assert int(by_hour.argmin()) in quietest
        assert 1.3 < by_hour.max() / by_hour.mean() < 3
        weekend = bars.volume[day >= 5].mean() / bars.volume[day < 5].mean()
        assert 0.3 < weekend < 0.9


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_volume_lasts_and_goes_with_volatility(year, symbol):
    bars = year[symbol]
    volume, size = np.log(bars.volume[1:]), np.abs(log_returns(bars))
    assert 0.2 < float(np.corrcoef(volume, size)[0, 1]) < 0.75  # real minutes: 0.25 to 0.6
    assert 0.5 < autocorrelation(volume, 1) < 0.9
    assert autocorrelation(volume, 60) > 0.2
    assert 0.7 < volume.std() < 1.6


def test_turnover_is_that_of_a_large_exchange(year):
    bars = year["BTC/USDT"]
    assert 0.4e9 < float((bars.volume * bars.close).sum()) / 364 < 4e9


def test_a_bar_reaches_as_far_as_real_ones_do(year):
    """Mean range over mean body: 1.4 to 1.9 on real minutes, 2 for a continuous Brownian path."""
    bars = year["BTC/USDT"]
    ratio = np.log(bars.high / bars.low).mean() / np.abs(np.log(bars.close / bars.open)).mean()
    assert 1.4 < ratio < 2.0


@numba.njit(error_model="numpy")
def paths(market, s, first, count):
    levels, variances = np.empty(count + 1), np.empty(count)
    minutes.log_prices(market, s, first, count, levels, variances, np.empty(count + 3), np.empty(count + 3))
    return levels, variances


def test_extremes_follow_the_law_of_the_brownian_bridge():
    """P(max > m) = exp(-2 m (m - r) / v) for a bridge from 0 to r (Borodin, Salminen 2002), so it is uniform."""
    count, first = 20_000, (START - minutes.EPOCH_MS) // MINUTE
    levels, variances = paths(MARKET._market, 0, first, count)
    rows = MARKET.bars("BTC/USDT", START, START + count * MINUTE).rows
    top, bottom = np.log(rows[:, 2]) - levels[:-1], levels[:-1] - np.log(rows[:, 3])
    move = np.diff(levels)
    for reach, end in ((top, move), (bottom, -move)):
        chance = np.exp(-2 * reach * (reach - end) / (minutes.BRIDGE_VARIANCE * variances))
        gap = np.abs(np.sort(chance) - np.arange(1, count + 1) / count).max()
        assert gap < 2.5 / np.sqrt(count)  # Kolmogorov-Smirnov; prices are rounded to ticks


def test_prices_stay_plausible_for_decades():
    for symbol in ("BTC/USDT", "PEPE/USDT", "SHIB/KRW", "XRP/KRW"):
        instrument = MARKET.instruments[[i.symbol for i in MARKET.instruments].index(symbol)]
        weeks = [MARKET.last(symbol, START + week * 7 * DAY) / instrument.tick for week in range(0, 3_800, 5)]
        assert min(weeks) > 30, "a price of a few ticks cannot move"
        assert max(weeks) / min(weeks) < 400
        assert (
            0.2 < np.median(weeks) / np.exp(MARKET._market.symbols["log_price"][MARKET._number(symbol)]) < 5
        )


def test_a_minute_is_a_minute_on_every_day(year):
    assert np.all(np.diff(year["BTC/USDT"].timestamp) == MINUTE)


@pytest.mark.real_data
def test_real_minutes_pass_the_same_bounds(real_data):
    """The bounds above are not made to fit the simulation: real exchange minutes keep them too."""
    from twinstar_kit.feeds import load_bars

    for name in ("binance_BTCUSDT_spot_1m_20241001", "binance_ETHUSDT_spot_1m_20241001"):
        bars = load_bars(real_data / "ohlcv" / f"{name}.parquet")
        returns = log_returns(bars)
        size = np.abs(returns)
        assert 6 < kurtosis(returns) < 120
        assert 0.15 < autocorrelation(size, 1) < 0.5
        assert autocorrelation(size, 240) > 0.05
        assert max(abs(autocorrelation(returns, lag)) for lag in range(1, 8)) < 0.03
        volume = np.log(bars.volume[1:])
        assert 0.2 < float(np.corrcoef(volume, size)[0, 1]) < 0.75
        assert 0.5 < autocorrelation(volume, 1) < 0.9
        assert 0.7 < volume.std() < 1.6
        assert 1.4 < np.log(bars.high / bars.low).mean() / np.abs(np.log(bars.close / bars.open)).mean() < 2.0
