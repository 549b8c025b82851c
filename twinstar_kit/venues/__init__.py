"""Where orders go: the venue core without ccxt, and the faces that speak ccxt to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.venues.async_virtual import AsyncVirtualExchange
    from twinstar_kit.venues.core import VirtualVenue
    from twinstar_kit.venues.virtual import VirtualExchange

_HOMES = {"AsyncVirtualExchange": "async_virtual", "VirtualExchange": "virtual", "VirtualVenue": "core"}
__all__ = ["AsyncVirtualExchange", "VirtualExchange", "VirtualVenue"]


def __getattr__(name: str) -> Any:
    # ccxt takes half a second to import; the session, which needs the core alone, does not pay for it
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
