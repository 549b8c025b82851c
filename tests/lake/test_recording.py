"""Trading on a venue: its bars are in the lake before the strategy sees them, holes are filled first, nothing is skipped."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
from lake.live import MARKET, MINUTE, QUICK, START, numbered

from twinstar_kit import Strategy, paper
from twinstar_kit.feeds import ManualClock, open_feed
from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.resample import aggregate
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake import Lake, Series
from twinstar_kit.lake.recording import RecordedFeed
from twinstar_kit.testing.local_venue import LocalVenue, faults, local_binance, stream_faults

BTC = Series("binance", "BTC/USDT")


class Idle(Strategy):
    """Looks on."""

    def on_bar(self, ctx):
        pass


@pytest.fixture
def venue():
    trades = {"BTC/USDT": numbered("BTC/USDT")}
    with LocalVenue(MARKET, trades=trades, clock=ManualClock(START + 10_000)) as running:
        yield running


def recorded(venue: LocalVenue, folder: Path) -> RecordedFeed:
    source = CcxtSource(local_binance(venue))
    return RecordedFeed(Lake(folder), source, lambda: local_binance(venue, asynchronous=True), ["BTC/USDT"],
                        clock=venue.clock, patience=QUICK, pulse_s=0.01)  # fmt: skip


def traded(venue: LocalVenue, feed: RecordedFeed, home: Path, minutes: int, **settings):
    """Paper trading for so many minutes of the venue's clock, which goes on while the run waits."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(paper, Idle(), feed, duration_ms=minutes * MINUTE, home=home, **settings)
        venue.log.wait("subscribed", 2, patience_s=60)
        for _ in range(1_500):
            if wait([running], 0.02).done:
                break
            venue.advance(2_000)
        return running.result(60)


def truth(lake: Lake, since_ms: int, until_ms: int) -> np.ndarray:
    bars = MARKET.bars("BTC/USDT", since_ms, until_ms)
    ours, rows = lake.instrument(BTC), bars.rows.copy()
    rows[:, 1:5] *= 10 ** (ours.price_scale - bars.instrument.price_scale)
    rows[:, 5] *= 10 ** (ours.amount_scale - bars.instrument.amount_scale)
    return rows


def test_what_the_strategy_saw_is_the_market_and_stands_in_the_lake(
    venue: LocalVenue, tmp_path: Path, home: Path
):
    stored_first: list[bool] = []
    with recorded(venue, tmp_path / "lake") as feed:
        seen = feed.bars

        def watched(symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = MINUTE):
            bars = seen(symbol, since_ms, until_ms, timeframe_ms)
            held = feed.lake.read("binance", "BTC/USDT").rows[:, 0]
            stored_first.append(bool(np.isin(bars.timestamp, held).all()))
            return bars

        feed.bars = watched  # type: ignore[method-assign]
        result = traded(venue, feed, home, 5)
    with Lake(tmp_path / "lake") as lake:
        assert result.bars.rows.tolist() == truth(lake, START + MINUTE, START + 6 * MINUTE).tolist()
        assert len(lake.read("binance", "BTC/USDT")) >= 5
    assert result.finished
    assert not result.simulated
    assert all(stored_first)


def test_a_hole_of_the_stream_is_filled_before_the_next_bar_is_seen(
    venue: LocalVenue, tmp_path: Path, home: Path
):
    venue.plant(stream_faults.Lost(stream="@kline", after=120, times=60))
    venue.plant(stream_faults.Dropped(stream="@aggTrade", after=60, times=1))
    with recorded(venue, tmp_path / "lake") as feed:
        result = traded(venue, feed, home, 6)
        health = feed.health
    assert health.healed_bars > 0
    with Lake(tmp_path / "lake") as lake:
        assert result.bars.rows.tolist() == truth(lake, START + MINUTE, START + 7 * MINUTE).tolist()
        assert lake.missing(BTC, START + MINUTE, START + 7 * MINUTE) == []


def test_bars_of_before_the_streams_are_stored_as_well(venue: LocalVenue, tmp_path: Path, home: Path):
    venue.advance(20 * MINUTE)
    with recorded(venue, tmp_path / "lake") as feed:
        result = traded(venue, feed, home, 20, since=START + 5 * MINUTE, timeframe="5m")
    with Lake(tmp_path / "lake") as lake:
        minutes = truth(lake, START + 5 * MINUTE, START + 25 * MINUTE)
        assert result.bars.rows.tolist() == aggregate(minutes, 5 * MINUTE).tolist()
        held = lake.read("binance", "BTC/USDT", "5m", START + 5 * MINUTE, START + 15 * MINUTE).rows
        assert held.tolist() == result.bars.rows[:2].tolist()


def test_a_bar_that_does_not_exist_does_not_hold_the_end_up(venue: LocalVenue, tmp_path: Path, home: Path):
    venue.plant(stream_faults.Lost(stream="@kline", times=None))
    venue.plant(faults.Hole(symbol="BTC/USDT", since_ms=START + 3 * MINUTE, until_ms=START + 4 * MINUTE))
    with recorded(venue, tmp_path / "lake") as feed:
        result = traded(venue, feed, home, 3)
    assert result.finished
    assert result.bars.timestamp.tolist() == [START + MINUTE, START + 2 * MINUTE]


def test_a_venue_runs_in_real_time(venue: LocalVenue, tmp_path: Path, home: Path):
    with recorded(venue, tmp_path / "lake") as feed, pytest.raises(UsageError, match="real time"):
        paper(Idle(), feed, speed="max", home=home)


def test_the_words_for_a_venue_of_this_machine(venue: LocalVenue):
    spec = f"ccxt:binance@{venue.url}"
    with open_feed(spec, symbol="BTC/USDT") as feed:  # type: ignore[attr-defined]
        assert (feed.spec, [one.symbol for one in feed.instruments]) == (spec, ["BTC/USDT"])
    with pytest.raises(UsageError, match="must be a venue on this machine"):
        open_feed("ccxt:binance@https://api.binance.com")
    with pytest.raises(UsageError, match="speaks binance's dialect"):
        open_feed(f"ccxt:okx@{venue.url}")
