"""Holes, proofs why bars are absent, what was asked in vain, and the log that keeps it all."""

from __future__ import annotations

from pathlib import Path

import apsw
import numpy as np
import pytest
from lake.bars import MINUTE, START, walk
from lake.lakes import BTC, FEBRUARY, opened

from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.lake import Gap, Lake, LakeDamaged, Provenance, Series


def at(minute: int) -> int:
    return START + MINUTE * minute


def test_holes_are_found_in_files_and_tail_and_at_both_ends(tmp_path: Path):
    rows = walk(100)
    with opened(tmp_path) as lake:
        lake.write(BTC, np.delete(rows[:60], [0, 20, 21, 40], axis=0))
        lake.append(BTC, rows[70:90])
        found = lake.missing(BTC, START, at(100))
        assert found == [
            Gap(at(0), at(1), 1), Gap(at(20), at(22), 2), Gap(at(40), at(41), 1), Gap(at(60), at(70), 10), Gap(at(90), at(100), 10),
        ]  # fmt: skip
        assert lake.missing(BTC, at(21) + 1, at(41)) == [Gap(at(40), at(41), 1)]
        assert lake.missing(BTC, at(1), at(20)) == []
        empty = Series("binance", "BTC/USDT", "1h")
        lake.register(empty, lake.instrument(BTC))
        assert lake.missing(empty, START, START + 7_200_000) == [Gap(START, START + 7_200_000, 2)]


def test_a_month_without_a_hole_is_not_even_opened(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_500 * MINUTE)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
        for path in tmp_path.rglob("*.parquet"):
            path.unlink()
        assert lake.missing(BTC, int(rows[0, 0]), int(rows[-1, 0]) + MINUTE) == []


def test_an_absence_is_proven_once_and_is_then_not_missing(tmp_path: Path):
    rows = walk(60)
    with opened(tmp_path) as lake:
        lake.write(BTC, np.delete(rows, slice(10, 20), axis=0))
        proof = {"venue": "binance", "answer": "no trades"}
        lake.prove_absent(BTC, at(10), at(15), Provenance.NO_TRADE, proof)
        lake.prove_absent(BTC, at(10), at(15), Provenance.NO_TRADE, proof)
        assert lake.missing(BTC, START, at(60)) == [Gap(at(15), at(20), 5)]
        assert lake.absences(BTC) == [Gap(at(10), at(15), 5, Provenance.NO_TRADE, proof)]
        assert lake.absences(BTC, at(12), at(13)) == [Gap(at(12), at(13), 1, Provenance.NO_TRADE, proof)]
        assert [(e["kind"], e["bars"], e["proof"]) for e in lake.log()] == [("absence", 5, proof)]

        outage = {"status": "https://example.org/status"}
        lake.prove_absent(BTC, at(13), at(17), Provenance.OUTAGE, outage)
        assert [(g.first_ms, g.until_ms, g.reason) for g in lake.absences(BTC)] == [
            (at(10), at(13), Provenance.NO_TRADE), (at(13), at(17), Provenance.OUTAGE),
        ]  # fmt: skip
        lake.append(BTC, rows[12:14])  # a bar came after all
        assert [(g.first_ms, g.until_ms, g.count) for g in lake.absences(BTC)] == [
            (at(10), at(12), 2), (at(14), at(17), 3),
        ]  # fmt: skip
    with Lake(tmp_path) as lake:
        assert lake.missing(BTC, START, at(60)) == [Gap(at(17), at(20), 3)]


def test_a_proof_that_contradicts_what_is_stored_or_makes_no_sense_is_refused(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.append(BTC, walk(5))
        with pytest.raises(DataError, match=f"a bar at {at(3)} is stored"):
            lake.prove_absent(BTC, at(3), at(9), Provenance.NO_TRADE, {})
        with pytest.raises(DataError, match="does not begin and end at opens of bars"):
            lake.prove_absent(BTC, at(7) + 1, at(9), Provenance.NO_TRADE, {})
        with pytest.raises(UsageError, match="NO_TRADE or OUTAGE, not HEALED"):
            lake.prove_absent(BTC, at(7), at(9), Provenance.HEALED, {})
        assert lake.log() == []


def test_what_was_asked_in_vain_is_remembered_for_each_source(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.asked(BTC, at(0), at(10), "binance", 0)
        lake.asked(BTC, at(10), at(20), "binance", 0)
        lake.asked(BTC, at(30), at(40), "binance", 5)
        assert lake.was_asked(BTC, at(5), at(60), "binance") == [(at(5), at(20))]
        assert lake.was_asked(BTC, at(0), at(60), "kraken") == []
        lake.asked(BTC, at(10), at(20), "binance", 3)
        assert lake.was_asked(BTC, at(0), at(60), "binance") == [(at(0), at(10))]


def test_the_log_can_only_grow_and_shows_every_change_of_what_it_held(tmp_path: Path):
    rows = walk(20)
    with opened(tmp_path) as lake:
        lake.append(BTC, rows)
        for n in range(3):
            lake.append(BTC, np.add(rows[n : n + 1], [[0, 0, 0, 0, 0, 1]]))
        lake.note("checked", BTC, START, at(20), {"by": "a test"})
        assert [entry["kind"] for entry in lake.log()] == ["revision"] * 3 + ["checked"]
        assert [entry["kind"] for entry in lake.log(BTC, since_ms=START + 1)] == []
    db = apsw.Connection(str(tmp_path / "catalog.sqlite"))
    for change in ("DELETE FROM log WHERE id = 2", "UPDATE log SET body = '{}' WHERE id = 2"):
        with pytest.raises(apsw.ConstraintError, match="the log is append-only"):
            db.execute(change)
    db.execute("DROP TRIGGER log_stays; DROP TRIGGER log_is_kept")
    db.execute("UPDATE log SET new = x'00' WHERE id = 2")
    db.close()
    with (
        Lake(tmp_path) as lake,
        pytest.raises(LakeDamaged, match="the lake's log: entry 2 is not what was written"),
    ):
        lake.log()


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "gaps", "count"),
    [
        ("binance_BTCUSDT_spot_1m_20210326", 2, 434), ("binance_ETHUSDT_spot_1m_20210809", 1, 270),
        ("kraken_BTCUSDC_spot_1m_2023", 26_746, 72_883), ("bitfinex_BTCUSD_spot_1m_2018", 3_992, 5_101),
    ],
)  # fmt: skip
def test_the_known_gaps_of_real_bars_are_found_to_the_bar(
    tmp_path: Path, real_data: Path, name: str, gaps: int, count: int
):
    from twinstar_kit.feeds import load_bars

    bars = load_bars(real_data / "ohlcv" / f"{name}.parquet")
    series = Series(bars.instrument.exchange, bars.instrument.symbol)
    with Lake(tmp_path) as lake:
        lake.register(series, bars.instrument)
        lake.write(series, bars.rows)
        found = lake.missing(series, int(bars.timestamp[0]), int(bars.timestamp[-1]))
        assert (len(found), sum(gap.count for gap in found)) == (gaps, count)
