"""TwinStar: research and paper trading on one kernel. The public names load when first used."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "Strategy": "strategy",
    "Param": "strategy",
    "Indicator": "strategy",
    "indicators": "strategy",
    "backtest": "session",
    "paper": "session",
    "parity": "session",
    "load_bars": "feeds",
    "SimulatedMarket": "feeds",
    "VirtualExchange": "venues",
    "Terminal": "terminal",
}

__all__ = [*_HOMES, "__version__"]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
