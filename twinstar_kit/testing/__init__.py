"""What users test their own work with; the same checks hold for the starter kit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from twinstar_kit.testing.strategies import (
    LooksAhead,
    ModesDiffer,
    NotRepeatable,
    RestartDiffers,
    StrategyCheckFailed,
    StrategyReport,
    check_strategy,
)
from twinstar_kit.testing.walks import random_walk

if TYPE_CHECKING:
    from twinstar_kit.testing.local_venue import LocalVenue

__all__ = [
    "LocalVenue",
    "LooksAhead",
    "ModesDiffer",
    "NotRepeatable",
    "RestartDiffers",
    "StrategyCheckFailed",
    "StrategyReport",
    "check_strategy",
    "random_walk",
]


def __getattr__(name: str) -> Any:
    if name != "LocalVenue":  # a server, which the checks of strategies do without
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from twinstar_kit.testing.local_venue import LocalVenue

    return LocalVenue
