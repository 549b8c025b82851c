"""Coverage counts what a plain loop over the minutes counts."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from lake.bars import MINUTE, START, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Lake, Provenance, Series
from twinstar_kit.lake.coverage import KINDS, coverage

DAY_MS = 86_400_000
RULES = Instrument.from_sizes("BTC/USDT", "0.01", "0.00001")


@pytest.fixture
def lake(tmp_path: Path):
    """Two series of three days; one begins late and has a hole, a proof, a repair and a tail."""
    with Lake(tmp_path / "lake", clock=ManualClock(START)) as opened:
        one, two = Series("binance", "BTC/USDT"), Series("kraken", "BTC/USDT")
        rows = walk(3 * 1440)
        opened.register(one, RULES)
        opened.register(two, RULES)
        opened.write(one, rows[:4_000])
        opened.append(one, rows[4_000:])
        opened.write(two, np.delete(rows[700:], slice(1_000, 1_100), axis=0))
        opened.prove_absent(two, START + 1_700 * MINUTE, START + 1_740 * MINUTE, Provenance.OUTAGE, {})
        opened.replace(two, rows[2_000:2_010], Provenance.HEALED, "binance", "a hole")
        yield opened


def test_every_day_adds_up_to_a_plain_count(lake: Lake):
    found = coverage(lake)
    assert [str(one) for one in found.series] == ["binance BTC/USDT 1m", "kraken BTC/USDT 1m"]
    for at, series in enumerate(found.series):
        counted: Counter[tuple[int, int]] = Counter()
        for chunk in lake.scan(series):
            pairs = zip(chunk.columns["timestamp"].tolist(), chunk.provenance.tolist(), strict=True)
            counted.update((stamp // DAY_MS, mark) for stamp, mark in pairs)
        for gap in lake.absences(series):
            counted.update(
                (stamp // DAY_MS, int(gap.reason)) for stamp in range(gap.first_ms, gap.until_ms, MINUTE)
            )
        told = {
            (int(found.days[day] // DAY_MS), mark): int(found.counts[at, day, mark])
            for day in range(len(found.days))
            for mark in range(len(KINDS))
            if found.counts[at, day, mark]
        }
        assert told == counted


def test_what_is_missing_is_what_the_lake_says_is_missing(lake: Lake):
    found = coverage(lake)
    assert found.totals() == {"observed": 320, "backfilled": 7_510, "healed": 10, "outage": 40, "missing": 60}
    assert found.expected.tolist() == [[1440, 1440, 1440], [740, 1440, 1440]]
    assert found.share[0].tolist() == [1, 1, 1]
    assert found.share[1, 1] == pytest.approx(1380 / 1440)
    assert "60 missing" in repr(found)


def test_since_and_until_widen_what_is_expected(lake: Lake):
    found = coverage(lake, Series("kraken", "BTC/USDT"), since="2024-12-31", until="2025-01-02")
    assert found.expected.tolist() == [[1440, 1440]]
    assert np.isclose(found.share, [[0, 740 / 1440]]).all()


def test_an_empty_lake_has_nothing_to_cover(tmp_path: Path):
    with Lake(tmp_path / "other") as empty, pytest.raises(UsageError, match="nothing to cover"):
        coverage(empty)
