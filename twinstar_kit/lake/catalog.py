"""The catalog: one SQLite file that says which files make up each series, and holds the rows that are in none yet.

WAL with synchronous=FULL: what a transaction committed survives a power cut. Readers see one state however many
transactions end meanwhile; writers wait for each other.
"""

from __future__ import annotations

import json
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeAlias

import apsw

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.lake.errors import LakeDamaged, LakeError, NoSuchSeries, UsageError
from twinstar_kit.lake.series import Kind, Series

APPLICATION_ID = 0x5457534C  # "TWSL"
FORMAT = 1
BUSY_MS = 60_000

Db: TypeAlias = Any
"""An `apsw.Connection`, whose types say of no column what it holds."""

_SCHEMA = """
CREATE TABLE lake(id TEXT NOT NULL);
CREATE TABLE series(
    id INTEGER PRIMARY KEY, exchange TEXT NOT NULL, symbol TEXT NOT NULL, timeframe TEXT NOT NULL, kind TEXT NOT NULL,
    instrument TEXT NOT NULL, simulated INTEGER NOT NULL, UNIQUE(exchange, symbol, timeframe, kind)
);
CREATE TABLE versions(      -- every change of the file list, numbered
    version INTEGER PRIMARY KEY AUTOINCREMENT, ts INTEGER NOT NULL, what TEXT NOT NULL, source TEXT NOT NULL
);
CREATE TABLE files(         -- a file belongs to every version from `added` to before `removed`
    n INTEGER PRIMARY KEY, hash TEXT NOT NULL, series INTEGER NOT NULL REFERENCES series, part TEXT NOT NULL,
    path TEXT NOT NULL, rows INTEGER NOT NULL, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
    bytes INTEGER NOT NULL, layout TEXT NOT NULL, added INTEGER NOT NULL, removed INTEGER, quarantined INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX current_files ON files(series, part) WHERE removed IS NULL;
CREATE INDEX files_of_series ON files(series, first_ms);
CREATE INDEX files_by_hash ON files(hash);
CREATE TABLE tail(          -- rows that are in no file yet, batch by batch; a later batch lies over an earlier one
    seq INTEGER PRIMARY KEY AUTOINCREMENT, series INTEGER NOT NULL REFERENCES series, part TEXT NOT NULL,
    first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, added INTEGER NOT NULL,
    rows BLOB NOT NULL, marks BLOB NOT NULL, crc INTEGER NOT NULL
);
CREATE INDEX tail_of_series ON tail(series, last_ms);
CREATE INDEX tail_of_part ON tail(series, part);
CREATE TABLE snapshots(
    id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, ts INTEGER NOT NULL, version INTEGER NOT NULL, digest TEXT NOT NULL
);
CREATE TABLE absences(
    id INTEGER PRIMARY KEY, series INTEGER NOT NULL REFERENCES series, first_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    reason INTEGER NOT NULL, proof TEXT NOT NULL
);
CREATE INDEX absences_of_series ON absences(series, first_ms);
CREATE TABLE asked(
    series INTEGER NOT NULL REFERENCES series, source TEXT NOT NULL, since_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
    rows INTEGER NOT NULL, ts INTEGER NOT NULL, PRIMARY KEY(series, source, since_ms, until_ms)
) WITHOUT ROWID;
CREATE TABLE log(           -- append-only; each entry's chain is SHA-256 over the chain before it and the entry
    id INTEGER PRIMARY KEY, ts INTEGER NOT NULL, series INTEGER, kind TEXT NOT NULL, first_ms INTEGER, until_ms INTEGER,
    body TEXT NOT NULL, old BLOB NOT NULL, new BLOB NOT NULL, chain BLOB NOT NULL
);
CREATE TRIGGER log_is_kept BEFORE DELETE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
CREATE TRIGGER log_stays BEFORE UPDATE ON log BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;
"""


@dataclass(frozen=True, slots=True)
class Known:
    """A registered series: its number in the catalog, what it trades, and whether its rows are made up."""

    id: int
    series: Series
    instrument: Instrument
    simulated: bool


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file of the list: `id` is the SHA-256 of its bytes, `layout` says where its pages lie (see `pages`)."""

    id: str
    part: str
    path: str
    rows: int
    first_ms: int
    last_ms: int
    bytes: int
    layout: str
    quarantined: bool = False


FILE_FIELDS = "hash, part, path, rows, first_ms, last_ms, bytes, layout, quarantined"


class Catalog:
    """One connection, which threads take turns with; every transaction is short."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.RLock()
        self._known: dict[Series, Known] = {}
        with _told(path):
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise LakeError(f"cannot make the lake's folder {path.parent}: {error.strerror}") from error
            self._db: Db = apsw.Connection(str(path))
            try:
                self._open()
            except BaseException:
                self._db.close()
                raise

    def _open(self) -> None:
        db = self._db
        db.set_busy_timeout(BUSY_MS)
        if db.pragma("application_id") != APPLICATION_ID:
            if db.execute("SELECT count(*) FROM sqlite_schema").fetchone() != (0,):
                raise LakeDamaged(f"{self.path} is not the catalog of a lake")
            self._create()
        if (version := db.pragma("user_version")) != FORMAT:
            raise LakeError(
                f"{self.path} has format {version}, this program reads {FORMAT}; use the version that wrote it"
            )
        self.id: str = db.execute("SELECT id FROM lake").fetchone()[0]
        db.pragma("synchronous", "full")
        db.pragma("foreign_keys", True)

    def _create(self) -> None:
        db = self._db
        db.pragma("journal_mode", "wal")
        db.execute("BEGIN IMMEDIATE")
        if db.pragma("application_id") != APPLICATION_ID:  # two processes may begin the same lake
            db.execute(_SCHEMA)
            db.execute("INSERT INTO lake VALUES (?)", (uuid.uuid4().hex,))
            db.pragma("application_id", APPLICATION_ID)
            db.pragma("user_version", FORMAT)
        db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[Db]:
        """One state of the catalog, however many transactions end meanwhile."""
        with self._transaction("BEGIN") as db:
            yield db

    @contextmanager
    def writing(self) -> Iterator[Db]:
        """A transaction that nobody writes beside; durable when it ends, undone when it raises."""
        with self._transaction("BEGIN IMMEDIATE") as db:
            yield db

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Db]:
        with self._lock, _told(self.path):
            db = self._db
            db.execute(begin)
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:
                with suppress(apsw.Error):  # a failed commit may have undone itself
                    db.execute("ROLLBACK")
                raise

    def register(self, series: Series, instrument: Instrument, simulated: bool) -> Known:
        """Make a series known, once; UsageError when it is known as something else."""
        canonical = canonical_json(instrument.canonical()).decode()
        with self.writing() as db:
            known = self._find(db, series)
            if known is None:
                db.execute(
                    "INSERT INTO series(exchange, symbol, timeframe, kind, instrument, simulated) VALUES (?,?,?,?,?,?)",
                    (
                        series.exchange,
                        series.symbol,
                        series.timeframe,
                        series.kind.value,
                        canonical,
                        int(simulated),
                    ),
                )
                return Known(db.last_insert_rowid(), series, instrument, simulated)
        if known.instrument != instrument or known.simulated != simulated:
            raise UsageError(
                f"{series} is registered already with {_difference(known, instrument, simulated)};"
                " a series keeps its units, so store this one under another exchange's name"
            )
        return known

    def known(self, series: Series) -> Known:
        """A registered series; NoSuchSeries otherwise."""
        if series not in self._known:
            with self.reading() as db:
                known = self._find(db, series)
            if known is None:
                raise NoSuchSeries(f"the lake holds no {series}; {self._suggest(series)}")
            self._known[series] = known
        return self._known[series]

    def _find(self, db: Db, series: Series) -> Known | None:
        where = "exchange = ? AND symbol = ? AND timeframe = ? AND kind = ?"
        key = (series.exchange, series.symbol, series.timeframe, series.kind.value)
        rows = db.execute(f"SELECT id, instrument, simulated FROM series WHERE {where}", key).fetchall()
        return next((Known(n, series, _instrument(text), bool(made_up)) for n, text, made_up in rows), None)

    def _suggest(self, series: Series) -> str:
        held = [known.series for known in self.all()]
        near = [s for s in held if s.symbol == series.symbol or s.exchange == series.exchange] or held
        return f"it holds {', '.join(map(str, near[:5]))}" if near else "it is empty"

    def all(self) -> list[Known]:
        """Every registered series, sorted."""
        with self.reading() as db:
            query = "SELECT id, exchange, symbol, timeframe, kind, instrument, simulated FROM series"
            found = [
                Known(n, Series(exchange, symbol, timeframe, Kind(kind)), _instrument(text), bool(made_up))
                for n, exchange, symbol, timeframe, kind, text, made_up in db.execute(query)
            ]
        return sorted(found, key=lambda known: known.series)

    def close(self) -> None:
        """Close the file; SQLite folds its log into it."""
        with self._lock:
            self._db.close()


def new_version(db: Db, ts_ms: int, what: str, source: str = "") -> int:
    """Number a change of the file list."""
    db.execute("INSERT INTO versions(ts, what, source) VALUES (?, ?, ?)", (ts_ms, what, source))
    return int(db.last_insert_rowid())


def version_now(db: Db) -> int:
    """The last change of the file list; 0 before the first."""
    return int(db.execute("SELECT coalesce(max(version), 0) FROM versions").fetchone()[0])


def current_file(db: Db, series: int, part: str) -> FileRef | None:
    """The file that keeps a month now."""
    query = f"SELECT {FILE_FIELDS} FROM files WHERE series = ? AND part = ? AND removed IS NULL"
    row = db.execute(query, (series, part)).fetchone()
    return _file(row) if row else None


def list_files(
    db: Db, series: int, since_ms: int, until_ms: int, version: int | None = None
) -> list[FileRef]:
    """The files with rows in [since_ms, until_ms), now or at a version, in order of time."""
    when, told = ("removed IS NULL", ()) if version is None else (
        "added <= ? AND (removed IS NULL OR removed > ?)", (version, version)
    )  # fmt: skip
    query = f"SELECT {FILE_FIELDS} FROM files WHERE series = ? AND last_ms >= ? AND first_ms < ? AND {when} ORDER BY first_ms"
    rows = db.execute(query, (series, since_ms, until_ms, *told))
    return [_file(row) for row in rows]


def _file(row: tuple[Any, ...]) -> FileRef:
    name, part, path, rows, first_ms, last_ms, size, layout, quarantined = row
    return FileRef(name, part, path, rows, first_ms, last_ms, size, layout, bool(quarantined))


def swap_file(db: Db, series: int, new: FileRef, version: int) -> None:
    """Put a file into the list in place of the one that kept its month."""
    db.execute(
        "UPDATE files SET removed = ? WHERE series = ? AND part = ? AND removed IS NULL",
        (version, series, new.part),
    )
    values = (
        series,
        new.id,
        new.part,
        new.path,
        new.rows,
        new.first_ms,
        new.last_ms,
        new.bytes,
        new.layout,
        version,
    )
    db.execute(
        "INSERT INTO files(series, hash, part, path, rows, first_ms, last_ms, bytes, layout, added)"
        " VALUES (?,?,?,?,?,?,?,?,?,?)", values,
    )  # fmt: skip


def _instrument(text: str) -> Instrument:
    return Instrument.from_canonical(json.loads(text))


def _difference(known: Known, instrument: Instrument, simulated: bool) -> str:
    mine, theirs = known.instrument.canonical(), instrument.canonical()
    found = [f"{name} {mine[name]}, not {theirs[name]}" for name in mine if mine[name] != theirs[name]]
    if known.simulated != simulated:
        found.append("simulated rows" if known.simulated else "real rows")
    return "; ".join(found)


class _told:
    """Says SQLite's errors in plain words."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, apsw.Error):
            return
        if isinstance(error, apsw.FullError):
            raise LakeError(
                f"the disk is full: cannot write {self.path}; free some space, nothing was changed"
            ) from error
        if isinstance(error, apsw.BusyError):
            raise LakeError(
                f"{self.path} is being written by another process for too long; try again"
            ) from error
        if isinstance(error, apsw.CorruptError | apsw.NotADBError):
            raise LakeDamaged(f"{self.path} is damaged: {error}; restore it from a copy") from error
        if isinstance(error, apsw.CantOpenError | apsw.ReadOnlyError | apsw.PermissionsError | apsw.IOError):
            raise LakeError(
                f"cannot open or write {self.path}: {error}; check the folder's permissions"
            ) from error
        raise LakeError(f"{self.path}: {error}") from error
