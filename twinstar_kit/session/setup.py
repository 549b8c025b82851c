"""What every way of running a strategy starts from: engine, runner, context, and the header of the journal."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.kernel.context import new_context
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.records import KERNEL_VERSION

if TYPE_CHECKING:
    from twinstar_kit.kernel.instruments import Instrument
    from twinstar_kit.strategy import Runner, Strategy

MODES = ("auto", "compiled", "interpreted")


@dataclass(slots=True)
class Setup:
    """A strategy before its first bar: nothing has happened but the opening deposit, which waits in the engine."""

    strategy: Strategy
    instrument: Instrument
    timeframe_ms: int
    broker: Broker
    engine: Engine
    runner: Runner
    context: np.ndarray

    @property
    def header(self) -> dict[str, Any]:
        """What the digest covers besides events and bars."""
        return run_header(self.strategy, self.engine, self.timeframe_ms)

    @property
    def start_equity(self) -> int:
        """Money units at the start."""
        return self.instrument.money_units(self.broker.start_balance)


def prepare(
    strategy: Strategy,
    instrument: Instrument,
    timeframe_ms: int,
    broker: Broker,
    mode: Any = "auto",
    *,
    buffer: int = 16_384,
) -> Setup:
    """Build everything that one run needs; `buffer` is how many events the engine holds before it must be drained.

    The opening deposit has the time 0: it stands before all market data, whenever the run is started.
    """
    from twinstar_kit.strategy import make_runner

    if mode not in MODES:
        raise UsageError(f"mode = {mode!r} must be one of {', '.join(MODES)}")
    strategy = strategy.replace()  # the given object is never changed, interpreted or not
    engine = Engine(
        [instrument],
        broker,
        {instrument.settle: broker.start_balance},
        timeframe_ms=timeframe_ms,
        buffer=buffer,
    )
    return Setup(
        strategy, instrument, timeframe_ms, broker, engine, make_runner(strategy, mode), new_context()
    )


def run_header(strategy: Strategy, engine: Engine, timeframe_ms: int) -> dict[str, Any]:
    """The journal's header of a strategy run over bars."""
    return {
        "kernel": KERNEL_VERSION,
        "granularity": "bars",
        "timeframe_ms": timeframe_ms,
        "seed": engine.broker.seed,
        "strategy": {
            "name": type(strategy).__name__,
            "source": type(strategy).source_hash(),
            "params": strategy.params(),
        },
        "balances": {engine.instruments[0].settle: engine.broker.canonical()["start_balance"]},
        **engine.header(),
    }


def strategy_name(strategy: Strategy) -> str:
    """The name that a command line knows the strategy by: its name in the starter kit, else its class.

    >>> from twinstar_kit.strategy import load
    >>> strategy_name(load("sma_cross")())
    'sma_cross'
    """
    module = type(strategy).__module__
    return (
        module.rpartition(".")[2]
        if module.startswith("twinstar_kit.strategy.library.")
        else type(strategy).__name__
    )


def strategy_spec(strategy: Strategy) -> str | None:
    """What `strategy.load` finds the class by in another process; None for a class made in a notebook or a test."""
    import sys

    cls = type(strategy)
    if cls.__module__.startswith("twinstar_kit.strategy.library."):
        return strategy_name(strategy)
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return (
        f"{Path(file).resolve()}:{cls.__name__}"
        if file and cls.__module__.startswith("twinstar_user_")
        else None
    )


def as_strategy(strategy: Strategy | type[Strategy] | str) -> Strategy:
    """A strategy object from an object, a class, or a name as on the command line."""
    from twinstar_kit.strategy import Strategy, load

    if isinstance(strategy, str):
        strategy = load(strategy)
    if isinstance(strategy, type) and issubclass(strategy, Strategy):
        return strategy()
    if isinstance(strategy, Strategy):
        return strategy
    raise UsageError(
        f"{strategy!r} is no strategy: give a Strategy object, its class, or a name such as 'breakout'"
    )


def as_broker(settings: dict[str, Any]) -> Broker:
    """The broker from keyword arguments; UsageError names one that does not exist."""
    import difflib

    known = Broker.names()
    for name in settings:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; the broker has {', '.join(known)}"
            raise UsageError(f"there is no broker setting {name!r}{hint}")
    return Broker(**settings)
