"""Real bars and trades through the local venue: the holes of the data's README to the bar, and their healing."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from lake import real
from lake.bars import MINUTE, Rows

from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Lake, Provenance, Series
from twinstar_kit.testing.local_venue import LocalVenue, local_binance
from twinstar_kit.testing.local_venue.faults import Cut, Duplicate, Hole, TooManyRequests, WrongJson

pytestmark = pytest.mark.real_data
DAY = 86_400_000


def bars_of(symbol: str, rows: Rows) -> Bars:
    return Bars(Instrument.loose(symbol, exchange="binance"), MINUTE, rows)


def source_of(venue: LocalVenue) -> CcxtSource:
    clock = venue.clock
    assert isinstance(clock, ManualClock)
    return CcxtSource(
        local_binance(venue), clock=clock, chance=random.Random(1), attempts=12,
        sleep=lambda seconds: clock.advance(int(-(-seconds * 1_000 // 1))) and None,
    )  # fmt: skip


@pytest.mark.parametrize(("name", "symbol", "gaps", "missing"), [
    ("binance_BTCUSDT_spot_1m_20210326", "BTC/USDT", 2, 434),
    ("binance_ETHUSDT_spot_1m_20210809", "ETH/USDT", 1, 270),
    ("kraken_BTCUSDC_spot_1m_2023", "BTC/USDC", 26_746, 72_883),
    pytest.param("bitfinex_BTCUSD_spot_1m_2018", "BTC/USD", 3_992, 5_101, marks=pytest.mark.slow),
])  # fmt: skip
def test_real_bars_come_whole_through_a_storm_and_their_holes_are_known_to_the_bar(
    real_data: Path, tmp_path: Path, name: str, symbol: str, gaps: int, missing: int
):
    truth = real.bars(real_data, name)
    since, until = int(truth[0, 0]), int(truth[-1, 0]) + MINUTE
    storm = [TooManyRequests(after=5, times=2), Cut(after=12, times=2), WrongJson(after=20, times=2),
             Duplicate(after=30, times=2)]  # fmt: skip
    with (
        LocalVenue(bars_of(symbol, truth), clock=ManualClock(until + DAY), faults=storm) as venue,
        Lake(tmp_path, clock=ManualClock(until + DAY)) as lake,
    ):
        report = lake.backfill(source_of(venue), [symbol], since=since, until=until)
        assert report.ok
        assert (report.total("added"), report.total("empty")) == (len(truth), missing)
        assert np.array_equal(lake.read("binance", symbol).rows, truth)
        found = lake.missing(Series("binance", symbol), since, until)
        assert (len(found), sum(gap.count for gap in found)) == (gaps, missing)
        assert all(fault.struck for fault in storm)
        venue.log.clear()
        assert lake.backfill(source_of(venue), [symbol], since=since, until=until).total("requests") == 0
        assert venue.log.count("request") == 0


def test_holes_in_real_bars_are_rebuilt_from_the_real_trades(real_data: Path, tmp_path: Path):
    """XRP/ETH was traded in 2,469 of these minutes; the venue loses 40 of them, and the trades know all."""
    truth = real.bars(real_data, "binance_XRP_ETH_spot_1m_ft")
    trades = real.trades(real_data, "binance_XRP_ETH_trades_201910")
    truth = truth[(truth[:, 0] >= trades[0, 0] // MINUTE * MINUTE) & (truth[:, 0] <= trades[-1, 0])]
    assert len(truth) == 2_469
    since, until = int(truth[0, 0]), int(truth[-1, 0]) + MINUTE
    absent = (until - since) // MINUTE - len(truth)
    lost = truth[700:740]
    hole = Hole(since_ms=int(lost[0, 0]), until_ms=int(lost[-1, 0]) + MINUTE)
    venue_bars = Replay([bars_of("XRP/ETH", truth)])
    with (
        LocalVenue(
            venue_bars, trades={"XRP/ETH": trades}, clock=ManualClock(until + DAY), faults=[hole]
        ) as venue,
        Lake(tmp_path, clock=ManualClock(until + DAY)) as lake,
    ):
        report = lake.maintain(source_of(venue), ["XRP/ETH"], since=since, until=until)
        assert report.ok, report
        assert (report.heal.total("from_trades"), report.heal.total("no_trade")) == (40, absent)
        reading = lake.read("binance", "XRP/ETH")
        assert np.array_equal(reading.rows, truth)
        marks = dict(zip(reading.rows[:, 0].tolist(), reading.provenance.tolist(), strict=True))
        assert {ts for ts, mark in marks.items() if mark == Provenance.FROM_TRADES} == set(
            lost[:, 0].tolist()
        )
        repairs = [entry for entry in lake.log() if entry["kind"] == "repair"]
        assert sum(entry["added"] for entry in repairs) == 40
        venue.log.clear()
        assert lake.maintain(source_of(venue), ["XRP/ETH"], since=since, until=until).ok
        assert venue.log.count("request") == 0
