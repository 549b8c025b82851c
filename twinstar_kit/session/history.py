"""The history loop: a strategy over bars that are all there, as fast as the compiled step goes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars, parse_timeframe
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.session.results import RunResult
from twinstar_kit.session.setup import Setup, as_broker, as_strategy, prepare

if TYPE_CHECKING:
    from twinstar_kit.strategy import Strategy

Events = npt.NDArray[np.void]
Progress = Callable[[float, float | None, str], None]
STRETCH = 65_536
"""Bars between two reports of progress."""
ROOM = 131_072
"""Events that a history loop holds before it takes them out: memory that is not written to costs nothing."""


def backtest(
    strategy: Strategy | type[Strategy] | str,
    data: Any,
    *,
    mode: str = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """Run a strategy over bars and return what came of it.

    `data` is a `Bars`, what `Lake.read` gave, the path of a Parquet, CSV or Feather file, or (feed, symbol, since, until)
    with an optional timeframe behind. `settings` are the broker's (`fee_taker=0.001`, `fill="close"`, ...; see
    `kernel.models.Broker`) and, for a path, those of `feeds.load_bars` (`symbol`, `timeframe`, `tick`, `since`, ...). `progress(done, total, note)` is
    called now and then. Raises UsageError, DataError or ParamError in one line.

    >>> from twinstar_kit.kernel.instruments import Instrument
    >>> flat = np.full(100, 50.0)
    >>> bars = Bars.from_floats(Instrument.from_sizes("BTC/USDT"), 60_000, np.arange(100) * 60_000,
    ...                         flat, flat, flat, flat, flat)
    >>> backtest("breakout", bars, fee_taker=0.001).end_balance
    10000.0
    """
    bars = as_bars(data, settings)
    setup = prepare(
        as_strategy(strategy), bars.instrument, bars.timeframe_ms, as_broker(settings), mode, buffer=ROOM
    )
    if progress is not None:
        progress(0, len(bars), "")
    started = time.perf_counter()
    events, equity = run_history(setup, bars.rows, progress)
    return RunResult.of(setup, bars, events, equity, seconds=time.perf_counter() - started)


def run_history(
    setup: Setup, rows: npt.NDArray[np.int64], progress: Progress | None = None
) -> tuple[Events, npt.NDArray[np.int64]]:
    """Drive the compiled loop over `rows`, taking its events out when it asks; returns all events and the equity by bar."""
    equity = np.empty(len(rows), np.int64)
    parts: list[Events] = []
    run_stretch(setup, rows, equity, parts, progress)
    if setup.broker.close_at_end:
        setup.engine.close_out(0)
        equity[-1:] = setup.engine.equity(0)
    last = setup.engine.drain()
    return np.concatenate([*parts, last]) if parts else last, equity


def run_stretch(
    setup: Setup,
    rows: npt.NDArray[np.int64],
    equity: npt.NDArray[np.int64],
    parts: list[Events],
    progress: Progress | None = None,
) -> None:
    """Run over all `rows`, appending drained events to `parts`; what the last bars made may still be in the engine."""
    engine, runner, context = setup.engine, setup.runner, setup.context
    at, total = 0, len(rows)
    while at < total:
        until = min(at + STRETCH, total)
        reached = runner.run(rows, at, until, context, engine.desk, equity)
        if reached < until:
            drained = engine.drain()
            if reached == at and not len(drained):
                raise RuntimeError(
                    f"bar {at} cannot be stepped: the event buffer is empty and still too small"
                )
            parts.append(drained)
        at = reached
        if progress is not None:
            progress(at, total, "")


def as_bars(data: Any, settings: dict[str, Any]) -> Bars:
    """`Bars` from whatever a user may hand over; takes what belongs to the data out of `settings`."""
    from twinstar_kit.feeds import load_bars

    names = ("symbol", "exchange", "timeframe", "tick", "lot", "since", "until")
    rules = {name: settings.pop(name) for name in names if name in settings}
    if isinstance(data, str | os.PathLike):
        return load_bars(data, **rules)
    if isinstance(data, tuple):
        return _from_feed(data, rules)
    if not isinstance(data, Bars):
        from twinstar_kit.lake import Reading

        data = data.bars() if isinstance(data, Reading) else data
    if isinstance(data, Bars):
        if set(rules) - {"since", "until"}:
            raise UsageError(
                f"{', '.join(sorted(rules))}: bars that are loaded already have theirs; say it when loading"
            )
        # the very same object where there is no window: it keeps the digest that it was asked for
        bars = data.between(**{f"{name}_ms": _ms(when) for name, when in rules.items()}) if rules else data
        if not len(bars):
            raise UsageError("there are no bars in that window; widen since and until")
        return bars
    raise UsageError(
        f"data must be Bars, a path, (feed, symbol, since, until) or a reading of the lake, not {type(data).__name__}"
    )


def _from_feed(data: tuple[Any, ...], rules: dict[str, Any]) -> Bars:
    if not 4 <= len(data) <= 5:
        raise UsageError(
            "data from a feed is (feed, symbol, since, until) or (feed, symbol, since, until, timeframe)"
        )
    if set(rules) - {"timeframe"}:
        raise UsageError(f"{', '.join(sorted(rules))}: the feed says it; leave it out")
    feed, symbol, since, until = data[:4]
    timeframe = data[4] if len(data) == 5 else rules.get("timeframe", "1m")
    timeframe_ms = parse_timeframe(timeframe) if isinstance(timeframe, str) else int(timeframe)
    bars: Bars = feed.bars(symbol, _ms(since), _ms(until), timeframe_ms)
    if not len(bars):
        raise UsageError(f"the feed has no complete bars of {symbol} between {since} and {until}")
    return bars


def _ms(when: Any) -> int:
    from twinstar_kit.feeds.clock import to_milliseconds

    return to_milliseconds(when)


__all__ = ["Progress", "as_bars", "backtest", "run_history", "run_stretch"]
