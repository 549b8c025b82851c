"""Market data as the rest of TwinStar reads it: files of real bars, replays, and the simulated market.

A `Feed` answers for any time by reading, never by waiting; clocks say what time it is. Data that was simulated or
derived says so. The names below load when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed, open_feed
    from twinstar_kit.feeds.ccxt_source import CcxtSource
    from twinstar_kit.feeds.clock import Clock, ManualClock, ReplayClock, SystemClock
    from twinstar_kit.feeds.files import load_bars, normalise_symbol, save_bars
    from twinstar_kit.feeds.replay import Replay
    from twinstar_kit.feeds.simulated import SimulatedMarket
    from twinstar_kit.feeds.source import Source

_HOMES = {
    "CcxtSource": "ccxt_source",
    "Clock": "clock",
    "Feed": "base",
    "ManualClock": "clock",
    "Replay": "replay",
    "ReplayClock": "clock",
    "SimulatedMarket": "simulated",
    "Source": "source",
    "SystemClock": "clock",
    "load_bars": "files",
    "normalise_symbol": "files",
    "open_feed": "base",
    "save_bars": "files",
}

__all__ = [
    "CcxtSource",
    "Clock",
    "Feed",
    "ManualClock",
    "Replay",
    "ReplayClock",
    "SimulatedMarket",
    "Source",
    "SystemClock",
    "load_bars",
    "normalise_symbol",
    "open_feed",
    "save_bars",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
