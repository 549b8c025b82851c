"""Commands on their way to a session, and their answers: a table of its own, so that clients never write the journal."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from twinstar_kit.journal.errors import CommandError, JournalError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS commands(
    id INTEGER PRIMARY KEY AUTOINCREMENT, command_id TEXT NOT NULL UNIQUE, sent_ms INTEGER NOT NULL, body TEXT NOT NULL, answer TEXT
);
CREATE INDEX IF NOT EXISTS waiting ON commands(id) WHERE answer IS NULL;
"""


@dataclass(frozen=True, slots=True)
class Command:
    """A command that waits: `sent_ms` is the client's wall clock, so that nothing stale is carried out."""

    command_id: str
    sent_ms: int
    body: dict[str, Any]


class Inbox:
    """The inbox of one account. Any process may `put`; only the session that owns the account takes and answers.

    A command is named by its id: the same id with the same body is one command however often it is sent, and its
    first answer is its answer.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            self._db = apsw.Connection(str(self.path))
            self._db.set_busy_timeout(5_000)
            self._db.pragma("journal_mode", "wal")
            self._db.pragma("synchronous", "full")
            self._db.execute(_SCHEMA)
        except apsw.Error as error:
            raise JournalError(f"{self.path} cannot be used as an inbox: {error}") from error

    def put(self, body: Mapping[str, Any], sent_ms: int, command_id: str | None = None) -> str:
        """Leave a command; returns its id. CommandError when the id was used for another command."""
        command_id = command_id or uuid.uuid4().hex
        text = json.dumps(body, sort_keys=True)
        self._db.execute(
            "INSERT INTO commands(command_id, sent_ms, body) VALUES (?, ?, ?) ON CONFLICT(command_id) DO NOTHING",
            (command_id, sent_ms, text),
        )
        known = self._db.execute("SELECT body FROM commands WHERE command_id = ?", (command_id,)).fetchone()
        assert known is not None
        if known[0] != text:
            raise CommandError(
                f"command id {command_id!r} was used for another command; take a new one for each command"
            )
        return command_id

    def waiting(self) -> list[Command]:
        """Commands without an answer, in the order of their arrival."""
        rows = self._db.execute(
            "SELECT command_id, sent_ms, body FROM commands WHERE answer IS NULL ORDER BY id"
        )
        return [Command(command_id, sent_ms, json.loads(body)) for command_id, sent_ms, body in rows]

    def answer(self, command_id: str, answer: Mapping[str, Any]) -> None:
        """Answer a command durably; a second answer changes nothing."""
        text = json.dumps(answer, sort_keys=True)
        self._db.execute(
            "UPDATE commands SET answer = ? WHERE command_id = ? AND answer IS NULL", (text, command_id)
        )

    def answered(self, command_id: str) -> dict[str, Any] | None:
        """The answer to a command, or None while it waits or when nobody sent it."""
        row = self._db.execute("SELECT answer FROM commands WHERE command_id = ?", (command_id,)).fetchone()
        return json.loads(row[0]) if row and row[0] is not None else None

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
