"""Machine code is made once: real processes, one after another and at the same time, over one cache folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from twinstar_kit import jit

MINE = """\
from twinstar_kit.strategy import Param, Strategy
from twinstar_kit.strategy.indicators import EMA

class Mine(Strategy):
    n: int = Param(9, 1, 99)
    average = EMA(n)
    def on_bar(self, ctx):
        if not self.average.ready:
            return
        if ctx.bar.close > self.average.value * 1.001:
            ctx.close()
        elif ctx.position == 0.0:
            ctx.buy()
"""

CHILD = """\
import hashlib, json, logging, sys, time
began = time.perf_counter()
logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s", stream=sys.stderr)
sys.path.insert(0, {tests!r})
from twinstar_kit.strategy import load, make_runner
said = []
runner = make_runner(load({spec!r})(), announce={announce})
ready = time.perf_counter() - began
from strategy.walks import as_bars, play, walk
done = play(runner, as_bars(walk(2_000)))
state = hashlib.sha256(done.events.tobytes() + done.equity.tobytes() + runner.snapshot()).hexdigest()
print(json.dumps(dict(mode=runner.mode, cached=runner.cached, module=runner.module, said=said, state=state, fills=len(done.events), ready=ready)))
"""


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache folder that knows the kernel and no strategy."""
    folder = tmp_path / "cache"
    kernel = jit.cache_dir() / "numba"
    if kernel.is_dir():
        shutil.copytree(kernel, folder / "numba")
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(MINE)
    return path


def start(cache: Path, mine: Path, announce: str = "said.append") -> subprocess.Popen[str]:
    code = CHILD.format(tests=str(Path(__file__).parent.parent), spec=f"{mine}:Mine", announce=announce)
    environment = {**os.environ, "TWINSTAR_CACHE": str(cache)}
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = child.communicate(timeout=240)
    assert child.returncode == 0, err
    found: dict[str, Any] = json.loads(out)
    return found | {"log": err}


def test_a_second_process_reuses_what_the_first_compiled(cache: Path, mine: Path):
    cold = finish(start(cache, mine))
    assert (cold["mode"], cold["cached"]) == ("compiled", False)
    assert cold["said"] == ["compiling Mine, once, about 3 s"]
    assert cold["fills"] > 100

    hot = finish(start(cache, mine))
    assert (hot["mode"], hot["cached"], hot["said"]) == ("compiled", True, [])
    assert (hot["module"], hot["state"]) == (cold["module"], cold["state"])

    # another place, another line, the same text: the same module
    elsewhere = mine.parent / "elsewhere.py"
    elsewhere.write_text("# moved\n\n" + MINE)
    assert finish(start(cache, elsewhere))["cached"]

    mine.write_text(MINE.replace("1.001", "1.002"))
    edited = finish(start(cache, mine))
    assert (edited["cached"], edited["module"] != cold["module"], edited["state"] != cold["state"]) == (
        False,
        True,
        True,
    )


def test_without_a_listener_the_word_is_logged(cache: Path, mine: Path):
    assert (
        "twinstar.strategy: compiling Mine, once, about 3 s"
        in finish(start(cache, mine, announce="None"))["log"]
    )


def test_two_processes_at_once_do_not_disturb_each_other(cache: Path, mine: Path):
    children = [start(cache, mine), start(cache, mine)]
    one, other = (finish(child) for child in children)
    assert one["state"] == other["state"]
    assert one["module"] == other["module"]
    assert not list((cache / "strategies").glob("*.new")), "nothing half-written is left"
    assert finish(start(cache, mine))["cached"]


def test_what_a_power_cut_left_is_made_anew(cache: Path, mine: Path):
    cold = finish(start(cache, mine))
    files = list((cache / "strategies").rglob(f"{cold['module']}*.nb*"))
    assert len(files) == 2
    for path in files:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    torn = finish(start(cache, mine))
    assert (torn["state"], "making it anew" in torn["log"]) == (cold["state"], True)

    (cache / "strategies" / f"{cold['module']}.py").write_text("")
    assert finish(start(cache, mine))["state"] == cold["state"]


def test_a_cache_that_cannot_be_written_costs_only_time(cache: Path, mine: Path):
    (cache / "strategies").write_text("a file where the folder should be")
    done = finish(start(cache, mine, announce="None"))
    assert done["mode"] == "compiled"
    assert "compiled strategies are not kept" in done["log"]
    assert "set TWINSTAR_CACHE" in done["log"]


def test_old_modules_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from twinstar_kit.strategy.compiler import modules

    monkeypatch.setenv("TWINSTAR_CACHE", str(tmp_path))
    monkeypatch.setattr(modules, "KEPT", 3)
    for n in range(6):
        name = modules.module_name("old", f"value = {n}")
        assert modules.load(name, f"value = {n}").value == n
        os.utime(tmp_path / "strategies" / f"{name}.py", (n, n))
    assert len(list((tmp_path / "strategies").glob("*.py"))) == 3
