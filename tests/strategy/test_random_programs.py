"""Strategies made of random statements: whatever compiles must leave the same bytes as Python does."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from strategy.walks import as_bars, play, walk

from twinstar_kit.strategy import StrategyFailed, load, make_runner

HEAD = """\
import math
from twinstar_kit.strategy import Array, Param, Strategy
from twinstar_kit.strategy.indicators import EMA

WEIGHT = 0.3
LIMIT = 13

def clip(x, low=-5.0, high=WEIGHT * 40):
    return low if x < low else high if x > high else x

class Random(Strategy):
    n: int = Param(5, 1, 50)
    width: float = Param(1.25)
    average = EMA(n)
    f0: float = 1.0
    f1: float = 2.0
    i0: int = 1
    i1: int = 2
    b0: bool = False
    b1: bool = True
    floats = Array(5)
    whole = Array(3, int)

    def on_bar(self, ctx):
        if ctx.bar.index % 9 == 0:
            ctx.buy()
        elif ctx.bar.index % 9 == 5:
            ctx.close()
"""
METHODS, STATEMENTS, DEPTH = 12, 6, 3
FLOATS = [
    "bar.close", "bar.open", "bar.high", "self.f0", "self.f1", "(self.average.value if self.average.ready else 1.0)", "2.5", "0.1",
    "-3.0", "x", "y", "self.floats[k % 5]", "WEIGHT", "self.width", "math.pi",
]  # fmt: skip
WHOLE = [
    "k", "self.i0", "self.i1", "bar.index", "3", "-7", "self.n", "len(self.floats)", "self.whole[k % 3]", "LIMIT", "(bar.ts // 60_000)",
]  # fmt: skip
TRUTHS = ["self.b0", "self.b1", "self.average.ready", "True", "ctx.position > 0.0"]
# {f}, {i} and {b} stand for a float, a whole number and a truth
FLOAT_FORMS = [
    "({f} + {f})", "({f} - {f})", "({f} * {f})", "({f} / (1.0 + abs({f})))", "({f} // (1.5 + abs({f})))", "({f} % (2.5 + abs({f})))",
    "math.sqrt(abs({f}))", "math.log(1.0 + abs({f}))", "math.exp(-abs({f}) % 5.0)", "math.sin({f})", "math.tanh({f})",
    "math.pow(1.0 + abs({f}) % 3.0, 2.0)", "math.pow(abs({f}) % 9.0, 0.5)", "max({f}, {f})", "min({f}, {f}, {i})",
    "({f} if {b} else {f})", "float({i})", "-{f}", "({i} / 7)", "({i} * {f})", "clip({f})", "clip({f}, high={f})", "math.atan2({f}, {f})",
    "self.help({f}, {i})",
]  # fmt: skip
WHOLE_FORMS = [
    "({i} + {i})", "({i} - {i})", "(({i}) % 1000 * 37)", "({i} // -3)", "({i} // 7)", "({i} % -5)", "({i} % 11)", "abs({i})",
    "max({i}, {i})", "int({f} % 1000.0)", "round({f} % 100.0)", "math.floor({f} % 77.0)", "math.ceil({f} % 77.0)",
    "({i} if {b} else {i})", "({i} & 255)", "({i} >> 2)", "-{i}", "int({b})", "(({i} ^ {i}) % 1009)", "(({i} * {i}) % 1013)",
]  # fmt: skip
TRUTH_FORMS = [
    "({f} > {f})", "({i} == {i})", "(not {b})", "({b} and {b})", "({b} or {b})", "({i} < {i} <= {i})", "bool({i})",
]  # fmt: skip


class Writer:
    """Writes a program from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def expression(self, kind: str, depth: int) -> str:
        leaves, forms = {"f": (FLOATS, FLOAT_FORMS), "i": (WHOLE, WHOLE_FORMS), "b": (TRUTHS, TRUTH_FORMS)}[
            kind
        ]
        if depth <= 0:
            return self.random.choice(leaves)
        text = self.random.choice(forms)
        while True:
            places = [(text.index(mark), mark) for mark in ("{f}", "{i}", "{b}") if mark in text]
            if not places:
                return text
            _, mark = min(places)
            text = text.replace(mark, self.expression(mark[1], depth - 1), 1)

    def statement(self, indent: int) -> str:
        pad = " " * indent

        def f(depth: int = DEPTH) -> str:
            return self.expression("f", depth)

        def i(depth: int = DEPTH) -> str:
            return self.expression("i", depth)

        def b(depth: int = DEPTH) -> str:
            return self.expression("b", depth)

        which, sign = str(self.random.randint(0, 1)), self.random.choice("+-")
        simple: list[Callable[[], str]] = [
            lambda: f"{pad}self.f{which} = {f()} % 1e9\n",
            lambda: f"{pad}self.i{which} = {i()} % 1_000_003\n",
            lambda: f"{pad}self.b{which} = {b()}\n",
            lambda: f"{pad}self.floats[{i(1)} % 5] = {f(2)} % 1e6\n",
            lambda: f"{pad}self.whole[{i(1)} % 3] = {i(2)} % 99991\n",
            lambda: f"{pad}x {sign}= {f(2)} % 1e3\n",
            lambda: f"{pad}k {sign}= {i(2)} % 17\n",
            lambda: f"{pad}self.i0 {sign}= {i(1)} % 19\n",
            lambda: f"{pad}self.f0 {sign}= 1.5 + abs({f(1)}) % 10.0\n",
            lambda: f"{pad}y = {f()} % 1e5\n",
        ]
        nested: list[Callable[[], str]] = [
            lambda: f"{pad}if {b(2)}:\n{self.statement(indent + 4)}{pad}else:\n{self.statement(indent + 4)}",
            lambda: f"{pad}for j in range({i(1)} % 4):\n{pad}    k += j\n{self.statement(indent + 4)}",
            lambda: f"{pad}for v in self.floats:\n{pad}    y += v % 2.0\n",
        ]
        return self.random.choice(simple if self.random.random() < 0.8 else nested)()

    def program(self) -> str:
        calls = "".join(f"        self.m{j}(ctx, ctx.bar)\n" for j in range(METHODS))
        text = f"{HEAD}{calls}\n    def help(self, x, k):\n        return x * 0.5 + k % 3\n"
        for j in range(METHODS):
            text += f"\n    def m{j}(self, ctx, bar):\n        x = 0.5\n        y = bar.close\n        k = bar.index\n"
            text += "".join(self.statement(8) for _ in range(STATEMENTS))
        return text


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_programs_leave_the_same_bytes_in_both_modes(tmp_path: Path, seed: int):
    path = tmp_path / "program.py"
    path.write_text(Writer(seed).program())
    cls, bars = load(f"{path}:Random"), as_bars(walk(400, step=2e-3))
    left = []
    for mode in ("compiled", "interpreted"):
        runner = make_runner(cls(), mode)  # type: ignore[arg-type]
        try:
            done = play(runner, bars)
            left.append((done.events.tobytes(), done.equity.tobytes(), runner.snapshot()))
        except StrategyFailed as failure:
            left.append((failure.bar, failure.place, type(failure.cause)))
    assert left[0] == left[1]
