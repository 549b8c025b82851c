"""The live loop: what it stores, in which order, and how it goes on after a stop at any bar."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import numpy as np
import pytest
from session.builders import Fails, Restless, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.journal import Batch, Journal, JournalDamaged
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.session import backtest
from twinstar_kit.session.live import (
    GROUP,
    LeapingPace,
    LiveRun,
    Source,
    WaitingPace,
    advance,
    apply_command,
    run_live,
)
from twinstar_kit.session.proof import Collector
from twinstar_kit.session.setup import Setup, prepare
from twinstar_kit.strategy import Strategy, load
from twinstar_kit.strategy.errors import StrategyFailed

BARS = walk()


def setup_of(strategy: Strategy | None = None, mode: str = "auto", **broker) -> Setup:
    return prepare(
        strategy or load("breakout")(lookback=20), BARS.instrument, BARS.timeframe_ms, Broker(**broker), mode
    )


def source(since: int | None = None) -> Source:
    feed = Replay([BARS])
    first, last = feed.span()
    return Source(feed, BARS.instrument.symbol, 60_000, first if since is None else since, last)


def live(setup: Setup, pace=None) -> Collector:
    sink = Collector()
    run = LiveRun(setup, sink)
    run.begin()
    assert run_live(run, source(), pace or LeapingPace(int(BARS.timestamp[0]), 60_000), Event())
    return sink


class Ticking:
    """A pace on which `bars` bars complete between two looks."""

    def __init__(self, bars: int) -> None:
        self.now, self.leap = int(BARS.timestamp[0]), bars * 60_000

    def milliseconds(self) -> int:
        return self.now

    def wait_until(self, ts_ms: int) -> None:
        self.now = max(ts_ms, self.now + self.leap)


@pytest.mark.parametrize("strategy", [load("breakout")(lookback=20), load("sma_cross")(), Restless()])
@pytest.mark.parametrize("fill", ["next_open", "close"])
def test_live_makes_the_events_of_history(strategy: Strategy, fill: str):
    expected = backtest(strategy, BARS, fill=fill, close_at_end=True)
    half = live(setup_of(strategy, fill=fill, close_at_end=True)).side("live")
    assert np.array_equal(half.events, expected.events)
    assert np.array_equal(half.equity, expected.equity_units)
    assert np.array_equal(half.rows, BARS.rows)
    assert len(expected.fill_records) > 10


def test_journal_order_is_step_order():
    batches = live(setup_of(Restless()), Ticking(1)).batches
    seqs = np.concatenate([b.events["seq"] for b in batches])
    assert np.array_equal(seqs, np.arange(1, len(seqs) + 1))
    # one bar a batch: its events carry no time after its close, and none before the close of the bar before
    for batch in batches[1:]:
        closes = batch.inputs[0].rows[:, 0] + 60_000
        assert len(closes) == 1
        assert (batch.events["ts_event"] <= closes[0]).all()
        assert (batch.events["ts_event"] >= closes[0] - 60_000).all()
    assert batches[0].events["kind"].tolist() == [EventKind.DEPOSITED, EventKind.POSTED]
    assert [b.final for b in batches] == [False] * (len(batches) - 1) + [True]


@pytest.mark.parametrize("strategy", [load("breakout")(lookback=20), load("sma_cross")(), Restless()])
def test_compiled_equals_interpreted(strategy: Strategy):
    compiled, interpreted = (
        live(setup_of(strategy, mode)).side(mode) for mode in ("compiled", "interpreted")
    )
    assert np.array_equal(compiled.events, interpreted.events)
    assert np.array_equal(compiled.equity, interpreted.equity)
    # the back-test of the one is the live run of the other
    assert np.array_equal(backtest(strategy, BARS, mode="interpreted").events, compiled.events)


@pytest.mark.parametrize("bars", [1, 7, 500, GROUP + 3])
def test_how_many_bars_come_at_once_changes_nothing(bars: int):
    assert np.array_equal(
        live(setup_of(), Ticking(bars)).side("").events, backtest(load("breakout")(lookback=20), BARS).events
    )


def test_a_transaction_holds_at_most_a_group():
    sizes = [sum(len(run) for run in b.inputs) for b in live(setup_of(), Ticking(10_000)).batches]
    assert sizes == [0, GROUP, len(BARS) - GROUP]


def test_the_bar_that_arrives_is_the_only_new_row_in_memory():
    run = LiveRun(setup_of(), Collector())
    for k in range(5):
        run.step(BARS.rows[k])
        assert not run._rows[k + 1 :].any()


@pytest.mark.parametrize("at", [1, 2, 500, 1_711, 2_999])
@pytest.mark.parametrize("snapshot", [True, False])
def test_a_run_goes_on_at_any_bar_as_if_it_had_never_stopped(tmp_path: Path, at: int, snapshot: bool):
    whole = backtest(load("breakout")(lookback=20), BARS)
    with Journal.create(tmp_path / "j.db", setup_of().header) as journal:
        run = LiveRun(setup_of(), journal)
        run.begin()
        for k in range(at):
            run.step(BARS.rows[k])
            if k % 300 == 0:
                run.commit()
        run.commit_waiting()
        if not snapshot:
            journal._db.execute("DELETE FROM snapshot")
    with Journal.open(tmp_path / "j.db") as journal:
        mode = "interpreted" if at % 2 else "compiled"
        again = LiveRun(setup_of(mode=mode), journal)
        again.resume(journal)
        assert (again.bars, again.last_open) == (at, int(BARS.timestamp[at - 1]))
        assert run_live(again, source(again.last_open + 60_000), Ticking(100), Event())
        assert journal.digest()["journal_digest"] == whole.journal_digest
        assert np.array_equal(journal.equity(), whole.equity_units)


def test_doing_again_notices_a_program_that_changed(tmp_path: Path):
    with Journal.create(tmp_path / "j.db", setup_of().header) as journal:
        run = LiveRun(setup_of(), journal)
        run.begin()
        for row in BARS.rows[:500]:
            run.step(row)
        run.commit()
        journal._db.execute("DELETE FROM snapshot")
        with pytest.raises(JournalDamaged, match="batch 2 does not follow from what went in"):
            LiveRun(setup_of(load("breakout")(lookback=30)), journal).resume(journal)


def test_commands_between_bars_are_stored_and_done_again(tmp_path: Path):
    with Journal.create(tmp_path / "j.db", setup_of(Restless()).header) as journal:
        run = LiveRun(setup_of(Restless()), journal)
        run.begin()
        for row in BARS.rows[:9]:
            run.step(row)
        assert run.setup.context["position"][0] > 0
        answer = run.command({"type": "flatten"}, "c1")
        assert answer["ok"]
        assert journal.answer("c1") == answer
        for row in BARS.rows[9:30]:
            run.step(row)
        run.commit()
        kept = journal.events()
        journal._db.execute("DELETE FROM snapshot")
        again = LiveRun(setup_of(Restless()), journal)
        again.resume(journal)
        assert again.bars == 30
        assert again.setup.engine.snapshot() == run.setup.engine.snapshot()
        assert len(kept) == journal.seal.seq


def test_what_a_strategys_account_can_be_told():
    setup = setup_of(Restless())
    run = LiveRun(setup, Collector())
    for row in BARS.rows[:8]:
        run.step(row)
    stop = int(setup.engine.open_orders()[0]["order_id"])
    assert apply_command(setup, {"type": "cancel", "order_id": stop})["ok"]
    assert not apply_command(setup, {"type": "cancel", "order_id": stop})["ok"]
    told = apply_command(setup, {"type": "place"})
    assert not told["ok"]
    assert "its strategy places the orders" in told["text"]


def test_a_bar_without_room_for_its_events_drains_first():
    # a small buffer is drained in the middle of the run, over and over
    setup = setup_of(Restless())
    setup.engine = Engine([BARS.instrument], setup.broker, {"USDT": 10_000}, buffer=3_840)
    expected = backtest(Restless(), BARS)
    assert np.array_equal(live(setup, Ticking(5_000)).side("").events, expected.events)


def test_a_strategy_that_fails_names_its_bar_and_line_and_stores_what_came_before():
    sink = Collector()
    run = LiveRun(setup_of(Fails()), sink)
    run.begin()
    with pytest.raises(StrategyFailed, match="bar 9"):
        run_live(run, source(), Ticking(4), Event())
    assert sum(len(part) for b in sink.batches for part in b.inputs) == 8


def test_a_run_that_ended_without_a_last_bar_closes_at_the_last_price():
    setup = setup_of(Restless(), close_at_end=True)
    sink = Collector()
    run = LiveRun(setup, sink)
    for row in BARS.rows[:9]:
        run.step(row)
    run.commit()
    run.commit(final=True)  # such as when the user ends it between two bars
    half = sink.side("live")
    assert len(half.equity) == 9
    assert half.equity[-1] == setup.engine.equity()
    assert setup.engine.balance("BTC") == (0, 0)


def test_a_source_hands_out_each_complete_bar_once():
    it = source()
    first = int(BARS.timestamp[0])
    assert len(it.due(first + 59_999)) == 0
    assert len(it.due(first + 60_000)) == 1
    assert len(it.due(first + 60_000)) == 0
    assert it.due(first + 240_000)[:, 0].tolist() == [first + 60_000, first + 120_000, first + 180_000]
    assert it.next_close(first + 240_000) == first + 300_000
    assert not it.ended(first + 240_000)
    assert len(it.due(2**60)) == len(BARS) - 4
    assert it.ended(2**60)


def test_a_source_with_a_hole_waits_on_the_grid():
    holed = BARS.rows[np.r_[0:3, 10:20]]
    feed = Replay([type(BARS)(BARS.instrument, 60_000, np.ascontiguousarray(holed))])
    first, last = feed.span()
    it = Source(feed, "BTC/USDT", 60_000, first, last)
    assert len(it.due(first + 5 * 60_000)) == 3
    assert it.next_close(first + 5 * 60_000 + 1) == first + 6 * 60_000
    assert len(it.due(first + 11 * 60_000)) == 1


def test_waiting_ends_when_the_clock_is_there_or_the_run_is_stopped():
    clock, stop = ManualClock(1_000), Event()
    pace = WaitingPace(clock, 1e9, stop)
    pace.wait_until(500)
    pace.wait_until(2_000)
    assert pace.milliseconds() == 1_000
    stop.set()
    WaitingPace(clock, 1e-9, stop).wait_until(10**15)


def test_a_stopped_run_stores_what_it_did_and_is_not_finished():
    sink, stop = Collector(), Event()

    class StopSoon(Ticking):
        def wait_until(self, ts_ms: int) -> None:
            super().wait_until(ts_ms)
            stop.set()

    run = LiveRun(setup_of(), sink)
    assert not run_live(run, source(), StopSoon(10), stop)
    assert not any(b.final for b in sink.batches)


def test_progress_is_told():
    told: list[tuple[float, float | None, str]] = []
    run = LiveRun(setup_of(), Collector())
    run_live(run, source(), Ticking(1_000), Event(), lambda *parts: told.append(parts))
    assert told[-1][0] == told[-1][1] == len(BARS) * 60_000


def test_nothing_leaves_before_it_is_stored():
    class Broken:
        def commit(self, batch: Batch) -> None:
            raise OSError("the disk is gone")

    run = LiveRun(setup_of(), Broken())
    with pytest.raises(OSError, match="gone"):
        advance(run, source(), int(BARS.timestamp[0]) + 600_000)
