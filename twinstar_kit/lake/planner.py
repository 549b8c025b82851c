"""Which requests fill which holes: pure functions over half open intervals of milliseconds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Interval = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Request:
    """Bars to ask of a venue in one go: those that open in [since_ms, until_ms)."""

    since_ms: int
    until_ms: int

    def bars(self, timeframe_ms: int) -> int:
        """How many bars the interval has room for."""
        return (self.until_ms - self.since_ms) // timeframe_ms


def plan(missing: Iterable[Interval], timeframe_ms: int, limit: int) -> Iterator[Request]:
    """The fewest requests of at most `limit` bars that cover `missing`, in time order.

    A request begins at the first bar that no earlier one covers and reaches as far as `limit` lets it, which no
    other cover can beat; it bridges what is not missing in between, and ends at the last missing bar within reach.

    >>> minute = 60_000
    >>> [r.bars(minute) for r in plan([(0, 3 * minute), (5 * minute, 12 * minute)], minute, 8)]
    [8, 4]
    """
    reach = limit * timeframe_ms
    since, until = 0, 0
    for first, end in merge(missing):
        while first < end:
            if until == since or first >= since + reach:
                if until > since:
                    yield Request(since, until)
                since = first
            first = until = min(end, since + reach)
    if until > since:
        yield Request(since, until)


def merge(intervals: Iterable[Interval]) -> list[Interval]:
    """Ascending intervals that neither touch nor overlap; empty ones are dropped.

    >>> merge([(5, 9), (0, 2), (2, 3), (7, 8)])
    [(0, 3), (5, 9)]
    """
    merged: list[Interval] = []
    for first, end in sorted(intervals):
        if first >= end:
            continue
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged


def without(intervals: Iterable[Interval], taken: Iterable[Interval]) -> list[Interval]:
    """What of `intervals` lies in none of `taken`.

    >>> without([(0, 10), (20, 30)], [(3, 5), (8, 22)])
    [(0, 3), (5, 8), (22, 30)]
    """
    left: list[Interval] = []
    cuts = merge(taken)
    at = 0
    for first, end in merge(intervals):
        while at < len(cuts) and cuts[at][1] <= first:
            at += 1
        look = at
        while look < len(cuts) and cuts[look][0] < end:
            if first < cuts[look][0]:
                left.append((first, cuts[look][0]))
            first = max(first, cuts[look][1])
            look += 1
        if first < end:
            left.append((first, end))
    return left


def common(intervals: Iterable[Interval], others: Iterable[Interval]) -> list[Interval]:
    """What lies in both.

    >>> common([(0, 10), (20, 30)], [(3, 5), (8, 22)])
    [(3, 5), (8, 10), (20, 22)]
    """
    ours = merge(intervals)
    return without(ours, without(ours, others))


def holes(
    timestamps: npt.NDArray[np.int64], first_ms: int, until_ms: int, timeframe_ms: int
) -> list[Interval]:
    """The parts of [first_ms, until_ms) whose bars are not among `timestamps` (ascending, on the grid).

    >>> holes(np.array([60_000, 120_000, 240_000]), 0, 360_000, 60_000)
    [(0, 60000), (180000, 240000), (300000, 360000)]
    """
    edges = np.concatenate(([first_ms - timeframe_ms], timestamps, [until_ms]))
    at = np.flatnonzero(np.diff(edges) > timeframe_ms)
    return [(int(edges[k]) + timeframe_ms, int(edges[k + 1])) for k in at]


def length(intervals: Iterable[Interval], timeframe_ms: int) -> int:
    """Bars that the intervals have room for."""
    return sum(end - first for first, end in intervals) // timeframe_ms
