"""Stored bars that cannot be true: the venue is asked for them again, once, and its new word is taken if it can be."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from twinstar_kit.lake.asking import Asker, Rows
from twinstar_kit.lake.planner import Interval, common, merge, plan, without
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.remedies import Patient, within
from twinstar_kit.lake.series import month_span
from twinstar_kit.lake.verify import verify


def doubted(name: str) -> str:
    """Under what the question about bars that cannot be true is remembered."""
    return f"{name} doubted"


def sound(rows: Rows) -> npt.NDArray[np.bool_]:
    """Which bars can be true: low <= open and close <= high, prices above zero, no negative volume."""
    top, bottom = rows[:, [1, 4]].max(axis=1), rows[:, [1, 4]].min(axis=1)
    good: npt.NDArray[np.bool_] = (
        (rows[:, 2] >= top) & (rows[:, 3] <= bottom) & (rows[:, 3] > 0) & (rows[:, 5] >= 0)
    )
    return good


def ask_about_doubtful(p: Patient) -> None:
    """Replace stored bars that cannot be true by what the venue says now, if that can be true."""
    who, name = doubted(p.source.name), p.source.name
    wrong = _doubtful(p)
    todo = without(wrong, p.lake.was_asked(p.series, p.since_ms, p.until_ms, who))
    if todo:
        asker = Asker(p.source, p.series, p.instrument, p.clock)
        try:
            for answer in asker.answers(plan(todo, p.step, asker.limit), p.workers):
                rows = within(answer.rows, todo)
                rows = rows[sound(rows)]
                if len(rows):
                    why = f"the stored bar could not be true; {name} told another when asked again"
                    p.part.revised += p.lake.replace(p.series, rows, Provenance.BACKFILLED, name, why).revised
                asked = [(answer.request.since_ms, answer.request.until_ms)]
                p.remember(
                    who, without(common(todo, asked), [(int(at), int(at) + p.step) for at in rows[:, 0]])
                )
        finally:
            p.part.requests += asker.requests
        wrong = _doubtful(p)
    if wrong:
        count = sum(end - first for first, end in wrong) // p.step
        p.part.notes.append(
            f"{count} stored bars cannot be true, and {name} tells them so; `data verify` names them"
        )


def _doubtful(p: Patient) -> list[Interval]:
    found: list[Interval] = []
    for one in verify(p.lake, p.series, p.since_ms, p.until_ms, quick=True).series:
        for month in (month.month for month in one.months if month.wrong):
            since, until = month_span(month)
            for chunk in p.lake.scan(p.series, max(since, p.since_ms), min(until, p.until_ms)):
                bad = chunk.rows[~sound(chunk.rows)][:, 0].tolist()
                found += [(at, at + p.step) for at in bad]
    return merge(found)
