"""What happened at a local venue, so that a test sees that its faults struck and who asked too early."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the log: the venue's time, a word for what happened, and its particulars."""

    ts_ms: int
    what: str
    detail: dict[str, Any] = field(default_factory=dict)


class VenueLog:
    """Requests, refusals, faults and messages of a local venue, in order; safe to read while it runs.

    Words: `request`, `too early` (asked again before Retry-After had passed), `connected`, `disconnected`,
    `subscribed`, `unsubscribed`, `message`, and the class name of every fault that struck.

    >>> log = VenueLog()
    >>> log.add(0, "request", endpoint="klines"); log.add(5, "Hole", bars=3)
    >>> log.count("Hole"), log.count("request", endpoint="time"), len(log)
    (1, 0, 2)
    """

    def __init__(self) -> None:
        self._entries: list[Entry] = []
        self._changed = threading.Condition(threading.RLock())

    def add(self, ts_ms: int, what: str, **detail: Any) -> None:
        """Append a line."""
        with self._changed:
            self._entries.append(Entry(ts_ms, what, detail))
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._entries)

    def entries(self, what: str | None = None, **detail: Any) -> list[Entry]:
        """The lines with this word and these particulars."""
        with self._changed:
            lines = list(self._entries)
        wanted = detail.items()
        return [line for line in lines if what in (None, line.what) and wanted <= line.detail.items()]

    def count(self, what: str, **detail: Any) -> int:
        """How many lines there are of that kind."""
        return len(self.entries(what, **detail))

    def wait(self, what: str, at_least: int = 1, patience_s: float = 30.0, **detail: Any) -> None:
        """Return when there are `at_least` such lines; TimeoutError with the log's totals after `patience_s`.

        In an event loop: `await asyncio.to_thread(venue.log.wait, "subscribed")`.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self.count(what, **detail) >= at_least, patience_s):
                raise TimeoutError(f"no {at_least} lines of {what!r} {detail} in {patience_s:g} s: {self!r}")

    def totals(self) -> dict[str, int]:
        """How often each word stands in the log."""
        return dict(Counter(line.what for line in self.entries()))

    def clear(self) -> None:
        """Forget all lines."""
        with self._changed:
            self._entries.clear()

    def __repr__(self) -> str:
        return f"VenueLog({', '.join(f'{what}={count}' for what, count in sorted(self.totals().items()))})"
