"""What users test their own work with; the same checks hold for the starter kit."""

from __future__ import annotations

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

__all__ = [
    "LooksAhead",
    "ModesDiffer",
    "NotRepeatable",
    "RestartDiffers",
    "StrategyCheckFailed",
    "StrategyReport",
    "check_strategy",
    "random_walk",
]
