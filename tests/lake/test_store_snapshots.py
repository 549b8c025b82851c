"""States of the lake that stay: snapshots, what they keep alive, and readers that are never cut off."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from lake.bars import START, walk
from lake.lakes import BTC, FEBRUARY, held, opened

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake import CorruptFile, Lake, Series

HOUR = 3_600_000


def revised(rows: np.ndarray, n: int) -> np.ndarray:
    """The first `n` bars with other volumes."""
    return np.add(rows[:n], [[0, 0, 0, 0, 0, 5]])


def files_on_disk(folder: Path) -> int:
    return len(list(folder.rglob("*.parquet")))


def test_a_snapshot_is_read_by_name_by_id_and_by_time(tmp_path: Path):
    rows, clock = walk(500), ManualClock(START)
    with opened(tmp_path, clock=clock) as lake:
        lake.write(BTC, rows[:300])
        first = lake.snapshot("first")
        clock.advance(HOUR)
        lake.append(BTC, revised(rows, 10))
        lake.append(BTC, rows[300:])
        second = lake.snapshot()
        clock.advance(HOUR)
        lake.write(BTC, rows[:10])

        for name in ("first", first.id, START, "2025-01-01", START + HOUR - 1):
            assert np.array_equal(held(lake, as_of=name), rows[:300])
        after = np.concatenate([revised(rows, 10), rows[10:]])
        for name in (second.name, second.id, START + HOUR, "2025-01-01T01:30"):
            assert np.array_equal(held(lake, as_of=name), after)
        assert np.array_equal(held(lake), rows)
        assert [s.name for s in lake.snapshots()] == ["first", "2025-01-01T01:00:00.000Z"]
        assert np.array_equal(np.concatenate([c.rows for c in lake.scan(BTC, as_of="first")]), rows[:300])
        with pytest.raises(
            UsageError, match="there is no snapshot 'second'; there are 'first', '2025-01-01T01"
        ):
            held(lake, as_of="second")
        with pytest.raises(UsageError, match="none was taken by then"):
            held(lake, as_of=START - 1)


def test_what_was_acknowledged_before_a_snapshot_is_in_it_though_it_was_in_the_tail(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.append(BTC, walk(30))
        lake.snapshot("now")
        lake.append(BTC, walk(40))
    with Lake(tmp_path) as lake:
        assert len(held(lake, as_of="now")) == 30


def test_the_digest_of_a_snapshot_is_that_of_its_content(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_500 * 60_000)
    with opened(tmp_path / "one") as one, opened(tmp_path / "two") as two:
        one.write(BTC, rows, 0)
        two.append(BTC, rows[2_000:])
        two.append(BTC, revised(rows, 700))
        two.write(BTC, rows[:2_500], 0)
        a, b = one.snapshot("a"), two.snapshot("b")
        assert a.digest == b.digest
        assert one.snapshot() == a  # nothing changed: no second snapshot
        assert one.snapshot("a") == a
        one.append(BTC, revised(rows, 1))
        assert one.snapshot("c").digest != a.digest
        with pytest.raises(UsageError, match="there is a snapshot 'a' of another state"):
            one.snapshot("a")


def test_garbage_is_what_no_list_and_no_snapshot_needs(tmp_path: Path):
    rows = walk(100)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:50])
        lake.snapshot("kept")
        lake.write(BTC, rows[:80])
        lake.write(BTC, rows)
        assert files_on_disk(tmp_path) == 3
        (gone,) = lake.collect_garbage()
        assert not (tmp_path / gone).exists()
        assert files_on_disk(tmp_path) == 2
        assert lake.collect_garbage() == []
        assert len(held(lake, as_of="kept")) == 50
        assert len(held(lake)) == 100


def test_a_reader_keeps_the_files_that_it_has_begun_to_read(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_500 * 60_000)
    with opened(tmp_path) as lake, Lake(tmp_path) as other:
        lake.write(BTC, rows)
        scan = lake.scan(BTC)
        first = next(scan)
        reading = lake.read("binance", "BTC/USDT")
        other.write(BTC, np.add(rows, [[0, 0, 0, 0, 0, 1]]))
        assert other.collect_garbage() == []
        assert np.array_equal(np.concatenate([first.rows, *(c.rows for c in scan)]), rows)
        del scan
        assert other.collect_garbage() == []
        assert np.array_equal(reading.rows, rows)
        del reading
        assert len(other.collect_garbage()) == 2


def test_a_dead_reader_keeps_nothing(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(50))
        code = (
            "import os, sys; from twinstar_kit.lake import Lake; lake = Lake(sys.argv[1]);"
            "r = lake.read('binance', 'BTC/USDT'); print('reading', flush=True); sys.stdin.read(); os._exit(1)"
        )
        command = [sys.executable, "-c", code, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
            lake.write(BTC, revised(walk(50), 50))
            assert lake.collect_garbage() == []
            reader.kill()
        assert len(lake.collect_garbage()) == 1


def test_a_read_sees_one_state_while_others_write_and_compact(tmp_path: Path):
    """Every value is the number of the write it came from: a read that mixed two states would show two numbers."""
    rows = walk(200, start=FEBRUARY - 100 * 60_000)
    problems: list[str] = []
    with opened(tmp_path) as lake:
        rows[:, 5] = 0
        lake.write(BTC, rows)
        done = threading.Event()

        def write() -> None:
            with Lake(tmp_path) as writer:
                for n in range(1, 25):
                    new = rows.copy()
                    new[:, 5] = n
                    (writer.append if n % 2 else writer.write)(BTC, new)
                    if n % 5 == 0:
                        writer.compact()
                        writer.collect_garbage()
            done.set()

        thread = threading.Thread(target=write)
        thread.start()
        seen, last = 0, 0
        while not done.is_set():
            volumes = set(held(lake)[:, 5].tolist())
            if len(volumes) != 1:
                problems.append(f"a read mixed {volumes}")
            elif min(volumes) < last:
                problems.append(f"{volumes} after {last}")
            last, seen = max(volumes), seen + 1
        thread.join()
    assert problems == []
    assert seen > 3


def test_threads_share_one_lake(tmp_path: Path):
    all_series = [Series("binance", f"C{n}/USDT") for n in range(6)]
    failures: list[BaseException] = []
    with opened(tmp_path, *all_series) as lake:

        def work(series: Series, seed: int) -> None:
            try:
                rows = walk(60, seed)
                for k in range(0, 60, 6):
                    lake.append(series, rows[k : k + 6])
                    assert np.array_equal(lake.read(series.exchange, series.symbol).rows, rows[: k + 6])
                lake.compact(series)
                assert np.array_equal(lake.read(series.exchange, series.symbol).rows, rows)
            except BaseException as error:
                failures.append(error)
                raise

        threads = [threading.Thread(target=work, args=(s, n)) for n, s in enumerate(all_series)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []


def test_a_batch_that_is_late_stays_over_the_file_it_revises(tmp_path: Path):
    """Compaction up to a time may not lift a later revision into the file below an earlier batch."""
    rows = walk(100)
    with opened(tmp_path) as lake:
        lake.append(BTC, rows)
        lake.append(BTC, revised(rows, 3))
        done = lake.compact(BTC, before_ms=int(rows[50, 0]))
        assert (done.rows, done.files) == (0, 0)
        assert np.array_equal(held(lake), np.concatenate([revised(rows, 3), rows[3:]]))
        assert lake.compact().rows == 103
        assert np.array_equal(held(lake), np.concatenate([revised(rows, 3), rows[3:]]))
        assert lake.compact().rows == 0


def test_a_snapshot_whose_file_was_lost_says_so(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(10))
        lake.snapshot("kept")
        next(tmp_path.rglob("*.parquet")).unlink()
        with pytest.raises(CorruptFile, match="is gone"):
            held(lake, as_of="kept")


def test_where_no_lease_can_be_left_reading_goes_on_without(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(10))
        (tmp_path / "catalog.readers").write_text("stands for a disk that is full")
        assert len(held(lake)) == 10
        assert lake.missing(BTC, START, START + 600_000) == []


def test_a_snapshot_that_is_dropped_keeps_nothing_any_more_and_the_log_says_so(tmp_path: Path):
    rows = walk(50)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
        lake.snapshot("old")
        lake.write(BTC, revised(rows, 50))
        assert lake.collect_garbage() == []
        lake.drop_snapshot("old")
        assert len(lake.collect_garbage()) == 1
        assert lake.log()[-1]["kind"] == "snapshot dropped"
        assert lake.log()[-1]["name"] == "old"
        with pytest.raises(UsageError, match="there is no snapshot 'old'; there are none"):
            lake.drop_snapshot("old")
