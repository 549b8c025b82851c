"""What is not there: holes of the grid, proofs why bars are absent, and what was asked for in vain."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from twinstar_kit.feeds.resample import ceil_time
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.lake import log
from twinstar_kit.lake.catalog import Db, Known
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.planner import common, merge, without
from twinstar_kit.lake.provenance import ABSENT, Gap, Provenance
from twinstar_kit.lake.reading import Plan, chunks, plan

Span = tuple[int, int]
ANY = 2**62  # more rows than there can be


def runs(place: Place, found: Plan) -> Iterator[Span]:
    """Where bars follow on each other, as [first, end of the last); a file without a hole is not opened."""
    step = found.known.series.timeframe_ms
    for ref in found.files:
        if ref.part not in found.tail and ref.last_ms - ref.first_ms == (ref.rows - 1) * step:
            yield max(ref.first_ms, found.since_ms), min(ref.last_ms + step, found.until_ms)
            continue
        yield from _part_runs(place, found, {ref.part}, step)
    yield from _part_runs(place, found, found.tail.keys() - {ref.part for ref in found.files}, step)


def _part_runs(place: Place, found: Plan, only: set[str], step: int) -> Iterator[Span]:
    files = [ref for ref in found.files if ref.part in only]
    tail = {part: batches for part, batches in found.tail.items() if part in only}
    narrowed = Plan(found.known, found.since_ms, found.until_ms, files, tail)
    for chunk in chunks(place, narrowed, ["timestamp"]):
        stamps = chunk.columns["timestamp"]
        ends = (stamps[1:] - stamps[:-1] != step).nonzero()[0]
        firsts = [int(stamps[0]), *stamps[ends + 1].tolist()]
        lasts = [*stamps[ends].tolist(), int(stamps[-1])]
        for first, last in zip(firsts, lasts, strict=True):
            yield first, last + step


def missing(place: Place, known: Known, since_ms: int, until_ms: int) -> list[Gap]:
    """Bars of the grid in [since_ms, until_ms) that are neither stored nor proven absent."""
    step = known.series.timeframe_ms
    since_ms, until_ms = ceil_time(since_ms, step), ceil_time(until_ms, step)
    with place.pin():
        stored = list(runs(place, plan(place, known, since_ms, until_ms)))
    proven = [(gap.first_ms, gap.until_ms) for gap in _proofs(place, known, since_ms, until_ms)]
    return [Gap(a, b, (b - a) // step) for a, b in without([(since_ms, until_ms)], [*stored, *proven])]


def absences(place: Place, known: Known, since_ms: int, until_ms: int) -> list[Gap]:
    """Proven absences in [since_ms, until_ms), without bars that came to be stored after all."""
    step = known.series.timeframe_ms
    proofs = _proofs(place, known, since_ms, until_ms)
    if not proofs:
        return []
    with place.pin():
        stored = merge(runs(place, plan(place, known, since_ms, until_ms)))
    firsts, ends = [first for first, _ in stored], [end for _, end in stored]
    return [
        Gap(a, b, (b - a) // step, gap.reason, gap.proof)
        for gap in proofs
        for a, b in without(
            [(gap.first_ms, gap.until_ms)],
            stored[bisect_right(ends, gap.first_ms) : bisect_left(firsts, gap.until_ms)],
        )
    ]


def _proofs(place: Place, known: Known, since_ms: int, until_ms: int) -> list[Gap]:
    """Recorded proofs, cut to [since_ms, until_ms)."""
    step = known.series.timeframe_ms
    with place.catalog.reading() as db:
        rows = _overlapping(db, known, since_ms, until_ms)
    found = []
    for _, first, until, reason, proof in rows:
        a, b = max(first, since_ms), min(until, until_ms)
        found.append(Gap(a, b, (b - a) // step, Provenance(reason), json.loads(proof)))
    return found


def _overlapping(db: Db, known: Known, since_ms: int, until_ms: int) -> list[tuple[int, int, int, int, str]]:
    query = (
        "SELECT id, first_ms, until_ms, reason, proof FROM absences"
        " WHERE series = ? AND until_ms > ? AND first_ms < ? ORDER BY first_ms"
    )
    return list(db.execute(query, (known.id, since_ms, until_ms)))


def prove_absent(
    place: Place, known: Known, spans: Sequence[Span], reason: Provenance, proof: dict[str, Any]
) -> None:
    """Record why no bar of any span can be there, in one transaction; the same proof again changes nothing.

    DataError when a bar of one is stored, or when its ends are not opens of bars.
    """
    reason, step = Provenance(reason), known.series.timeframe_ms
    if reason not in ABSENT:
        raise UsageError(f"the reason of an absence is NO_TRADE or OUTAGE, not {reason.name}")
    for first, until in spans:
        if until <= first or ceil_time(first, step) != first or ceil_time(until, step) != until:
            raise DataError(f"{known.series}: [{first}, {until}) does not begin and end at opens of bars")
    if not spans:
        return
    begin, end = min(first for first, _ in spans), max(until for _, until in spans)
    with place.pin():
        stored = common(spans, runs(place, plan(place, known, begin, end)))
    if stored:
        raise DataError(f"{known.series}: a bar at {stored[0][0]} is stored; it cannot be proven absent")
    with place.catalog.writing() as db:
        for span in spans:
            _prove(db, place, known, span, reason, proof)


def _prove(db: Db, place: Place, known: Known, span: Span, reason: Provenance, proof: dict[str, Any]) -> None:
    text = canonical_json(proof).decode()
    old = _overlapping(db, known, *span)
    told = [(a, b) for _, a, b, why, said in old if why == reason and said == text]
    if not without([span], told):
        return
    for number, a, b, why, said in old:  # the new proof takes the place of what it overlaps
        db.execute("DELETE FROM absences WHERE id = ?", (number,))
        for left in without([(a, b)], [span]):
            _insert(db, known, *left, why, said)
    _insert(db, known, *span, int(reason), text)
    bars = (span[1] - span[0]) // known.series.timeframe_ms
    body = {"reason": reason.name.lower(), "proof": proof, "bars": bars}
    log.record(db, place.clock.milliseconds(), "absence", known.id, *span, body)


def _insert(db: Db, known: Known, first_ms: int, until_ms: int, reason: int, proof: str) -> None:
    db.execute(
        "INSERT INTO absences(series, first_ms, until_ms, reason, proof) VALUES (?,?,?,?,?)",
        (known.id, first_ms, until_ms, reason, proof),
    )


def asked(place: Place, known: Known, spans: Iterable[Span], source: str, rows: int = 0) -> None:
    """Remember that `source` answered for each of the spans with so many rows, in one transaction."""
    now = place.clock.milliseconds()
    with place.catalog.writing() as db:
        db.executemany(
            "INSERT OR REPLACE INTO asked VALUES (?,?,?,?,?,?)",
            [(known.id, source, since_ms, until_ms, rows, now) for since_ms, until_ms in spans],
        )


def was_asked(place: Place, known: Known, since_ms: int, until_ms: int, source: str) -> list[Span]:
    """The parts of [since_ms, until_ms) that `source` answered with nothing."""
    return _told(place, known, (since_ms, until_ms), source, most=0)


def answered_since(place: Place, known: Known, span: Span, source: str, ts_ms: int) -> list[Span]:
    """The parts of a span that `source` answered for at `ts_ms` or later, whatever it had."""
    return _told(place, known, span, source, since_ts_ms=ts_ms)


def _told(
    place: Place, known: Known, span: Span, source: str, *, most: int = ANY, since_ts_ms: int = 0
) -> list[Span]:
    query = (
        "SELECT since_ms, until_ms FROM asked WHERE series = ? AND source = ? AND rows <= ? AND ts >= ?"
        " AND until_ms > ? AND since_ms < ? ORDER BY since_ms"
    )
    with place.catalog.reading() as db:
        found = db.execute(query, (known.id, source, most, since_ts_ms, *span)).fetchall()
    return merge((max(a, span[0]), min(b, span[1])) for a, b in found)
