"""A venue as a feed: real figures, the past and the present joined without a seam, bars that never change."""

from __future__ import annotations

import numpy as np
import pytest
from lake.live import MARKET, MINUTE, QUICK, START, Witness, numbered

from twinstar_kit.feeds import ManualClock, open_feed
from twinstar_kit.feeds.base import Feed
from twinstar_kit.feeds.ccxt_feed import CcxtFeed
from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.resample import aggregate
from twinstar_kit.feeds.source import SourceError
from twinstar_kit.kernel.errors import InstrumentError, UsageError
from twinstar_kit.testing.local_venue import LocalVenue, local_binance

PAIR = ("BTC/USDT", "ETH/USDT")
NOW = START + 40 * MINUTE + 10_000
TRADES = {symbol: numbered(symbol) for symbol in PAIR}


@pytest.fixture
def venue():
    with LocalVenue(MARKET, trades=TRADES, clock=ManualClock(NOW)) as running:
        yield running


@pytest.fixture
def feed(venue):
    with over(venue) as opened:
        yield opened


def over(venue: LocalVenue, symbols=PAIR, **options) -> CcxtFeed:
    source = CcxtSource(local_binance(venue))
    return CcxtFeed(source, lambda: local_binance(venue, asynchronous=True), symbols,
                    clock=venue.clock, patience=QUICK, pulse_s=0.01, **options)  # fmt: skip


def truth(feed: CcxtFeed, symbol: str, since_ms: int, until_ms: int) -> np.ndarray:
    bars = MARKET.bars(symbol, since_ms, until_ms)
    ours = next(one for one in feed.instruments if one.symbol == symbol)
    rows = bars.rows.copy()
    rows[:, 1:5] *= 10 ** (ours.price_scale - bars.instrument.price_scale)
    rows[:, 5] *= 10 ** (ours.amount_scale - bars.instrument.amount_scale)
    return rows


def moved(venue: LocalVenue, feed: CcxtFeed, until_ms: int, symbol: str = "BTC/USDT") -> None:
    """Move on until the feed has the bar that closes at `until_ms`; at most ten minutes further."""
    feed.bars(symbol, until_ms, until_ms + MINUTE)
    venue.log.wait("subscribed", 2 * len(feed.instruments))
    for _ in range(600):
        if len(feed.bars(symbol, until_ms - MINUTE, until_ms)):
            return
        venue.advance(1_000)
        with feed._memory.changed:
            feed._memory.changed.wait(0.02)
    raise TimeoutError(f"no bar of {until_ms - MINUTE}: {feed.health}")


def test_it_is_a_feed_of_real_data(feed):
    assert isinstance(feed, Feed)
    assert not feed.simulated
    assert not feed.bars("BTC/USDT", START, START + MINUTE).simulated
    assert (feed.spec, feed.granularity, feed.synthetic) == ("ccxt:binance", "trades", frozenset())
    assert [one.symbol for one in feed.instruments] == list(PAIR)
    assert feed.span()[0] < START < feed.span()[1]


def test_past_and_present_join_without_a_seam(feed, venue):
    moved(venue, feed, START + 43 * MINUTE)
    bars = feed.bars("BTC/USDT", START, START + 43 * MINUTE)
    assert bars.rows.tolist() == truth(feed, "BTC/USDT", START, START + 43 * MINUTE).tolist()
    assert bars.source == "ccxt:binance"


def test_an_unfinished_bar_is_never_among_the_finished(feed, venue):
    moved(venue, feed, START + 41 * MINUTE)
    last = int(feed.bars("BTC/USDT", START, NOW + 60 * MINUTE).timestamp[-1])
    assert last + MINUTE <= venue.milliseconds()


@pytest.mark.parametrize("minutes", [5, 15])
def test_longer_bars_are_joined_from_both_sides_of_the_seam(feed, venue, minutes):
    moved(venue, feed, START + 46 * MINUTE)
    feed.bars("BTC/USDT", START, START + 60 * MINUTE, minutes * MINUTE)
    bars = feed.bars("BTC/USDT", START, START + 60 * MINUTE, minutes * MINUTE)
    whole = int(bars.timestamp[-1]) + minutes * MINUTE
    assert whole == START + 45 * MINUTE
    expected = aggregate(truth(feed, "BTC/USDT", START, whole), minutes * MINUTE)
    assert bars.rows.tolist() == expected.tolist()


def test_the_past_is_asked_for_once(feed, venue):
    def asked() -> int:
        return venue.log.count("request", endpoint="klines")

    first = feed.bars("ETH/USDT", START, START + 30 * MINUTE)
    count = asked()
    assert feed.bars("ETH/USDT", START, START + 30 * MINUTE).data_digest == first.data_digest
    assert (
        feed.bars("ETH/USDT", START + 5 * MINUTE, START + 9 * MINUTE).rows.tolist()
        == first.rows[5:9].tolist()
    )
    assert asked() == count
    wider = feed.bars("ETH/USDT", START - 10 * MINUTE, START + 35 * MINUTE)
    assert wider.rows.tolist() == truth(feed, "ETH/USDT", START - 10 * MINUTE, START + 35 * MINUTE).tolist()


def test_trades_of_before_and_after_the_first_one_heard(feed, venue):
    moved(venue, feed, START + 42 * MINUTE)
    until = START + 41 * MINUTE
    trades = feed.trades("BTC/USDT", START + 39 * MINUTE, until)
    given = TRADES["BTC/USDT"]
    expected = given["id"][(given["ts"] >= START + 39 * MINUTE) & (given["ts"] < until)]
    assert trades["id"].tolist() == expected.tolist()
    assert set(np.unique(trades["side"])) <= {-1, 1}


def test_book_last_tickers_and_the_forming_bar_are_those_of_now(feed, venue):
    now = venue.milliseconds()
    client = local_binance(venue)
    instrument = feed.instruments[0]
    bids, asks = feed.book("BTC/USDT", now, 3)
    said = client.fetch_order_book("BTC/USDT", 5)
    assert bids.tolist() == [
        [round(p * 10**instrument.price_scale), round(a * 10**instrument.amount_scale)]
        for p, a in said["bids"][:3]
    ]
    assert len(asks) == 3
    assert asks[0, 0] > bids[0, 0]
    ticker = client.fetch_ticker("BTC/USDT")
    days = feed.tickers(now)
    assert len(days) == 2
    assert days[0]["last"] == round(ticker["last"] * 10**instrument.price_scale)
    assert days[0]["volume"] == pytest.approx(ticker["baseVolume"])
    assert feed.last("BTC/USDT", now) > 0
    forming = feed.forming_bar("BTC/USDT", now)
    opened, *prices, volume = client.fetch_ohlcv("BTC/USDT", "1m", START + 40 * MINUTE)[0]
    assert forming.tolist() == [opened, *(round(p * 10**instrument.price_scale) for p in prices),
                                round(volume * 10**instrument.amount_scale)]  # fmt: skip


def test_a_sink_has_every_bar_before_it_is_seen_here(venue):
    witness = Witness()
    with over(venue, ("BTC/USDT",), sink=witness) as feed:
        moved(venue, feed, START + 42 * MINUTE)
        seen = feed.bars("BTC/USDT", START + 38 * MINUTE, START + 60 * MINUTE).timestamp.tolist()
    stored = witness.opens("BTC/USDT")
    assert set(seen) <= set(stored)
    assert stored == sorted(set(stored))


def test_what_cannot_be_asked_is_one_clear_line(feed, venue):
    with pytest.raises(InstrumentError, match="did you mean BTC/USDT"):
        feed.bars("BTC/USDC", START, START + MINUTE)
    with pytest.raises(InstrumentError):
        over(venue, ("NOPE/USDT",))
    with pytest.raises(UsageError, match="at least one level"):
        feed.book("BTC/USDT", NOW, 0)
    feed.book("BTC/USDT", NOW)
    feed.close()
    feed.close()
    with pytest.raises(SourceError, match="the feed was closed"):
        feed.book("BTC/USDT", NOW)


def test_open_feed_names_what_is_wrong():
    with pytest.raises(UsageError, match="did you mean binance"):
        open_feed("ccxt:binanc")
    with pytest.raises(UsageError, match="needs an exchange"):
        open_feed("ccxt:")
    with pytest.raises(UsageError, match="did you mean ccxt"):
        open_feed("ccx:binance")
