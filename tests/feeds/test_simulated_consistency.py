"""Trades, books, unfinished bars and tickers of the simulated market tell the same story as its bars."""

from __future__ import annotations

import numpy as np
import pytest
from feeds.market import DAY, HOUR, MARKET, MINUTE, START, aggregate_trades
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.feeds.base import Feed
from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import DataError, InstrumentError, UsageError

SYMBOLS = tuple(instrument.symbol for instrument in MARKET.instruments)
INSTRUMENTS = {instrument.symbol: instrument for instrument in MARKET.instruments}
symbols = st.sampled_from(SYMBOLS)
minutes = st.integers(0, 4 * 525_600).map(lambda n: START + n * MINUTE)
moments = st.integers(0, 4 * 525_600 * MINUTE).map(lambda n: START + n)


@settings(max_examples=150, deadline=None)
@given(symbols, minutes)
def test_the_trades_of_a_minute_add_up_to_its_bar(symbol, at):
    trades = MARKET.trades(symbol, at, at + MINUTE)
    bar = MARKET.bars(symbol, at, at + MINUTE).rows[0]
    assert aggregate_trades(trades) == bar[1:].tolist()
    assert trades["ts"].min() >= at
    assert trades["ts"].max() < at + MINUTE
    assert np.all(np.diff(trades["ts"]) >= 0)
    assert np.all(np.diff(trades["id"]) == 1)
    assert set(np.unique(trades["side"])) <= {-1, 1}
    instrument = INSTRUMENTS[symbol]
    assert not np.any(trades["price"] % instrument.tick)
    assert not np.any(trades["amount"] % instrument.lot)
    assert trades["amount"].min() >= instrument.lot


@settings(max_examples=100, deadline=None)
@given(symbols, moments, st.integers(0, 3 * MINUTE), st.integers(0, 3 * MINUTE))
def test_trades_of_two_stretches_are_the_trades_of_both(symbol, at, first, second):
    middle, end = at + first, at + first + second
    parts = np.concatenate([MARKET.trades(symbol, at, middle), MARKET.trades(symbol, middle, end)])
    assert parts.tobytes() == MARKET.trades(symbol, at, end).tobytes()
    assert np.all(np.diff(parts["id"]) > 0)


@settings(max_examples=100, deadline=None)
@given(symbols, minutes)
def test_a_bar_is_sound_and_goes_on_where_the_last_one_ended(symbol, at):
    bars = MARKET.bars(symbol, at, at + 30 * MINUTE)
    checked = Bars.from_floats(
        bars.instrument, MINUTE, bars.timestamp, bars.open, bars.high, bars.low, bars.close, bars.volume
    )
    assert checked.rows.tobytes() == bars.rows.tobytes()
    assert checked.off_tick == 0
    assert np.all(np.abs(bars.rows[1:, 1] - bars.rows[:-1, 4]) <= bars.instrument.tick)
    assert bars.rows[:, 5].min() > 0
    assert bars.rows.flags.c_contiguous


@settings(max_examples=150, deadline=None)
@given(symbols, moments, st.sampled_from([MINUTE, 5 * MINUTE, HOUR, DAY]))
def test_an_unfinished_bar_is_what_its_trades_so_far_add_up_to(symbol, now, timeframe):
    opened = floor_time(now, timeframe)
    forming = MARKET.forming_bar(symbol, now, timeframe)
    if timeframe > 5 * MINUTE:  # the trades of a day are many: its minutes, and the trades of the last one
        minute = floor_time(now, MINUTE)
        parts = MARKET.bars(symbol, opened, minute).rows
        tail = MARKET.trades(symbol, minute, now + 1)
        joined = [*parts[:, 1:].tolist(), *([aggregate_trades(tail)] if len(tail) else [])]
    else:
        trades = MARKET.trades(symbol, opened, now + 1)
        joined = [aggregate_trades(trades)] if len(trades) else []
    if not joined:
        assert forming is None
        return
    table = np.array(joined)
    assert forming.tolist() == [
        opened, table[0, 0], table[:, 1].max(), table[:, 2].min(), table[-1, 3], table[:, 4].sum(),
    ]  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(symbols, minutes)
def test_an_unfinished_bar_ends_as_the_finished_one(symbol, at):
    assert (
        MARKET.forming_bar(symbol, at + MINUTE - 1).tolist()
        == MARKET.bars(symbol, at, at + MINUTE).rows[0].tolist()
    )


@settings(max_examples=150, deadline=None)
@given(symbols, moments, st.sampled_from([1, 10, 50]))
def test_a_book_stands_around_the_last_trade(symbol, now, depth):
    instrument = INSTRUMENTS[symbol]
    trade = MARKET.trades(symbol, now - 2 * MINUTE, now + 1)[-1]
    bids, asks = MARKET.book(symbol, now, depth)
    assert MARKET.last(symbol, now) == trade["price"]
    assert bids[0, 0] <= trade["price"] <= asks[0, 0]
    assert bids[0, 0] < asks[0, 0]
    assert trade["price"] == (asks[0, 0] if trade["side"] == 1 else bids[0, 0])
    assert len(asks) == depth
    assert 1 <= len(bids) <= depth
    assert len(bids) == depth or depth > 10
    assert np.all(np.diff(bids[:, 0]) < 0)
    assert np.all(np.diff(asks[:, 0]) > 0)
    for side in (bids, asks):
        assert not np.any(side[:, 0] % instrument.tick)
        assert not np.any(side[:, 1] % instrument.lot)
        assert side.min() > 0
    assert (asks[0, 0] - bids[0, 0]) / trade["price"] < 0.02


@settings(max_examples=25, deadline=None)
@given(moments)
def test_a_deeper_book_begins_with_the_shallow_one(now):
    shallow, deep = MARKET.book("ETH/USDT", now, 5), MARKET.book("ETH/USDT", now, 40)
    assert all(np.array_equal(deep[side][:5], shallow[side]) for side in (0, 1))


@settings(max_examples=8, deadline=None)
@given(moments)
def test_tickers_are_the_last_day_of_minutes_and_trades(now):
    day = MARKET.tickers(now)
    minute = floor_time(now, MINUTE)
    for number in (0, 3, 40, 70, 97):
        instrument, row = MARKET.instruments[number], day[number]
        rows = MARKET.bars(instrument.symbol, minute - DAY, minute).rows
        tail = MARKET.trades(instrument.symbol, minute, now + 1)
        low, high, volume = rows[:, 3].min(), rows[:, 2].max(), rows[:, 5].sum()
        if len(tail):
            low, high = min(low, tail["price"].min()), max(high, tail["price"].max())
            volume += tail["amount"].sum()
        assert (row["open24h"], row["high"], row["low"]) == (rows[0, 1], high, low)
        assert row["last"] == MARKET.last(instrument.symbol, now)
        assert row["volume"] == pytest.approx(instrument.amount(volume), rel=1e-12)
        middle = (rows[:, 1] + rows[:, 4]) / 2
        turnover = float((middle * rows[:, 5]).sum()) / 10.0 ** (
            instrument.price_scale + instrument.amount_scale
        )
        assert row["quote_volume"] == pytest.approx(turnover, rel=0.02)
        assert row["change"] == row["last"] - row["open24h"]
        assert row["percentage"] == pytest.approx(100 * (row["last"] / row["open24h"] - 1))
        bids, asks = MARKET.book(instrument.symbol, now, 1)
        assert (row["bid"], row["bid_amount"], row["ask"], row["ask_amount"]) == (*bids[0], *asks[0])


@pytest.mark.parametrize("timeframe", [5 * MINUTE, HOUR, DAY, 7 * DAY])
def test_longer_bars_are_joined_minutes(timeframe):
    since = START + 2 * DAY + 34 * MINUTE
    bars = MARKET.bars("SOL/USDT", since, since + 3 * timeframe, timeframe)
    assert len(bars) == 3
    for row in bars.rows:
        assert since <= row[0] < since + 3 * timeframe
        minutes = MARKET.bars("SOL/USDT", row[0], row[0] + timeframe).rows
        assert len(minutes) == timeframe // MINUTE
        assert row[1:].tolist() == [
            minutes[0, 1], minutes[:, 2].max(), minutes[:, 3].min(), minutes[-1, 4], minutes[:, 5].sum(),
        ]  # fmt: skip


def test_weeks_open_on_mondays():
    weeks = MARKET.bars("BTC/USDT", START, START + 30 * DAY, 7 * DAY).timestamp
    assert {int(week) // DAY % 7 for week in weeks} == {4}  # 1970-01-01 was a Thursday


def test_it_is_a_feed_and_says_that_it_is_simulated():
    assert isinstance(MARKET, Feed)
    assert MARKET.simulated
    bars = MARKET.bars("BTC/USDT", START, START + HOUR)
    assert bars.simulated
    assert bars.source == "simulated:11"


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: MARKET.last("BTC/USD", START), InstrumentError, "did you mean BTC/USDT"),
        (
            lambda: MARKET.bars("BTC/USDT", START, START + DAY, 1_000),
            DataError,
            "one minute and its multiples",
        ),
        (lambda: MARKET.forming_bar("BTC/USDT", START, 90_000), DataError, "one minute and its multiples"),
        (lambda: MARKET.last("BTC/USDT", START // 1000), DataError, "milliseconds"),
        (lambda: MARKET.book("BTC/USDT", START, 0), UsageError, "levels"),
        (lambda: type(MARKET)(-1), UsageError, "must not be negative"),
    ],
)
def test_bad_questions_are_refused_in_one_line(ask, error, words):
    with pytest.raises(error, match=words) as refusal:
        ask()
    assert "\n" not in str(refusal.value)
