"""Keeping the lake in order: compaction, snapshots, garbage, quarantine."""

from __future__ import annotations

import hashlib
import itertools
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.lake import log, tail
from twinstar_kit.lake.catalog import Db, Known, current_file, list_files, new_version, swap_file, version_now
from twinstar_kit.lake.errors import LakeError
from twinstar_kit.lake.files import QUARANTINE
from twinstar_kit.lake.place import Place
from twinstar_kit.lake.reading import laid_over
from twinstar_kit.lake.series import LAST_MS
from twinstar_kit.lake.writing import ATTEMPTS, Base, stands

_OURS = re.compile(r"[^/]+/[^/]+/[^/]+/[-\d]{7,10}-[0-9a-f]{32}\.parquet")
"""Names that `Place.store` gives; nothing else is ever removed."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """Rows that left the tail, and the files they went into."""

    rows: int = 0
    files: int = 0


@dataclass(frozen=True, slots=True)
class SetAside:
    """A damaged file that was taken out of the list: what it held, rows in [first_ms, until_ms), and since when."""

    file_id: str
    path: str
    part: str
    first_ms: int
    until_ms: int
    rows: int
    ts: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A state of the whole lake that stays readable. `digest` is a hash of its content: the list of file hashes."""

    id: int
    name: str
    ts: int
    digest: str

    def __repr__(self) -> str:
        when = datetime.fromtimestamp(self.ts / 1000, UTC).isoformat(timespec="seconds")
        return f"Snapshot({self.id}, {self.name!r}, {when}, {self.digest[:12]})"


def compact(place: Place, known: Known | None = None, before_ms: int | None = None) -> Compacted:
    """Move tail rows into files, a month at a time: the file comes and the rows go in one transaction."""
    query = "SELECT DISTINCT series, part FROM tail" + ("" if known is None else " WHERE series = ?")
    with place.catalog.reading() as db:
        work = db.execute(query, () if known is None else (known.id,)).fetchall()
    by_id = {k.id: k for k in place.catalog.all()}
    done = Compacted()
    for series, part in work:
        rows = _compact_part(place, by_id[series], part, LAST_MS if before_ms is None else before_ms)
        done = Compacted(done.rows + rows, done.files + bool(rows))
    return done


def _compact_part(place: Place, known: Known, part: str, before_ms: int) -> int:
    for _ in range(ATTEMPTS):
        with place.catalog.reading() as db:
            file = current_file(db, known.id, part)
            held = tail.of_part(db, known.id, part)
        # only a beginning of the tail may leave it: what stays lies over what goes
        going = list(itertools.takewhile(lambda batch: batch.last_ms < before_ms, held))
        if not going:
            return 0
        ref = place.store(known, part, *laid_over(place, known.series.kind, file, going))
        base = Base(file, going[-1].seq)
        with place.catalog.writing() as db:
            if stands(db, place, known, base, ref):
                swap_file(db, known.id, ref, new_version(db, place.clock.milliseconds(), "compaction"))
                tail.drop(db, known.id, part, base.seq)
                return sum(len(batch.marks) for batch in going)
        place.discard([ref])
    raise LakeError(f"{known.series}: other writers were faster {ATTEMPTS} times; compact again")


def snapshot(place: Place, name: str | None = None) -> Snapshot:
    """Name the present state; everything acknowledged before the call is in it.

    Without a name, a state that has a snapshot already is not given another. UsageError when the name is taken.
    """
    compact(place)
    with place.catalog.writing() as db:
        version, digest = version_now(db), _digest(db)
        held = _snapshots(db)
        same = [s for s in held if s.digest == digest and (s.name == name or name is None)]
        if same:
            return same[-1]
        if name is not None and any(s.name == name for s in held):
            raise UsageError(f"there is a snapshot {name!r} of another state already; choose another name")
        ts = place.clock.milliseconds()
        when = (
            datetime.fromtimestamp(ts / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        )
        taken = {s.name for s in held}
        name = name or next(n for n in (when, f"{when} {len(held) + 1}") if n not in taken)
        db.execute(
            "INSERT INTO snapshots(name, ts, version, digest) VALUES (?,?,?,?)", (name, ts, version, digest)
        )
        return Snapshot(db.last_insert_rowid(), name, ts, digest)


def _digest(db: Db) -> str:
    query = (
        "SELECT exchange, symbol, timeframe, kind, part, hash FROM files JOIN series ON series.id = files.series"
        " WHERE removed IS NULL ORDER BY 1, 2, 3, 4, 5"
    )
    return hashlib.sha256(canonical_json([list(row) for row in db.execute(query)])).hexdigest()


def _snapshots(db: Db) -> list[Snapshot]:
    return [Snapshot(*row) for row in db.execute("SELECT id, name, ts, digest FROM snapshots ORDER BY id")]


def snapshots(place: Place) -> list[Snapshot]:
    """Every snapshot, the oldest first."""
    with place.catalog.reading() as db:
        return _snapshots(db)


def drop_snapshot(place: Place, name: str | int) -> None:
    """Let go of a snapshot, by name or id; its files go with the next `collect_garbage` if nothing else needs them."""
    with place.catalog.writing() as db:
        held = [s for s in _snapshots(db) if name in (s.name, s.id)]
        if not held:
            raise UsageError(
                f"there is no snapshot {name!r}; there are {', '.join(repr(s.name) for s in _snapshots(db)[-5:]) or 'none'}"
            )
        db.execute("DELETE FROM snapshots WHERE id = ?", (held[0].id,))
        body = {"name": held[0].name, "ts": held[0].ts, "digest": held[0].digest}
        log.record(db, place.clock.milliseconds(), "snapshot dropped", None, None, None, body)


def version_of(place: Place, as_of: str | int | None) -> int | None:
    """The version that a snapshot froze: by name, by id, or the last one at or before a time."""
    if as_of is None:
        return None
    with place.catalog.reading() as db:
        rows = db.execute("SELECT id, name, ts, version FROM snapshots ORDER BY ts, id").fetchall()
    for number, name, _, version in rows:
        if as_of in (number, name):
            return int(version)
    known = ", ".join(repr(name) for _, name, _, _ in rows[-5:]) or "none"
    try:
        ts = to_milliseconds(as_of)
    except UsageError:
        raise UsageError(f"there is no snapshot {as_of!r}; there are {known}") from None
    before = [version for *_, taken, version in rows if taken <= ts]
    if not before:
        raise UsageError(f"there is no snapshot {as_of!r}, and none was taken by then; there are {known}")
    return int(before[-1])


def collect_garbage(place: Place) -> list[str]:
    """Remove files that no list, no snapshot and no reader needs, and what dead writers left; returns their paths."""
    place.claim()
    with place.catalog.writing() as db:  # no file can come into the list meanwhile
        pinned = [int(told) for told in place.readers.live()]
        needed = [version for (version,) in db.execute("SELECT version FROM snapshots")]
        gone, aside, kept = [], [], set()
        query = "SELECT n, path, added, removed, quarantined FROM files"
        for n, path, added, removed, quarantined in db.execute(query).fetchall():
            wanted = (
                removed is None
                or any(added <= v < removed for v in needed)
                or any(v < removed for v in pinned)
            )
            if wanted:
                kept.add(path)
            elif not quarantined:
                gone.append(n)
            else:
                aside.append(path)
        for path in aside:
            if path not in kept:  # rows that came again make the file of the same name
                _move_aside(place, path)
        removed_paths = [path for path in place.files.paths() if path not in kept and _OURS.fullmatch(path)]
        for path in removed_paths:
            place.files.remove(path)
        db.executemany("DELETE FROM files WHERE n = ?", ((n,) for n in gone))
    return sorted([*removed_paths, *place.files.clean()])


def quarantine(place: Place, file_id: str, why: str) -> tuple[Known, int, int]:
    """Take a file out of the list and move it aside; returns its series and the interval that it kept."""
    by_id = {k.id: k for k in place.catalog.all()}
    with place.catalog.writing() as db:
        query = (
            "SELECT DISTINCT hash, path, series, first_ms, last_ms FROM files WHERE substr(hash, 1, ?) = ?"
        )
        found = db.execute(query, (len(file_id), file_id)).fetchall()
        if len(file_id) < 8 or len(found) != 1:
            raise UsageError(
                f"{file_id!r} names {len(found)} files of the lake; give a file's id, or its first 16 digits"
            )
        name, path, series, first_ms, last_ms = found[0]
        now = place.clock.milliseconds()
        version = new_version(db, now, QUARANTINE)
        db.execute("UPDATE files SET removed = ? WHERE hash = ? AND removed IS NULL", (version, name))
        db.execute("UPDATE files SET quarantined = 1 WHERE hash = ?", (name,))
        body: dict[str, Any] = {"why": why, "file": path, "file_id": name}
        log.record(db, now, QUARANTINE, series, first_ms, last_ms + 1, body)
    _move_aside(place, path)
    return by_id[series], first_ms, last_ms


def _move_aside(place: Place, path: str) -> None:
    if place.files.exists(path):
        place.files.move(path, f"{QUARANTINE}/{path}")


def set_aside(place: Place, known: Known) -> list[SetAside]:
    """The damaged files that left the list of a series, in order of time; those that had been replaced took nothing."""
    query = (
        "SELECT hash, path, part, first_ms, last_ms + 1, rows, max(ts) FROM files JOIN versions ON version = removed"
        " WHERE series = ? AND quarantined AND what = ? GROUP BY hash ORDER BY first_ms, hash"
    )
    with place.catalog.reading() as db:
        return [SetAside(*row) for row in db.execute(query, (known.id, QUARANTINE))]


def first_held(place: Place, known: Known) -> int | None:
    """The first row of a series, those of quarantined files among them."""
    with place.catalog.reading() as db:
        query = "SELECT min(first_ms) FROM files WHERE series = ? AND quarantined"
        lost_ms = db.execute(query, (known.id,)).fetchone()[0]
    stored_ms = size_of(place, known)["first_ms"]
    return min((at for at in (lost_ms, stored_ms) if at is not None), default=None)


def size_of(place: Place, known: Known) -> dict[str, Any]:
    """Rows, bytes and ends of a series, as the catalog counts them."""
    with place.catalog.reading() as db:
        files = list_files(db, known.id, 0, LAST_MS)
        query = "SELECT sum(added), sum(length(rows) + length(marks)), min(first_ms), max(last_ms) FROM tail WHERE series = ?"
        added, size, first, last = db.execute(query, (known.id,)).fetchone()
    firsts = [f.first_ms for f in files] + ([] if first is None else [first])
    lasts = [f.last_ms for f in files] + ([] if last is None else [last])
    return {
        "first_ms": min(firsts, default=None), "last_ms": max(lasts, default=None),
        "rows": sum(f.rows for f in files) + (added or 0), "bytes": sum(f.bytes for f in files) + (size or 0),
    }  # fmt: skip
