"""Any sequence of what a lake can do leaves what a plain dictionary says, also after it was closed and opened again."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule
from lake.bars import MINUTE
from lake.lakes import BTC, FEBRUARY, opened

from twinstar_kit.lake import Provenance
from twinstar_kit.lake.writing import Written

FIRST = FEBRUARY - 30 * MINUTE  # the hour lies in two months
BATCH = st.lists(
    st.tuples(st.integers(0, 59), st.integers(1, 3)), min_size=1, max_size=12, unique_by=lambda it: it[0]
)
STORED = st.sampled_from([Provenance.OBSERVED, Provenance.BACKFILLED, Provenance.HEALED])


def rows_of(cells: list[tuple[int, int]]) -> np.ndarray:
    """A bar for each minute; the second number makes values differ."""
    return np.array(
        [[FIRST + MINUTE * m, 100 * v, 120 * v, 80 * v, 110 * v, 10 * v] for m, v in sorted(cells)], np.int64
    )


class LakeMachine(RuleBasedStateMachine):
    frozen = Bundle("frozen")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.lake = opened(self.folder)
        self.model: dict[int, tuple[tuple[int, ...], int]] = {}
        self.names = 0

    def _expect(self, rows: np.ndarray, mark: int, *, by_mark: bool) -> Written:
        added = same = revised = 0
        for row in rows.tolist():
            before = self.model.get(row[0])
            if before is None:
                added += 1
            elif before[0] == tuple(row) and not (by_mark and before[1] != mark):
                same += 1
                continue
            else:
                revised += 1
            self.model[row[0]] = (tuple(row), mark)
        return Written(added, same, revised)

    @rule(cells=BATCH, mark=STORED)
    def append(self, cells, mark):
        rows = rows_of(cells)
        assert self.lake.append(BTC, rows, mark) == self._expect(rows, mark, by_mark=False)

    @rule(cells=BATCH, mark=STORED)
    def write(self, cells, mark):
        rows = rows_of(cells)
        assert self.lake.write(BTC, rows, mark) == self._expect(rows, mark, by_mark=False)

    @rule(cells=BATCH, mark=STORED)
    def replace(self, cells, mark):
        rows = rows_of(cells)
        assert self.lake.replace(BTC, rows, mark, "test", "because") == self._expect(rows, mark, by_mark=True)

    @rule(before=st.one_of(st.none(), st.integers(0, 60)))
    def compact(self, before):
        self.lake.compact(BTC, before_ms=None if before is None else FIRST + MINUTE * before)

    @rule(target=frozen)
    def snapshot(self):
        self.names += 1
        self.lake.snapshot(f"s{self.names}")
        return f"s{self.names}", dict(self.model)

    @rule(kept=frozen)
    def look_back(self, kept):
        name, model = kept
        read = self.lake.read("binance", "BTC/USDT", as_of=name)
        assert [tuple(row) for row in read.rows.tolist()] == [model[t][0] for t in sorted(model)]

    @rule()
    def collect(self):
        self.lake.collect_garbage()

    @rule()
    def reopen(self):
        self.lake.close()
        self.lake = opened(self.folder)

    @rule(first=st.integers(0, 60), count=st.integers(0, 30))
    def look_for_holes(self, first, count):
        since, until = FIRST + first * MINUTE, FIRST + (first + count) * MINUTE
        gaps = self.lake.missing(BTC, since, until)
        told = {t for gap in gaps for t in range(gap.first_ms, gap.until_ms, MINUTE)}
        assert told == {t for t in range(since, until, MINUTE) if t not in self.model}
        assert sum(gap.count for gap in gaps) == len(told)

    @invariant()
    def equals_the_model(self):
        read = self.lake.read("binance", "BTC/USDT")
        assert [(tuple(r), m) for r, m in zip(read.rows.tolist(), read.provenance.tolist(), strict=True)] == [
            self.model[t] for t in sorted(self.model)
        ]
        assert self.lake.info(BTC).rows == len(self.model)

    def teardown(self):
        self.lake.log()  # the chain is whole
        self.lake.close()
        shutil.rmtree(self.folder)


class DamageMachine(LakeMachine):
    """The same with files that are taken out; older states lose what such a file held, so none is looked back to."""

    snapshot = None
    look_back = None

    @rule(pick=st.integers(0, 1))
    def quarantine(self, pick):
        self.lake.compact()
        chunks = list(self.lake.scan(BTC))
        if len(chunks) > pick:
            gone = chunks[pick].rows[:, 0].tolist()
            gaps = self.lake.quarantine(chunks[pick].file_id, "a test")
            assert {t for gap in gaps for t in range(gap.first_ms, gap.until_ms, MINUTE)} >= set(gone)
            for t in gone:
                del self.model[t]


TestAnySequence = LakeMachine.TestCase
TestAnySequence.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestAnySequenceWithBadFiles = DamageMachine.TestCase
TestAnySequenceWithBadFiles.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
