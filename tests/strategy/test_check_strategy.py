"""`check_strategy` passes what is right and catches what is wrong: a check that cannot fail proves nothing."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from twinstar_kit.strategy import Param, Strategy
from twinstar_kit.strategy.indicators import SMA
from twinstar_kit.testing import (
    LooksAhead,
    ModesDiffer,
    NotRepeatable,
    RestartDiffers,
    StrategyCheckFailed,
    check_strategy,
    random_walk,
)

BARS = random_walk(700, seed=11)


@pytest.mark.parametrize("name", ["breakout", "sma_cross"])
def test_the_starter_kit_passes(name: str):
    report = check_strategy(name)
    assert [p.name for p in report.proofs] == [
        "repeatable",
        "no look-ahead",
        "compiled equals interpreted",
        "restartable",
    ]
    assert not any(p.skipped for p in report.proofs)
    assert report.mode == "compiled"
    assert report.fills > 50
    assert len(report.digest) == 64


@pytest.mark.parametrize(
    "settings", [{"fill": "close"}, {"slippage_bps": 5, "path": "open_high_low_close"}, {"amount": "0.05"}]
)
def test_it_holds_for_every_broker(settings: dict[str, Any]):
    assert check_strategy("breakout", random_walk(1_500), **settings).fills > 5


def test_the_report_reads_well():
    from rich.console import Console

    report = check_strategy("sma_cross", BARS)
    assert "SmaCross" in str(report)
    assert "proven   restartable: 699 restarts from snapshots" in str(report)
    console = Console(width=120, record=True, file=open("/dev/null", "w"))  # noqa: SIM115 - rich wants one
    console.print(report)
    assert "compiled equals interpreted" in console.export_text()


SEEN: list[float] = []


class Remembers(Strategy):
    """Keeps its state in a list of the module, where the next run finds it."""

    def on_bar(self, ctx):
        SEEN.append(ctx.bar.close)
        if len(SEEN) % 9 == 0:
            ctx.buy()
        elif len(SEEN) % 9 == 4:
            ctx.close()


def test_module_level_state_is_caught():
    SEEN.clear()
    with pytest.raises(
        NotRepeatable,
        match=r"Remembers: two runs over the same bars differ.*event \d+ differs: the first run has PROPOSED at",
    ):
        check_strategy(Remembers, BARS)


class Peeper:
    """Finds the loop's bars on the stack and reads the next one."""

    def next_close(self) -> float | None:
        frame = inspect.currentframe()
        while frame is not None and "rows" not in frame.f_locals:
            frame = frame.f_back
        assert frame is not None
        rows, i = frame.f_locals["rows"], frame.f_locals["i"]
        return float(rows[i + 1][4]) / 100 if i + 1 < len(rows) else None


peeper = Peeper()


class Clairvoyant(Strategy):
    def on_bar(self, ctx):
        coming = peeper.next_close()
        if coming is not None:
            if coming > ctx.bar.close:
                ctx.buy()
            else:
                ctx.close()


def test_look_ahead_is_caught():
    with pytest.raises(
        LooksAhead, match="Clairvoyant: a run over the first bars is not how the whole run begins"
    ):
        check_strategy(Clairvoyant, BARS)


class TwoFaced:
    """A helper whose compiled form is not what Python calls, as a fast-math helper would be."""

    def __init__(self, function: Any, py_func: Any) -> None:
        self.function, self.py_func = function, py_func

    def __call__(self, x: float) -> float:
        result: float = self.function(x)
        return result


def exact_third(x: float) -> float:
    return x / 3.0


third = TwoFaced(lambda x: x * (1.0 / 3.0), exact_third)


class LastBits(Strategy):
    n: int = Param(10)
    average = SMA(n)
    score: float = 0.0

    def on_bar(self, ctx):
        self.score += third(ctx.bar.close) - ctx.bar.close / 3.0
        if self.score == 0.0:
            ctx.buy()
        else:
            ctx.close()


def test_a_difference_between_the_modes_is_caught():
    with pytest.raises(ModesDiffer, match="the compiled and the interpreted run differ"):
        check_strategy(LastBits, BARS)


class Hides(Strategy):
    """Keeps a counter in the object, but past the declaration."""

    def on_bar(self, ctx):
        count = self.__dict__.get("count", 0) + 1
        self.__dict__["count"] = count
        if count % 50 == 0:
            ctx.buy()
        elif count % 50 == 25:
            ctx.close()


def test_state_that_a_restart_loses_is_caught():
    with pytest.raises(RestartDiffers, match=r"some state is not in a declared field"):
        check_strategy(Hides, BARS)


def test_a_failure_carries_what_was_proven_before():
    with pytest.raises(StrategyCheckFailed) as caught:
        check_strategy(Hides, BARS)
    assert isinstance(caught.value, AssertionError)
    assert [p.name for p in caught.value.report.proofs] == [
        "repeatable",
        "no look-ahead",
        "compiled equals interpreted",
    ]
    assert "runs interpreted only" in caught.value.report.proofs[2].skipped
    assert caught.value.difference.startswith("event ")


class Idle(Strategy):
    def on_bar(self, ctx):
        if ctx.bar.close < 0.0:
            ctx.buy()


def test_proofs_on_bars_without_a_trade_are_marked_as_weak():
    report = check_strategy(Idle, BARS)
    assert report.fills == 0
    assert "give bars on which it trades" in report.note
    assert "note:" in str(report)


class Model:
    def predict(self, rows: list[list[float]]) -> list[float]:
        return [1.0 if rows[0][0] > rows[0][1] else 0.0]


class WithModel(Strategy):
    """Outside the compiler's reach, with the same promises."""

    model = Model()
    average = SMA(20)

    def on_bar(self, ctx):
        if self.average.ready:
            if self.model.predict([[ctx.bar.close, self.average.value]])[0] > 0.5:
                if ctx.position == 0.0:
                    ctx.buy()
            elif ctx.position > 0.0:
                ctx.close()


def test_an_interpreted_strategy_is_checked_too():
    report = check_strategy(WithModel, BARS)
    assert report.mode == "interpreted"
    assert report.fills > 10
    assert "it runs interpreted only" in report.proofs[2].skipped


def test_parameters_can_be_given_with_the_object():
    assert check_strategy(WithModel(), BARS).digest == check_strategy(WithModel, BARS).digest
    short, long = (check_strategy(type(s)(**s.params()), BARS) for s in (_cross(3), _cross(5)))
    assert short.digest != long.digest


def _cross(fast: int) -> Strategy:
    from twinstar_kit.strategy import load

    return load("sma_cross")(fast=fast, slow=30)
