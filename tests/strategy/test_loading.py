"""`load`: by name, by file and class, and one clear line for everything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.strategy import Strategy, UnknownStrategy, available, load, make_runner

GOOD = """\
from twinstar_kit.strategy import Param, Strategy
from helpers import LIMIT

class Mine(Strategy):
    n: int = Param(5, 1, 9)
    def on_bar(self, ctx):
        if ctx.bar.close > LIMIT:
            ctx.buy()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "helpers.py").write_text("LIMIT = 7.0\n")
    (tmp_path / "mine.py").write_text(GOOD)
    return tmp_path


def test_the_starter_kit_is_known_by_name():
    assert {name: cls.__name__ for name, cls in available().items()} == {
        "breakout": "Breakout",
        "sma_cross": "SmaCross",
    }
    assert load("breakout") is available()["breakout"]
    for cls in available().values():
        assert cls.__doc__
        assert all(spec.help for spec in cls.specs().values())
        assert cls.overlays


def test_a_file_and_its_class(folder: Path, monkeypatch: pytest.MonkeyPatch):
    assert load(f"{folder / 'mine.py'}:Mine")().params() == {"n": 5}
    assert load(str(folder / "mine.py")).__name__ == "Mine", "the only class needs no name"
    monkeypatch.chdir(folder)
    assert issubclass(load("mine.py:Mine"), Strategy)


def test_a_file_is_read_anew(folder: Path):
    first = load(f"{folder / 'mine.py'}:Mine")
    (folder / "mine.py").write_text(
        GOOD.replace("ctx.buy()", "ctx.buy(0.5)  # half a coin, and a longer line")
    )
    second = load(f"{folder / 'mine.py'}:Mine")
    assert first.source_hash() != second.source_hash()
    assert make_runner(first(), "compiled").mode == make_runner(second(), "compiled").mode == "compiled"


def test_a_helper_that_changed_is_compiled_anew(folder: Path):
    cls = load(f"{folder / 'mine.py'}:Mine")
    before = cls.source_hash(), make_runner(cls(), "compiled").module
    vars(__import__("sys").modules[cls.__module__])["LIMIT"] = 8.0
    assert cls.source_hash() != before[0]
    assert make_runner(cls(), "compiled").module != before[1]


@pytest.mark.parametrize(("name", "message"), [
    ("brekout", "there is no strategy 'brekout'; did you mean 'breakout'? The starter kit has breakout, sma_cross"),
    ("", "there is no strategy ''"),
    ("Breakout", "did you mean 'breakout'?"),
    ("no/such/file.py:Mine", "no/such/file.py does not exist"),
    ("{folder}/mine.py:Mime", "mine.py: 'Mime' is not defined; did you mean 'Mine'? It has Mine"),
    ("{folder}/mine.py:LIMIT", "'LIMIT' is no strategy (no subclass of Strategy). It has Mine"),
    ("{folder}/mine.py:Strategy", "'Strategy' is no strategy"),
    ("{folder}/helpers.py", "helpers.py defines no subclass of Strategy"),
    ("{folder}:Mine", "there is no strategy"),
    ("{folder}/mine.txt:Mine", "there is no strategy"),
])  # fmt: skip
def test_what_cannot_be_found_says_so(folder: Path, name: str, message: str):
    with pytest.raises(UnknownStrategy) as caught:
        load(name.format(folder=folder))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("source", "message"), [
    ("class Mine(Strategy)\n    pass\n", "mine.py, line 1: expected ':'  [class Mine(Strategy)]"),
    ("import nothing_like_it\n", "mine.py, line 1: ModuleNotFoundError: No module named 'nothing_like_it'"),
    ("x = 1\ny = x / 0\n", "mine.py, line 2: ZeroDivisionError: division by zero  [y = x / 0]"),
    ("raise SystemExit(3)\n", "mine.py, line 1: SystemExit: 3"),
    (GOOD.replace("Param(5, 1, 9)", "Param(50, 1, 9)"), "mine.py, line 4: ParamError: the default of Mine.n = 50 is outside 1..9"),
    (GOOD.replace("ctx.buy()", "ctx.bye()"), "mine.py, line 8: the context has no 'bye'; did you mean 'buy'?"),
    (GOOD + "class Other(Mine):\n    pass\n", "mine.py defines Mine, Other; say which, as"),
    ("\0", "mine.py"),
])  # fmt: skip
def test_what_cannot_be_loaded_says_where(folder: Path, source: str, message: str):
    (folder / "mine.py").write_text(source)
    with pytest.raises(TwinStarError) as caught:
        load(str(folder / "mine.py"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_file(folder: Path):
    (folder / "deep.py").mkdir()
    with pytest.raises(UnknownStrategy, match=r"deep.py is a folder"):
        load(f"{folder / 'deep.py'}:Mine")


def test_declaring_and_loading_costs_no_compiler():
    import subprocess
    import sys

    code = (
        "import sys; from twinstar_kit.strategy import Param, Strategy, load; load('breakout')().params()\n"
        "print([m for m in ('numba', 'pandas', 'polars', 'ccxt') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert child.stdout.strip() == "[]"
