"""The simulated market as a venue: it answers as real ones do, and its trades make its bars."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.feeds.simulated import SimulatedMarket
from twinstar_kit.feeds.simulated_source import Lost, SimulatedSource
from twinstar_kit.feeds.source import Source, SourceError
from twinstar_kit.lake import Lake

START = 1_735_689_600_000
MINUTE = 60_000


@pytest.fixture
def source() -> SimulatedSource:
    return SimulatedSource(SimulatedMarket(7), ManualClock(START + 600 * MINUTE + 30_000))


def test_it_is_a_source(source: SimulatedSource):
    assert isinstance(source, Source)
    assert source.top_symbols(2, "USDT") == [s for s in source.instruments() if s.endswith("/USDT")][:2]


def test_an_answer_holds_complete_bars_of_the_asked_interval(source: SimulatedSource):
    rows = source.bars("BTC/USDT", "1m", START, 100)
    assert (rows == source.market.bars("BTC/USDT", START, START + 100 * MINUTE).rows).all()
    late = source.bars("BTC/USDT", "1m", START + 590 * MINUTE, 100)
    assert late[:, 0].tolist() == [START + k * MINUTE for k in range(590, 600)]
    assert len(source.bars("BTC/USDT", "1m", START + 700 * MINUTE, 100)) == 0
    assert source.requests == 3


def test_its_trades_make_its_bars(source: SimulatedSource):
    trades = source.trades("ETH/USDT", START, START + 10 * MINUTE)
    assert trades.dtype == np.int64
    for bar in source.bars("ETH/USDT", "1m", START, 10):
        prices = trades[trades[:, 0] // MINUTE * MINUTE == bar[0], 1]
        assert (prices[0], prices.max(), prices.min(), prices[-1]) == tuple(bar[1:5])


def test_it_has_no_funding(source: SimulatedSource):
    with pytest.raises(SourceError, match="pays no funding"):
        source.funding("BTC/USDT", START, START + MINUTE)


def test_what_it_lost_it_never_gives(source: SimulatedSource):
    lost = [
        Lost(START + 10 * MINUTE, START + 20 * MINUTE),
        Lost(START + 30 * MINUTE, START + 31 * MINUTE, "ETH/USDT"),
    ]
    poor = SimulatedSource(source.market, source.clock, name="poor", lost=lost)
    gone = {
        symbol: np.setdiff1d(*(one.bars(symbol, "1m", START, 60)[:, 0] for one in (source, poor)))
        for symbol in ("BTC/USDT", "ETH/USDT")
    }
    for symbol, minutes in (("BTC/USDT", [*range(10, 20)]), ("ETH/USDT", [*range(10, 20), 30])):
        assert gone[symbol].tolist() == [START + k * MINUTE for k in minutes]
        trades = poor.trades(symbol, START, START + 40 * MINUTE)
        assert len(trades) > 0
        assert not np.isin(trades[:, 0] // MINUTE * MINUTE, gone[symbol]).any()


def test_a_lake_that_is_filled_from_it_says_simulated(source: SimulatedSource, tmp_path: Path):
    with Lake(tmp_path / "lake", clock=source.clock) as lake:
        lake.backfill(source, ["BTC/USDT"], since=START, until=START + 10 * MINUTE)
        assert [info.simulated for info in lake.series()] == [True]
        assert lake.read("simulated", "BTC/USDT").bars().simulated
