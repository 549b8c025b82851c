"""Turns an exception from a strategy's method into one line that names the user's file, line and bar."""

from __future__ import annotations

import linecache

from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.errors import Place, StrategyFailed


def failed(strategy: Strategy, bar: int, error: Exception) -> StrategyFailed:
    """The error to raise for what a strategy raised on a bar; the place is the innermost line of a user's file."""
    if isinstance(error, StrategyFailed):
        return error
    place = None
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if (
            trace.tb_frame.f_globals.get("__name__", "").split(".")[:2] != ["twinstar_kit", "strategy"]
            or "library" in file
        ):
            place = Place(file, trace.tb_lineno, linecache.getline(file, trace.tb_lineno).strip())
        trace = trace.tb_next
    return StrategyFailed(
        f"{type(strategy).__name__} failed on bar {bar}: {type(error).__name__}: {error}", place, bar, error
    )
