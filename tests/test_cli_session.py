"""`twinstar session`: a session's whole life from the command line, and what is said when it cannot be."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands

from twinstar_kit.feeds import SimulatedMarket, save_bars
from twinstar_kit.session import attach, list_sessions


@pytest.fixture
def twinstar(capsys: pytest.CaptureFixture[str], home: Path) -> Iterator[Commands]:
    """Commands under a fresh home; what still runs there at the end is ended."""
    yield Commands(capsys)
    for row in list_sessions(home):
        with attach(row["name"], home=home) as session:
            session.kill()


def test_a_session_starts_trades_shows_itself_and_ends(twinstar: Commands):
    assert "no session is running" in twinstar("session", "list").out

    started = twinstar("session", "start", "desk", "--feed", "simulated:3", "--speed", "60")
    assert started.code == 0, started.err
    assert "session desk runs as process" in started.out
    (row,) = twinstar("session", "list", "--json").json["sessions"]
    assert (row["name"], row["feed"], row["accounts"]) == ("desk", "simulated:3", "manual")

    again = twinstar("session", "start", "desk").refusal
    assert "desk is in use" in again
    assert "twinstar session stop" in again

    ran = twinstar(
        "session", "run", "breakout", "--session", "desk", "--symbol", "ETH/USDT", "--set", "lookback=20"
    )
    assert ran.code == 0, ran.err
    status = twinstar("session", "status", "desk", "--json").json
    assert [account["name"] for account in status["accounts"]] == ["manual", "breakout"]
    assert status["accounts"][1]["strategy"] == "breakout"
    lines = twinstar("session", "status", "desk").out.splitlines()
    assert any(line.startswith("breakout") and "10000 USDT" in line for line in lines)

    assert "manual" in twinstar("session", "flatten", "desk").out
    assert "has ended" in twinstar("session", "stop", "desk").out
    assert twinstar("session", "list", "--json").json == {"sessions": []}


def test_the_wallet_that_contracts_are_traded_from_is_shown(twinstar: Commands):
    assert twinstar("session", "start", "--feed", "simulated:3", "--speed", "60").code == 0
    ran = twinstar("session", "run", "sma_cross", "--symbol", "BTC/USDT:USDT", "--set", "leverage=3")
    assert ran.code == 0, ran.err
    manual, strategy = twinstar("session", "status", "--json").json["accounts"]
    assert manual["balances"]["USDT"] == {"free": "10000.00000000", "held": "0.00000000"}
    assert (manual["swap_balances"], strategy["balances"]) == ({}, {})
    assert set(strategy["swap_balances"]) == {"USDT"}
    assert "USDT (swap)" in twinstar("session", "status").out


def test_symbol_says_what_a_feed_is_of(twinstar: Commands, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    market = SimulatedMarket(7)
    first = 1_735_689_600_000
    save_bars(market.bars("BTC/USDT", first, first + 7_200_000), tmp_path / "minutes.parquet")
    monkeypatch.chdir(tmp_path)  # the session runs elsewhere, and finds the file
    started = twinstar("session", "start", "--feed", "replay:minutes.parquet", "--symbol", "LTC/USDT")
    assert started.code == 0, started.err
    with attach() as session:
        assert [m.symbol for m in session.feed.instruments] == ["LTC/USDT"]
    assert (
        "leave it out"
        in twinstar("session", "start", "x", "--feed", "simulated", "--symbol", "LTC/USDT").refusal
    )
    twice = ["--symbol", "LTC/USDT", "--symbol", "BTC/USDT"]
    assert "given 2 times" in twinstar("session", "start", "x", "--feed", "depth:nope", *twice).refusal


def test_a_killed_session_is_gone_and_starts_again(twinstar: Commands):
    twinstar("session", "start")
    assert "was killed" in twinstar("session", "kill").out
    assert twinstar("session", "list", "--json").json == {"sessions": []}
    assert twinstar("session", "start").code == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["status"], ["no session 'default' is running", "start one"]),
        (["stop", "desk"], ["no session 'desk' is running"]),
        (["start", "../desk"], ["../desk", "letters"]),
        (["start", "--feed", "replay:none.parquet"], ["none.parquet"]),
        (["start", "--feed", "smulated"], ["did you mean simulated?"]),
        (["start", "--speed", "fast"], ["speed", "fast"]),
        (["run", "breakot"], ["breakout"]),
    ],
)
def test_what_cannot_be_is_said_in_one_line(twinstar: Commands, arguments: list[str], words: list[str]):
    line = twinstar("session", *arguments).refusal
    assert all(word in line for word in words), line


# --- the terminal ---


def test_the_terminal_serves_its_page_and_leaves_the_session_running(twinstar: Commands, home: Path):
    command = [sys.executable, "-m", "twinstar_kit", "terminal", "--port", "0", "--no-browser"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
            assert url, process.communicate(timeout=30)
            with urllib.request.urlopen(url[0], timeout=60) as page:
                assert page.status == 200
                assert "TwinStar" in page.read().decode()
        finally:
            process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert "goes on" in out
    assert [row["name"] for row in list_sessions(home)] == ["default"]


def test_a_terminal_that_cannot_serve_says_why(twinstar: Commands):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = twinstar("terminal", "--port", port, "--no-browser").refusal
    assert f"port {port} is in use" in line
    assert "--port" in line
    assert twinstar("session", "list", "--json").json == {"sessions": []}, "nothing was started for it"
    assert twinstar("session", "start").code == 0
    other = twinstar("terminal", "--port", 0, "--feed", "simulated:9", "--no-browser").refusal
    assert "default runs on simulated:0, not simulated:9" in other
