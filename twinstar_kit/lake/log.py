"""The lake's memory of everything that was not a plain arrival: revisions, repairs, quarantines, proofs.

Entries are never changed; each is chained to the one before it, so that a removed or altered entry shows.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from typing import Any

import numpy as np

from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.lake.catalog import Db
from twinstar_kit.lake.codec import from_blob, to_blob
from twinstar_kit.lake.errors import LakeDamaged
from twinstar_kit.lake.rows import COLUMNS, Rows
from twinstar_kit.lake.series import Kind, Series

_NONE = np.empty((0, 1), np.int64)


def record(
    db: Db, ts_ms: int, kind: str, series: int | None, first_ms: int | None, until_ms: int | None,
    body: dict[str, Any], old: Rows = _NONE, new: Rows = _NONE,
) -> None:  # fmt: skip
    """Add an entry, in the transaction of what it tells about."""
    row = db.execute("SELECT id, chain FROM log ORDER BY id DESC LIMIT 1").fetchone() or (0, b"")
    entry = [row[0] + 1, ts_ms, series, kind, first_ms, until_ms, canonical_json(body).decode(),
             zlib.compress(to_blob(old)), zlib.compress(to_blob(new))]  # fmt: skip
    db.execute("INSERT INTO log VALUES (?,?,?,?,?,?,?,?,?,?)", (*entry, _link(row[1], entry)))


def entries(db: Db, series: int | None = None, since_ms: int | None = None) -> list[dict[str, Any]]:
    """The entries of a series (default: all) from a time on, after the whole chain was checked."""
    names = {
        row[0]: Series(row[1], row[2], row[3], Kind(row[4]))
        for row in db.execute("SELECT id, exchange, symbol, timeframe, kind FROM series")
    }
    found, chain, last = [], b"", 0
    for row in db.execute("SELECT * FROM log ORDER BY id"):
        *entry, told = row
        chain = _link(chain, entry)
        if entry[0] != last + 1 or chain != told:
            raise LakeDamaged(f"the lake's log: entry {last + 1} is not what was written")
        last, ts_ms, owner, kind, first_ms, until_ms, body, old, new = entry
        if (series is not None and owner != series) or (since_ms is not None and ts_ms < since_ms):
            continue
        about = names.get(owner)
        found.append({
            "id": last, "ts": ts_ms, "kind": kind, "series": str(about) if about else None, "first_ms": first_ms,
            "until_ms": until_ms, **json.loads(body), "old": _lists(about, old), "new": _lists(about, new),
            "chain": told.hex(),
        })  # fmt: skip
    return found


def _link(before: bytes, entry: list[Any]) -> bytes:
    link = hashlib.sha256(before)
    link.update(canonical_json([value if not isinstance(value, bytes) else len(value) for value in entry]))
    for value in entry:
        if isinstance(value, bytes):
            link.update(value)
    return link.digest()


def _lists(series: Series | None, blob: bytes) -> list[list[int]]:
    data = zlib.decompress(blob)
    if not data or series is None:
        return []
    assert series.kind in COLUMNS
    lists: list[list[int]] = from_blob(series.kind, data).tolist()
    return lists


def holds(db: Db, kind: str, series: int, new: Rows) -> bool:
    """Whether an entry of this kind tells of these rows already."""
    query = "SELECT 1 FROM log WHERE series = ? AND kind = ? AND new = ?"
    return db.execute(query, (series, kind, zlib.compress(to_blob(new)))).fetchone() is not None


def says(db: Db, kind: str, series: int | None, body: dict[str, Any]) -> bool:
    """Whether an entry of this kind says the same already."""
    query = "SELECT 1 FROM log WHERE series IS ? AND kind = ? AND body = ?"
    return db.execute(query, (series, kind, canonical_json(body).decode())).fetchone() is not None
