"""Bars of a timeframe that is not stored, from the stored ones that divide it: complete bars only."""

from __future__ import annotations

import numpy as np

from twinstar_kit.feeds.resample import MONDAY_MS, WEEK_MS, aggregate
from twinstar_kit.lake.catalog import Known
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.rows import Marks, Rows


def join(place: Place, known: Known, rows: Rows, marks: Marks, timeframe_ms: int) -> tuple[Rows, Marks]:
    """Joined bars of which every part is stored or proven absent, each with the most doubtful mark of its parts."""
    if not len(rows):
        return rows, marks
    step = known.series.timeframe_ms
    shift = MONDAY_MS if timeframe_ms % WEEK_MS == 0 else 0
    opens = (rows[:, 0] - shift) // timeframe_ms * timeframe_ms + shift
    starts = np.flatnonzero(np.r_[True, opens[1:] != opens[:-1]])
    present = np.diff(np.r_[starts, len(rows)])
    firsts = opens[starts]
    if (present < timeframe_ms // step).any():
        present = present + _absent(place, known, firsts, timeframe_ms, step)
    whole = present >= timeframe_ms // step
    worst = np.maximum.reduceat(marks, starts)
    return np.ascontiguousarray(aggregate(rows, timeframe_ms)[whole]), worst[whole]


def _absent(place: Place, known: Known, firsts: Rows, timeframe_ms: int, step: int) -> Rows:
    """How many bars of each joined one are proven absent."""
    from twinstar_kit.lake.holes import absences

    counts = np.zeros(len(firsts), np.int64)
    for gap in absences(place, known, int(firsts[0]), int(firsts[-1]) + timeframe_ms):
        first = np.maximum(firsts, gap.first_ms)
        until = np.minimum(firsts + timeframe_ms, gap.until_ms)
        counts += np.maximum(0, -((first - until) // step))
    return counts
