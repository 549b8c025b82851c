"""Replays of stored bars, and the words that open a feed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from feeds.market import DAY, HOUR, MARKET, MINUTE, START, aggregate_trades
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.feeds import Replay, SimulatedMarket, open_feed, save_bars
from twinstar_kit.feeds.base import Feed
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import DataError, InstrumentError, UsageError

STORED = MARKET.bars("BTC/USDT", START, START + 3 * HOUR)
OTHER = MARKET.bars("ETH/USDT", START + HOUR, START + 3 * HOUR)
FEED = Replay([STORED, OTHER])
BTC = "BTC/USDT"


def test_it_is_a_feed_that_says_what_is_made_up():
    assert isinstance(FEED, Feed)
    assert FEED.granularity == "bars"
    assert FEED.synthetic == {"trades", "book"}
    assert FEED.simulated, "these bars were simulated, and a replay of them stays so"
    assert FEED.span() == (START, START + 3 * HOUR)
    assert FEED.timeframe_ms == MINUTE


def test_stored_bars_come_back_unchanged():
    bars = FEED.bars(BTC, START + HOUR, START + 2 * HOUR)
    assert bars.rows.tobytes() == STORED.rows[60:120].tobytes()
    assert Replay([STORED]).data_digest == STORED.data_digest
    assert FEED.data_digest != STORED.data_digest


@settings(deadline=None)
@given(st.integers(0, 179))
def test_the_made_up_trades_of_a_bar_add_up_to_it(minute):
    at = START + minute * MINUTE
    trades = FEED.trades(BTC, at, at + MINUTE)
    assert aggregate_trades(trades) == STORED.rows[minute, 1:].tolist()
    assert len(trades) == 4
    assert np.all(np.diff(trades["ts"]) > 0)


@settings(deadline=None)
@given(st.integers(-2 * MINUTE, 3 * HOUR + 2 * MINUTE), st.sampled_from([MINUTE, 5 * MINUTE, HOUR]))
def test_an_unfinished_bar_shows_only_what_has_elapsed(elapsed, timeframe):
    now = START + elapsed
    opened = now // timeframe * timeframe
    trades = FEED.trades(BTC, opened, now + 1)
    forming = FEED.forming_bar(BTC, now, timeframe)
    if not len(trades):
        assert forming is None
    else:
        assert forming.tolist() == [opened, *aggregate_trades(trades)]
        assert FEED.last(BTC, now) == trades["price"][-1]


@settings(deadline=None)
@given(st.integers(0, 3 * HOUR - 1))
def test_nothing_later_than_now_is_needed_to_answer(elapsed):
    """A feed that ends with the bar under way gives the same answers, so the rest cannot have leaked in."""
    now = START + elapsed
    short = Replay([STORED[: elapsed // MINUTE + 1]])
    assert short.last(BTC, now) == FEED.last(BTC, now)
    assert short.tickers(now)[0] == FEED.tickers(now)[0]
    assert [side.tolist() for side in short.book(BTC, now)] == [side.tolist() for side in FEED.book(BTC, now)]


def test_the_book_is_one_level_around_the_last_price():
    now = START + 30 * MINUTE + 45_000
    bids, asks = FEED.book(BTC, now)
    assert bids[0, 0] == FEED.last(BTC, now) == asks[0, 0] - STORED.instrument.tick
    assert bids[0, 1] == asks[0, 1] == STORED.rows[29, 5]
    assert len(bids) == len(asks) == 1


def test_tickers_cover_the_last_day():
    now = START + 90 * MINUTE
    btc, eth = FEED.tickers(now)
    rows = STORED.rows[:90]
    assert btc["open24h"] == rows[0, 1]
    assert btc["high"] == max(rows[:, 2].max(), FEED.last(BTC, now))
    assert btc["volume"] == pytest.approx((rows[:, 5].sum() + STORED.rows[90, 5] // 4) * 1e-8)
    assert btc["change"] == btc["last"] - btc["open24h"]
    assert eth["last"] == FEED.last("ETH/USDT", now)
    before = FEED.tickers(START + 10 * MINUTE)[1]
    assert before["last"] == 0
    later = FEED.tickers(START + 5 * DAY)[0]
    assert (later["last"], later["volume"]) == (STORED.rows[-1, 4], 0)


def test_a_gap_keeps_the_last_price():
    bars = Bars(STORED.instrument, MINUTE, np.delete(STORED.rows, slice(10, 20), axis=0), simulated=True)
    feed = Replay([bars])
    assert feed.last(BTC, START + 15 * MINUTE) == STORED.rows[9, 4]
    assert feed.forming_bar(BTC, START + 15 * MINUTE) is None
    assert len(feed.trades(BTC, START + 10 * MINUTE, START + 20 * MINUTE)) == 0


def test_longer_bars_are_joined_and_incomplete_ones_left_out():
    bars = FEED.bars(BTC, START, START + DAY, 2 * HOUR)
    assert bars.timestamp.tolist() == [START]
    assert bars.rows[0, 5] == STORED.rows[:120, 5].sum()
    assert len(FEED.bars(BTC, START, START + DAY, DAY)) == 0
    with pytest.raises(DataError, match="multiple of 1m"):
        FEED.bars(BTC, START, START + DAY, 90_000)
    with pytest.raises(DataError, match="multiple of 1m"):
        FEED.forming_bar(BTC, START, 1_000)


def test_files_open_by_path_and_by_symbol(tmp_path):
    one, other = (save_bars(bars, tmp_path / f"{n}.parquet") for n, bars in enumerate((STORED, OTHER)))
    single = open_feed(f"replay:{one}")
    assert single.spec == f"replay:{one}"
    assert single.data_digest == STORED.data_digest
    both = open_feed(f"replay:{one},{other}")
    assert [i.symbol for i in both.instruments] == ["BTC/USDT", "ETH/USDT"]
    named = open_feed(f"replay:SOL/USDT={one},XRP/USDT={other}", tick="0.01")
    assert [i.symbol for i in named.instruments] == ["SOL/USDT", "XRP/USDT"]
    window = open_feed(f"replay:{one}", since=START + HOUR)
    assert window.span() == (START + HOUR, START + 3 * HOUR)
    with pytest.raises(UsageError, match="holds BTC/USDT twice"):
        open_feed(f"replay:{one},{one}")


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        ("simulatd", UsageError, "did you mean simulated"),
        ("binance", UsageError, "use simulated, simulated:SEED, replay:PATH, depth:PATH or ccxt:EXCHANGE"),
        ("simulated:seven", UsageError, "whole number"),
        ("simulated:-1", UsageError, "whole number"),
        ("replay", UsageError, "replay:PATH"),
        ("replay:", UsageError, "replay:PATH"),
        ("replay:nowhere.parquet", DataError, "no file nowhere.parquet"),
    ],
)
def test_an_unknown_feed_is_refused_in_one_line(spec, error, words):
    with pytest.raises(error, match=words) as refusal:
        open_feed(spec)
    assert "\n" not in str(refusal.value)


def test_a_replay_of_a_perpetual_can_have_its_fundings(tmp_path):
    bars = MARKET.bars("BTC/USDT:USDT", START, START + 20 * HOUR)
    path = save_bars(bars, tmp_path / "bars.parquet")
    times = [START - 8 * HOUR, START, START + 8 * HOUR + 17, START + 16 * HOUR, START + 24 * HOUR]
    table = pa.table({"timestamp": times, "funding_rate": [0.5, 0.0001, -0.000375, 0.0001, 0.0002]})
    pq.write_table(table, tmp_path / "funding.parquet")
    feed = open_feed(f"replay:{path},funding:{tmp_path / 'funding.parquet'}")
    assert open_feed(feed.spec).spec == feed.spec
    fundings = feed.funding("BTC/USDT:USDT", 0, START + DAY)
    assert fundings[:, :2].tolist() == [[START, 10_000], [times[2], -37_500], [START + 16 * HOUR, 10_000]]
    assert fundings[:, 2].tolist() == [feed.last("BTC/USDT:USDT", ts) for ts in fundings[:, 0].tolist()]
    assert len(feed.funding("BTC/USDT:USDT", START + 1, times[2])) == 0
    for broken in (
        {"timestamp": [2, 1], "funding_rate": [0.1, 0.1]},
        {"timestamp": [1], "funding_rate": [float("nan")]},
    ):
        pq.write_table(pa.table(broken), tmp_path / "funding.parquet")
        with pytest.raises(DataError, match="ascend in time"):
            open_feed(feed.spec)
    pq.write_table(pa.table({"timestamp": [1]}), tmp_path / "funding.parquet")
    with pytest.raises(DataError, match="timestamp and funding_rate"):
        open_feed(feed.spec)


def test_simulated_feeds_open_by_seed():
    assert isinstance(open_feed("simulated"), SimulatedMarket)
    assert open_feed("simulated").spec == "simulated:0"
    assert open_feed("simulated:42").seed == 42


@pytest.mark.parametrize(
    ("ask", "error", "words"),
    [
        (lambda: FEED.last("BTC/KRW", START), InstrumentError, "did you mean BTC/USDT"),
        (lambda: FEED.last(BTC, START - 1), DataError, "no data before"),
        (lambda: FEED.book(BTC, START, 0), UsageError, "at least one level"),
        (lambda: Replay([]), DataError, "at least one bar"),
        (lambda: Replay([STORED[:0]]), DataError, "at least one bar"),
    ],
)
def test_bad_questions_are_refused(ask, error, words):
    with pytest.raises(error, match=words):
        ask()
