"""The live tail against a venue that drops, stalls, loses, repeats and reorders: afterwards the lake is the truth."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from lake.live import MARKET, MINUTE, START, Stage, numbered

from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.kernel.errors import InstrumentError
from twinstar_kit.lake import Kind, Lake, LakeError, Provenance, Series
from twinstar_kit.lake.collect import collect
from twinstar_kit.testing.local_venue import LocalVenue, faults, local_binance
from twinstar_kit.testing.local_venue.stream_faults import Dropped, Lost, Reordered, Repeated, Stalled

PAIR = ("BTC/USDT", "ETH/USDT")


@pytest.fixture
def lake(tmp_path):
    with Lake(tmp_path / "lake") as opened:
        yield opened


def check(stage: Stage, minutes: int, trades_until: int | None = None) -> None:
    """Bars to the unit, of each symbol handed on once and in order, and (where they were waited for) every trade."""
    opens = [START + number * MINUTE for number in range(minutes)]
    for symbol in stage.symbols:
        stored = stage.stored(symbol)
        stored = stored[stored[:, 0] < START + minutes * MINUTE]
        assert stored.tolist() == stage.truth(symbol, START, START + minutes * MINUTE).tolist()
        assert stage.witness.opens(symbol)[:minutes] == opens
        if trades_until is not None:
            expected = stage.true_ids(symbol, START + 10_001, trades_until)
            assert stage.ticks(symbol)[: len(expected), 4].tolist() == expected
            assert stage.witness.ids[symbol][: len(expected)] == expected


def played(lake: Lake, *planted, minutes: int = 3, trades: bool = True, symbols=PAIR):
    stage = Stage(lake, symbols, trades=trades)
    stage.venue.plant(*planted)

    async def story(stage: Stage, tail) -> None:
        await stage.advance(minutes * MINUTE)
        await stage.bars_until(START + (minutes - 1) * MINUTE)
        if trades:
            await stage.trades_until(START + minutes * MINUTE)

    with stage.venue:
        tail = stage.play(story)
    return stage, tail.health


def test_a_calm_hour_is_observed_as_it_happens(lake):
    stage, health = played(lake)
    check(stage, 3, START + 3 * MINUTE)
    assert (health.bars, health.reconnects, health.stalls, health.lost_trades) == (6, 0, 0, 0)
    marks = [lake.read("binance", symbol).provenance.tolist()[:3] for symbol in PAIR]
    live = {(symbol, opened): live for symbol, opened, live in stage.witness.seen}
    for symbol, found in zip(PAIR, marks, strict=True):
        expected = [
            Provenance.OBSERVED if live[symbol, START + n * MINUTE] else Provenance.BACKFILLED
            for n in range(3)
        ]
        assert found == expected
    assert any(live.values())


def test_a_bar_whose_last_message_was_lost_is_asked_for_before_the_next_is_handed_on(lake):
    lost = Lost(stream="btcusdt@kline", times=None)
    stage, health = played(lake, lost, trades=False)
    check(stage, 3)
    assert lost.struck > 3
    assert health.healed_bars >= 3
    assert set(lake.read("binance", "BTC/USDT").provenance.tolist()) == {Provenance.BACKFILLED}


def test_lost_repeated_and_late_trades_are_healed_by_their_ids(lake):
    planted = [
        Lost(stream="@aggTrade", times=None, chance=0.05, seed=1),
        Repeated(stream="@aggTrade", times=None, chance=0.1, seed=2),
        Reordered(stream="@aggTrade", times=None, chance=0.1, seed=3, after=4),
    ]
    stage, health = played(lake, *planted)
    check(stage, 3, START + 3 * MINUTE)
    assert all(fault.struck > 2 for fault in planted)
    assert health.duplicates >= planted[1].struck
    assert health.healed_trades > 0
    assert health.lost_trades == 0


def test_repeated_and_late_bars_are_handed_on_once_and_in_order(lake):
    planted = [
        Repeated(stream="@kline", times=None, chance=0.5, seed=4),
        Reordered(stream="@kline", times=None, chance=0.5, seed=5),
    ]
    stage, _ = played(lake, *planted, trades=False, minutes=5)
    check(stage, 5)
    assert all(fault.struck > 3 for fault in planted)


def test_a_dropped_connection_is_made_anew_and_the_hole_is_filled_first(lake):
    dropped = Dropped(stream="@kline", times=3, after=8)
    stage, health = played(lake, dropped, Dropped(stream="@aggTrade", times=2, after=50), minutes=5)
    check(stage, 5, START + 5 * MINUTE)
    assert dropped.struck == 3
    assert health.reconnects >= 3


def test_a_connection_that_stays_open_and_says_nothing_is_noticed_and_replaced(lake):
    stage = Stage(lake, PAIR)
    stalled = [Stalled(stream="@kline", after=30), Stalled(stream="@aggTrade", after=300)]
    stage.venue.plant(*stalled)

    async def story(stage, tail):
        await stage.advance(3 * MINUTE)
        await stage.until(lambda: tail.health.stalls >= 2 and tail.health.reconnects >= 2)
        minutes = (stage.venue.milliseconds() - START) // MINUTE
        await stage.bars_until(START + (minutes - 1) * MINUTE)
        await stage.trades_until(START + minutes * MINUTE)
        stage.minutes = minutes

    with stage.venue:
        tail = stage.play(story)
    assert [fault.struck for fault in stalled] == [1, 1]
    assert tail.health.stalls >= 2
    assert "connecting anew" in tail.health.trouble or tail.health.reconnects >= 2
    check(stage, stage.minutes, START + stage.minutes * MINUTE)


def test_a_quiet_venue_is_not_taken_for_a_stalled_one(lake):
    symbols = ("BTC/USDT",)
    stage = Stage(lake, symbols)
    quiet = numbered("BTC/USDT")
    quiet = quiet[quiet["ts"] < START + 10_000]  # the tail begins then
    stage.venue = LocalVenue(MARKET, trades={"BTC/USDT": quiet}, clock=stage.venue.clock)
    stage.venue.plant(Lost(stream="@kline", times=None))

    async def story(stage, tail):
        await stage.advance(2 * MINUTE)
        await asyncio.to_thread(stage.venue.log.wait, "request", 1, endpoint="aggTrades")
        await stage.bars_until(START + MINUTE)

    with stage.venue:
        tail = stage.play(story)
    assert tail.health.stalls == 0


def test_everything_at_once(lake):
    planted = [
        Lost(times=None, chance=0.03, seed=11),
        Repeated(times=None, chance=0.05, seed=12),
        Reordered(times=None, chance=0.05, seed=13),
        Dropped(times=4, chance=0.005, seed=14),
        faults.ServerError(endpoint="klines", times=2),
        faults.Html(endpoint="aggTrades", times=1),
    ]
    stage, _ = played(lake, *planted, minutes=6)
    check(stage, 6, START + 6 * MINUTE)
    assert all(fault.struck for fault in planted[:3])


def test_a_venue_that_does_not_say_when_a_bar_is_finished_is_asked(lake, monkeypatch):
    monkeypatch.setattr("twinstar_kit.feeds.ccxt_streams.FINISHED", {})
    stage, health = played(lake, trades=False)
    check(stage, 3)
    assert any(live for _, _, live in stage.witness.seen), (
        "what the stream had and REST confirms was seen live"
    )
    assert health.unreadable == 0


def test_a_tail_that_was_killed_goes_on_where_the_lake_ends(lake):
    first, _ = played(lake)
    check(first, 3)
    second = Stage(lake, PAIR)
    second.venue = LocalVenue(MARKET, trades=second.trades, clock=first.venue.clock)
    first.venue.clock.advance(7 * MINUTE)

    async def story(stage, tail):
        await stage.advance(2 * MINUTE)
        await stage.bars_until(START + 11 * MINUTE)
        await stage.trades_until(START + 12 * MINUTE)

    with second.venue:
        second.play(story)
    for symbol in PAIR:
        assert second.stored(symbol).tolist() == second.truth(symbol, START, START + 12 * MINUTE).tolist()
        assert first.witness.opens(symbol) + second.witness.opens(symbol) == [
            START + n * MINUTE for n in range(12)
        ]
        ids = second.ticks(symbol)[:, 4]
        assert (np.diff(ids) == 1).all(), "no trade between the two runs is missing"


def test_a_lake_that_cannot_store_ends_the_tail_with_its_error(lake, monkeypatch):
    stage = Stage(lake, ("BTC/USDT",))

    def full(*said, **more):
        raise LakeError("cannot write: no space left on device")

    monkeypatch.setattr(Lake, "append_many", full)

    async def story(stage, tail):
        await stage.advance(MINUTE + 10_000)

    with stage.venue, pytest.raises(LakeError, match="no space left"):
        stage.play(story)
    assert stage.witness.seen == [], "what is not stored is not handed on"


def test_an_unknown_symbol_is_named_with_its_neighbour(lake):
    stage = Stage(lake, ("BTC/USDT",))
    with stage.venue:
        source = CcxtSource(local_binance(stage.venue))
        with pytest.raises(InstrumentError, match="did you mean"):
            collect(
                lake,
                "binance",
                ["BTCC/USDT"],
                source=source,
                stream=local_binance(stage.venue, asynchronous=True),
            )


def test_collect_runs_for_a_while_and_leaves_files(lake):
    symbols = PAIR
    stage = Stage(lake, symbols)
    told = []

    def moving(health):
        told.append(health.bars)
        stage.venue.advance(5_000)

    with stage.venue:
        source = CcxtSource(local_binance(stage.venue))
        stream = local_binance(stage.venue, asynchronous=True)
        # the clock is moved by the status line itself, so that nothing happens before the tail listens
        clock = stage.venue.clock
        report = _collect_with_a_driver(lake, stage, source, stream, clock, told)
    assert report.symbols == list(symbols)
    assert report.ran_ms >= 3 * MINUTE
    infos = {str(info.series): info for info in lake.series()}
    assert infos["binance BTC/USDT 1m"].rows == report.health.bars // 2
    assert infos["binance BTC/USDT 1m"].bytes > 0, "the tail was moved into files at the end"
    assert not any(
        chunk.file_id is None for chunk in lake.scan(Series("binance", "BTC/USDT", kind=Kind.TRADES))
    )
    assert told


def _collect_with_a_driver(lake, stage, source, stream, clock, told):
    import threading

    def drive():
        stage.venue.log.wait("subscribed", 4)
        for _ in range(40):
            stage.venue.advance(5_000)

    driver = threading.Thread(target=drive)
    driver.start()
    try:
        return collect(
            lake, "binance", stage.symbols, source=source, stream=stream, clock=clock, duration_ms=3 * MINUTE,
            told=lambda health: told.append(health.bars), pulse_s=0.01,
        )  # fmt: skip
    finally:
        driver.join()
