"""`twinstar session`: a session's whole life from the command line, and what is said when it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import Commands

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
