"""TwinStar: research and paper trading on one kernel. The public names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.feeds import SimulatedMarket, load_bars
    from twinstar_kit.lake import Lake
    from twinstar_kit.session.history import backtest
    from twinstar_kit.session.proof import parity
    from twinstar_kit.session.trading import paper
    from twinstar_kit.strategy import Indicator, Param, Strategy, indicators
    from twinstar_kit.terminal import Terminal
    from twinstar_kit.venues import AsyncVirtualExchange, VirtualExchange

__version__ = "0.1.0"

_HOMES = {
    "Strategy": "strategy",
    "Param": "strategy",
    "Indicator": "strategy",
    "indicators": "strategy",
    "backtest": "session.history",
    "paper": "session.trading",
    "parity": "session.proof",
    "load_bars": "feeds",
    "Lake": "lake",
    "SimulatedMarket": "feeds",
    "VirtualExchange": "venues",
    "AsyncVirtualExchange": "venues",
    "Terminal": "terminal",
}

__all__ = [
    "AsyncVirtualExchange",
    "Indicator",
    "Lake",
    "Param",
    "SimulatedMarket",
    "Strategy",
    "Terminal",
    "VirtualExchange",
    "__version__",
    "backtest",
    "indicators",
    "load_bars",
    "paper",
    "parity",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
