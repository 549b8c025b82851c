"""Where a stored row comes from, and why an absent one is absent."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any


class Provenance(IntEnum):
    """One number a row. They ascend with doubt, so the worst of several is the largest."""

    OBSERVED = 0
    """Seen live as it happened."""
    BACKFILLED = 1
    """Asked of the same venue afterwards."""
    FROM_TRADES = 2
    """Rebuilt from trades."""
    HEALED = 3
    """Taken from a second venue; the log says which."""
    NO_TRADE = 4
    """Absent, proven: the venue says that nobody traded."""
    OUTAGE = 5
    """Absent, proven: the venue was down, or never had it."""
    DISPUTED = 6
    """Two sources disagree: the row kept is the first, the other stands in the log."""


ABSENT = frozenset({Provenance.NO_TRADE, Provenance.OUTAGE})
"""Reasons of a proven absence; no stored row carries one."""


@dataclass(frozen=True, slots=True)
class Gap:
    """`count` bars that are not stored, with opens in [first_ms, until_ms).

    `reason` and `proof` are those of a proven absence; without a reason the bars are missing.
    """

    first_ms: int
    until_ms: int
    count: int
    reason: Provenance | None = None
    proof: dict[str, Any] = field(default_factory=dict)
