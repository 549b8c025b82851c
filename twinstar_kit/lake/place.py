"""What every verb of the lake works with: the catalog, the files, who still reads, and the clock."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from twinstar_kit.feeds.clock import Clock
from twinstar_kit.lake import codec
from twinstar_kit.lake.catalog import Catalog, FileRef, Known, version_now
from twinstar_kit.lake.errors import CorruptFile, LakeError
from twinstar_kit.lake.files import ENDING, Files
from twinstar_kit.lake.leases import Lease, Leases
from twinstar_kit.lake.pages import Layout, damage
from twinstar_kit.lake.rows import Marks, Rows

OWNER = "lake.id"
"""The file that says which catalog the files beside it belong to."""


@dataclass(slots=True)
class Place:
    """One open lake."""

    catalog: Catalog
    files: Files
    readers: Leases
    clock: Clock
    _claimed: bool = False

    def pin(self) -> Lease:
        """Keeps every file that is in the list from now on until the lease is closed.

        Where no lease can be left (a full disk, a folder that is read only) reading goes on without: a file that is
        collected meanwhile is then an error, never a wrong row.
        """
        with self.catalog.reading() as db:
            version = version_now(db)
        try:
            return self.readers.hold(str(version))
        except OSError:
            return Lease(self.readers.folder, -1)

    def claim(self) -> None:
        """Make sure that the files are this catalog's, before any is written or removed; LakeError otherwise."""
        if self._claimed:
            return
        try:
            owner = self.files.get(OWNER).decode()
        except FileNotFoundError:
            owner = self.catalog.id
            self.files.put(OWNER, owner.encode())
        except OSError as error:
            raise LakeError(f"cannot read {self.files.address(OWNER)}: {error}") from error
        if owner != self.catalog.id:
            raise LakeError(
                f"the files at {self.files.url} belong to another catalog than {self.catalog.path}; open the lake with that"
                " one, or begin a lake elsewhere. Nothing was changed"
            )
        self._claimed = True

    def fetch(self, ref: FileRef) -> tuple[bytes, Layout]:
        """The bytes of a file, every one of them what was written, and their layout; CorruptFile otherwise."""
        try:
            data = self.files.get(ref.path)
        except FileNotFoundError:
            gone = "was quarantined" if ref.quarantined else "is gone"
            raise corrupt(self.files, ref, gone) from None
        except OSError as error:
            raise LakeError(f"cannot read {self.files.address(ref.path)}: {error}") from error
        layout = Layout.loads(ref.layout)
        why = f"has {len(data)} bytes, not {ref.bytes}" if len(data) != ref.bytes else damage(data, layout)
        if why is not None:
            raise corrupt(self.files, ref, f"is damaged: {why}")
        return data, layout

    def store(self, known: Known, part: str, rows: Rows, marks: Marks) -> FileRef:
        """Write a file; it counts once a transaction puts it into the list."""
        self.claim()
        data, layout = codec.encode(known.series, part, known.instrument, rows, marks)
        name = hashlib.sha256(data).hexdigest()
        path = f"{known.series.folder}/{part}-{name[:32]}{ENDING}"
        self.files.put(path, data)
        first, last = int(rows[0, 0]), int(rows[-1, 0])
        return FileRef(name, part, path, len(rows), first, last, len(data), layout.dumps())

    def discard(self, refs: Iterable[FileRef]) -> None:
        """Remove files that were written and did not come into the list."""
        with self.catalog.writing() as db:
            for ref in refs:
                if not db.execute("SELECT 1 FROM files WHERE path = ?", (ref.path,)).fetchone():
                    self.files.remove(ref.path)


def corrupt(files: Files, ref: FileRef, why: str) -> CorruptFile:
    """The error that names a file and the way out."""
    cure = f"take it out with lake.quarantine({ref.id[:16]!r}, why) and fetch its rows anew"
    if ref.quarantined:
        cure = "only older snapshots hold it; read the present state, or a later snapshot"
    return CorruptFile(f"{files.address(ref.path)} {why}; {cure}", ref.id, ref.path)
