"""What was acknowledged survives a kill and a power cut; what was damaged is noticed, never read as if it were whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import apsw
import numpy as np
import pytest
from journal.builders import HEADER, batch, events, filled

from twinstar_kit.journal import Journal, JournalDamaged, JournalError, JournalReader
from twinstar_kit.journal.witness import witness_path

# commits without end and says so after each; argv: path, size of a batch
WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from pathlib import Path
from journal.builders import HEADER, batch
from twinstar_kit.journal import Journal
path, size = Path(sys.argv[1]), int(sys.argv[2])
journal = Journal.open(path) if path.exists() else Journal.create(path, HEADER)
number = journal.seal.batch
while True:
    number += 1
    seal = journal.commit(batch(number, size))
    print(seal.batch, flush=True)
"""


@pytest.mark.parametrize("size", [1, 40, 3000])
def test_a_killed_writer_loses_nothing_that_it_acknowledged(tmp_path: Path, size: int):
    path = tmp_path / "j.db"
    rng = random.Random(size)
    acknowledged = 0
    for _ in range(4):
        command = [sys.executable, "-c", WRITER, str(path), str(size), str(Path(__file__).parents[1])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 40)):
                acknowledged = int(process.stdout.readline())
            os.kill(process.pid, signal.SIGKILL)
            for line in process.stdout:  # what it said before it died counts too
                acknowledged = int(line) if line.endswith("\n") else acknowledged
        with Journal.open(path) as journal:
            assert journal.seal.batch in (acknowledged, acknowledged + 1)
            acknowledged = journal.seal.batch
    with JournalReader(path) as reader:
        assert np.array_equal(reader.events(), events(1, acknowledged * size))


def copied(path: Path, to: Path, *, witness: bool) -> Path:
    """What the disk holds at this instant."""
    to.mkdir()
    for name in (path.name, path.name + "-wal") + ((witness_path(path).name,) if witness else ()):
        if (path.parent / name).exists():
            shutil.copy(path.parent / name, to / name)
    return to / path.name


def wal(path: Path) -> Path:
    return path.with_name(path.name + "-wal")


@pytest.fixture
def open_journal(tmp_path: Path):
    """A journal in use: part of it in the file, the rest in the write-ahead log."""
    journal = filled(tmp_path / "j.db", 6)
    journal._db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    for number in range(7, 13):
        journal.commit(batch(number))
    yield journal
    journal.close()


def test_a_cut_log_is_a_prefix_and_the_witness_says_what_is_missing(open_journal: Journal, tmp_path: Path):
    length = wal(open_journal.path).stat().st_size
    rng = random.Random(1)
    cuts = [0, 31, 32, 33, length - 1, *(rng.randrange(length) for _ in range(25))]
    short = 0
    for n, cut in enumerate(cuts):
        copy = copied(open_journal.path, tmp_path / f"cut{n}", witness=True)
        os.truncate(wal(copy), cut)
        with JournalReader(copy) as reader:
            whole = len(reader.events())
            assert np.array_equal(reader.events(), events(1, whole))
            assert whole % 3 == 0
        if whole == 36:
            Journal.open(copy).close()
        else:
            short += 1
            with pytest.raises(
                JournalDamaged, match=f"events {whole + 1} to 36 were acknowledged and are gone"
            ):
                Journal.open(copy)
    assert short > 20


def test_a_cut_that_hits_only_the_batch_that_was_not_acknowledged_is_no_damage(tmp_path: Path):
    journal = filled(tmp_path / "j.db", 4)
    before = wal(journal.path).stat().st_size
    kept = witness_path(journal.path).read_bytes()
    journal.commit(batch(5))
    copy = copied(journal.path, tmp_path / "copy", witness=False)
    witness_path(copy).write_bytes(kept)  # the power went before the witness was written
    journal.close()
    rng = random.Random(2)
    length = wal(copy).stat().st_size
    for n, cut in enumerate([before, *(rng.randrange(before, length) for _ in range(10)), length]):
        again = copied(copy, tmp_path / f"again{n}", witness=True)
        os.truncate(wal(again), cut)
        with Journal.open(again) as opened:
            assert opened.seal.batch in (4, 5)
            assert opened.commit(batch(opened.seal.batch + 1)).batch in (5, 6)


@pytest.mark.parametrize("which", ["file", "log"])
def test_flipped_bits_are_noticed_or_harmless(tmp_path: Path, which: str):
    rng = random.Random(which)
    journal = filled(tmp_path / "j.db", 20, 20)
    if which == "file":
        journal.close()
    noticed = 0
    for n in range(60):
        copy = copied(journal.path, tmp_path / f"flip{n}", witness=True)
        target = copy if which == "file" else wal(copy)
        content = bytearray(target.read_bytes())
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        target.write_bytes(content)
        try:
            with Journal.open(copy) as opened:
                assert np.array_equal(opened.events(), events(1, 400))
                assert opened.header == HEADER
        except JournalError:
            noticed += 1
    journal.close()
    assert noticed > 30


def test_an_old_copy_of_the_file_is_noticed(open_journal: Journal, tmp_path: Path):
    copy = copied(open_journal.path, tmp_path / "old", witness=True)
    wal(copy).unlink()  # the file alone holds what was checkpointed, a valid journal in itself
    with pytest.raises(JournalDamaged, match="events 19 to 36 were acknowledged and are gone"):
        Journal.open(copy)


def test_a_killed_creation_leaves_no_journal_or_an_empty_one(tmp_path: Path):
    script = (
        "import sys; sys.path.insert(0, sys.argv[2]); from pathlib import Path; from journal.builders import HEADER; "
        "from twinstar_kit.journal import Journal; print('go', flush=True); Journal.create(sys.argv[1], HEADER)"
    )
    rng = random.Random(3)
    for n in range(6):
        path = tmp_path / f"{n}" / "j.db"
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path), str(Path(__file__).parents[1])],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(rng.randrange(200_000)):  # a random short while
                pass
            os.kill(process.pid, signal.SIGKILL)
        try:
            journal = Journal.create(path, HEADER)
        except JournalError:
            journal = Journal.open(path)
        assert journal.seal.batch == 0
        assert journal.commit(batch(1)).batch == 1
        journal.close()
