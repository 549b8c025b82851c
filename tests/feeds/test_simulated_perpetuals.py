"""Simulated perpetuals: their price is the spot's and a premium, and marks and funding follow from it by the rule."""

from __future__ import annotations

import hashlib

import numba
import numpy as np
import pytest
from feeds.market import DAY, HOUR, MARKET, MINUTE, START, autocorrelation, log_returns
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.feeds import Replay, SimulatedMarket, perpetuals
from twinstar_kit.feeds.perpetuals import FUNDING_MS

PERPETUALS = tuple(i for i in MARKET.instruments if i.derivative)
NAMES = tuple(i.symbol for i in PERPETUALS)
BY_NAME = {i.symbol: i for i in PERPETUALS}
FIRST, END = MARKET.span()
names = st.sampled_from(NAMES)
moments = st.integers(0, 4 * 525_600 * MINUTE).map(lambda n: START + n)
SOME = ("BTC/USDT:USDT", "DOGE/USDT:USDT", "BTC/USD:BTC")


def spot_of(symbol):
    return f"{BY_NAME[symbol].base}/USDT"


def premiums(symbol, since, until):
    """Close of the perpetual over close of its spot market, less one, minute by minute."""
    perpetual, spot = (MARKET.bars(s, since, until) for s in (symbol, spot_of(symbol)))
    return perpetual.close / spot.close - 1


def settled(mean_premium):
    """The funding rate that a mean premium leads to, as the venues' rule says it."""
    return max(-0.0075, min(0.0075, mean_premium + max(-0.0005, min(0.0005, 0.0001 - mean_premium))))


@pytest.mark.parametrize("symbol", SOME)
def test_a_perpetual_follows_its_spot_market(symbol):
    perpetual, spot = (
        log_returns(MARKET.bars(s, START, START + 30 * DAY)) for s in (symbol, spot_of(symbol))
    )
    assert 0.98 < float(np.corrcoef(perpetual, spot)[0, 1]) < 0.9999


@pytest.mark.parametrize("symbol", SOME)
def test_the_premium_is_small_comes_back_and_lasts_for_hours(symbol):
    premium = premiums(symbol, START, START + 90 * DAY)
    assert np.abs(premium).max() < 0.01
    assert 0.0002 < premium.std() < 0.002
    assert abs(premium.mean()) < premium.std() / 2
    assert autocorrelation(premium, 60) > 0.5
    assert abs(autocorrelation(premium, 14 * 1440)) < 0.3


@pytest.mark.parametrize("symbol", SOME)
def test_funding_is_the_mean_premium_of_eight_hours_under_the_rule(symbol):
    fundings = MARKET.funding(symbol, START, START + 20 * DAY)
    assert len(fundings) == 60
    for ts, rate, mark in fundings.tolist():
        mean = float(premiums(symbol, ts - FUNDING_MS, ts).mean())
        assert rate / 1e8 == pytest.approx(settled(mean), abs=2e-5)  # closes stand on ticks, a minute later
        assert mark == MARKET.mark(symbol, ts)


@numba.njit
def rate_of(premium):
    return perpetuals.rate_of(premium)


@settings(deadline=None)
@given(st.floats(-0.05, 0.05))
def test_a_large_premium_is_damped_and_capped(premium):
    assert rate_of(premium) / 1e8 == pytest.approx(settled(premium), abs=1.01e-8)


def test_funding_comes_at_midnight_at_eight_and_at_sixteen():
    fundings = MARKET.funding("ETH/USDT:USDT", START - DAY, START + DAY + 1)
    assert [(ts - START) // HOUR for ts in fundings[:, 0].tolist()] == [-24, -16, -8, 0, 8, 16, 24]
    assert len(MARKET.funding("ETH/USDT:USDT", START + 1, START + 8 * HOUR)) == 0
    assert MARKET.funding("ETH/USDT:USDT", 0, FIRST + DAY)[0, 0] == FIRST + FUNDING_MS
    assert MARKET.funding("ETH/USDT:USDT", END - DAY, END + DAY)[-1, 0] == END - FUNDING_MS


def test_funding_looks_like_that_of_a_venue():
    """Most of the time the interest of 0.01 %, paid by longs on average, both signs, seldom large."""
    for symbol in ("BTC/USDT:USDT", "ETH/USDT:USDT", "SOL/USDT:USDT"):
        rates = MARKET.funding(symbol, START, START + 364 * DAY)[:, 1] / 1e8
        assert 0.3 < np.mean(rates == 0.0001) < 0.95
        assert rates.min() < 0 < rates.max()
        assert -0.0001 < rates.mean() < 0.0003
        assert np.abs(rates).max() < 0.0075
        assert autocorrelation(rates, 1) > 0.2


@settings(max_examples=60, deadline=None)
@given(names, moments)
def test_a_mark_stands_near_the_index_which_is_the_spot_price(symbol, now):
    instrument = BY_NAME[symbol]
    coming = MARKET.next_funding(symbol, now)
    spot = next(i for i in MARKET.instruments if i.symbol == spot_of(symbol))
    index = spot.price(MARKET.last(spot.symbol, now))
    assert abs(instrument.price(coming.index_px) - index) <= 0.5001 * 10.0**-instrument.price_scale
    assert coming.mark == MARKET.mark(symbol, now)
    assert abs(coming.mark / coming.index_px - 1) < 0.01
    assert abs(MARKET.last(symbol, now) / coming.mark - 1) < 0.02
    assert coming.ts == now // FUNDING_MS * FUNDING_MS + FUNDING_MS


@settings(max_examples=25, deadline=None)
@given(names, st.integers(0, 2_000).map(lambda n: START + n * FUNDING_MS))
def test_the_rate_so_far_ends_as_the_rate_that_is_paid(symbol, due):
    paid = MARKET.funding(symbol, due, due + 1)
    assert MARKET.next_funding(symbol, due - 1)[:2] == (due, paid[0, 1])


@settings(max_examples=25, deadline=None)
@given(names, st.integers(0, 500), st.integers(1, 12))
def test_fundings_of_a_stretch_are_those_of_its_parts(symbol, first, count):
    since = START + first * FUNDING_MS
    whole = MARKET.funding(symbol, since, since + count * FUNDING_MS)
    parts = [
        MARKET.funding(symbol, since + n * FUNDING_MS, since + (n + 1) * FUNDING_MS) for n in range(count)
    ]
    assert np.concatenate(parts).tolist() == whole.tolist()


def test_marks_and_fundings_of_a_seed_do_not_change():
    market = SimulatedMarket(0)
    digest = hashlib.sha256()
    for symbol in ("BTC/USDT:USDT", "PEPE/USDT", "ETH/USD:ETH"):
        digest.update(market.funding(symbol, START, START + 10 * DAY).astype("<i8").tobytes())
        digest.update(market.mark(symbol, START + 12_345).to_bytes(8, "little"))
        digest.update(market.bars(symbol, START, START + HOUR).rows.astype("<i8").tobytes())
    assert digest.hexdigest()[:16] == "f4f9d9c647c6ea6a"
    assert not np.array_equal(
        SimulatedMarket(1).funding(NAMES[0], START, START + 9 * DAY),
        market.funding(NAMES[0], START, START + 9 * DAY),
    )


def test_an_inverse_contract_counts_dollars():
    """Its turnover is a number of contracts times their size, whatever the price is."""
    symbol = "BTC/USD:BTC"
    row = MARKET.tickers(START)[NAMES.index(symbol) + 98]
    bars = MARKET.bars(symbol, START - DAY, START)
    assert row["volume"] == bars.rows[:, 5].sum()
    assert row["quote_volume"] == row["volume"] * 100
    assert 1e8 < row["quote_volume"] < 1e10
    bids, _ = MARKET.book(symbol, START, 5)
    assert bids[:, 1].min() >= 1


def test_linear_turnover_is_larger_than_that_of_spot():
    day = MARKET.tickers(START)
    numbers = {i.symbol: n for n, i in enumerate(MARKET.instruments)}
    for base in ("BTC", "ETH", "ADA"):
        spot, perpetual = (day[numbers[f"{base}/USDT{settle}"]]["quote_volume"] for settle in ("", ":USDT"))
        assert 1.5 < perpetual / spot < 10


def test_spot_markets_have_neither_mark_nor_funding():
    assert MARKET.mark("BTC/USDT", START) == 0
    assert MARKET.funding("BTC/USDT", START, START + DAY).shape == (0, 3)
    assert MARKET.next_funding("BTC/USDT", START) is None


def test_a_replay_of_bars_alone_knows_no_funding():
    feed = Replay([MARKET.bars("BTC/USDT:USDT", START, START + HOUR)])
    assert feed.mark("BTC/USDT:USDT", START) == 0
    assert feed.funding("BTC/USDT:USDT", START, START + DAY).shape == (0, 3)
    assert feed.next_funding("BTC/USDT:USDT", START) is None
