"""Parameters of jobs: what a cell may declare, what a run may give, and the one line that refuses the rest."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from twinstar_kit.jobs import JobError, list_jobs
from twinstar_kit.jobs.templates import find_template, read_parameters

CELL = """
from typing import Literal
symbol: str = "BTC/USDT"  # what is traded
days: int = 1  # how many days back
fee: float = 0.001
strict: bool = True
account: str | None = None
fill: Literal["close", "next_open"] = "next_open"
"""


def write(folder: Path, name: str, source: str = CELL) -> Path:
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A job\n\nWhat it is for."), cell])
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.ipynb"
    nbformat.write(book, path)
    return path


def test_a_cell_of_annotated_literals_is_read_with_types_defaults_and_help() -> None:
    got = {p.name: p for p in read_parameters(CELL)}
    assert list(got) == ["symbol", "days", "fee", "strict", "account", "fill"]
    assert (got["days"].type, got["days"].default, got["days"].help) == ("int", 1, "how many days back")
    assert got["account"].written == "str or none"
    assert got["fill"].choices == ("close", "next_open")


@pytest.mark.parametrize(
    "source",
    [
        "days = 1",
        "days: int",
        "days: int = 1 + 1",
        "days: int = len('a')",
        "days: list = []",
        "import os",
        "days: int = 'one'",
        "days: int = 1.0",
        "print(1)",
        "fill: Literal['a', 1] = 'a'",
        "fill: Literal['a', 'b'] = 'c'",
        "days: int = (",
        "api_key: str = ''",
    ],
)
def test_a_cell_with_anything_else_is_refused(source: str) -> None:
    with pytest.raises(JobError):
        read_parameters(source)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("symbol", "ETH/USDT", "ETH/USDT"),
        ("days", "30", 30),
        ("fee", "0.0005", 0.0005),
        ("fee", "1", 1.0),
        ("strict", "false", False),
        ("strict", "yes", True),
        ("account", "none", None),
        ("account", "mine", "mine"),
        ("fill", "close", "close"),
        ("days", 3, 3),
        ("strict", False, False),
    ],
)
def test_values_are_typed_by_the_annotation(tmp_path: Path, name: str, text: object, value: object) -> None:
    write(tmp_path, "job")
    got = find_template("job", tmp_path).resolve({name: text})
    assert got[name] == value
    assert type(got[name]) is type(value)
    assert len(got) == 6


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"dayz": "1"}, "did you mean days?"),
        ({"nothing_like_it": "1"}, "it has symbol, days"),
        ({"days": "one"}, "parameter days is int; 'one' is not"),
        ({"days": "1.5"}, "parameter days is int"),
        ({"days": 1.5}, "parameter days is int"),
        ({"days": True}, "parameter days is int"),
        ({"fee": "nan"}, "parameter fee is float"),
        ({"strict": "perhaps"}, "parameter strict is bool"),
        ({"fill": "open"}, "must be one of close, next_open"),
        ({"symbol": 5}, "parameter symbol is str"),
        ({"api_key": "x"}, "looks like a secret"),
        ({"binance_secret": "x"}, "looks like a secret"),
        ({"accessToken_token": "x"}, "looks like a secret"),
    ],
)
def test_what_does_not_fit_is_one_line_that_says_why(tmp_path: Path, given: dict, words: str) -> None:
    write(tmp_path, "job")
    with pytest.raises(JobError) as caught:
        find_template("job", tmp_path).resolve(given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_jobs_are_listed_with_what_they_say_of_themselves(tmp_path: Path) -> None:
    write(tmp_path, "report")
    write(tmp_path, "audit", "days: int = 2")
    listed = list_jobs(tmp_path)
    assert [j.name for j in listed] == ["audit", "report"]
    assert listed[0].to_dict()["parameters"] == {"days": 2}
    assert listed[0].summary == "What it is for."


def test_the_nearest_folder_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "home"
    home.mkdir()
    write(home / "templates", "daily_report", "mine: int = 1")
    monkeypatch.chdir(tmp_path)
    assert [p.name for p in find_template("daily_report", home=home).parameters] == ["mine"]
    write(tmp_path / "templates", "daily_report", "here: int = 1")
    assert [p.name for p in find_template("daily_report", home=home).parameters] == ["here"]


def test_an_unknown_job_names_the_nearest(tmp_path: Path) -> None:
    write(tmp_path, "daily_report")
    with pytest.raises(JobError, match="did you mean daily_report"):
        find_template("daily_raport", tmp_path)
    with pytest.raises(JobError, match="no folder"):
        find_template("daily_report", tmp_path / "absent")


def test_a_file_that_is_no_notebook_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.ipynb").write_text("not json")
    with pytest.raises(JobError, match=r"broken\.ipynb is not a notebook"):
        list_jobs(tmp_path)
