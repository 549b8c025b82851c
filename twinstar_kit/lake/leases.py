"""Who still needs something: small files that are locked for as long as their holder lives.

The system gives a lock up when its process ends, however that ends, so nothing has to be guessed from a process
number or an age. A lease appears under its name only when it is locked already.
"""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from twinstar_kit.journal.lock import try_lock


@dataclass(slots=True)
class Lease:
    """One lock that is held; `close` gives it up, and so does leaving a `with`."""

    path: Path
    _fd: int

    def close(self) -> None:
        """Give it up; a second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            self.path.unlink(missing_ok=True)
            os.close(fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Leases:
    """The leases in one folder.

    >>> import tempfile
    >>> leases = Leases(Path(tempfile.mkdtemp()) / "readers")
    >>> with leases.hold("17"):
    ...     leases.live()
    ['17']
    >>> leases.live()
    []
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def hold(self, what: str) -> Lease:
        """A lease that tells others `what`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        while True:
            name = f"{what}-{uuid.uuid4().hex}"
            unborn, path = self.folder / f"{name}.new", self.folder / f"{name}.lease"
            fd = os.open(unborn, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
            try:
                if try_lock(fd):
                    os.rename(unborn, path)
                    return Lease(path, fd)
            except FileNotFoundError:
                pass  # `live` took it for a dead one's in the instant before it was locked
            os.close(fd)

    def live(self) -> list[str]:
        """What the living holders told; the leases of dead ones are removed."""
        told = []
        for path in (*self.folder.glob("*.lease"), *self.folder.glob("*.new")):
            try:
                fd = os.open(path, os.O_RDWR)
            except FileNotFoundError:
                continue
            try:
                if try_lock(fd):
                    path.unlink(missing_ok=True)
                elif path.suffix == ".lease":
                    told.append(path.name.rpartition("-")[0])
            finally:
                os.close(fd)
        return sorted(told)
