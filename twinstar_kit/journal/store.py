"""The journal's file: one row of `batches` is one transaction, one link of the hash chain, one acknowledgement."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw
import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.errors import JournalDamaged, JournalError
from twinstar_kit.journal.inputs import InputDigest, Inputs, pack_inputs, unpack_inputs
from twinstar_kit.journal.witness import Seal, Witness, read_seal, witness_path
from twinstar_kit.kernel.records import Digest, canonical_json, event_t

APPLICATION_ID = 0x54575354  # "TWST"
FORMAT = 1
_NO_EVENTS = np.empty(0, event_t)
_NO_EQUITY = np.empty(0, np.int64)
_TYPES = [bytes, bytes, bytes, str, str, bytes]

_SCHEMA = """
CREATE TABLE header(id INTEGER PRIMARY KEY CHECK (id = 1), canonical TEXT NOT NULL, meta TEXT NOT NULL, chain BLOB NOT NULL);
CREATE TABLE batches(
    batch INTEGER PRIMARY KEY,  -- 1, 2, 3 ... without a hole
    seq INTEGER NOT NULL,       -- the last event of this batch, counted over the whole journal
    inputs BLOB NOT NULL,       -- what went in, see inputs.py
    events BLOB NOT NULL,       -- event_t records, in the order of the engine's steps
    equity BLOB NOT NULL,       -- int64 money units after each bar of this batch; not part of the digest
    command TEXT NOT NULL,      -- JSON: what a client asked for, null when the market alone made this batch
    answers TEXT NOT NULL,      -- JSON: command_id -> answer
    final INTEGER NOT NULL,     -- 1: the run has ended, nothing follows
    chain BLOB NOT NULL         -- SHA-256 over the chain before and everything above
);
CREATE TABLE commands(command_id TEXT PRIMARY KEY, batch INTEGER NOT NULL, answer TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE snapshot(id INTEGER PRIMARY KEY CHECK (id = 1), batch INTEGER NOT NULL, state BLOB NOT NULL, hash BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """What is committed at once.

    `inputs` are market data, `command` is what a client asked for after them; `events` is `event_t` with seqs that
    follow on; `equity` is int64 money units after each bar. `answers` maps command ids to what the client is told;
    `snapshot` replaces the one before it; `final` ends the run. `number` and `chain` are the journal's.
    """

    inputs: tuple[Inputs, ...] = ()
    events: npt.NDArray[np.void] = field(default_factory=lambda: _NO_EVENTS)
    equity: npt.NDArray[np.int64] = field(default_factory=lambda: _NO_EQUITY)
    command: dict[str, Any] | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    snapshot: bytes | None = None
    final: bool = False
    number: int = 0
    chain: bytes = b""


class JournalReader:
    """A journal that is only read; another process may be writing it.

    Raises JournalError when there is no journal at `path`, JournalDamaged when it is not one.
    """

    _db: Any = None

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise JournalError(f"there is no journal at {path}")
        self._db = self._connect()
        self.header: dict[str, Any] = {}
        self.meta: dict[str, Any] = {}
        self._root = b""
        try:
            self._load_header()
        except BaseException:
            self.close()
            raise

    def _connect(self) -> apsw.Connection:
        return _connected(self.path, apsw.SQLITE_OPEN_READONLY)

    def _load_header(self) -> None:
        with _reading(self.path):
            if self._db.pragma("application_id") != APPLICATION_ID:
                raise JournalDamaged(f"{self.path} is not a TwinStar journal")
            version = self._db.pragma("user_version")
            if version != FORMAT:
                raise JournalError(
                    f"{self.path} has format {version}, this program reads {FORMAT}; use the version that wrote it"
                )
            row = self._db.execute("SELECT canonical, meta, chain FROM header").fetchone()
        if row is None or [type(value) for value in row] != [str, str, bytes] or _root(*row[:2]) != row[2]:
            raise JournalDamaged(f"{self.path}: the header is not what was written")
        canonical, meta, self._root = row
        self.header, self.meta = json.loads(canonical), json.loads(meta)

    def batches(self, after: int = 0, chain: bytes | None = None) -> Iterator[Batch]:
        """The batches after number `after`, each checked against the chain.

        `chain` is the hash at `after`, when the caller kept it; otherwise the file's own is taken on trust.
        """
        before = self._root if after == 0 else chain or self._chain_at(after)
        last, seq = after, None
        with _reading(self.path):
            query = "SELECT batch, seq, inputs, events, equity, command, answers, final, chain FROM batches WHERE batch > ? ORDER BY batch"
            for number, upto, inputs, events, equity, command, answers, final, told in self._db.execute(
                query, (after,)
            ):
                typed = [type(value) for value in (inputs, events, equity, command, answers, told)] == _TYPES
                if typed:
                    before = _link(before, number, upto, inputs, events, equity, command, answers, final)
                if not typed or number != last + 1 or before != told:
                    raise JournalDamaged(
                        f"{self.path}: batch {last + 1} is not what was written; events up to {seq or 0} are whole"
                    )
                last, seq = number, upto
                yield Batch(
                    tuple(unpack_inputs(inputs)), np.frombuffer(events, event_t), np.frombuffer(equity, "<i8"),
                    json.loads(command), json.loads(answers), None, bool(final), number, before,
                )  # fmt: skip

    def _chain_at(self, batch: int) -> bytes:
        with _reading(self.path):
            row = self._db.execute("SELECT chain FROM batches WHERE batch = ?", (batch,)).fetchone()
        if row is None:
            raise JournalDamaged(f"{self.path}: there is no batch {batch}")
        return bytes(row[0])

    def last(self) -> Seal:
        """The last batch, the last event, and the chain's hash there; batch 0 when nothing was committed yet."""
        with _reading(self.path):
            row = self._db.execute(
                "SELECT batch, seq, chain FROM batches ORDER BY batch DESC LIMIT 1"
            ).fetchone()
        return Seal(*row) if row else Seal(0, 0, self._root)

    @property
    def finished(self) -> bool:
        """Whether the run has ended."""
        with _reading(self.path):
            row = self._db.execute("SELECT final FROM batches ORDER BY batch DESC LIMIT 1").fetchone()
        return bool(row and row[0])

    def answer(self, command_id: str) -> Any | None:
        """What was answered to a command, or None when it was never applied."""
        with _reading(self.path):
            row = self._db.execute(
                "SELECT answer FROM commands WHERE command_id = ?", (command_id,)
            ).fetchone()
        return json.loads(row[0]) if row else None

    def snapshot(self) -> tuple[int, bytes] | None:
        """The latest snapshot and the batch that it follows; None when there is none or it is damaged."""
        with _reading(self.path):
            row = self._db.execute("SELECT batch, state, hash FROM snapshot").fetchone()
        if row is None or hashlib.sha256(row[1]).digest() != row[2]:
            return None
        return row[0], row[1]

    def events(self) -> npt.NDArray[np.void]:
        """All events, `event_t`, in order of their contiguous `seq`."""
        return _joined([batch.events for batch in self.batches()], _NO_EVENTS)

    def equity(self) -> npt.NDArray[np.int64]:
        """Equity after each bar, int64 money units."""
        return _joined([batch.equity for batch in self.batches()], _NO_EQUITY)

    def inputs(self, after: int = 0) -> Iterator[Inputs]:
        """Recorded inputs in order, from the batch after `after`."""
        for batch in self.batches(after):
            yield from batch.inputs

    def digest(self) -> dict[str, Any]:
        """Recompute the digests from what is stored: `journal_digest data_digest events bars batches finished`.

        Reads every byte and checks the chain on the way; memory stays that of one batch.
        """
        digest, data = Digest(self.header), InputDigest(self.header)
        events, batch = 0, None
        for batch in self.batches():
            digest.update(batch.events)
            data.update(batch.inputs)
            events += len(batch.events)
        told = data.hexdigest()
        return {
            "journal_digest": digest.hexdigest(told, data.count),
            "data_digest": told,
            "events": events,
            "bars": data.count,
            "batches": batch.number if batch else 0,
            "finished": bool(batch and batch.final),
        }

    def verify(self) -> Seal:
        """Check the whole file: the chain, the numbering of events, and the witness where one stands beside it.

        Returns the last seal. Raises JournalDamaged that says what is wrong and how much is whole.
        """
        seal = read_seal(witness_path(self.path))
        seq, last, at_seal = 0, self.last(), self._root if seal and seal.batch == 0 else b""
        for batch in self.batches():
            count = len(batch.events)
            if count and not np.array_equal(batch.events["seq"], np.arange(seq + 1, seq + count + 1)):
                raise JournalDamaged(
                    f"{self.path}: batch {batch.number}: events do not follow on after {seq}"
                )
            seq += count
            if seal and seal.batch == batch.number:
                at_seal = batch.chain
        if seq != last.seq:
            raise JournalDamaged(f"{self.path}: {seq} events are stored where {last.seq} were counted")
        if seal and seal.batch > last.batch:
            raise JournalDamaged(
                f"{self.path}: events {last.seq + 1} to {seal.seq} were acknowledged and are gone (the file or its -wal is "
                "damaged); restore both from a copy, or start a new account"
            )
        if seal and at_seal != seal.chain:
            raise JournalDamaged(
                f"{self.path}: batch {seal.batch} is not the one that was acknowledged; is the witness of another journal?"
            )
        return last

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Journal(JournalReader):
    """A journal that is being written, by one process at a time.

    `Journal.create` begins one, `Journal.open` continues one after checking every byte of it. A batch is durable and
    sealed when `commit` returns; only then may its consequences leave the process. After an error nothing more is
    accepted: open the journal anew, which shows what was kept.
    """

    def __init__(self, path: str | Path) -> None:
        path = Path(path)
        self._failed: str | None = None
        self._final = False
        if path.is_file() and not witness_path(path).is_file():
            raise JournalDamaged(
                f"{witness_path(path)} is missing: without it a lost tail cannot be noticed; restore it beside the journal"
            )
        if not path.is_file():
            raise JournalError(f"there is no journal at {path}")
        self._witness = Witness(witness_path(path))
        try:
            super().__init__(path)
            self._seal = self.verify()
            self._final = self.finished
            self._witness.write(self._seal)
        except BaseException:
            self.close()
            raise

    def _connect(self) -> apsw.Connection:
        return _connected(self.path, apsw.SQLITE_OPEN_READWRITE)

    @classmethod
    def create(cls, path: str | Path, header: dict[str, Any], meta: dict[str, Any] | None = None) -> Journal:
        """Begin a journal. `header` is what the digest covers, `meta` everything else worth keeping (mode, feed, times).

        A file left by a creation that was killed is begun anew; any other file at `path` is a JournalError.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        canonical, told = canonical_json(header).decode(), canonical_json(meta or {}).decode()
        with closing(Witness(witness_path(path))) as witness:
            if path.exists() and not is_unborn(path):
                raise JournalError(f"{path} exists; nothing is overwritten")
            seal = read_seal(witness_path(path)) if witness_path(path).stat().st_size else None
            if seal and seal.batch:
                raise JournalError(
                    f"{witness_path(path)} knows of a journal that is gone; bring it back, or remove the witness too"
                )
            for leftover in (path, *(path.with_name(path.name + end) for end in ("-wal", "-shm"))):
                leftover.unlink(missing_ok=True)
            root = _root(canonical, told)
            witness.write(Seal(0, 0, root))
            db = _connected(path, apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE)
            with _writing(path):
                db.pragma("journal_mode", "wal")
                db.execute("BEGIN IMMEDIATE")
                db.execute(_SCHEMA)
                db.pragma("application_id", APPLICATION_ID)
                db.pragma("user_version", FORMAT)
                db.execute("INSERT INTO header VALUES (1, ?, ?, ?)", (canonical, told, root))
                db.execute("COMMIT")
            db.close()
            _sync_folder(path.parent)
        return cls(path)

    @classmethod
    def open(cls, path: str | Path) -> Journal:
        """Continue a journal. Raises JournalDamaged when anything that was acknowledged is missing or changed."""
        return cls(path)

    def commit(self, batch: Batch) -> Seal:
        """Store `batch` durably as one transaction and return its seal, the permission to acknowledge it.

        Raises JournalError, and refuses everything after it, when events do not follow on or the disk refuses.
        """
        if self._failed:
            raise JournalError(
                f"{self.path}: closed after an error ({self._failed}); open it again to see what was kept"
            )
        if self._final:
            raise JournalError(f"{self.path}: the run has ended; begin a new journal")
        count, before = len(batch.events), self._seal
        seq = before.seq + count
        if count and not np.array_equal(batch.events["seq"], np.arange(before.seq + 1, seq + 1)):
            raise self._fail(f"event {batch.events['seq'][0]} came where {before.seq + 1} was due")
        number = before.batch + 1
        inputs, events = pack_inputs(batch.inputs), np.ascontiguousarray(batch.events, event_t).tobytes()
        equity = np.ascontiguousarray(batch.equity, "<i8").tobytes()
        command, answers = json.dumps(batch.command), json.dumps(batch.answers)
        final = int(batch.final)
        chain = _link(before.chain, number, seq, inputs, events, equity, command, answers, final)
        try:
            with _writing(self.path):
                db = self._db
                db.execute("BEGIN IMMEDIATE")
                db.execute(
                    "INSERT INTO batches VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (number, seq, inputs, events, equity, command, answers, final, chain),
                )
                for command_id, answer in batch.answers.items():
                    db.execute(
                        "INSERT INTO commands VALUES (?, ?, ?)", (command_id, number, json.dumps(answer))
                    )
                if batch.snapshot is not None:
                    row = (number, batch.snapshot, hashlib.sha256(batch.snapshot).digest())
                    db.execute("INSERT OR REPLACE INTO snapshot VALUES (1, ?, ?, ?)", row)
                db.execute("COMMIT")
            self._witness.write(seal := Seal(number, seq, chain))
        except JournalError as error:
            raise self._fail(str(error)) from error
        self._seal, self._final = seal, batch.final
        return seal

    def _fail(self, why: str) -> JournalError:
        """Stop accepting: what the file now holds is known only after it is opened again."""
        self._failed = why
        return JournalError(f"{self.path}: {why}; nothing of this batch was acknowledged")

    @property
    def seal(self) -> Seal:
        """The last batch that was acknowledged."""
        return self._seal

    def close(self) -> None:
        """Fold the log into the file, close it and let others write it; a second call does nothing.

        A run that has ended becomes one plain file, which can be read from a folder that cannot be written.
        """
        if self._db is not None and not self._failed:
            with suppress(
                apsw.Error
            ):  # a reader is looking: what is in the log stays there, as durable as before
                self._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
                if self._final:
                    self._db.pragma("journal_mode", "delete")
        super().close()
        self._witness.close()


def is_unborn(path: Path) -> bool:
    """Whether the file is what a killed creation leaves: a database without tables, in which nothing was acknowledged."""
    try:
        if path.stat().st_size == 0:
            return True
        db = _connected(path, apsw.SQLITE_OPEN_READWRITE)
        tables = db.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        db.close()
    except (apsw.Error, JournalError):
        return False
    return bool(tables and tables[0] == 0)


def _root(canonical: str, meta: str) -> bytes:
    return hashlib.sha256(canonical.encode() + b"\0" + meta.encode()).digest()


def _sync_folder(folder: Path) -> None:
    """Make the names of new files durable; Windows needs and knows no such thing."""
    if os.name == "posix":
        fd = os.open(folder, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)


def _link(
    before: bytes, number: int, seq: int, inputs: bytes, events: bytes, equity: bytes, command: str, answers: str, final: int
) -> bytes:  # fmt: skip
    parts = (inputs, events, equity, command.encode(), answers.encode())
    link = hashlib.sha256(before)
    link.update(canonical_json([number, seq, [len(part) for part in parts], final]))
    for part in parts:
        link.update(part)
    return link.digest()


def _joined(parts: Iterable[npt.NDArray[Any]], none: npt.NDArray[Any]) -> npt.NDArray[Any]:
    filled = [part for part in parts if len(part)]
    return np.concatenate(filled) if filled else none


def _connected(path: Path, flags: int) -> apsw.Connection:
    with _reading(path):
        db = apsw.Connection(str(path), flags=flags)
        db.set_busy_timeout(5_000)
        db.pragma("synchronous", "full")
        return db


class _reading:
    """Turns SQLite's errors while reading into ours: a file that cannot be understood is damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.CorruptError | apsw.NotADBError | apsw.SQLError | UnicodeDecodeError):
            raise JournalDamaged(f"{self.path}: {error}") from error
        if isinstance(error, apsw.Error):
            raise JournalError(f"{self.path} cannot be read: {error}") from error


class _writing(_reading):
    """The same while writing: a full or failing disk is said in plain words."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, apsw.FullError):
            raise JournalError("the disk is full; free some space and open the journal again") from error
        if isinstance(error, apsw.Error):
            raise JournalError(f"cannot be written ({error})") from error
