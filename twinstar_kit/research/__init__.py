"""Finding out: what a strategy's parameters do to its results, and how often one has looked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.research.explorer import Explorer

__all__ = ["Explorer"]


def __getattr__(name: str) -> Any:
    if name != "Explorer":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from twinstar_kit.research.explorer import Explorer

    return Explorer
