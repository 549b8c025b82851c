"""The session as a process of its own: started, attached to, killed without mercy, and found again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from session.builders import Restless, stored, walk

from twinstar_kit.journal import AccountClient, AccountLocked
from twinstar_kit.journal.errors import CommandError
from twinstar_kit.journal.folder import AccountFolder, SessionFolder
from twinstar_kit.kernel.errors import TwinStarError, UsageError
from twinstar_kit.kernel.orders import OrdType, Side
from twinstar_kit.session import (
    attach,
    backtest,
    flatten_session,
    kill_session,
    list_sessions,
    load_run,
    session_status,
    start_session,
    stop_session,
)
from twinstar_kit.strategy import load
from twinstar_kit.venues.blotter import OrderRequest

BARS = walk(2_000, seed=6)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return stored(BARS, tmp_path / "walk_BTCUSDT_spot_1m_x.parquet")


@pytest.fixture(autouse=True)
def _nothing_stays_behind(home: Path):
    yield
    for folder in (home / "sessions").glob("*"):
        owner = SessionFolder(home, folder.name).owner()
        if owner is not None:
            os.kill(owner["pid"], signal.SIGKILL)


def buy(amount: str = "1") -> dict:
    return OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, int(float(amount) * 1e8)).canonical()


def place_until_it_fails(client: AccountClient) -> None:
    for n in range(3):
        client.place(buy(), command_id=f"late{n}", timeout_s=5)


def wait_for_bars(client: AccountClient, bars: int) -> None:
    while client.replica.bars < bars:
        assert client.wait(60)


def test_a_session_from_start_to_stop(home: Path, file: Path):
    with start_session(feed=f"replay:{file}", speed=60, fee_taker=0.0005) as session:
        assert session.running
        assert session.account_names == ["manual"]
        assert session.info["fees"] == {"maker": 0.001, "taker": 0.0005}
        assert session.feed.spec == f"replay:{file}"
        assert BARS.timestamp[0] <= session.now_ms() <= BARS.timestamp[-1]
        answer = session.account().place(buy())
        assert answer["ok"]
        (row,) = list_sessions()
        assert (row["name"], row["pid"], row["accounts"]) == ("default", session.pid, "manual")
        status = session_status()
        assert status["accounts"][0]["positions"] == {"BTC/USDT": 1.0}
        assert status["accounts"][0]["fills"] == 1
        with attach() as other:
            assert other.pid == session.pid
        assert flatten_session() == "manual: 0 orders canceled, sold BTC/USDT"
        session.account().refresh()
        assert session.account().replica.positions() == {}
        with pytest.raises(UsageError, match=r"session default is in use by process \d+"):
            start_session(feed="simulated")
        assert "has ended" in stop_session()
        assert not session.running
    assert list_sessions() == []
    assert AccountFolder(home, "manual").owner() is None
    for call in (attach, stop_session, flatten_session, kill_session, session_status):
        with pytest.raises(UsageError, match="no session 'default' is running; start one"):
            call()


def test_a_killed_session_goes_on_with_everything_it_had_acknowledged(home: Path, file: Path):
    first = int(BARS.timestamp[0])
    spec = load("sma_cross")(fast=5, slow=20)
    # slow enough that the replay has not ended before the kill, however busy the machine is
    with start_session(feed=f"replay:{file}", speed=3_000) as session:
        placed = [session.account().place(buy(), command_id=f"c{n}") for n in range(3)]
        strategy = session.run(spec, since=first)
        wait_for_bars(strategy, 50)
        told = strategy.replica.bars
        os.kill(session.pid, signal.SIGKILL)
        with pytest.raises(CommandError):
            place_until_it_fails(session.account())
    with start_session(feed=f"replay:{file}", speed=60_000) as session:
        assert session.account_names == ["manual", "sma_cross"]
        manual = session.account()
        assert [manual.place(buy(), command_id=f"c{n}") for n in range(3)] == placed  # the first answers
        # what was acknowledged happened once; what was sent to a dying session may have happened, once too
        filled = manual.replica.fills()["order_id"].tolist()
        assert {answer["order_id"] for answer in placed} <= set(filled)
        assert len(filled) == len(set(filled)) <= 3 + 3
        strategy = session.account("sma_cross")
        assert strategy.replica.bars >= told
        wait_for_bars(strategy, len(BARS))
        session.stop()
    run = load_run(AccountFolder(home, "sma_cross").latest())
    assert run.finished
    assert run.journal_digest == backtest(spec, file).journal_digest


def test_a_session_that_hangs_can_be_killed(home: Path):
    with start_session("hung", feed="simulated:1") as session:
        os.kill(session.pid, signal.SIGSTOP)
        with pytest.raises(TwinStarError, match="does not end; use `twinstar session kill`"):
            session.stop(timeout_s=0.1)
        assert "was killed" in kill_session("hung")
        assert SessionFolder(home, "hung").owner() is None
        session.kill()  # killing what is dead is no error


def test_two_sessions_want_one_account(home: Path):
    with start_session("one", feed="simulated:1"):
        with pytest.raises(UsageError, match=r"account manual is in use by process \d+ \(session one"):
            start_session("two", feed="simulated:1")
        with pytest.raises(UsageError, match="no session 'two' is running; running: one"):
            attach("two")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"feed": "nowhere"}, "unknown feed 'nowhere'"),
        ({"feed": "replay:none.parquet"}, "none.parquet"),
        ({"speed": "max"}, "in real time or at a factor"),
        ({"fee_maker": 7}, "fee_maker"),
        ({"fee": 7}, "no broker setting 'fee'"),
        ({"speed": "warp"}, "speed = 'warp'"),
        ({"name": "a/b"}, "session 'a/b'"),
    ],
)
def test_a_session_that_cannot_start_says_why_in_one_line(home: Path, options: dict, told: str):
    with pytest.raises(UsageError, match=told) as caught:
        start_session(**options)
    assert "\n" not in str(caught.value)
    assert list_sessions() == []


def test_a_process_that_dies_at_once_is_told_with_its_last_words(home: Path, monkeypatch: pytest.MonkeyPatch):
    # a module that shadows the session's and cannot be imported
    broken = home / "shadow" / "twinstar_kit"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text("raise RuntimeError('half installed')")
    monkeypatch.setenv("PYTHONPATH", str(home / "shadow") + os.pathsep + os.environ.get("PYTHONPATH", ""))
    with pytest.raises(
        UsageError, match=r"session default did not start: RuntimeError: half installed .see .*session\.log"
    ):
        start_session(feed="simulated")


def test_a_strategy_from_a_notebook_cannot_run_in_another_process(home: Path, file: Path):
    with start_session(feed=f"replay:{file}", speed=60) as session:
        with pytest.raises(
            UsageError, match=r"Restless is defined in no file.*save it as a \.py file, or use paper"
        ):
            session.run(Restless())
        with pytest.raises(UsageError, match="unknown symbol 'NO/PE'"):
            session.run("breakout", symbol="NO/PE")
        running = session.run("breakout", account="mine", fee_taker=0.002)
        assert running.replica.scales["USDT"] == 8
        session.end("mine")
        assert session.account_names == ["manual"]
        with pytest.raises(UsageError, match="no strategy trades on account mine"):
            session.end("mine")


def test_commands_for_a_session_that_is_gone(home: Path, file: Path):
    with start_session(feed=f"replay:{file}", speed=60) as session:
        session.kill()
        with pytest.raises(CommandError, match="does not answer"):
            session.run("breakout")


def test_a_paper_run_and_a_session_do_not_share_an_account(home: Path, file: Path):
    from twinstar_kit.session import paper

    with start_session(feed=f"replay:{file}", speed=60) as session:
        session.run("breakout")
        with pytest.raises(AccountLocked, match="account breakout is in use by process"):
            paper("breakout", f"replay:{file}", speed="max")


def test_relative_paths_of_a_replay_are_found_by_the_session(
    home: Path, file: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(file.parent)
    for feed in (f"replay:{file.name}", f"replay:BTC/USDT={file.name}"):
        with start_session(feed=feed, speed=60) as session:
            assert len(session.feed.instruments) == 1
            session.stop()


def test_the_doorbell_listens_on_loopback_only(home: Path):
    with start_session(feed="simulated:1") as session, socket.socket() as probe:
        probe.settimeout(5)
        probe.connect(("127.0.0.1", session.info["port"]))
        command = [
            sys.executable,
            "-c",
            "import psutil, sys; print([c.laddr.ip for c in psutil.Process(int(sys.argv[1])).net_connections('inet') if c.status == 'LISTEN'])",
            str(session.pid),
        ]
        listening = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        assert listening == "['127.0.0.1']"


def test_warm_compiles_and_says_so(capsys: pytest.CaptureFixture[str]):
    from twinstar_kit.session.warm import warm

    said: list[str] = []
    assert warm(said.append) > 0
    assert said[0] == "compiling breakout"
