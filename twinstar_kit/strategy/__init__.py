"""Strategies: declare parameters and indicators, propose orders bar by bar, run compiled or interpreted alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.component import Array, Indicator
from twinstar_kit.strategy.context import Bar, Context
from twinstar_kit.strategy.errors import ParamError, StrategyError, StrategyFailed, UnknownStrategy
from twinstar_kit.strategy.loading import available, load
from twinstar_kit.strategy.params import Param, ParamSpec

if TYPE_CHECKING:
    from twinstar_kit.strategy import indicators
    from twinstar_kit.strategy.runner import Runner, make_runner

__all__ = [
    "Array",
    "Bar",
    "Context",
    "Indicator",
    "Param",
    "ParamError",
    "ParamSpec",
    "Runner",
    "Strategy",
    "StrategyError",
    "StrategyFailed",
    "UnknownStrategy",
    "available",
    "indicators",
    "load",
    "make_runner",
]


def __getattr__(name: str) -> Any:
    # numba stays out until something runs
    if name == "indicators":
        from importlib import import_module

        return import_module(f"{__name__}.indicators")
    if name in ("Runner", "make_runner"):
        from twinstar_kit.strategy import runner

        return getattr(runner, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
