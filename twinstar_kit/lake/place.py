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


@dataclass(frozen=True, slots=True)
class Place:
    """One open lake."""

    catalog: Catalog
    files: Files
    readers: Leases
    clock: Clock

    def pin(self) -> Lease:
        """Keeps every file that is in the list from now on until the lease is closed."""
        with self.catalog.reading() as db:
            version = version_now(db)
        return self.readers.hold(str(version))

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
    return CorruptFile(
        f"{files.address(ref.path)} {why}; take it out with lake.quarantine({ref.id[:16]!r}, why) and fetch its rows anew",
        ref.id, ref.path,
    )  # fmt: skip
