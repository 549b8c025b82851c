"""A second file beside a journal that remembers how far it was acknowledged.

SQLite replays the valid prefix of a damaged write-ahead log without a word, so a journal alone cannot know that
it lost its tail. After each commit, and before the acknowledgement, the batch number and the chain's hash are
written to one of two slots in turn: a torn write leaves the other slot, which is at most one batch older.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass
from pathlib import Path

from twinstar_kit.journal.errors import AccountLocked, JournalDamaged, JournalError
from twinstar_kit.journal.lock import try_lock

_SLOT = struct.Struct("<8sqq32s")
_MAGIC = b"TWSTWIT1"
_SIZE = 512  # a sector: written whole or not at all on most devices, and checked anyway

_sync = getattr(os, "fdatasync", os.fsync)


@dataclass(frozen=True, slots=True)
class Seal:
    """How far a journal got: its last batch, the last event in it, and the chain's hash there."""

    batch: int
    seq: int
    chain: bytes

    def pack(self) -> bytes:
        """A slot's bytes, closed with their own hash."""
        body = _SLOT.pack(_MAGIC, self.batch, self.seq, self.chain)
        return (body + hashlib.sha256(body).digest()).ljust(_SIZE, b"\0")

    @classmethod
    def unpack(cls, slot: bytes) -> Seal | None:
        """The seal in a slot, or None when the slot is empty or torn."""
        body, told = slot[: _SLOT.size], slot[_SLOT.size : _SLOT.size + 32]
        if len(told) != 32 or hashlib.sha256(body).digest() != told:
            return None
        magic, batch, seq, chain = _SLOT.unpack(body)
        return cls(batch, seq, chain) if magic == _MAGIC else None


class Witness:
    """The open witness of a journal that is being written, and the lock that keeps a second writer out.

    Raises AccountLocked when another process writes the journal.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not try_lock(self._fd):
            self.close()
            raise AccountLocked(
                f"{path.with_suffix('.db').name} in {path.parent} is being written by another process"
            )

    def write(self, seal: Seal) -> None:
        """Remember `seal` durably. JournalError when the disk refuses."""
        assert self._fd is not None
        try:
            os.lseek(self._fd, seal.batch % 2 * _SIZE, os.SEEK_SET)
            os.write(self._fd, seal.pack())
            _sync(self._fd)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}; the batch was not acknowledged") from error

    def close(self) -> None:
        """Close the file and give up the lock; a second call does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)


def witness_path(journal: Path) -> Path:
    """Where the witness of a journal stands.

    >>> witness_path(Path("journal-0001.db")).name
    'journal-0001.witness'
    """
    return journal.with_suffix(".witness")


def read_seal(path: Path) -> Seal | None:
    """The newest seal of the witness at `path`; None when there is no such file.

    Raises JournalDamaged when the file is there and no slot is whole.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    seals = [seal for at in (0, _SIZE) if (seal := Seal.unpack(content[at : at + _SIZE]))]
    if not seals:
        raise JournalDamaged(
            f"{path}: the witness is damaged; it no longer says how far the journal was acknowledged"
        )
    return max(seals, key=lambda seal: seal.batch)
