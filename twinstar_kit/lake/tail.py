"""The hot tail: batches of rows that are durable in the catalog and in no file yet; a later one lies over an earlier one.

A batch lies in one month (or day), and has a checksum as the pages of files have.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from twinstar_kit.lake.catalog import Db
from twinstar_kit.lake.codec import from_blob, to_blob
from twinstar_kit.lake.errors import LakeDamaged
from twinstar_kit.lake.rows import Marks, Rows
from twinstar_kit.lake.series import Kind


class Batch(NamedTuple):
    """Rows that came at once: their place in the order of writing, their month, and their bytes."""

    seq: int
    part: str
    last_ms: int
    rows: bytes
    marks: bytes


_FIELDS = "seq, part, last_ms, rows, marks, crc"


def between(db: Db, series: int, since_ms: int, until_ms: int) -> list[Batch]:
    """The batches that may hold rows in [since_ms, until_ms), the oldest first."""
    where = "series = ? AND last_ms >= ? AND first_ms < ?"
    return _checked(
        db.execute(f"SELECT {_FIELDS} FROM tail WHERE {where} ORDER BY seq", (series, since_ms, until_ms))
    )


def of_part(db: Db, series: int, part: str) -> list[Batch]:
    """The batches of a month, the oldest first."""
    return _checked(
        db.execute(f"SELECT {_FIELDS} FROM tail WHERE series = ? AND part = ? ORDER BY seq", (series, part))
    )


def _checked(found: Iterable[tuple[int, str, int, bytes, bytes, int]]) -> list[Batch]:
    batches = []
    for seq, part, last_ms, rows, marks, crc in found:
        if zlib.crc32(marks, zlib.crc32(rows)) != crc:
            raise LakeDamaged(
                f"the catalog's tail: batch {seq} of {part} is not what was written; restore it from a copy"
            )
        batches.append(Batch(seq, part, last_ms, rows, marks))
    return batches


def add(db: Db, series: int, part: str, rows: Rows, marks: Marks, added: int) -> None:
    """Put rows of one month into the tail; `added` of them have keys that were not there."""
    blob, told = to_blob(rows), marks.tobytes()
    values = (
        series,
        part,
        int(rows[0, 0]),
        int(rows[-1, 0]),
        added,
        blob,
        told,
        zlib.crc32(told, zlib.crc32(blob)),
    )
    db.execute(
        "INSERT INTO tail(series, part, first_ms, last_ms, added, rows, marks, crc) VALUES (?,?,?,?,?,?,?,?)",
        values,
    )


def overlaps(db: Db, series: int, part: str, after: int, first_ms: int, last_ms: int) -> bool:
    """Whether a batch that is newer than `after` may hold rows in [first_ms, last_ms]."""
    where = "series = ? AND part = ? AND seq > ? AND last_ms >= ? AND first_ms <= ?"
    return (
        db.execute(f"SELECT 1 FROM tail WHERE {where}", (series, part, after, first_ms, last_ms)).fetchone()
        is not None
    )


def drop(db: Db, series: int, part: str, upto: int) -> None:
    """Remove the batches up to `upto`, which are in a file now."""
    db.execute("DELETE FROM tail WHERE series = ? AND part = ? AND seq <= ?", (series, part, upto))


def joined(kind: Kind, batches: Iterable[Batch]) -> tuple[Rows, Marks]:
    """Rows and marks in the order they were written, a key perhaps several times."""
    held = list(batches)
    marks = np.frombuffer(b"".join(batch.marks for batch in held), np.int8)
    return from_blob(kind, b"".join(batch.rows for batch in held)), marks
