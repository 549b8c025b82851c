"""Clocks that are handed in wherever time matters, so that tests and replays drive them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Protocol, runtime_checkable

from twinstar_kit.kernel.errors import UsageError


@runtime_checkable
class Clock(Protocol):
    """Says what time it is for whoever holds it."""

    def milliseconds(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""


class SystemClock:
    """The computer's clock."""

    def milliseconds(self) -> int:
        """The time now."""
        return time.time_ns() // 1_000_000


class ManualClock:
    """A clock that stands still until it is told to move; it never goes back.

    >>> clock = ManualClock(1_000)
    >>> clock.advance(500)
    1500
    """

    def __init__(self, start_ms: int = 0) -> None:
        self._now_ms = int(start_ms)

    def milliseconds(self) -> int:
        """The time it was last set to."""
        return self._now_ms

    def advance(self, ms: int) -> int:
        """Move on by `ms` milliseconds; returns the new time."""
        return self.advance_to(self._now_ms + ms)

    def advance_to(self, ts_ms: int) -> int:
        """Move on to `ts_ms`; UsageError when that lies in the past."""
        if ts_ms < self._now_ms:
            raise UsageError(f"a clock does not go back: it is {self._now_ms}, asked for {ts_ms}")
        self._now_ms = int(ts_ms)
        return self._now_ms


class ReplayClock:
    """A clock that ran from `start_ms` at `wall_start_ms`, `speed` times as fast as `wall`.

    Three numbers describe it, so another process can hold the same clock. It never goes back, even if `wall`
    does.

    >>> wall = ManualClock(5_000)
    >>> clock = ReplayClock(1_735_689_600_000, speed=60, wall=wall)
    >>> wall.advance(1_000); clock.milliseconds()
    6000
    1735689660000
    """

    def __init__(
        self,
        start_ms: int,
        speed: float = 1.0,
        *,
        wall_start_ms: int | None = None,
        wall: Clock | None = None,
    ) -> None:
        if not 0 < speed < float("inf"):
            raise UsageError(f"the speed of a replay must be a positive number, not {speed}")
        self._wall = wall or SystemClock()
        self.start_ms = int(start_ms)
        self.speed = float(speed)
        self.wall_start_ms = self._wall.milliseconds() if wall_start_ms is None else int(wall_start_ms)
        self._latest_ms = self.start_ms

    def milliseconds(self) -> int:
        """The replay's time now."""
        elapsed_ms = (self._wall.milliseconds() - self.wall_start_ms) * self.speed
        self._latest_ms = max(self._latest_ms, self.start_ms + int(elapsed_ms))
        return self._latest_ms


def to_milliseconds(when: int | str | datetime) -> int:
    """Milliseconds UTC of a time as people write it: milliseconds, or an ISO date, UTC unless it says otherwise.

    >>> to_milliseconds("2025-01-01"), to_milliseconds("2025-01-01T01:00+09:00"), to_milliseconds("1735689600000")
    (1735689600000, 1735660800000, 1735689600000)
    """
    if isinstance(when, bool) or not isinstance(when, int | str | datetime):
        raise UsageError(f"{when!r} is not a time; write an ISO date such as 2025-01-31, or milliseconds")
    if isinstance(when, int) or (isinstance(when, str) and re.fullmatch(r"-?\d+", when) and len(when) > 8):
        return int(when)
    try:
        moment = when if isinstance(when, datetime) else datetime.fromisoformat(when)
    except ValueError:
        raise UsageError(
            f"{when!r} is not a time; write an ISO date such as 2025-01-31, or milliseconds"
        ) from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    whole = int(moment.replace(microsecond=0).timestamp())
    return whole * 1000 + moment.microsecond // 1000
