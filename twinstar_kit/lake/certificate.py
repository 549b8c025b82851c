"""Certificates: what was found of a month, by which program, hashed, chained to the one before, and checked again.

A certificate is a canonical JSON body, its SHA-256 and the hash of the certificate before it of the same series. It
names the hash of the file it speaks of, or of the rows while some of them are in the tail, and is entered into the
lake's log in the transaction that stores it. So a changed file, a changed result, a missing link and a cut end all
show; `check` says which.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.jit import source_hash
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.lake import log
from twinstar_kit.lake.catalog import Known
from twinstar_kit.lake.checks import Check
from twinstar_kit.lake.errors import CorruptFile, LakeDamaged
from twinstar_kit.lake.place import Place, corrupt
from twinstar_kit.lake.reading import Chunk, chunks, plan
from twinstar_kit.lake.series import Series, month_span
from twinstar_kit.lake.verdicts import MonthVerdict, SeriesVerdict, Verdict, Verification

if TYPE_CHECKING:
    from twinstar_kit.lake.store import Lake

KIND = "certificate"
ROWS = "rows:"
_TABLE = """
CREATE TABLE IF NOT EXISTS certificates(     -- append-only; `hash` is that of `body`, which names the one before
    series INTEGER NOT NULL REFERENCES series, number INTEGER NOT NULL, month TEXT NOT NULL, hash TEXT NOT NULL,
    body TEXT NOT NULL, PRIMARY KEY(series, number)
) WITHOUT ROWID
"""
_SELECT = "SELECT number, month, hash, body FROM certificates WHERE series = ? ORDER BY number"
Row = tuple[int, str, str, str]


@dataclass(frozen=True)
class Certificate:
    """One month of one series as it was found. `number` counts the series' certificates from 1."""

    number: int
    hash: str
    body: dict[str, Any]

    @property
    def month(self) -> str:
        """The month it speaks of."""
        return str(self.body["month"])

    @property
    def verdict(self) -> Verdict:
        """One word."""
        return Verdict(self.body["verdict"])

    @property
    def checks(self) -> list[Check]:
        """What was checked, and with which result."""
        return [Check.from_dict(fields) for fields in self.body["checks"]]

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"number": self.number, "hash": self.hash, **self.body}

    def __repr__(self) -> str:
        body = self.body
        head = f"<Certificate {self.number} of {body['series']} {self.month}: {self.verdict.value}, {self.hash[:16]}>"
        lines = [
            head,
            f"  {body['rows']:,} rows, {body['missing']:,} missing, {body['proven_absent']:,} proven absent",
            f"  by twinstar {body['by']['version']}, sources {body['by']['sources']}, after {body['previous'][:16] or 'none'}",
            f"  content {', '.join(name[:16] for name in body['content']) or 'none'}",
        ]
        for check in self.checks:
            count = f"{check.count:,}" if check.count else ""
            lines.append(f"  {check.name:<14} {check.status.value:<11} {count:>7}  {check.detail}".rstrip())
        return "\n".join(lines)


def certify(lake: Lake, verification: Verification) -> list[Certificate]:
    """Store a certificate for each whole month that was verified in full; returns the new ones.

    A month whose last certificate says the same of the same content, by the same program, gets no second one.
    """
    made = []
    for one in verification.series:
        bodies = [_body(one, month) for month in one.months if month.whole]
        made += lake.put_certificates(one.series, bodies) if bodies else []
    return made


def latest(held: list[Certificate]) -> dict[str, Certificate]:
    """The last certificate of each month, in order of time."""
    return {one.month: one for one in sorted(held, key=lambda one: (one.month, one.number))}


@dataclass(frozen=True, slots=True)
class Fault:
    """Something about certificates that does not hold; `number` is the certificate's, if it is about one."""

    series: Series
    number: int | None
    what: str

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"series": str(self.series), "number": self.number, "what": self.what}


def check(place: Place, known: Known) -> list[Fault]:
    """What does not hold of a series' certificates: bodies, links, the log's record of them, and the files named.

    Every file of a month's last certificate is read and hashed. A month that was written to since is a fault too: its
    certificate speaks of other content, so verify it anew.
    """
    rows = _rows(place, known)
    faults = _check_chain(known.series, rows)
    try:
        with place.catalog.reading() as db:
            told = [entry["hash"] for entry in log.entries(db, known.id) if entry["kind"] == KIND]
    except LakeDamaged as error:
        faults.append(Fault(known.series, None, str(error)))
    else:
        if told != [digest for _, _, digest, _ in rows]:
            what = "the lake's log tells of other certificates than are stored"
            faults.append(Fault(known.series, None, what))
    if faults:
        return faults
    for month, one in latest(stored(place, known)).items():
        try:
            same = _holds(place, known, month, one.body["content"])
        except CorruptFile as error:
            faults.append(Fault(known.series, one.number, str(error)))
            continue
        if not same:
            what = f"{month} holds other rows than it was certified with: verify it anew"
            faults.append(Fault(known.series, one.number, what))
    return faults


def _check_chain(series: Series, rows: list[Row]) -> list[Fault]:
    """The first link that does not hold; what comes after it proves nothing."""
    previous = ""
    for place, (number, month, digest, text) in enumerate(rows, 1):
        if number != place:
            return [Fault(series, place, "it is missing")]
        if hashlib.sha256(text.encode()).hexdigest() != digest:
            return [Fault(series, number, "its body is not what was hashed")]
        body = json.loads(text)
        if (body["series"], body["month"], body["previous"]) != (str(series), month, previous):
            return [Fault(series, number, "it does not follow on the certificate before")]
        previous = digest
    return []


def _holds(place: Place, known: Known, month: str, content: list[str]) -> bool:
    """Whether the month still holds what `content` names; its file is read and hashed. CorruptFile when it changed."""
    with place.pin():
        found = plan(place, known, *month_span(month))
        for ref in found.files:
            try:
                data = place.files.get(ref.path)
            except FileNotFoundError:
                raise corrupt(place.files, ref, "is gone") from None
            if hashlib.sha256(data).hexdigest() != ref.id:
                raise corrupt(place.files, ref, "is not what was written")
        if content and content[0].startswith(ROWS):  # they may have left the tail for a file since
            return [rows_name(chunks(place, found))] == content
        return not found.tail and [ref.id for ref in found.files] == content


def rows_name(parts: Iterable[Chunk]) -> str:
    """What rows are called that stand in no file, or not only: a hash of their values and provenance."""
    digest = hashlib.sha256()
    for chunk in parts:
        digest.update(np.ascontiguousarray(chunk.rows, "<i8").data)
        digest.update(np.ascontiguousarray(chunk.provenance, np.int8).data)
    return ROWS + digest.hexdigest()


def _body(one: SeriesVerdict, month: MonthVerdict) -> dict[str, Any]:
    from twinstar_kit import __version__

    alone = SeriesVerdict(one.series, None, None, (month,), one.step_ms)
    return {
        "series": str(one.series), "month": month.month, "since_ms": month.since_ms, "until_ms": month.until_ms,
        "rows": month.rows, "gaps": len(alone.gaps), "missing": alone.missing, "proven_absent": alone.proven_absent,
        "provenance": month.provenance, "content": list(month.content), "verdict": month.verdict.value,
        "checks": [one.to_dict() for one in month.checks],
        "by": {"version": __version__, "sources": source_hash("lake", "kernel", "feeds")},
    }  # fmt: skip


def store(place: Place, known: Known, bodies: list[dict[str, Any]]) -> list[Certificate]:
    """Chain bodies to the certificates of a series, and enter them into the log, in one transaction."""
    made = []
    with place.catalog.writing() as db:
        db.execute(_TABLE)
        rows = db.execute(_SELECT, (known.id,)).fetchall()
        last = {month: json.loads(body) for _, month, _, body in rows}
        number, previous = (rows[-1][0], rows[-1][2]) if rows else (0, "")
        ts_ms = place.clock.milliseconds()
        for body in bodies:
            if _says(last.get(body["month"])) == _says(body):
                continue
            number += 1
            text = canonical_json(body | {"ts": ts_ms, "previous": previous}).decode()
            previous = hashlib.sha256(text.encode()).hexdigest()
            values = (known.id, number, body["month"], previous, text)
            db.execute("INSERT INTO certificates VALUES (?,?,?,?,?)", values)
            entry = {"month": body["month"], "number": number, "verdict": body["verdict"], "hash": previous}
            log.record(db, ts_ms, KIND, known.id, body["since_ms"], body["until_ms"], entry)
            made.append(Certificate(number, previous, json.loads(text)))
    return made


def _says(body: dict[str, Any] | None) -> dict[str, Any]:
    """A body without when it was made and what it follows on."""
    return {key: value for key, value in (body or {}).items() if key not in ("ts", "previous")}


def stored(place: Place, known: Known) -> list[Certificate]:
    """The certificates of a series in the order they were made."""
    return [Certificate(number, digest, json.loads(body)) for number, _, digest, body in _rows(place, known)]


def _rows(place: Place, known: Known) -> list[Row]:
    with place.catalog.reading() as db:
        if not db.execute("SELECT 1 FROM sqlite_schema WHERE name = 'certificates'").fetchone():
            return []
        return [(int(n), str(m), str(h), str(b)) for n, m, h, b in db.execute(_SELECT, (known.id,))]
