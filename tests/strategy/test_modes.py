"""The same class compiled and interpreted: the same events, the same equity, the same state, byte for byte."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
import typing
from math import log as natural
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from strategy.walks import as_bars, play, walk

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.context import new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.models import Broker
from twinstar_kit.strategy import (
    Array,
    Indicator,
    Param,
    Runner,
    Strategy,
    StrategyError,
    StrategyFailed,
    load,
    make_runner,
)
from twinstar_kit.strategy.indicators import ATR, EMA, RSI, SMA, VWAP, Bollinger, Donchian, RollingVWAP
from twinstar_kit.strategy.library.breakout import Breakout

LIMIT = 1.5
WEIGHTS = (0.5, 0.25, 0.25)


def clip(x: float, low: float = 0.0, high: float = LIMIT) -> float:
    """A helper with defaults and a constant from its module."""
    return low if x < low else min(x, high)


def nested(x: float) -> float:
    return clip(x, high=LIMIT * 2.0) + natural(1.0 + abs(x))


class Spread(Indicator):
    """An indicator of a user's, with a part, a method of its own and an array of whole numbers."""

    inputs = ("high", "low", "ts")
    n: int = Param(5, 1)
    value: float = 0.0
    ready: bool = False
    average = SMA(n)
    hours = Array(24, int)

    def update(self, high: float, low: float, ts: int) -> None:
        hour = ts // 3_600_000 % 24
        self.hours[hour] = self.hours[hour] + 1
        self.average.update(self.scaled(high - low, ts))
        self.value = self.average.value
        self.ready = self.average.ready

    def scaled(self, x: float, ts: int, factor: float = 2.0) -> float:
        return x * factor + ts % 7


class Everything(Strategy):
    """Uses every part of the language that compiles, and every call of the context."""

    SHARES = (0.1, 0.2, 0.3)
    NAME: ClassVar[str] = "everything"
    span: int = Param(20, 2, 200)
    width: float = Param(1.5, 0.1, 5.0)
    bold: bool = Param(True)

    quick = EMA(span // 2, seed_first=True)
    calm = EMA(span)
    strength = RSI(14)
    atr = ATR(14)
    bands = Bollinger(span, width)
    day = VWAP()
    hour = RollingVWAP(60)
    channel = Donchian(span)
    volume = SMA(span, of="volume")
    spread = Spread(7)
    by_hand = SMA(3, of=())

    level: float = 0.0
    score: float = 0.0
    count: int = 0
    odd: int = 1
    armed: bool = False
    recent = Array(span)
    places = Array(4, int)

    def on_bar(self, ctx):
        """Nonsense, but nonsense with every feature."""
        bar = ctx.bar
        i = bar.index
        self.recent[i % self.span] = bar.close
        self.places[-1] = i
        self.places[i % 3] += 1
        self.count += 1
        self.count -= self.odd * 2 - 1
        self.odd = self.odd * 3 % 1_000_003 + len(self.recent)
        self.by_hand.update((bar.high + bar.low) / 2.0)
        total, highest = 0.0, -math.inf
        for seen in self.recent:
            total += seen
            highest = max(highest, seen)
        for k in range(1, 10, 2):
            if k == 7:
                break
            if k == 3:
                continue
            total += k
        left = 3
        while left > 0:
            left -= 1
            total /= 1.5
        self.score += clip(self.width * 0.1) - nested(total * 1e-6) + self.ratio(ctx) * WEIGHTS[1]
        self.score = (
            self.score * 0.5
            + math.sqrt(abs(self.score))  # a comment * inside + an expression
            + math.pow(1.0 + self.width, 2.0) * (1e-3 if self.bold and not self.armed else -1e-3)
        )
        self.level -= 3 if self.armed else 0.5
        self.level //= 2
        self.level %= 1e6
        self.armed |= i % 97 == 0
        self.armed = bool(i % 5) and self.armed
        whole = int(total) + round(self.score) + math.floor(self.level)
        if whole % 2 == 0 and self.NAME == "everything":
            self.level = whole
        assert self.count < 1_000_000_000_000, "never"
        self.trade(ctx, i)

    def ratio(self, ctx) -> float:
        """Equity against cash, when there is any of it."""
        if ctx.cash <= 0.0:
            return 0.0
        return ctx.equity / ctx.cash * self.SHARES[0]

    def trade(self, ctx, i):
        """Every proposal there is."""
        if not (self.calm.ready and self.bands.ready):
            return
        close = ctx.bar.close
        if ctx.position == 0.0:
            if i % 50 == 0:
                ctx.buy()
                ctx.stop(close - self.width * self.atr.value)
                ctx.trail(2.0 * self.atr.value)
            elif i % 50 == 10:
                ctx.buy_limit(self.bands.lower, 0.01)
                ctx.trail_rate(0.01)
            elif i % 50 == 20:
                ctx.buy_stop(price=self.channel.upper, amount=0.02)
            elif i % 50 == 30:
                ctx.cancel()
        elif self.strength.value > 70.0:
            ctx.sell_limit(close * 1.0005)
        elif self.quick.value < self.calm.value and i % 11 == 0:
            ctx.sell(ctx.position / 2.0)
        elif close < ctx.entry * 0.99 or close < self.hour.value * 0.9:
            ctx.close()
        if i % 1_000 == 999:
            for _ in range(20):
                ctx.buy_limit(close / 2.0, 0.001)


class Trend(Breakout):
    """Adds a filter and overrides a parameter."""

    stop_width: float = Param(1, 0.5, 3.0)
    trend = SMA(100)

    def on_bar(self, ctx):
        if ctx.bar.close > self.trend.value:
            super().on_bar(ctx)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return as_bars(walk(6_000, step=2e-3))


@pytest.mark.parametrize(
    "cls", [Everything, Trend, load("breakout"), load("sma_cross")], ids=lambda c: c.__name__
)
def test_both_modes_leave_the_same_bytes(cls: type[Strategy], bars: Bars):
    compiled, interpreted = make_runner(cls(), "compiled"), make_runner(cls(), "interpreted")
    fast, slow = play(compiled, bars), play(interpreted, bars)
    assert len(fast.events) > 100, "the strategy must trade, or nothing is shown"
    assert fast.events.tobytes() == slow.events.tobytes()
    assert fast.equity.tobytes() == slow.equity.tobytes()
    assert fast.engine.snapshot() == slow.engine.snapshot()
    assert compiled.snapshot() == interpreted.snapshot()


def test_state_is_readable_after_a_compiled_run(bars: Bars):
    compiled, interpreted = make_runner(Everything(), "compiled"), make_runner(Everything(), "interpreted")
    play(compiled, bars, until=700)
    play(interpreted, bars, until=700)
    fast, slow = compiled.strategy, interpreted.strategy
    assert isinstance(fast, Everything)
    assert isinstance(slow, Everything)
    assert (fast.score, fast.count, fast.armed, fast.calm.value) == (
        slow.score,
        slow.count,
        slow.armed,
        slow.calm.value,
    )
    assert list(fast.spread.hours) == list(slow.spread.hours)
    assert [type(v) for v in (fast.score, fast.count, fast.armed, fast.recent[0])] == [
        float,
        int,
        bool,
        float,
    ]


def test_bars_one_at_a_time_are_the_same_run(bars: Bars):
    whole, steps = make_runner(Everything(), "compiled"), make_runner(Everything(), "compiled")
    expected = play(whole, bars, until=3_000)
    engine, ctx, events = Engine([bars.instrument], Broker(), {"USDT": 10_000}), new_context(), []
    one = np.zeros(1, np.int64)
    for i in range(3_000):
        row = bars.rows[i : i + 1].copy()
        row.setflags(write=False)  # as a feed may hand it out
        assert steps.run(row, 0, 1, ctx, engine.desk, one) == 1
        assert one[0] == expected.equity[i]
        events.append(engine.drain())
    assert np.concatenate(events).tobytes() == expected.events.tobytes()
    assert steps.snapshot() == whole.snapshot()


class Shadows(Strategy):
    """Locals named like what the generated module uses, and a decorator that changes nothing."""

    level: float = 0.0
    count: int = 2

    @typing.no_type_check
    def on_bar(self, ctx):
        exact = pointers = compiled = run = component = 2.0
        max_ = max(exact, pointers)
        min = max_ + compiled + run + component
        self.level = math.sqrt(min * ctx.bar.close) + math.floor(exact)
        self.count = self.count * 3 % 1_001
        if self.count % 7 == 0:
            ctx.buy()
        elif self.count % 7 == 3:
            ctx.close()


def test_names_of_the_users_own_disturb_nothing(bars: Bars):
    compiled, interpreted = make_runner(Shadows(), "compiled"), make_runner(Shadows(), "interpreted")
    assert play(compiled, bars).events.tobytes() == play(interpreted, bars).events.tobytes()
    assert compiled.snapshot() == interpreted.snapshot()


def test_without_numba_the_same_run(bars: Bars):
    """NUMBA_DISABLE_JIT takes the compiler out of kernel and strategy; what is left is the Python they are written in."""
    code = (
        "import hashlib; from strategy.test_modes import Everything; from strategy.walks import as_bars, play, walk\n"
        "from twinstar_kit.strategy import make_runner\n"
        "r = make_runner(Everything()); d = play(r, as_bars(walk(600, step=2e-3)))\n"
        "print(r.mode, hashlib.sha256(d.events.tobytes() + d.equity.tobytes() + r.snapshot()).hexdigest())"
    )
    tests = str(Path(__file__).parent.parent)
    path = os.pathsep.join([tests, os.environ.get("PYTHONPATH", "")])
    child = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert child.returncode == 0, child.stderr
    runner = make_runner(Everything(), "compiled")
    done = play(runner, as_bars(walk(600, step=2e-3)))
    state = hashlib.sha256(done.events.tobytes() + done.equity.tobytes() + runner.snapshot()).hexdigest()
    assert child.stdout.split() == ["interpreted", state]


REASONS = [
    ("d = {'a': 1.0}", "uses a dict"),
    ("x = ctx.bar.close ** 2", "uses `**`, whose last bits differ; write x * x, math.sqrt(x) or math.pow(x, y)"),
    ("x = np.exp(-ctx.bar.close)", "calls np.exp, which is numpy's: its last bits differ from Python's"),
    ("x = math.hypot(ctx.bar.close, 1.0)", "calls math.hypot, whose last bits differ"),
    ("x = sum(self.window)", "calls sum, whose last bits differ between Python versions; write a loop"),
    ("x = round(ctx.bar.close, 2)", "uses round() with a number of digits, whose last bits differ"),
    ("x = self.level; x **= 2", "uses `**`"),
    ("x = f'{ctx.bar.close}'", "uses an f-string"),
    ("print(ctx.bar.close)", "calls print, which only Python can do"),
    ("x = self.window[1:]", "uses a slice"),
    ("x = model.predict([[1.0]])", "uses a list"),
    ("x = 1 << self.n", "uses `<<`, which may pass 64 bits"),
    ("self.level, self.count = 1.0, 2", "assign to names, to fields or to elements, one at a time"),
    ("x = 1.0\nif ctx.bar.close > 2: x = 'high'\nif x == 'high': ctx.buy()", "'x' is now a float, now a str"),
    ("if ctx.bar.close > 2: x = 1.0\nself.level = x", "'x' may have no value here; give it one before the branch"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "reason"), REASONS, ids=[r[0].splitlines()[0] for r in REASONS])
def test_what_the_compiler_does_not_take_runs_interpreted_and_says_why(
    tmp_path: Path, body: str, reason: str
):
    path = tmp_path / "mine.py"
    text = "\n".join(" " * 8 + line for line in body.splitlines())
    path.write_text(
        "import math\nimport numpy as np\nfrom twinstar_kit.strategy import Array, Strategy, Param\n"
        "class Model:\n    def predict(self, x): return 1.0\nmodel = Model()\n"
        "class Mine(Strategy):\n    n: int = Param(3)\n    level: float = 0.0\n    count: int = 0\n    window = Array(n)\n"
        f"    def on_bar(self, ctx):\n{text}\n"
    )
    cls = load(str(path))
    runner = make_runner(cls())
    assert runner.mode == "interpreted"
    assert reason in runner.reason
    assert f"{path}, line 1" in runner.reason
    with pytest.raises(StrategyError, match="Mine cannot be compiled"):
        make_runner(cls(), "compiled")
    play(runner, as_bars(walk(30)))


class Fails(Strategy):
    at: int = Param(500, 0)
    zero: float = 0.0
    total: float = 0.0
    window = Array(3)

    def on_bar(self, ctx):
        self.total += ctx.bar.close
        if ctx.bar.index == self.at:
            self.total = 1.0 / self.zero


class Index(Fails):
    def on_bar(self, ctx):
        self.total += self.window[ctx.bar.index // 100]


class Roots(Fails):
    def on_bar(self, ctx):
        self.total += math.sqrt(400.0 - ctx.bar.index)


@pytest.mark.parametrize("mode", ["compiled", "interpreted"])
@pytest.mark.parametrize(("cls", "bar", "what", "line"), [
    (Fails, 500, "ZeroDivisionError: float division by zero", "self.total = 1.0 / self.zero"),
    (Index, 300, "IndexError: array index out of range", "self.total += self.window[ctx.bar.index // 100]"),
    (Roots, 401, "ValueError: math domain error", "self.total += math.sqrt(400.0 - ctx.bar.index)"),
])  # fmt: skip
def test_an_exception_names_the_bar_and_the_line_in_both_modes(
    mode: str, cls: type[Strategy], bar: int, what: str, line: str, bars: Bars
):
    for runs in (whole_run, bar_by_bar):
        runner = make_runner(cls(), mode)  # type: ignore[arg-type]
        with pytest.raises(StrategyFailed) as caught:
            runs(runner, bars)
        assert caught.value.bar == bar
        assert caught.value.place is not None
        assert caught.value.place.text == line
        assert what in str(caught.value)


def whole_run(runner: Runner, bars: Bars) -> None:
    play(runner, bars)


def bar_by_bar(runner: Runner, bars: Bars) -> None:
    engine, ctx = Engine([bars.instrument], Broker(), {"USDT": 10_000}), new_context()
    equity = np.zeros(len(bars), np.int64)
    for i in range(len(bars)):
        runner.run(bars.rows, i, i + 1, ctx, engine.desk, equity)
