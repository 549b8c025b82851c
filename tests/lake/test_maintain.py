"""Maintenance: one call brings a lake up to date and to a proof; a second one right after does nothing at all."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, Rows, walk
from lake.sources import MemorySource, keep
from rich.console import Console

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.journal.lock import FileLock
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake import Lake, LakeError, Provenance, Series
from twinstar_kit.lake.maintain import Maintained, maintain

SYMBOLS = ["AAA/USDT", "BBB/USDT", "CCC/USDT"]
BARS = 60_000  # into a second month
HOLE = (20_000, 20_200)
DAY = 86_400_000


def at(bars: int) -> int:
    return START + bars * MINUTE


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(at(BARS) + 600_000)


@pytest.fixture
def lake(tmp_path: Path, clock: ManualClock):
    with Lake(tmp_path / "lake", clock=clock) as lake:
        yield lake


def venue(bars: int = BARS, *holes: tuple[int, int]) -> MemorySource:
    return MemorySource({symbol: keep(walk(bars, seed=k), *holes) for k, symbol in enumerate(SYMBOLS)})


def rows(lake: Lake, symbol: str) -> Rows:
    return lake.read("memory", symbol).rows


def files(lake: Lake) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in Path(lake.url).rglob("*.parquet")}


def state(lake: Lake) -> tuple:
    return lake.log(), lake.snapshots(), files(lake)


def does_nothing(lake: Lake, source: MemorySource, **options) -> None:
    asked, before = source.requests, state(lake)
    report = maintain(lake, source, **options)
    assert source.requests == asked
    assert state(lake) == before
    assert (report.backfill.total("added"), report.certified, report.garbage, report.compacted) == (
        0,
        0,
        [],
        0,
    )
    assert report.ok


def test_one_call_makes_a_lake_whole_and_the_next_does_nothing(lake: Lake):
    source = venue(BARS + 10, HOLE)
    report = maintain(lake, source, SYMBOLS, since=START)
    assert report.ok, report
    for k, symbol in enumerate(SYMBOLS):
        assert np.array_equal(rows(lake, symbol), keep(walk(BARS + 10, seed=k), HOLE))
        (gap,) = lake.absences(Series("memory", symbol))
        assert (gap.first_ms, gap.count, gap.reason) == (at(HOLE[0]), 200, Provenance.OUTAGE)
    assert report.certified == 3 * 2
    assert len(lake.snapshots()) == 1
    does_nothing(lake, source)
    does_nothing(lake, source, symbols=SYMBOLS, since=START)


def test_the_next_round_takes_what_came_meanwhile(lake: Lake, clock: ManualClock):
    maintain(lake, venue(BARS + 10), SYMBOLS, since=START)
    clock.advance(DAY)
    source = venue(BARS + 10 + 1440)
    report = maintain(lake, source)
    assert (report.ok, report.backfill.total("added")) == (True, 3 * 1440)
    assert report.certified == 3, "only the month that grew is certified anew"
    assert len(lake.snapshots()) == 2
    old = lake.read("memory", SYMBOLS[0], as_of=lake.snapshots()[0].id)
    assert len(old) == BARS + 10
    does_nothing(lake, source)


def test_a_damaged_file_is_set_aside_and_its_bars_come_again(lake: Lake):
    source = venue(BARS + 10)
    maintain(lake, source, SYMBOLS, since=START)
    path = next(Path(lake.url).rglob("BBB-USDT/**/2025-01-*.parquet"))
    damaged = bytearray(path.read_bytes())
    damaged[len(damaged) // 2] ^= 4
    path.write_bytes(damaged)
    asked = source.requests
    report = maintain(lake, source)
    assert report.ok
    assert report.backfill.total("added") == 44_640
    assert [path.name in damaged for damaged in report.quarantined] == [True]
    assert source.requests - asked == 45, "the month of the damaged file and nothing else"
    for k, symbol in enumerate(SYMBOLS):
        assert np.array_equal(rows(lake, symbol), walk(BARS + 10, seed=k))
    assert [entry["kind"] for entry in lake.log(Series("memory", SYMBOLS[1]))].count("quarantine") == 1
    does_nothing(lake, source)


def test_revised_bars_are_found_when_a_recheck_is_asked_for(lake: Lake):
    maintain(lake, venue(BARS + 10), SYMBOLS, since=START)
    source = venue(BARS + 10)
    source.data[SYMBOLS[0]][BARS, 4:] += 1
    assert maintain(lake, source, recheck=100).backfill.total("revised") == 1
    assert np.array_equal(rows(lake, SYMBOLS[0]), source.data[SYMBOLS[0]])


def test_what_is_not_whole_is_said(lake: Lake):
    source = MemorySource({"AAA/USDT": keep(walk(BARS + 10), HOLE)})
    report = maintain(lake, source, ["AAA/USDT"], since=START)
    assert not report.ok
    assert report.to_dict()["heal"]["missing"] == 200
    out = io.StringIO()
    Console(file=out, width=120).print(report)
    assert "200 still missing" in out.getvalue()
    assert "not whole" in out.getvalue()


def test_a_venue_that_is_down_leaves_the_lake_as_it_was(lake: Lake, clock: ManualClock):
    maintain(lake, venue(BARS + 10), SYMBOLS, since=START)
    clock.advance(DAY)
    before = {symbol: rows(lake, symbol) for symbol in SYMBOLS}
    source = venue()
    source.fails = 0
    report = maintain(lake, source)
    assert not report.ok
    assert "memory does not answer" in repr(report)
    assert all(np.array_equal(rows(lake, symbol), before[symbol]) for symbol in SYMBOLS)


def test_one_process_at_a_time(lake: Lake):
    path = Path(lake.url) / "catalog.maintenance"
    with (
        FileLock(path, "x", "twinstar data maintain"),
        pytest.raises(LakeError, match=r"in use by process .* wait until it has ended"),
    ):
        maintain(lake, venue(), SYMBOLS, since=START)
    assert isinstance(maintain(lake, venue(), SYMBOLS[:1], since=START), Maintained)


def test_an_empty_lake_needs_names(lake: Lake):
    with pytest.raises(UsageError, match="name symbols"):
        maintain(lake, venue())
