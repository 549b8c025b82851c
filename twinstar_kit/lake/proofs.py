"""What cannot be filled and can be explained: the whole venue was silent, or nobody traded anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from twinstar_kit.lake.planner import Interval, common, holes, length, without
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.remedies import Patient, again
from twinstar_kit.lake.series import Series

WITNESSES = 2  # other symbols that must be silent at the same time
DENSE = 0.99  # share of its bars that a symbol has, for its silence to mean something


def prove(p: Patient) -> None:
    """Record why the bars that are still missing cannot be there, where that can be shown.

    An outage: the venue was asked twice, and every symbol of it that is hardly ever silent was silent too. No trade:
    the venue was asked twice, and the second venue saw no trade either.
    """
    twice = common(
        p.lake.was_asked(p.series, p.since_ms, p.until_ms, p.source.name),
        p.lake.was_asked(p.series, p.since_ms, p.until_ms, again(p.source.name)),
    )
    todo = common(p.missing(), twice)
    for hole in todo:
        silent, witnesses = _silence(p, hole)
        proof = {"rule": "outage", "asked": [p.source.name, again(p.source.name)], "silent": witnesses}
        for first, until in silent:
            p.lake.prove_absent(p.series, first, until, Provenance.OUTAGE, proof)
            p.part.outage += length([(first, until)], p.step)
    if p.second is None:
        return
    nowhere = p.lake.was_asked(p.series, p.since_ms, p.until_ms, p.second.name)
    proof = {"rule": "no trade", "asked": [p.source.name, again(p.source.name), p.second.name]}
    untraded = common(common(p.missing(), twice), nowhere)
    p.lake.prove_all_absent(p.series, untraded, Provenance.NO_TRADE, proof)
    p.part.no_trade += length(untraded, p.step)


def _silence(p: Patient, hole: Interval) -> tuple[list[Interval], list[str]]:
    """The part of a hole in which every dense symbol of the venue is silent, and who these are."""
    silent, names = [hole], []
    for witness in _witnesses(p, hole):
        silent = common(silent, _not_seen(p, witness, hole))
        names.append(witness.symbol)
        if not silent:
            return [], []
    return (silent, names) if len(names) >= WITNESSES else ([], [])


def _witnesses(p: Patient, hole: Interval) -> Iterator[Series]:
    for info in p.lake.series():
        same = (info.series.exchange, info.series.timeframe) == (p.series.exchange, p.series.timeframe)
        if not same or info.series == p.series or info.first_ms is None or info.last_ms is None:
            continue
        room = (info.last_ms - info.first_ms) // p.step + 1 - length([hole], p.step)
        if info.first_ms < hole[0] and info.last_ms >= hole[1] and info.rows >= DENSE * room:
            yield info.series


def _not_seen(p: Patient, witness: Series, hole: Interval) -> list[Interval]:
    """Where the venue itself told nothing of the witness; a minute in which nobody traded it is no silence."""
    reading = p.lake.read(witness.exchange, witness.symbol, witness.timeframe, *hole)
    own = reading.rows[reading.provenance <= Provenance.FROM_TRADES][:, 0]
    quiet = [
        (gap.first_ms, gap.until_ms)
        for gap in p.lake.absences(witness, *hole)
        if gap.reason is Provenance.NO_TRADE
    ]
    return without(holes(np.ascontiguousarray(own), *hole, p.step), quiet)
