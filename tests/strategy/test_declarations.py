"""Given a class that cannot be right, when it is made, then the error names the user's file, line and the way out."""

from __future__ import annotations

import linecache
from pathlib import Path
from textwrap import dedent, indent

import pytest

from twinstar_kit.strategy import Param, ParamError, Strategy, StrategyError, load
from twinstar_kit.strategy.indicators import SMA, Donchian

HEAD = """\
import datetime, math, random, time
import numpy as np
from random import random as chance
from numpy.random import default_rng
from twinstar_kit.strategy import Array, Param, Strategy
from twinstar_kit.strategy.indicators import SMA

GENERATOR = default_rng(1)

def clip(x, low, high):
    return low if x < low else high if x > high else x

def peek(s):
    return s.averag.value

def dice(s):
    return random.random()

class Mine(Strategy):
    n: int = Param(20, 2, 50, help="bars")
    average = SMA(n)
    level: float = 0.0
    count: int = 0
    flag: bool = False
    window = Array(n)
    def on_bar(self, ctx):
"""
LINE = HEAD.count("\n") + 1


def refuse(folder: Path, source: str) -> StrategyError:
    path = folder / "mine.py"
    path.write_text(source)
    with pytest.raises(StrategyError) as caught:
        load(f"{path}:Mine")
    assert "\n" not in str(caught.value), "an error is one line"
    return caught.value


BODIES = [
    # names
    ("if ctx.bar.close > self.averge.value: ctx.buy()", "Mine declares no 'averge'; did you mean 'average'?"),
    ("x = lokback", "name 'lokback' is not defined"),
    ("x = level + 1", "name 'level' is not defined; did you mean self.level?"),
    ("ctx.bye()", "the context has no 'bye'; did you mean 'buy'?"),
    ("if ctx.high > 3: ctx.buy()", "the context has no 'high'; did you mean ctx.bar.high?"),
    ("x = ctx.bar.clos", "a bar has no 'clos'; did you mean 'close'?"),
    ("x = math.sqroot(2.0)", "module 'math' has no 'sqroot'; did you mean 'sqrt'?"),
    ("self.window.append(1.0)", "an Array has no 'append'"),
    # the same behind an alias
    ("a = self.average; x = a.valu", "SMA declares no 'valu'; did you mean 'value'?"),
    # what is no number
    ("if ctx.close > 3: ctx.buy()", "ctx.close is a method, not a number; call it or did you mean ctx.bar.close?"),
    ("if ctx.bar.close > self.average: ctx.buy()", "did you mean its 'value'?"),
    # stores
    ("self.hits = 1", "Mine declares no 'hits'; declare it in the class, such as `hits: float = 0.0`"),
    ("self.n = 3", "'n' is a parameter of Mine: it cannot change while the strategy runs"),
    ("self.average = 3", "'average' of Mine is declared once and cannot be replaced"),
    ("ctx.bar.close = 3.0", "a bar is read-only"),
    # types
    ("self.count = self.count + 0.6", "cannot store a float in Mine.count, which is declared int"),
    ("self.count += 0.5", "cannot store a float in Mine.count, which is declared int"),
    ("self.count /= 2", "cannot store a float in Mine.count, which is declared int"),
    ("x = 1 if ctx.bar.close > 2 else 2.5; self.count = x", "cannot store a float in Mine.count"),
    ("self.flag = 1", "cannot store an int in Mine.flag, which is declared bool"),
    ("self.level = True", "cannot store a bool in Mine.level, which is declared float"),
    ("self.level = 'high'", "cannot store a str in Mine.level, which is declared float"),
    ("x = self.window[0.5]", "an Array's index must be a whole number, not a float"),
    # calls
    ("ctx.stop()", "ctx.stop(price): missing a required argument: 'price'"),
    ("ctx.buy(1.0, 2.0)", "ctx.buy(amount=default): too many positional arguments"),
    ("ctx.buy(amuont=1.0)", "got an unexpected keyword argument 'amuont'"),
    ("ctx.buy('all')", "ctx.buy takes a number, not a str"),
    ("x = clip(1.0)", "clip(x, low, high): missing a required argument: 'low'"),
    ("self.level()", "a float cannot be called"),
    ("self.average.update(ctx.bar.close)", "'average' is fed on every bar already; to feed it yourself declare it with of=()"),
    # what would make the result depend on more than the bars
    ("x = random.random()", "may not use 'random.random': it is randomness"),
    ("x = chance()", "may not use 'chance': it is randomness"),
    ("x = np.random.normal()", "may not use 'np.random.normal': it is randomness"),
    ("x = GENERATOR.normal()", "may not use 'GENERATOR': it is randomness"),
    ("x = time.time()", "may not use 'time.time': it is the clock; use ctx.bar.ts"),
    ("x = datetime.datetime.now()", "may not use 'datetime.datetime.now': it is the clock"),
    ("import os", "may not use 'os': it is files or the machine"),
    ("open('state.txt')", "may not use 'open'"),
    ("x = hash('a')", "values that differ between processes"),
    ("global COUNT; COUNT = 1", "state lives in declared fields"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), BODIES, ids=[b[0] for b in BODIES])
def test_a_wrong_line_is_an_error_when_the_class_is_made(tmp_path: Path, body: str, message: str):
    error = refuse(tmp_path, HEAD + indent(body, " " * 8) + "\n")
    assert message in str(error)
    assert error.place is not None
    assert (error.place.file, error.place.line) == (str(tmp_path / "mine.py"), LINE)
    assert f"[{body}]" in str(error)


@pytest.mark.parametrize(("body", "line", "message"), [
    ("x = peek(self)", 14, "Mine declares no 'averag'"),
    ("x = dice(self)", 17, "may not use 'random.random'"),
])  # fmt: skip
def test_a_helper_is_followed(tmp_path: Path, body: str, line: int, message: str):
    error = refuse(tmp_path, HEAD + indent(body, " " * 8) + "\n")
    assert error.place is not None
    assert error.place.line == line
    assert message in str(error)


def test_a_method_that_no_bar_leads_to_is_checked_too(tmp_path: Path):
    error = refuse(tmp_path, HEAD + "        pass\n    def describe(self):\n        return self.averag\n")
    assert error.place is not None
    assert error.place.line == LINE + 2


def test_what_may_be_right_is_no_error(tmp_path: Path):
    body = """\
    values = [self.level, 2.0]
    values.sort()
    unknown = values[0]
    self.level = unknown
    self.level = later(unknown).anything
    """
    path = tmp_path / "mine.py"
    path.write_text(
        HEAD
        + indent(dedent(body), " " * 8)
        + "\ndef later(x):\n    return helper_of(x)\n\ndef helper_of(x):\n    return x\n"
    )
    assert issubclass(load(str(path)), Strategy)


CLASSES = [
    ("def on_bar(self): pass", "Mine.on_bar must be written on_bar(self, ctx)"),
    ("def on_bar(self, ctx): pass\n    def on_fill(self, ctx): pass", "Mine.on_fill would never be called; a strategy has on_bar"),
    ("def __init__(self): self.seen = []\n    def on_bar(self, ctx): pass", "Mine has a __init__; declare its fields in the class"),
    ("async def on_bar(self, ctx): pass", "Mine.on_bar must be a plain method, without async and yield"),
    ("def on_bar(self, ctx): yield", "Mine.on_bar must be a plain method, without async and yield"),
    ("level: float\n    def on_bar(self, ctx): pass", "Mine.level needs a start value, such as `level: float = 0.0`"),
    ("level: int = 0.5\n    def on_bar(self, ctx): pass", "cannot store a float in Mine.level, which is declared int"),
    ("params: int = 5\n    def on_bar(self, ctx): pass", "the name 'params' is taken by the base class"),
    ("n: int = Param(5)\n    m = n * 2\n    def on_bar(self, ctx): pass", "Mine.m = n * 2 has no value here"),
    ("overlays = ('average.valu',)\n    average = SMA(3)\n    def on_bar(self, ctx): pass", "overlays names 'average.valu'"),
    ("def on_bar(self, ctx):\n        super().on_tick(ctx)", "no class above Mine has a method 'on_tick'"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "message"), CLASSES, ids=[c[1] for c in CLASSES])
def test_a_wrong_declaration_is_an_error_when_the_class_is_made(tmp_path: Path, body: str, message: str):
    source = f"from twinstar_kit.strategy import Param, Strategy\nfrom twinstar_kit.strategy.indicators import SMA\nclass Mine(Strategy):\n    {body}\n"
    error = refuse(tmp_path, source)
    assert message in str(error)
    assert error.place is not None, "even an error about the class as a whole says where the class is"


def test_a_class_from_a_notebook_cell_names_the_cell():
    source = HEAD + "        ctx.bye()\n"
    name = "/tmp/ipykernel_4711/1234567.py"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    with pytest.raises(StrategyError, match=rf"^this cell, line {LINE}: the context has no 'bye'"):
        exec(compile(source, name, "exec"), {"__name__": "__main__"})  # noqa: S102 - what a kernel does


def test_indicators_are_checked_like_strategies(tmp_path: Path):
    path = tmp_path / "mine.py"
    path.write_text(
        "from twinstar_kit.strategy import Indicator\n"
        "class Range(Indicator):\n"
        "    inputs = ('high', 'low')\n"
        "    value: float = 0.0\n"
        "    def update(self, high):\n"
        "        self.value = high\n"
    )
    with pytest.raises(
        StrategyError, match=r"mine.py, line 5: Range.update must be written update\(self, high, low\)"
    ):
        load(str(path))


class Channel(Strategy):
    lookback: int = Param(55, 5, 500, help="bars in the channel")
    width: float = Param(2, 0.5, 10)
    loud: bool = Param(False)
    channel = Donchian(lookback)
    half = SMA(lookback // 2)
    level: float = 0

    def on_bar(self, ctx):
        self.level = self.channel.upper


def test_parameters_have_types_ranges_and_help():
    given = Channel(lookback=20, width=3)
    assert given.params() == {"lookback": 20, "width": 3.0, "loud": False}
    assert [type(v) for v in given.params().values()] == [int, float, bool]
    assert (given.channel.n, given.channel.highest.n, given.half.n) == (20, 20, 10)
    spec = Channel.specs()["lookback"]
    assert (spec.type, spec.default, spec.low, spec.high, spec.help) == (
        int,
        55,
        5,
        500,
        "bars in the channel",
    )
    assert repr(given.replace(width=1.0)) == "Channel(lookback=20, width=1.0, loud=False)"


@pytest.mark.parametrize(("given", "message"), [
    ({"lookback": 900}, "Channel.lookback = 900 is outside 5..500 (bars in the channel)"),
    ({"lookback": 20.5}, "Channel.lookback = 20.5 must be a whole number"),
    ({"lookback": "20"}, "Channel.lookback = '20' must be a whole number"),
    ({"lookback": True}, "Channel.lookback = True must be a whole number"),
    ({"width": float("nan")}, "Channel.width = nan must be a finite number"),
    ({"loud": 1}, "Channel.loud = 1 must be true or false"),
    ({"lokback": 3}, "Channel has no parameter 'lokback'; did you mean 'lookback'? It has lookback, width, loud."),
])  # fmt: skip
def test_a_wrong_parameter_says_so(given: dict[str, object], message: str):
    with pytest.raises(ParamError) as caught:
        Channel(**given)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "value"), [("lookback=20", 20), ("width=1e0", 1.0), ("width=3", 3.0), ("loud=yes", True)]
)
def test_parameters_are_read_from_text(text: str, value: object):
    name, _, word = text.partition("=")
    assert Channel.from_text({name: word}).params()[name] == value


@pytest.mark.parametrize(
    "text", ["lookback=many", "lookback=2.5", "width=inf", "loud=perhaps", "lookback=", "nothing=1"]
)
def test_text_that_is_no_parameter_is_refused(text: str):
    name, _, word = text.partition("=")
    with pytest.raises(ParamError, match=rf"Channel(\.| has no parameter '){name}"):
        Channel.from_text({name: word})


def test_objects_share_nothing():
    one, other = Channel(), Channel()
    one.channel.update(2.0, 1.0)
    one.level = 5
    assert (other.channel.highest.at, other.level, type(one.level)) == (0, 0.0, float)
    assert Channel().channel is not Channel.channel


@pytest.mark.parametrize(("name", "value", "error"), [
    ("level", "x", TypeError), ("level", True, TypeError), ("lookback", 3, StrategyError), ("channel", 3, StrategyError),
    ("unheard", 3, StrategyError),
])  # fmt: skip
def test_interpreted_stores_are_checked_as_compiled_ones_are(
    name: str, value: object, error: type[Exception]
):
    with pytest.raises(error, match=name):
        setattr(Channel(), name, value)


def test_an_abstract_strategy_cannot_be_made():
    class Half(Strategy):
        level: float = 0.0

    with pytest.raises(StrategyError, match=r"Half has no on_bar\(self, ctx\)"):
        Half()


def test_a_parameter_without_a_value_decides_nothing():
    with pytest.raises(ParamError, match="has no value in the class body"):

        class Mine(Strategy):
            n: int = Param(5)
            if n:
                wide = True


def test_an_indicator_says_what_it_cannot_take():
    with pytest.raises(ParamError, match="a bar has no 'clos'; did you mean 'close'"):
        SMA(3, of="clos")
    with pytest.raises(ParamError, match="SMA has no parameter 'length'"):
        SMA(length=3)
    with pytest.raises(ParamError, match=r"Donchian takes 2 inputs, of= names 1"):
        Donchian(3, of="close")

    class Fraction(Strategy):
        n: int = Param(5)
        average = SMA(n / 2)

        def on_bar(self, ctx):
            pass

    with pytest.raises(ParamError, match=r"SMA.n = 2.5 \(from n / 2\) must be a whole number"):
        Fraction()
