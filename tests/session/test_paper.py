"""Paper trading from a command's point of view: digests, numbering, going on after a kill, refusals in one line."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from session.builders import Restless, stored, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.journal import AccountLocked, JournalReader
from twinstar_kit.journal.folder import AccountFolder
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.session import backtest, load_run, paper
from twinstar_kit.session.trading import Plan, first_window, pace_of, plan_run
from twinstar_kit.settings import SettingsError
from twinstar_kit.strategy import load

BARS = walk(20_000, seed=2)
SETTINGS = {"fee_taker": "0.0005", "close_at_end": True}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return stored(BARS, tmp_path / "walk_BTCUSDT_spot_1m_x.parquet")


def test_paper_and_backtest_print_the_same(home: Path, file: Path):
    expected = backtest("breakout", file, **SETTINGS).to_dict()
    result = paper("breakout", f"replay:{file}", speed="max", **SETTINGS)
    got = result.to_dict()
    own = {"seconds", "bars_per_second", "journal", "finished"}
    assert {k: v for k, v in got.items() if k not in own} == {
        k: v for k, v in expected.items() if k not in own
    }
    assert got["journal"] == str(home / "accounts" / "breakout" / "journal-0001.db")
    assert got["finished"]
    assert np.array_equal(result.trade_records, backtest("breakout", file, **SETTINGS).trade_records)


def test_each_run_gets_a_number_and_nothing_is_overwritten(home: Path, file: Path):
    first = paper("breakout", f"replay:{file}", speed="max")
    kept = first.journal.read_bytes()
    second = paper("breakout", f"replay:{file}", speed="max")
    other = paper(load("breakout")(lookback=30), f"replay:{file}", speed="max")
    assert [r.journal.name for r in (first, second, other)] == [f"journal-000{n}.db" for n in (1, 2, 3)]
    assert first.journal.read_bytes() == kept
    assert first.journal_digest == second.journal_digest != other.journal_digest


def test_the_stored_journal_has_the_digest_in_a_fresh_process(home: Path, file: Path):
    result = paper("sma_cross", f"replay:{file}", speed="max", account="crossing")
    script = "import sys, json; from twinstar_kit.journal import JournalReader; print(json.dumps(JournalReader(sys.argv[1]).digest()))"
    told = json.loads(
        subprocess.run(
            [sys.executable, "-c", script, str(result.journal)], check=True, capture_output=True, text=True
        ).stdout
    )
    assert told["journal_digest"] == result.journal_digest
    assert told["data_digest"] == result.data_digest == digest_of_bars(file)
    assert told["finished"]


def digest_of_bars(file: Path) -> str:
    from twinstar_kit.feeds import load_bars

    return load_bars(file).data_digest


PAPER = """
import sys, json
from twinstar_kit.session import paper
def progress(done, total, note):
    print(done / 60_000, flush=True)
result = paper(sys.argv[1], sys.argv[2], speed="max", account="demo", progress=progress)
print(json.dumps({"digest": result.journal_digest, "end": result.end_balance}), flush=True)
"""


def test_a_killed_run_goes_on_and_ends_as_if_undisturbed(home: Path, file: Path):
    strategy, rng = "breakout", random.Random(5)
    expected = backtest(strategy, file)
    command = [sys.executable, "-c", PAPER, strategy, f"replay:{file}"]
    acknowledged, kills = 0, 0
    for _ in range(40):
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            patience, told = rng.randrange(2, 5), ""
            for line in process.stdout:
                told = line
                if line.startswith("{"):
                    break
                assert float(line) >= acknowledged  # nothing that was told is gone
                acknowledged = int(float(line))
                patience -= 1
                if patience <= 0 and acknowledged < len(BARS):
                    os.kill(process.pid, signal.SIGKILL)
                    kills += 1
                    break
        journal = AccountFolder(home, "demo").latest()
        with JournalReader(journal) as reader:
            reader.verify()
            assert sum(len(run) for run in reader.inputs()) >= min(acknowledged, len(BARS))
        if told.startswith("{"):
            break
    assert kills >= 2
    assert json.loads(told)["digest"] == expected.journal_digest
    assert journal.name == "journal-0001.db"
    assert load_run(journal).journal_digest == expected.journal_digest


def unfinished(home: Path, file: Path, **settings) -> None:
    """A run that stopped after 1,000 bars."""

    class Enough(Exception):
        pass

    def stop(done: float, total: float | None, note: str) -> None:
        if done > 0:
            raise Enough

    with pytest.raises(Enough):
        paper("breakout", f"replay:{file}", speed="max", progress=stop, **settings)


def test_the_same_run_goes_on_and_another_is_refused(home: Path, file: Path, tmp_path: Path):
    unfinished(home, file)
    (tmp_path / "other").mkdir()
    other = stored(walk(2_000, seed=9), tmp_path / "other" / file.name)
    refused = "account breakout holds an unfinished run with another .*{}.*journal-0001.db.*--account NAME"
    for what, call in {
        "strategy or parameters": lambda: paper(load("breakout")(lookback=30), f"replay:{file}", speed="max"),
        "broker": lambda: paper("breakout", f"replay:{file}", speed="max", fee_taker=0.002),
        "market data": lambda: paper("breakout", f"replay:{other}", speed="max"),
        "until": lambda: paper("breakout", f"replay:{file}", speed="max", until=int(BARS.timestamp[5_000])),
        "duration": lambda: paper("breakout", f"replay:{file}", speed="max", duration_ms=86_400_000),
    }.items():
        with pytest.raises(UsageError, match=refused.format(what)):
            call()
    result = paper("breakout", f"replay:{file}", speed="max")
    assert result.journal.name == "journal-0001.db"
    assert result.journal_digest == backtest("breakout", file).journal_digest


def test_the_same_data_under_another_path_is_the_same_run(home: Path, file: Path, tmp_path: Path):
    unfinished(home, file)
    (tmp_path / "moved").mkdir()
    moved = file.rename(tmp_path / "moved" / file.name)
    assert paper("breakout", f"replay:{moved}", speed="max").journal.name == "journal-0001.db"


def test_a_second_owner_of_an_account_is_refused(home: Path, file: Path):
    with (
        AccountFolder(home, "breakout").lock("another run"),
        pytest.raises(AccountLocked, match="account breakout is in use by process"),
    ):
        paper("breakout", f"replay:{file}", speed="max")
    assert AccountFolder(home, "breakout").journals() == []


def test_duration_and_window(home: Path, file: Path):
    first = int(BARS.timestamp[0])
    eight_hours = paper("breakout", f"replay:{file}", speed="max", duration_ms=8 * 3_600_000)
    assert len(eight_hours.bars) == 480
    since, until = first + 600 * 60_000, first + 900 * 60_000
    part = paper("breakout", f"replay:{file}", speed="max", since=since, until=until, account="part")
    assert (part.bars.timestamp[0], len(part.bars)) == (since, 300)
    assert part.journal_digest == backtest("breakout", file, since=since, until=until).journal_digest


def test_longer_bars(home: Path, file: Path):
    result = paper("sma_cross", f"replay:{file}", speed="max", timeframe="15m")
    assert result.bars.timeframe == "15m"
    assert result.journal_digest == backtest("sma_cross", file, timeframe="15m").journal_digest


def test_the_simulated_market_at_full_speed_needs_an_end(home: Path):
    with pytest.raises(UsageError, match="a simulated market has no end: give --for 8h"):
        paper("breakout", "simulated", speed="max")
    result = paper("breakout", "simulated:3", speed="max", since="2025-03-01", duration_ms=3_600_000)
    assert len(result.bars) == 60
    assert result.instrument.symbol == "BTC/USDT"
    assert result.simulated
    assert "SIMULATED" in result.to_dict()["notes"][0]


def test_a_feed_object_and_a_strategy_without_a_file(home: Path):
    result = paper(Restless(), Replay([BARS[:500]]), speed="max")
    assert result.strategy == "Restless"
    assert len(result.bars) == 500
    assert result.journal.parent.name == "Restless"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"speed": "fast"}, "speed = 'fast' must be real, max, or a factor"),
        ({"fee_takr": 1}, "no broker setting 'fee_takr'; did you mean 'fee_taker'"),
        ({"lookback": 1}, "no broker setting 'lookback'; the broker has"),
        ({"symbol": "NOPE/USDT", "feed": "simulated"}, "unknown symbol 'NOPE/USDT'"),
        ({"tick": "0.01", "feed": "simulated"}, "the simulated feed has its own; leave it out"),
        ({"until": 1_735_689_700_000, "duration_ms": 60_000}, "both an end"),
        ({"since": "2025-01-05", "until": "2025-01-02"}, "until"),
        ({"timeframe": "90s"}, "90s"),
        ({"timeframe": "90s", "feed": "simulated", "duration_ms": 1}, "not made of whole bars of 1m"),
        ({"feed": "nowhere"}, "unknown feed 'nowhere'"),
        ({"mode": "fast"}, "mode = 'fast' must be one of"),
        ({"since": "2025-01-05", "until": "2025-01-02", "feed": "simulated"}, "the window is empty"),
    ],
)
def test_bad_requests_are_told_in_one_line_and_leave_nothing(
    home: Path, file: Path, settings: dict, told: str
):
    from twinstar_kit.kernel.errors import TwinStarError

    feed = settings.pop("feed", f"replay:{file}")
    with pytest.raises(TwinStarError, match=told) as caught:
        paper("breakout", feed, **{"speed": "max", **settings})
    assert "\n" not in str(caught.value)
    assert AccountFolder(home, "breakout").journals() == []


def test_bad_names(home: Path, file: Path):
    with pytest.raises(SettingsError, match="account"):
        paper("breakout", f"replay:{file}", account="../elsewhere", speed="max")
    with pytest.raises(UsageError, match="is no strategy: give a Strategy object"):
        paper(42, f"replay:{file}", speed="max")


def test_a_simulated_market_runs_from_now_in_the_walls_time():
    opened, plan, _ = plan_run("simulated", None, {})
    wall = ManualClock(1_750_000_030_000)
    assert first_window(plan, opened, wall) == (1_750_000_080_000, None)
    source = {"since_ms": 1_750_000_080_000, "timeframe_ms": 60_000}
    assert pace_of(opened, source, 1.0, wall, None).milliseconds() == 1_750_000_030_000
    assert pace_of(opened, source, 60.0, wall, None).milliseconds() == 1_750_000_080_000


def test_a_window_outside_of_the_data_is_empty(file: Path):
    feed = Replay([BARS])
    plan = Plan(
        "replay", "x", "BTC/USDT", "1m", int(BARS.timestamp[0]), int(BARS.timestamp[0]) - 60_000, None
    )
    with pytest.raises(UsageError, match="the window is empty"):
        first_window(plan, feed, ManualClock(0))


def test_ctrl_c_ends_between_two_bars_and_the_run_goes_on(home: Path, file: Path):
    def interrupt(done: float, total: float | None, note: str) -> None:
        if 0 < done < 5_000 * 60_000:
            os.kill(os.getpid(), signal.SIGINT)

    stopped = paper("breakout", f"replay:{file}", speed="max", progress=interrupt)
    assert not stopped.finished
    assert 0 < len(stopped.bars) < len(BARS)
    assert (
        paper("breakout", f"replay:{file}", speed="max").journal_digest
        == backtest("breakout", file).journal_digest
    )


def test_paper_in_a_thread_leaves_signals_alone(home: Path, file: Path):
    import threading

    results = []
    thread = threading.Thread(target=lambda: results.append(paper("breakout", f"replay:{file}", speed="max")))
    thread.start()
    thread.join()
    assert results[0].finished
