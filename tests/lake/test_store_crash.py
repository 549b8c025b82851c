"""A kill, a full disk, a folder without permission, two writers: what was acknowledged stays, nothing half is ever seen."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, walk
from lake.lakes import BTC, FEBRUARY, held, opened

from twinstar_kit.lake import Lake, LakeError
from twinstar_kit.lake.files import LocalFiles
from twinstar_kit.lake.place import Place

TESTS = str(Path(__file__).parents[1])

# Does one thing with a lake that dies at a step; argv: the tests, the lake, the step, what to do.
DYING = """
import os, signal, sys
sys.path.insert(0, sys.argv[1])
from lake.bars import MINUTE, walk
from lake.lakes import BTC, FEBRUARY
from twinstar_kit.lake import Lake
from twinstar_kit.lake.files import LocalFiles
folder, step, deed = sys.argv[2:]

def die(now):
    if now == step:
        os.kill(os.getpid(), signal.SIGKILL)

class Dying(LocalFiles):
    def put(self, path, data):
        die("before the file")
        super().put(path, data)
        die("after the file")

    def write_aside(self, aside, data):
        if step == "in the middle of the file":
            aside.write_bytes(data[: len(data) // 2])
            die(step)
        super().write_aside(aside, data)
        die("before the rename")

    def rename(self, aside, target):
        super().rename(aside, target)
        die("after the rename")

    def remove(self, path):
        super().remove(path)
        die("after a removal")

    def move(self, path, to):
        die("before the move")
        super().move(path, to)

lake = Lake(folder, files=Dying(folder))
if step == "before the commit":
    lake._place.catalog._db.set_commit_hook(lambda: die(step))
if deed == "write":
    rows = walk(400, seed=2, start=FEBRUARY - 200 * MINUTE)
    lake.write(BTC, rows)
elif deed == "compact":
    lake.compact()
elif deed == "garbage":
    lake.collect_garbage()
elif deed == "quarantine":
    lake.quarantine(next(c.file_id for c in lake.scan(BTC) if c.file_id), "a test")
print("survived")
"""


def dies(folder: Path, step: str, deed: str) -> None:
    command = [sys.executable, "-c", DYING, TESTS, str(folder), step, deed]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGKILL, ""), done.stderr


def visible(folder: Path) -> list[Path]:
    return [p for p in folder.rglob("*.parquet") if "quarantine" not in p.parts]


def check_whole(folder: Path, rows: np.ndarray) -> None:
    """The rows are there, every file is readable or garbage, and after collecting nothing is left over."""
    with Lake(folder) as lake:
        assert np.array_equal(held(lake), rows)
        lake.collect_garbage()
        assert len(visible(folder)) == sum(1 for c in lake.scan(BTC) if c.file_id)
        assert list((folder / ".incoming").glob("*")) == []
        assert np.array_equal(held(lake), rows)
        assert lake.collect_garbage() == []


@pytest.mark.parametrize(
    "step",
    [
        "before the file",
        "in the middle of the file",
        "before the rename",
        "after the rename",
        "after the file",
        "before the commit",
    ],
)
@pytest.mark.parametrize("deed", ["write", "compact"])
def test_a_kill_at_any_step_of_a_write_loses_nothing_and_leaves_nothing_half(
    tmp_path: Path, step: str, deed: str
):
    rows = walk(600, start=FEBRUARY - 300 * MINUTE)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:350])
        lake.append(BTC, rows[350:])
    dies(tmp_path, step, deed)
    check_whole(tmp_path, rows)


@pytest.mark.parametrize("step", ["after a removal", "before the commit"])
def test_a_kill_while_garbage_is_collected_takes_nothing_that_is_needed(tmp_path: Path, step: str):
    rows = walk(600, start=FEBRUARY - 300 * MINUTE)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:200])
        lake.write(BTC, rows[200:500])
        lake.write(BTC, rows[500:])
    assert len(visible(tmp_path)) == 4
    dies(tmp_path, step, "garbage")
    check_whole(tmp_path, rows)


def test_a_kill_before_a_quarantined_file_was_moved_is_finished_later(tmp_path: Path):
    rows = walk(100)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
    dies(tmp_path, "before the move", "quarantine")
    check_whole(tmp_path, rows[:0])
    assert len(list((tmp_path / "quarantine").rglob("*.parquet"))) == 1


# appends without end and says so after each; argv: the tests, the lake, which of the two, how
WRITER = """
import sys
sys.path.insert(0, sys.argv[1])
from lake.bars import MINUTE, START
from lake.lakes import BTC
from twinstar_kit.lake import Lake
lake, mine, how, count = Lake(sys.argv[2]), int(sys.argv[3]), sys.argv[4], int(sys.argv[5])
for n in range(count):
    minute = 2 * n + mine
    row = [START + MINUTE * minute, 100, 120, 80, 110, minute + 1]
    getattr(lake, how)(BTC, [row])
    if n % 7 == 3 and how == "append":
        lake.compact()
    print(minute, flush=True)
"""


@pytest.mark.parametrize("how", [("write", "write"), ("append", "write"), ("append", "append")], ids="-".join)
def test_two_processes_that_write_the_same_month_lose_nothing(tmp_path: Path, how: tuple[str, str]):
    with opened(tmp_path):
        pass
    command = [sys.executable, "-c", WRITER, TESTS, str(tmp_path)]
    both = [
        subprocess.Popen([*command, str(k), how[k], "24"], stdout=subprocess.PIPE, text=True) for k in (0, 1)
    ]
    said = [int(line) for process in both for line in process.communicate(timeout=120)[0].splitlines()]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(said) == list(range(48))
    with Lake(tmp_path) as lake:
        assert held(lake)[:, 5].tolist() == list(range(1, 49))
        assert lake.info(BTC).rows == 48
        assert lake.log() == []


def test_a_writer_that_is_killed_at_any_time_loses_nothing_that_it_acknowledged(tmp_path: Path):
    rng = random.Random(4)
    acknowledged: set[int] = set()
    with opened(tmp_path):
        pass
    for turn in range(3):
        command = [sys.executable, "-c", WRITER, TESTS, str(tmp_path), str(turn * 2_000), "append", "900"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(rng.randrange(1, 60)):
                acknowledged.add(int(process.stdout.readline()))
            os.kill(process.pid, signal.SIGKILL)
            acknowledged.update(int(line) for line in process.stdout if line.endswith("\n"))
    with Lake(tmp_path) as lake:
        lake.collect_garbage()
        kept = set(((held(lake)[:, 0] - START) // MINUTE).tolist())
        assert acknowledged <= kept
        assert len(kept - acknowledged) <= 3  # one may have been stored and not yet told


class FullDisk(LocalFiles):
    """A disk that has room for so many bytes."""

    room = 0

    def write_aside(self, aside: Path, data: bytes) -> None:
        if len(data) > self.room:
            super().write_aside(aside, data[: self.room])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self.room -= len(data)
        super().write_aside(aside, data)


def test_a_full_disk_is_one_clear_error_and_the_lake_stays_as_it_was(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_000 * MINUTE)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:100])
        lake.append(BTC, rows[100:200])
    before = visible(tmp_path)
    with Lake(tmp_path, files=FullDisk(tmp_path)) as lake:
        lake._place.files.room = 20_000  # type: ignore[attr-defined] # January fits, February does not
        with pytest.raises(
            LakeError,
            match=r"the disk is full: cannot write .*2025-02.*; free some space, nothing was changed",
        ):
            lake.write(BTC, rows)
        assert np.array_equal(held(lake), rows[:200])
        assert visible(tmp_path) == before
        assert list((tmp_path / ".incoming").glob("*")) == []
        lake._place.files.room = 10  # type: ignore[attr-defined]
        with pytest.raises(LakeError, match="the disk is full"):
            lake.compact()
        assert np.array_equal(held(lake), rows[:200])
    with Lake(tmp_path) as lake:
        assert lake.write(BTC, rows).added == 2_800


def test_a_catalog_that_cannot_grow_is_one_clear_error(tmp_path: Path):
    rows = walk(20_000)
    with opened(tmp_path) as lake:
        lake.append(BTC, rows[:100])
        db = lake._place.catalog._db
        db.pragma("max_page_count", db.pragma("page_count") + 2)
        with pytest.raises(
            LakeError, match=r"the disk is full: cannot write .*catalog.sqlite; free some space"
        ):
            lake.append(BTC, rows)
        assert np.array_equal(held(lake), rows[:100])
        db.pragma("max_page_count", 1 << 30)
        assert lake.append(BTC, rows).added == 19_900


@pytest.fixture
def powerless() -> Iterator[None]:
    """Root may write everywhere, so it becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    yield
    os.seteuid(0)


@pytest.fixture
def locked(powerless: None) -> Iterator[Path]:
    """A folder of one's own that may be read and not be written."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o500)
        yield folder
        folder.chmod(0o700)


def test_a_folder_without_permission_is_one_clear_error(locked: Path):
    with pytest.raises(LakeError, match=r"cannot open or write .*; check the folder's permissions"):
        Lake(locked)
    with pytest.raises(LakeError, match=r"cannot make the lake's folder .*: Permission denied"):
        Lake(locked / "lake")
    assert list(locked.iterdir()) == []


def test_a_place_where_no_folder_can_be_made_is_one_clear_error(tmp_path: Path):
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LakeError, match=r"cannot make the lake's folder .*Not a directory"):
        Lake(tmp_path / "file" / "lake")


class Forbidden(LocalFiles):
    def write_aside(self, aside: Path, data: bytes) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(aside))


def test_files_that_may_not_be_written_are_one_clear_error_and_nothing_changes(tmp_path: Path):
    rows = walk(50)
    with opened(tmp_path) as lake:
        lake.append(BTC, rows)
    with Lake(tmp_path, files=Forbidden(tmp_path)) as lake:
        with pytest.raises(LakeError, match=r"cannot write .*: Permission denied; nothing was changed"):
            lake.compact()
        assert np.array_equal(held(lake), rows)


def test_a_lake_whose_catalog_is_gone_is_not_taken_for_garbage(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(50))
    (tmp_path / "catalog.sqlite").unlink()
    with opened(tmp_path) as lake:
        with pytest.raises(LakeError, match=r"belong to another catalog than .*Nothing was changed"):
            lake.collect_garbage()
        with pytest.raises(LakeError, match="belong to another catalog"):
            lake.write(BTC, walk(50))
    assert len(visible(tmp_path)) == 1


def test_files_that_are_not_the_lakes_are_left_alone(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(50))
        own = tmp_path / "binance" / "BTC-USDT" / "1m" / "2025-01-my-notes.parquet"
        own.write_bytes(b"mine")
        assert lake.collect_garbage() == []
        assert own.exists()


def test_something_that_is_no_catalog_is_refused(tmp_path: Path):
    (tmp_path / "catalog.sqlite").write_bytes(b"this is no database, and long enough to be looked at " * 40)
    with pytest.raises(LakeError, match=r"catalog.sqlite is damaged.*restore it from a copy"):
        Lake(tmp_path)


def test_the_error_of_a_conflict_is_not_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another writer changes the month between the merge and the commit: the merge begins anew on what it left."""
    rows = walk(30)
    with opened(tmp_path) as lake, Lake(tmp_path) as other:
        lake.write(BTC, rows[:10])
        stored, intruded = Place.store, []

        def intruding(self, *how):
            ref = stored(self, *how)
            if not intruded and self is lake._place:
                intruded.append(True)
                other.write(BTC, rows[20:])
                other.append(BTC, rows[12:13])
            return ref

        monkeypatch.setattr(Place, "store", intruding)
        assert lake.write(BTC, rows[10:20]).same == 1
        assert np.array_equal(held(lake), rows)
        assert len(lake.collect_garbage()) == 2
