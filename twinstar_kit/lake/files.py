"""Where the lake's files lie: a local folder with durable writes, or any store that fsspec knows.

A file is named by the hash of its content and never changed. A local one appears complete under its name or not at
all: it is written aside, synced, renamed, and the folder is synced. An object store's put is whole by itself.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from twinstar_kit.lake.errors import LakeError
from twinstar_kit.lake.leases import Leases

ENDING = ".parquet"
QUARANTINE = "quarantine"


@runtime_checkable
class Files(Protocol):
    """What the lake asks of a store. Paths are relative, with slashes. Only OSError is raised, or LakeError for people."""

    url: str

    def put(self, path: str, data: bytes) -> None:
        """Make `data` durable under `path`, whole or not at all."""

    def get(self, path: str) -> bytes:
        """All bytes; FileNotFoundError when there are none."""

    def exists(self, path: str) -> bool:
        """Whether a file stands there."""

    def remove(self, path: str) -> None:
        """Remove a file; it may be gone already."""

    def move(self, path: str, to: str) -> None:
        """Give a file another name."""

    def paths(self) -> list[str]:
        """Every file of data, quarantined ones not among them."""

    def clean(self) -> list[str]:
        """Remove what writers that died have left aside; returns the names."""

    def address(self, path: str) -> str:
        """What other programs call the file."""

    def close(self) -> None:
        """Let go."""


class LocalFiles:
    """A folder of this machine."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(os.path.abspath(Path(root).expanduser()))
        self.url = str(self.root)
        self._aside = Leases(self.root / ".incoming")

    def put(self, path: str, data: bytes) -> None:
        """Written aside, synced, renamed, and the folder synced."""
        with told("write", self.root / path):
            self._put(path, data)

    def _put(self, path: str, data: bytes) -> None:
        target = self.root / path
        with self._aside.hold("writer") as lease:
            aside = lease.path.with_suffix(".part")
            try:
                self.write_aside(aside, data)
                for folder in self._missing(target.parent):
                    folder.mkdir(exist_ok=True)
                    self.sync_folder(folder.parent)
                self.rename(aside, target)
                self.sync_folder(target.parent)
            finally:
                aside.unlink(missing_ok=True)

    def _missing(self, folder: Path) -> list[Path]:
        found = []
        while not folder.is_dir():
            found.append(folder)
            folder = folder.parent
        return found[::-1]

    def write_aside(self, aside: Path, data: bytes) -> None:
        """The bytes, durable, under a name that nobody reads."""
        with open(aside, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())

    def rename(self, aside: Path, target: Path) -> None:
        """The instant at which the file appears."""
        os.replace(aside, target)

    def sync_folder(self, folder: Path) -> None:
        """Makes the names in a folder durable."""
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def get(self, path: str) -> bytes:
        """All bytes of a file."""
        return (self.root / path).read_bytes()

    def exists(self, path: str) -> bool:
        """Whether a file stands there."""
        return (self.root / path).is_file()

    def remove(self, path: str) -> None:
        """Remove a file; it may be gone already."""
        with told("remove", self.root / path):
            (self.root / path).unlink(missing_ok=True)

    def move(self, path: str, to: str) -> None:
        """Rename within the folder; both names are durable afterwards."""
        source, target = self.root / path, self.root / to
        with told("move", source):
            target.parent.mkdir(parents=True, exist_ok=True)
            os.replace(source, target)
            self.sync_folder(target.parent)
            self.sync_folder(source.parent)

    def paths(self) -> list[str]:
        """Every file of data."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.rglob(f"*{ENDING}"))
        return sorted(path for path in found if not path.startswith(f"{QUARANTINE}/"))

    def clean(self) -> list[str]:
        """Remove half-written files whose writer is gone."""
        self._aside.live()  # drops the leases of dead processes
        folder = self.root / ".incoming"
        removed = []
        for part in folder.glob("*.part"):
            if not part.with_suffix(".lease").exists():
                part.unlink(missing_ok=True)
                removed.append(part.relative_to(self.root).as_posix())
        return removed

    def address(self, path: str) -> str:
        """The absolute path."""
        return str(self.root / path)

    def close(self) -> None:
        """Nothing stays open between calls."""


class RemoteFiles:
    """Any store that fsspec knows: `s3://bucket/lake`, `memory://lake`, and so on.

    `options` go to fsspec (`key`, `secret`, `endpoint_url` and the like).
    """

    def __init__(self, url: str, **options: Any) -> None:
        import fsspec  # type: ignore[import-untyped]

        self.url = url.rstrip("/")
        try:
            self.fs, self.root = fsspec.core.url_to_fs(self.url, **options)
        except (ImportError, ValueError) as error:
            raise LakeError(f"{url} cannot be opened: {error}") from error

    def put(self, path: str, data: bytes) -> None:
        """One put, which such stores make whole or not at all."""
        full = self._full(path)
        with self._told("write", path):
            try:
                self.fs.pipe_file(full, data)
            except (
                FileNotFoundError
            ):  # a store with real folders; a bucket that is not there is nobody's wish
                if not self.fs.exists(full.split("/")[0] or "/"):
                    raise
                self.fs.makedirs(full.rpartition("/")[0], exist_ok=True)
                self.fs.pipe_file(full, data)

    def get(self, path: str) -> bytes:
        """All bytes of an object."""
        with self._told("read", path, FileNotFoundError):
            return bytes(self.fs.cat_file(self._full(path)))

    def exists(self, path: str) -> bool:
        """Whether an object stands there, asked anew."""
        with self._told("look for", path):
            self.fs.invalidate_cache()
            return bool(self.fs.exists(self._full(path)))

    def remove(self, path: str) -> None:
        """Remove an object; it may be gone already."""
        with self._told("remove", path), suppress(FileNotFoundError):
            self.fs.rm_file(self._full(path))

    def move(self, path: str, to: str) -> None:
        """Copy, then remove."""
        self.put(to, self.get(path))
        self.remove(path)

    def paths(self) -> list[str]:
        """Every object of data."""
        with self._told("list", ""):
            self.fs.invalidate_cache()
            found = self.fs.find(self.root) if self.fs.exists(self.root) else []
        root = self.root.rstrip("/") + "/"
        names = [path[len(root) :] for path in found if path.startswith(root) and path.endswith(ENDING)]
        return sorted(name for name in names if not name.startswith(f"{QUARANTINE}/"))

    def clean(self) -> list[str]:
        """Nothing is written aside here."""
        return []

    @contextmanager
    def _told(self, verb: str, path: str, *passed: type[Exception]) -> Iterator[None]:
        """Every kind of store has errors of its own; people get one line whichever it was."""
        try:
            with told(verb, self.address(path)):
                yield
        except LakeError as error:
            if isinstance(error.__cause__, passed):
                raise error.__cause__ from None
            raise
        except Exception as error:
            raise LakeError(
                f"cannot {verb} {self.address(path)}: {error or type(error).__name__}; nothing was changed"
            ) from error

    def address(self, path: str) -> str:
        """The URL, as fsspec writes it."""
        return str(self.fs.unstrip_protocol(self._full(path)))

    def _full(self, path: str) -> str:
        return f"{self.root.rstrip('/')}/{path}"

    def close(self) -> None:
        """fsspec keeps its own connections."""


def open_files(url: str | Path, options: dict[str, Any]) -> Files:
    """The store at a folder or URL."""
    text = str(url).removeprefix("file://")
    if "://" in text:
        return RemoteFiles(text, **options)
    return LocalFiles(text)


@contextmanager
def told(verb: str, what: object) -> Iterator[None]:
    """Says in one line what the system refused."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC or error.errno == errno.EDQUOT:
            raise LakeError(
                f"the disk is full: cannot {verb} {what}; free some space, nothing was changed"
            ) from error
        why = error.strerror or str(error) or type(error).__name__
        raise LakeError(f"cannot {verb} {what}: {why}; nothing was changed") from error
