"""Reads a journal while another process writes it: each batch once, in order, checked against the chain."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twinstar_kit.journal.errors import JournalDamaged, JournalGap
from twinstar_kit.journal.store import Batch, JournalReader


class Tail:
    """A reader that remembers where it is. `poll` gives what was committed since; it never blocks.

    Raises JournalGap when a batch it has not seen is gone or changed: what was shown can no longer be continued.
    """

    def __init__(self, path: str | Path) -> None:
        self._reader = JournalReader(path)
        self.path = self._reader.path
        self.batch = 0
        self._chain = b""

    @property
    def header(self) -> dict[str, Any]:
        """What the journal's digest covers besides its events."""
        return self._reader.header

    @property
    def meta(self) -> dict[str, Any]:
        """What else was noted when the journal began."""
        return self._reader.meta

    def poll(self) -> list[Batch]:
        """The batches since the last call, in order."""
        try:
            found = list(self._reader.batches(self.batch, self._chain))
        except JournalDamaged as error:
            raise JournalGap(f"after batch {self.batch}: {error}") from error
        if found:
            self.batch, self._chain = found[-1].number, found[-1].chain
        elif self.batch > self._reader.last().batch:
            raise JournalGap(f"{self.path}: batch {self.batch} was read and is gone")
        return found

    def close(self) -> None:
        """Close the file."""
        self._reader.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
