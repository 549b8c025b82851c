"""Writing to the lake: the hot tail, whole months, explicit repairs. What is acknowledged is durable and never lost.

Months are merged outside of any transaction and put into the list by one that checks that what they were merged with
is still what stands there; if another writer was faster, the merge begins anew on what that one left.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from twinstar_kit.lake import log, tail
from twinstar_kit.lake.catalog import Db, FileRef, Known, current_file, list_files, new_version, swap_file
from twinstar_kit.lake.errors import LakeError
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.provenance import Provenance
from twinstar_kit.lake.reading import laid_over
from twinstar_kit.lake.rows import Marks, Merged, Rows, checked, deduplicated, merge, on_grid, parts
from twinstar_kit.lake.series import Series

ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class Written:
    """What became of rows: `added` are new, `same` were there with equal values, `revised` replaced others.

    `off_grid` rows lie between the opens of bars: they are not among the series' rows but stand in the log.
    """

    added: int = 0
    same: int = 0
    revised: int = 0
    off_grid: int = 0

    def __add__(self, other: Written) -> Written:
        return Written(
            self.added + other.added, self.same + other.same,
            self.revised + other.revised, self.off_grid + other.off_grid,
        )  # fmt: skip


class Batch(NamedTuple):
    """Rows of one series that passed the checks: those on the grid, sorted, each key once, and those off it."""

    known: Known
    rows: Rows
    marks: Marks
    same: int
    off_grid: Rows


class Why(NamedTuple):
    """What the log is told about a write."""

    kind: str
    source: str
    text: str = ""


def batch(place: Place, series: Series, rows: Any, provenance: Any) -> Batch:
    """Check rows; DataError that names the first bad one, before anything is written."""
    known = place.catalog.known(series)
    table, marks = checked(series, rows, provenance)
    good = on_grid(series, table[:, 0])
    off = table[~good]
    table, marks, same = deduplicated(series, table[good], marks[good])
    return Batch(known, table, marks, same, off)


def append(place: Place, batches: Iterable[Batch], source: str) -> Written:
    """Rows into the tail, in one transaction: all of them or none."""
    written = Written()
    with place.catalog.writing() as db:
        for b in batches:
            written += Written(same=b.same) + _off_grid(db, place, b, source)
            for part, at in parts(b.known.series.kind, b.rows):
                written += _append_part(db, place, b.known, part, b.rows[at], b.marks[at], source)
    return written


def _append_part(
    db: Db, place: Place, known: Known, part: str, rows: Rows, marks: Marks, source: str
) -> Written:
    kind, first, last = known.series.kind, int(rows[0, 0]), int(rows[-1, 0])
    files = list_files(db, known.id, first, last + 1)
    late = tail.between(db, known.id, first, last + 1)
    written = Written(added=len(rows))
    if files or late:
        old, old_marks = laid_over(place, kind, files[0] if files else None, late)
        kept = slice(*np.searchsorted(old[:, 0], (first, last + 1)))
        merged = merge(kind, old[kept], old_marks[kept], rows, marks)
        written = Written(merged.added, merged.same, merged.revised)
        rows, marks = rows[merged.fresh], marks[merged.fresh]
        _record(db, place, known, part, merged, Why("revision", source))
    if len(rows):
        tail.add(db, known.id, part, rows, marks, written.added)
    return written


class Base(NamedTuple):
    """What a month was merged with: the file in the list, and the tail up to a batch."""

    file: FileRef | None
    seq: int


class Month(NamedTuple):
    """A month's file that is written and not yet in the list."""

    base: Base
    merged: Merged
    ref: FileRef


def write(place: Place, b: Batch, why: Why, *, by_mark: bool = False) -> Written:
    """Rows into files, a month each, merged with what is there and with the tail, in one catalog transaction."""
    for _ in range(ATTEMPTS):
        ready, written = [], Written(same=b.same)
        try:
            for part, at in parts(b.known.series.kind, b.rows):
                base, old, old_marks = lay(place, b.known, part)
                merged = merge(b.known.series.kind, old, old_marks, b.rows[at], b.marks[at], by_mark=by_mark)
                written += Written(merged.added, merged.same, merged.revised)
                if merged.fresh.any():
                    ref = place.store(b.known, part, merged.rows, merged.marks)
                    ready.append(Month(base, merged, ref))
            with place.catalog.writing() as db:
                if all(_stands(db, place, b, month) for month in ready):
                    _commit(db, place, b, ready, why)
                    return written + _off_grid(db, place, b, why.source)
        except BaseException:
            _discard(place, ready)
            raise
        _discard(place, ready)
    raise LakeError(
        f"{b.known.series}: other writers were faster {ATTEMPTS} times; nothing was written, try again"
    )


def lay(place: Place, known: Known, part: str) -> tuple[Base, Rows, Marks]:
    """All rows of a month as of now."""
    with place.catalog.reading() as db:
        file = current_file(db, known.id, part)
        late = tail.of_part(db, known.id, part)
    rows, marks = laid_over(place, known.series.kind, file, late)
    return Base(file, late[-1].seq if late else 0), rows, marks


def stands(db: Db, place: Place, known: Known, base: Base, ref: FileRef) -> bool:
    """Whether the list still holds what `ref` was merged from, and the file that was written is there."""
    now = current_file(db, known.id, ref.part)
    return (now and now.id) == (base.file and base.file.id) and place.files.exists(ref.path)


def _stands(db: Db, place: Place, b: Batch, month: Month) -> bool:
    part = month.ref.part
    rows = b.rows[next(at for label, at in parts(b.known.series.kind, b.rows) if label == part)]
    newer = tail.overlaps(db, b.known.id, part, month.base.seq, int(rows[0, 0]), int(rows[-1, 0]))
    return not newer and stands(db, place, b.known, month.base, month.ref)


def _commit(db: Db, place: Place, b: Batch, ready: list[Month], why: Why) -> None:
    if not ready:
        return
    what = why.kind if why.kind == "repair" else "write"
    version = new_version(db, place.clock.milliseconds(), what, why.source)
    for base, merged, ref in ready:
        swap_file(db, b.known.id, ref, version)
        tail.drop(db, b.known.id, ref.part, base.seq)
        if why.kind == "repair":
            at = next(at for label, at in parts(b.known.series.kind, b.rows) if label == ref.part)
            merged = _repaired(merged, b.rows[at][merged.fresh])
        _record(db, place, b.known, ref.part, merged, why)


def _repaired(merged: Merged, new: Rows) -> Merged:
    """A repair tells of every row that it brought, not of the replaced ones alone."""
    return Merged(
        merged.rows, merged.marks, merged.added, merged.same, merged.fresh, merged.old, merged.old_marks, new
    )


def _record(db: Db, place: Place, known: Known, part: str, merged: Merged, why: Why) -> None:
    if not len(merged.new):
        return
    body = {"source": why.source, "month": part, "revised": merged.revised}
    body |= {"was": [Provenance(int(mark)).name.lower() for mark in np.unique(merged.old_marks)]}
    if why.kind == "repair":
        body |= {"why": why.text, "added": merged.added}
    first, last = int(merged.new[0, 0]), int(merged.new[-1, 0])
    log.record(
        db, place.clock.milliseconds(), why.kind, known.id, first, last + 1, body, merged.old, merged.new
    )


def _off_grid(db: Db, place: Place, b: Batch, source: str) -> Written:
    """Rows off the grid go into the log, once."""
    if len(b.off_grid):
        first, last = int(b.off_grid[0, 0]), int(b.off_grid[-1, 0])
        body = {"source": source, "rows": len(b.off_grid)}
        if not log.holds(db, "off_grid", b.known.id, b.off_grid):
            log.record(
                db, place.clock.milliseconds(), "off_grid", b.known.id, first, last + 1, body, new=b.off_grid
            )
    return Written(off_grid=len(b.off_grid))


def _discard(place: Place, ready: list[Month]) -> None:
    if ready:
        place.discard(month.ref for month in ready)
