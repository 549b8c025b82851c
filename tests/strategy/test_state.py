"""State in bytes: packed and unpacked, refused where it does not belong, carried over any restart in either mode."""

from __future__ import annotations

import numpy as np
import pytest
from strategy.walks import as_bars, play, walk

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.context import new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.models import Broker
from twinstar_kit.strategy import Array, Param, Strategy, StrategyError, load, make_runner
from twinstar_kit.strategy.indicators import SMA, Donchian
from twinstar_kit.strategy.layout import Packer


class Kept(Strategy):
    n: int = Param(4, 1, 100)
    width: float = Param(2.0)
    channel = Donchian(n)
    average = SMA(n * 2)
    level: float = -0.0
    big: int = 2**62
    flag: bool = False
    window = Array(n)
    counts = Array(3, int)

    def on_bar(self, ctx):
        self.level = self.average.value
        self.flag = not self.flag
        self.window[ctx.bar.index % self.n] = ctx.bar.close
        self.counts[ctx.bar.index % 3] = ctx.bar.index
        if self.flag and self.channel.ready and ctx.bar.close > self.channel.upper:
            ctx.buy()
            ctx.stop(self.channel.lower)


@pytest.fixture(scope="module")
def bars() -> Bars:
    return as_bars(walk(4_000, step=2e-3))


def test_what_is_packed_is_unpacked():
    one, other = Kept(n=6), Kept(n=6)
    for high in (3.0, 5.0, 4.0):
        one.channel.update(high, high - 1.0)
        one.average.update(high)
    one.level, one.big, one.flag = float("nan"), -5, True
    one.window[5], one.counts[1] = 1.5, 7
    buffer = Packer(one).pack()
    Packer(other).unpack(buffer)
    assert np.isnan(other.level)
    assert (other.big, other.flag, list(other.window), list(other.counts)) == (
        -5,
        True,
        [0, 0, 0, 0, 0, 1.5],
        [0, 7, 0],
    )
    assert (other.channel.highest.at, list(other.channel.highest.block)) == (
        3,
        list(one.channel.highest.block),
    )
    assert Packer(other).pack().tobytes() == buffer.tobytes()


def test_the_layout_is_the_class_and_the_lengths():
    assert Packer(Kept(n=6)).layout_hash == Packer(Kept(n=6, width=3.0)).layout_hash
    assert Packer(Kept(n=6)).layout_hash != Packer(Kept(n=7)).layout_hash
    assert Packer(Kept()).layout_hash != Packer(load("breakout")()).layout_hash


def test_a_snapshot_of_something_else_is_refused():
    snapshot = make_runner(Kept(n=6), "interpreted").snapshot()
    with pytest.raises(StrategyError, match="other fields, indicators or array lengths"):
        make_runner(Kept(n=7), "interpreted").restore(snapshot)
    with pytest.raises(StrategyError, match="other fields, indicators or array lengths"):
        make_runner(Kept(n=6), "interpreted").restore(snapshot[:-8])
    with pytest.raises(StrategyError, match=r"taken with width = 2.0, this strategy has 3.0"):
        make_runner(Kept(n=6, width=3.0), "interpreted").restore(snapshot)


@pytest.mark.parametrize("cls", [Kept, load("breakout")], ids=lambda c: c.__name__)
def test_forty_restarts_that_change_the_mode_leave_no_trace(cls: type[Strategy], bars: Bars):
    straight = make_runner(cls(), "compiled")
    expected = play(straight, bars)
    stops = sorted(np.random.default_rng(1).integers(1, len(bars), 40).tolist())
    engine, ctx, state = Engine([bars.instrument], Broker(), {"USDT": 10_000}), new_context(), b""
    equity, events, at = np.zeros(len(bars), np.int64), [], 0
    for n, stop in enumerate([*stops, len(bars)]):
        runner = make_runner(cls(), "compiled" if n % 2 else "interpreted")
        if state:
            runner.restore(state)
        again = Engine([bars.instrument], Broker(), {"USDT": 1})
        again.drain()
        again.restore(engine.snapshot())
        if not at:
            events.append(engine.drain())
        engine, ctx = again, np.frombuffer(ctx.tobytes(), ctx.dtype).copy()
        while at < stop:
            at = runner.run(bars.rows, at, stop, ctx, engine.desk, equity)
            events.append(engine.drain())
        state = runner.snapshot()
    assert np.concatenate(events).tobytes() == expected.events.tobytes()
    assert equity.tobytes() == expected.equity.tobytes()
    assert state == straight.snapshot()
    assert engine.snapshot() == expected.engine.snapshot()


def test_a_small_buffer_only_makes_more_stops(bars: Bars):
    whole = play(make_runner(Kept(), "compiled"), bars)
    engine = Engine([bars.instrument], Broker(), {"USDT": 10_000}, order_capacity=8, buffer=1_200)
    runner, ctx, equity, events, at, stops = (
        make_runner(Kept(), "compiled"),
        new_context(),
        np.zeros(len(bars), np.int64),
        [],
        0,
        0,
    )
    while at < len(bars):
        at = runner.run(bars.rows, at, len(bars), ctx, engine.desk, equity)
        events.append(engine.drain())
        stops += 1
    assert stops > 1
    assert np.concatenate(events).tobytes() == whole.events.tobytes()


def test_the_kernel_is_told_nothing_wrong(bars: Bars):
    from twinstar_kit.kernel.desk import SHAPES, Desk
    from twinstar_kit.kernel.errors import UsageError

    runner, ctx = make_runner(Kept(), "compiled"), new_context()
    engine = Engine([bars.instrument], Broker())
    equity = np.zeros(len(bars), np.int64)
    for rows, first, last, money, what in [
        (bars.rows.astype(float), 0, 10, equity, "rows must be int64"),
        (bars.rows[:, :5], 0, 10, equity, "rows must be int64"),
        (np.asfortranarray(bars.rows), 0, 10, equity, "rows must be int64"),
        (bars.rows, 0, len(bars) + 1, np.zeros(len(bars) + 1, np.int64), "are not within"),
        (bars.rows, -1, 10, equity, "are not within"),
        (bars.rows, 0, 10, equity[:9], "with room for 10 bars"),
        (bars.rows, 0, 10, equity.astype(float), "equity must be int64"),
    ]:
        with pytest.raises(UsageError, match=what):
            runner.run(rows, first, last, ctx, engine.desk, money)
    with pytest.raises(UsageError, match="must be a contiguous array of the kernel's orders records"):
        Desk(**{name: getattr(engine, name) for name in SHAPES} | {"orders": engine.state})
    with pytest.raises(UsageError, match="make an object of it first"):
        make_runner(Kept)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="must be one of auto, compiled, interpreted"):
        make_runner(Kept(), "fast")  # type: ignore[arg-type]


def test_the_source_hash_is_the_same_everywhere_and_changes_with_the_source(tmp_path):
    body = (
        "from twinstar_kit.strategy import Param, Strategy\nfrom twinstar_kit.strategy.indicators import SMA\n"
        "LIMIT = {limit}\ndef twice(x):\n    return {factor} * x\n"
        "class Mine(Strategy):\n    n: int = Param({default})\n    average = SMA({length})\n"
        "    def on_bar(self, ctx):\n        if twice(ctx.bar.close) > LIMIT:\n            ctx.buy()\n"
    )
    plain = {"limit": 3.0, "factor": 2.0, "default": 5, "length": "n"}

    def hashed(folder: str, above: str = "", **changes: object) -> str:
        path = tmp_path / folder / "mine.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(above + body.format(**{**plain, **changes}))
        return load(f"{path}:Mine").source_hash()

    original = hashed("a")
    assert hashed("b") == original, "another path"
    assert hashed("c", above="# moved down\n\n") == original, "another line"
    assert hashed("d", default=6) == original, "values of parameters stand in the header"
    others = [
        hashed("e", limit=4.0),
        hashed("f", factor=2.5),
        hashed("g", length="n * 2"),
        load("breakout").source_hash(),
    ]
    assert len({original, *others}) == 5
