"""Puts what a live stream brings into order: bars and trades of one symbol, each handed on once, and what is missing.

Nothing here reads a clock or a network; `ccxt_live` does, and tells these what came.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import Rows
from twinstar_kit.kernel.errors import UsageError

Row = npt.NDArray[np.int64]


class BarOrder:
    """The finished bars of one symbol, handed on in the order of time without a hole.

    `due_ms` is the open of the next bar to hand on. A bar that was seen live waits until those before it are there; the
    hole before it is filled with what the venue answers when asked, and what it does not have then counts as a bar that
    does not exist.

    >>> order = BarOrder(60_000, due_ms=0)
    >>> bar = lambda ts: np.array([ts, 1, 1, 1, 1, 1])
    >>> order.seen(bar(60_000)); order.ready()
    True
    []
    >>> order.hole(60_000), order.filled(bar(0)[None], until_ms=60_000)
    ((0, 60000), 1)
    >>> [(int(row[0]), live) for row, live in order.ready()]
    [(0, False), (60000, True)]
    """

    def __init__(self, timeframe_ms: int, due_ms: int) -> None:
        if due_ms % timeframe_ms:
            raise UsageError(f"bars of {timeframe_ms} ms do not open at {due_ms}")
        self.timeframe_ms, self.due_ms = timeframe_ms, due_ms
        self._waiting: dict[int, tuple[Row, bool]] = {}
        self._absent: set[int] = set()

    def seen(self, row: Row) -> bool:
        """A finished bar came from the stream; False when it is one that is known or handed on already."""
        opened = int(row[0])
        if opened < self.due_ms or opened in self._waiting or opened % self.timeframe_ms:
            return False
        self._waiting[opened] = (np.array(row, np.int64), True)
        self._absent.discard(opened)
        return True

    def hole(self, finished_ms: int) -> tuple[int, int] | None:
        """The first stretch of bars that are missing although they closed by `finished_ms`: [since, until) of opens."""
        since = self._first_gap(self.due_ms, finished_ms)
        if since is None:
            return None
        later = [opened for opened in self._waiting if opened > since]
        end = finished_ms // self.timeframe_ms * self.timeframe_ms
        return since, min([*later, end])

    def _first_gap(self, opened: int, finished_ms: int) -> int | None:
        while opened + self.timeframe_ms <= finished_ms:
            if opened not in self._waiting and opened not in self._absent:
                return opened
            opened += self.timeframe_ms
        return None

    def filled(self, rows: Rows, until_ms: int, seen: Mapping[int, Row] | None = None) -> int:
        """What the venue has of the first hole, up to `until_ms`; returns how many bars were filled in.

        Opens of the hole that `rows` does not hold count as absent from now on. A bar that equals the one of `seen` at
        the same time was seen live and is only confirmed.
        """
        since = self._first_gap(self.due_ms, until_ms)
        if since is None:
            return 0
        count = 0
        for row in rows:
            opened = int(row[0])
            if since <= opened < until_ms and opened not in self._waiting and not opened % self.timeframe_ms:
                live = seen is not None and opened in seen and np.array_equal(seen[opened], row)
                self._waiting[opened] = (np.array(row, np.int64), live)
                count += not live
        for opened in range(since, until_ms, self.timeframe_ms):
            if opened not in self._waiting:
                self._absent.add(opened)
        return count

    def ready(self) -> list[tuple[Row, bool]]:
        """The bars that are due, in order, each with whether it was seen live; they are not given again."""
        found = []
        while self.due_ms in self._waiting or self.due_ms in self._absent:
            held = self._waiting.pop(self.due_ms, None)
            self._absent.discard(self.due_ms)
            if held is not None:
                found.append(held)
            self.due_ms += self.timeframe_ms
        return found


class _Held(NamedTuple):
    """A trade that waits: `place` is what it is sorted by."""

    place: tuple[int, int]
    trade: tuple[int, ...]
    live: bool


def _place(held: _Held) -> tuple[int, int]:
    return held.place


class TradeOrder:
    """The trades of one symbol by id, each once; with `sequential` ids a missing one is noticed.

    Rows are `timestamp price amount side id`, int64. Without sequential ids a trade is known by its id and time among
    the last `memory` ones.

    >>> order = TradeOrder(sequential=True)
    >>> order.seen([[1, 10, 5, 1, 7], [2, 10, 5, 1, 9], [2, 10, 5, 1, 9]])
    1
    >>> rows, live = order.ready()
    >>> rows.tolist(), live.tolist(), order.hole()
    ([[1, 10, 5, 1, 7]], [True], (7, 9))
    """

    def __init__(self, *, sequential: bool, memory: int = 5_000) -> None:
        self.sequential, self.memory = sequential, memory
        self.last_id: int | None = None
        self.last_ms = 0
        self._waiting: list[_Held] = []
        self._known: dict[tuple[int, int], None] = {}

    def seen(self, rows: Iterable[Iterable[int]], *, live: bool = True) -> int:
        """Trades came, in any order, from the stream or (not `live`) as an answer; returns how many were known."""
        again = 0
        for row in rows:
            trade = tuple(int(value) for value in row)
            ts, number = trade[0], trade[4]
            key = (number, 0) if self.sequential else (ts, number)
            if key in self._known or (
                self.sequential and self.last_id is not None and number <= self.last_id
            ):
                again += 1
                continue
            self._known[key] = None
            place = (number, ts) if self.sequential else (ts, number)
            insort(self._waiting, _Held(place, trade, live), key=_place)
        return again

    def ready(self) -> tuple[Rows, npt.NDArray[np.bool_]]:
        """The trades that may be handed on, in order, and which were seen live; they are not given again."""
        count = len(self._waiting)
        if self.sequential and count:
            numbers = [held.trade[4] for held in self._waiting]
            before = numbers[0] - 1 if self.last_id is None else self.last_id
            count = next((at for at, number in enumerate(numbers) if number != before + 1 + at), count)
        taken, self._waiting = self._waiting[:count], self._waiting[count:]
        if taken:
            self.last_ms, self.last_id = taken[-1].trade[0], taken[-1].trade[4]
            self._forget()
        rows = np.array([held.trade for held in taken], np.int64).reshape(-1, 5)
        return rows, np.array([held.live for held in taken], np.bool_)

    def hole(self) -> tuple[int, int] | None:
        """The ids on both sides of the gap that what is not ready waits behind; None when something is ready, or all came."""
        if not self.sequential or not self._waiting or self.last_id is None:
            return None
        first = self._waiting[0].trade[4]
        return (self.last_id, first) if first > self.last_id + 1 else None

    def times_around(self) -> tuple[int, int]:
        """Times of the trades on both sides of the gap."""
        if self.hole() is None:
            raise UsageError("no trade is missing")
        return self.last_ms, self._waiting[0].trade[0]

    def give_up(self) -> tuple[int, int]:
        """The venue does not have the trades of the gap: go on behind it. Returns the ids on both sides."""
        gap = self.hole()
        if gap is None:
            raise UsageError("no trade is missing")
        self.last_id = gap[1] - 1
        return gap

    def _forget(self) -> None:
        """Keep no more ids in mind than can come again."""
        if self.sequential:
            self._known = {(held.trade[4], 0): None for held in self._waiting}
            return
        for key in list(self._known)[: max(0, len(self._known) - self.memory)]:
            del self._known[key]
