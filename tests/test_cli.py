"""The command line as a user meets it: help with examples, one clear line on bad input, documented to the letter."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from twinstar_kit.cli.app import app
from twinstar_kit.cli.assignments import assign, parse_duration, split_pairs
from twinstar_kit.cli.reference import pages
from twinstar_kit.kernel.errors import UsageError


def twinstar(*arguments: object, **settings: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "twinstar_kit", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, **settings)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", {})
    if not children:
        yield path, command
    for name, child in children.items():
        yield from commands(child, (*path, name))


COMMANDS = list(commands(get_command(app)))


# --- help and documentation ---


@pytest.mark.parametrize(
    ("path", "command"), COMMANDS, ids=lambda value: " ".join(value) if type(value) is tuple else ""
)
def test_every_command_explains_itself_with_examples(path: tuple[str, ...], command: Any):
    words = command.help
    assert len(words.splitlines()[0]) <= 45, "the first line fits the list of commands"
    assert "Examples:" in words
    assert f"twinstar {' '.join(path)}" in words, "an example shows the command itself"
    for option in command.params:
        assert option.help, f"{option.name} has no help"


def test_the_list_of_commands_names_them_all():
    done = twinstar("--help")
    assert done.returncode == 0
    for path, _ in COMMANDS:
        assert re.search(rf"^  {path[0]} ", done.stdout, re.MULTILINE)


@pytest.mark.parametrize("name", ["cli.md", "metrics.md", "settings.md"])
def test_the_written_reference_is_what_the_code_says(repository: Path, name: str):
    assert (repository / "docs" / name).read_text() == pages()[name], "run `make docs`"


def test_version():
    assert re.fullmatch(r"twinstar \d+\.\d+\.\d+\n", twinstar("--version").stdout)


# --- --set ---


def test_settings_are_sorted_by_what_they_belong_to():
    sorted_ = assign(
        ["lookback=20", "fee_taker=0.001", "close_at_end=true", "tick=0.01", "until=1735689600000"],
        ["lookback"],
    )
    assert sorted_.parameters == {"lookback": "20"}
    assert sorted_.broker == {"fee_taker": "0.001", "close_at_end": True}
    assert sorted_.instrument == {"tick": "0.01"}
    assert sorted_.window == {"until": 1735689600000}


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (["lokback=20"], "has no parameter 'lokback'; did you mean 'lookback'? (it has lookback"),
        (["fee_takr=1"], "did you mean 'fee_taker'?"),
        (["lookback"], "write it as key=value"),
        (["=20"], "write it as key=value"),
        (["lookback=1", "lookback=2"], "lookback is given twice"),
        (["close_at_end=maybe"], "must be true or false"),
        (["since=yesterday"], "since: 'yesterday' is not a time"),
        (["since=2025-02-01", "until=2025-01-01"], "the window is empty"),
    ],
)
def test_a_setting_that_cannot_be_is_named(pairs: list[str], message: str):
    with pytest.raises(UsageError, match=re.escape(message)):
        assign(pairs, ["lookback"], "Breakout")


@pytest.mark.parametrize("text", ["", "h", "8", "8 weeks", "-1h", "0s", "nans", "1e99d"])
def test_a_length_of_time_needs_number_and_unit(text: str):
    with pytest.raises(UsageError, match="write a length of time such as 90s"):
        parse_duration(text)


def test_values_may_hold_equals_signs():
    assert split_pairs(["note=a=b"]) == {"note": "a=b"}


# --- bad input: one line, exit 2, nothing half-written ---


def refused(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a refusal."""
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backtset"], "No such command 'backtset'. Did you mean 'backtest'?"),
        (["backtest"], "Missing argument 'STRATEGY' (see twinstar backtest --help)"),
        (["backtest", "breakout", "--dta", "x"], "No such option"),
        (["terminal", "--port", "many"], "Invalid value for '--port'"),
        (["journal", "digest", "nowhere.db"], "there is no journal at nowhere.db"),
    ],
)
def test_a_wrong_command_line_is_answered_in_one_line(arguments: list[str], message: str):
    assert message in refused(twinstar(*arguments))


def test_a_group_without_a_command_shows_its_help():
    done = twinstar("session")
    assert done.returncode == 2
    assert "flatten" in done.stdout


# --- doctor ---


def test_doctor_reports_every_check(home: Path):
    done = twinstar("doctor", "--home", home, "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert checks.keys() >= {"python", "packages", "home", "room", "compiled code", "browser", "bundle"}
    assert all(set(check) == {"name", "ok", "detail", "cure"} for check in checks.values())
    assert all(check["cure"] for check in checks.values() if not check["ok"])
    assert done.returncode == (0 if all(check["ok"] for check in checks.values()) else 1)
    assert checks["python"]["ok"]
    assert checks["home"]["detail"] == str(home)


def test_doctor_names_the_cure_for_a_home_that_cannot_be_written(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()
    done = twinstar("doctor", "--home", file / "home", "--json")
    assert done.returncode == 1
    check = next(row for row in json.loads(done.stdout)["checks"] if row["name"] == "home")
    assert not check["ok"]
    assert "TWINSTAR_HOME" in check["cure"]
