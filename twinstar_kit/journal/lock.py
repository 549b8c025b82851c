"""One owner for an account: an operating-system lock, which ends with its process however that ends."""

from __future__ import annotations

import fcntl
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from twinstar_kit.journal.errors import AccountLocked

PROBES, PROBE_S = 5, 0.01


def try_lock(fd: int) -> bool:
    """Lock an open file for as long as it stays open; False when another holds it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


class FileLock:
    """A lock on a file that says who holds it. The file stays behind when the lock is released; it is not the lock.

    `what` names the thing in messages ("account breakout"), `purpose` the holder ("twinstar paper"), `cure` the way out;
    `details` are told to whoever asks for the holder.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "lock"
    >>> with FileLock(path, "account demo", "a doctest") as lock:
    ...     FileLock.holder(path)["purpose"]
    'a doctest'
    >>> FileLock.holder(path) is None
    True
    """

    def __init__(self, path: Path, what: str, purpose: str, cure: str = "wait until it has ended",
                 details: dict[str, Any] | None = None) -> None:  # fmt: skip
        self.path, self.what, self.purpose, self.cure, self.details = path, what, purpose, cure, details or {}
        self._fd: int | None = None
        self._since = ""

    def acquire(self) -> Self:
        """Take the lock at once or raise AccountLocked with one line that names the holder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        for _ in range(PROBES):
            if try_lock(fd):
                break
            time.sleep(PROBE_S)  # whoever asks for the holder holds the lock for an instant
        else:
            told = _read(fd)
            os.close(fd)
            raise AccountLocked(f"{self.what} is in use by {_describe(told)}; {self.cure}")
        self._fd, self._since = fd, datetime.now(UTC).isoformat(timespec="seconds")
        self.tell()
        return self

    def tell(self, **details: Any) -> None:
        """Change what others read about the holder while the lock is held."""
        assert self._fd is not None, "only the holder speaks for the lock"
        self.details |= details
        who = {"pid": os.getpid(), "purpose": self.purpose, "since": self._since}
        text = json.dumps(who | self.details).encode()
        # one write, padded to what stood there before: a reader sees the old text or the new one
        os.pwrite(self._fd, text.ljust(os.fstat(self._fd).st_size), 0)

    def release(self) -> None:
        """Give the lock up; a second call does nothing."""
        if self._fd is not None:
            fd, self._fd = self._fd, None
            os.close(fd)

    @staticmethod
    def holder(path: Path) -> dict[str, Any] | None:
        """Who holds the lock (pid, purpose, since), or None when nobody does."""
        try:
            fd = os.open(path, os.O_RDWR)
        except FileNotFoundError:
            return None
        try:
            return None if try_lock(fd) else _read(fd)
        finally:
            os.close(fd)

    def __enter__(self) -> Self:
        return self if self._fd is not None else self.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _read(fd: int) -> dict[str, Any]:
    os.lseek(fd, 0, os.SEEK_SET)
    try:
        told = json.loads(os.read(fd, 4096))
    except ValueError:  # the holder has locked the file and not yet signed it
        return {}
    return told if isinstance(told, dict) else {}


def _describe(who: dict[str, Any]) -> str:
    if not who:
        return "another process"
    return f"process {who.get('pid')} ({who.get('purpose')}, since {who.get('since')})"
