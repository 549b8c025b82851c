"""Verifying a lake: counts and verdicts of series and months, witnesses, corrupt files, and what could not be checked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake import real
from lake.bars import MINUTE, START, Rows, shifted, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.feeds.resample import aggregate
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Provenance, Series
from twinstar_kit.lake.checks import Check, Status
from twinstar_kit.lake.verdicts import SeriesVerdict, Verdict

BTC = Series("binance", "BTC/USDT")
RULES = Instrument.from_sizes("BTC/USDT", "0.01", "0.00001")
HOUR, DAY = 3_600_000, 86_400_000
JANUARY, FEBRUARY = 44_640, 40_320  # minutes


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake(tmp_path / "lake", clock=ManualClock(START)) as opened:
        yield opened


def put(lake: Lake, rows: Rows, series: Series = BTC, mark: Provenance = Provenance.BACKFILLED) -> None:
    lake.register(series, RULES)
    lake.write(series, rows, mark)


def only(lake: Lake, series: Series = BTC, **more: object) -> SeriesVerdict:
    return lake.verify(series, **more).series[0]  # type: ignore[arg-type]


def check(verdict: SeriesVerdict, name: str) -> Check:
    return next(one for one in verdict.checks if one.name == name)


def test_a_whole_series_is_proven_month_by_month(lake: Lake):
    put(lake, walk(JANUARY + 1_000))
    found = lake.verify()
    one = found.series[0]
    assert found.holds
    assert (one.first_ms, one.last_ms, one.rows) == (START, START + (JANUARY + 999) * MINUTE, JANUARY + 1_000)
    assert [(m.month, m.rows, m.verdict) for m in one.months] == [
        ("2025-01", JANUARY, Verdict.PROVEN), ("2025-02", 1_000, Verdict.PROVEN),
    ]  # fmt: skip
    assert one.months[0].provenance == {"backfilled": JANUARY}
    assert "1 proven" in repr(found)
    assert "proven" in found._repr_html_()


def test_a_gap_over_the_end_of_a_month_is_one_gap_and_belongs_to_both(lake: Lake):
    rows = walk(JANUARY + FEBRUARY)
    put(lake, np.delete(rows, slice(JANUARY - 5, JANUARY + 3), axis=0))
    one = only(lake)
    assert (len(one.gaps), one.missing) == (1, 8)
    assert check(one, "gaps").count == 1
    assert [(m.count("gaps"), m.verdict) for m in one.months] == [(1, Verdict.INCOMPLETE)] * 2


def test_a_month_without_any_bar_is_incomplete(lake: Lake):
    rows = walk(JANUARY + FEBRUARY + 100)
    put(lake, np.delete(rows, slice(JANUARY, JANUARY + FEBRUARY), axis=0))
    one = only(lake)
    assert [(m.month, m.rows, m.verdict.value) for m in one.months] == [
        ("2025-01", JANUARY, "proven"), ("2025-02", 0, "incomplete"), ("2025-03", 100, "proven"),
    ]  # fmt: skip
    assert (len(one.gaps), one.missing) == (1, FEBRUARY)


def test_a_proof_of_absence_closes_its_part_of_a_gap(lake: Lake):
    put(lake, np.delete(walk(2_000), slice(500, 600), axis=0))
    lake.prove_absent(
        BTC, START + 500 * MINUTE, START + 560 * MINUTE, Provenance.OUTAGE, {"asked": "the venue"}
    )
    one = only(lake)
    assert (len(one.gaps), one.missing, one.proven_absent, one.verdict) == (1, 40, 60, Verdict.INCOMPLETE)
    lake.prove_absent(
        BTC, START + 560 * MINUTE, START + 600 * MINUTE, Provenance.NO_TRADE, {"asked": "the venue"}
    )
    one = only(lake)
    assert (len(one.gaps), one.missing, one.proven_absent, one.verdict) == (0, 0, 100, Verdict.PROVEN)


@given(gone=st.sets(st.integers(1, 2_998), max_size=15), proven=st.sets(st.integers(1, 2_998), max_size=15))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_missing_bars_are_those_that_are_neither_there_nor_proven(
    tmp_path_factory: pytest.TempPathFactory, gone: set[int], proven: set[int]
):
    rows = walk(3_000)
    with Lake(tmp_path_factory.mktemp("lake"), clock=ManualClock(START)) as lake:
        put(lake, np.delete(rows, sorted(gone), axis=0))
        for row in proven & gone:
            at = int(rows[row, 0])
            lake.prove_absent(BTC, at, at + MINUTE, Provenance.NO_TRADE, {"asked": "the venue"})
        one = only(lake)
    left = gone - proven
    assert (one.missing, one.proven_absent) == (len(left), len(gone & proven))
    assert len(one.gaps) == sum(row - 1 not in left for row in left)
    assert one.verdict is (Verdict.INCOMPLETE if left else Verdict.PROVEN)


def test_wrong_bars_are_violations_and_each_is_counted_once(lake: Lake):
    rows = walk(2_000)
    rows[100, 2] = rows[100, 3] - 1
    rows[200, 1:5] = 0
    rows[200, 5] = -1
    put(lake, rows)
    one = only(lake)
    assert one.verdict is Verdict.VIOLATED
    assert one.violations == 2
    assert {c.name: c.count for c in one.checks if c.status is Status.VIOLATED} == {
        "ohlc": 1,
        "prices": 1,
        "volumes": 1,
    }


def test_since_and_until_frame_what_should_be_there(lake: Lake):
    put(lake, walk(1_000))
    one = only(lake, since=START - 10 * MINUTE, until=START + 1_020 * MINUTE)
    assert (len(one.gaps), one.missing) == (2, 30)
    inside = only(lake, since=START + 100 * MINUTE, until=START + 200 * MINUTE)
    assert (inside.rows, inside.first_ms, inside.verdict) == (100, START + 100 * MINUTE, Verdict.PROVEN)
    assert not inside.months[0].whole


def test_longer_bars_trades_and_a_second_venue_are_heard(lake: Lake):
    rows = walk(5 * 1440)
    put(lake, rows)
    put(lake, aggregate(rows, HOUR), Series("binance", "BTC/USDT", "1h"))
    put(lake, aggregate(rows, DAY), Series("binance", "BTC/USDT", "1d"))
    put(lake, rows, Series("kraken", "BTC/USDT"))
    one = only(lake)
    assert check(one, "longer_bars").detail.startswith("1h, 1d bars: 125 bars compared, 0 differ")
    assert check(one, "second_venue").detail.startswith("kraken: 7200 bars compared")
    assert check(one, "time_zone").status is Status.PASSED
    assert check(one, "trades").status is Status.NOT_RUN
    assert one.verdict is Verdict.PROVEN
    wrong = aggregate(rows, HOUR)[7:8]
    wrong[0, 5] += 1
    lake.replace(Series("binance", "BTC/USDT", "1h"), wrong, Provenance.BACKFILLED, "test", "another volume")
    again = only(lake)
    assert (check(again, "longer_bars").count, check(again, "longer_bars").first) == (1, (START + 7 * HOUR,))
    assert again.verdict is Verdict.DISPUTED


def test_weeks_are_compared_over_the_end_of_a_month(lake: Lake):
    rows = aggregate(walk(60 * 1440), HOUR)
    put(lake, rows, Series("binance", "BTC/USDT", "1h"))
    weeks = aggregate(rows, 7 * DAY)[1:-1]
    put(lake, weeks, Series("binance", "BTC/USDT", "1w"))
    months = only(lake, Series("binance", "BTC/USDT", "1h")).months
    found = [c for month in months for c in month.checks if c.name == "longer_bars"]
    assert [c.status for c in found] == [
        Status.PASSED,
        Status.PASSED,
        Status.NOT_RUN,
    ]  # March holds no whole week
    assert sum(int(c.detail.split()[2]) for c in found[:2]) == len(weeks)


def test_a_series_on_the_clock_of_another_zone_is_violated(lake: Lake):
    rows = walk(10 * 1440)
    put(lake, shifted(rows, 9 * HOUR))
    put(lake, rows, Series("kraken", "BTC/USDT"))
    one = only(lake, against="kraken")
    assert check(one, "time_zone").status is Status.VIOLATED
    assert "+9 h" in check(one, "time_zone").detail
    assert one.verdict is Verdict.VIOLATED


def test_disputed_and_revised_rows_are_told(lake: Lake):
    rows = walk(1_000)
    put(lake, rows)
    later = rows[10:13].copy()
    later[:, 1:5] += 1
    lake.write(BTC, later, source="again")
    lake.replace(BTC, rows[20:22], Provenance.DISPUTED, "kraken", "two sources disagree")
    one = only(lake)
    assert check(one, "revised").count == 3
    assert (check(one, "disputed").count, check(one, "disputed").first) == (2, tuple(rows[20:22, 0].tolist()))
    assert one.verdict is Verdict.DISPUTED


def test_quick_leaves_checks_out_and_says_so(lake: Lake):
    put(lake, np.delete(walk(2_000), 7, axis=0))
    one = only(lake, quick=True)
    assert one.missing == 1
    left_out = {c.name for c in one.checks if c.status is Status.NOT_RUN}
    assert {"stale", "spikes", "trades", "second_venue", "revised"} <= left_out
    assert {c.name for c in one.checks} == {c.name for c in only(lake).checks}
    assert not one.months[0].whole


def test_a_corrupt_file_is_told_and_the_other_months_are_checked(lake: Lake, tmp_path: Path):
    put(lake, walk(JANUARY + FEBRUARY + 100))
    (file,) = (tmp_path / "lake").rglob("2025-02-*.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    one = only(lake)
    assert [(m.month, m.verdict.value) for m in one.months] == [
        ("2025-01", "proven"), ("2025-02", "violated"), ("2025-03", "proven"),
    ]  # fmt: skip
    february = one.months[1]
    assert (february.rows, february.count("files")) == (0, 1)
    assert {c.status for c in february.checks if c.name != "files"} == {Status.NOT_RUN}


def test_rows_of_the_tail_are_checked_with_those_of_the_files(lake: Lake):
    rows = walk(2_000)
    put(lake, rows[:1_500])
    lake.append(BTC, rows[1_501:])
    one = only(lake)
    assert (one.rows, one.missing, one.months[0].provenance) == (
        1_999,
        1,
        {"observed": 499, "backfilled": 1_500},
    )


def test_trades_and_funding_have_checks_of_their_own(lake: Lake):
    trades = Series("binance", "BTC/USDT", kind=Kind.TRADES)
    n = 400
    rows = np.column_stack(
        [START + 500 * np.arange(n), np.full(n, 100), np.full(n, 5), np.ones(n), np.arange(n)]
    )
    rows[50, 1] = 0
    lake.register(trades, RULES)
    lake.write(trades, np.delete(rows, [60, 61], axis=0).astype(np.int64))
    one = only(lake, trades)
    assert (one.rows, one.violations, one.verdict) == (n - 2, 1, Verdict.VIOLATED)
    assert check(one, "gaps").status is Status.NOT_RUN
    assert check(one, "trade_ids").detail == "2 ids are skipped"


def test_what_the_lake_does_not_hold_is_a_usage_error(lake: Lake):
    put(lake, walk(100))
    with pytest.raises(UsageError, match="holds no kraken BTC/USDT 1m"):
        lake.verify(Series("kraken", "BTC/USDT"))
    with pytest.raises(UsageError, match="--against ftx"):
        lake.verify(against="ftx")


def test_progress_is_told_to_the_end(lake: Lake):
    put(lake, walk(JANUARY + 10))
    told: list[tuple[float, float, str]] = []
    lake.verify(advance=lambda done, total, note: told.append((done, total, note)))
    assert told == [(JANUARY, JANUARY + 10, str(BTC)), (JANUARY + 10, JANUARY + 10, str(BTC))]


@pytest.mark.real_data
def test_trades_in_the_lake_prove_the_bars_of_xrp_eth(lake: Lake, real_data: Path):
    rules = Instrument.loose("XRP/ETH")
    bars, trades = Series("binance", "XRP/ETH"), Series("binance", "XRP/ETH", kind=Kind.TRADES)
    lake.register(bars, rules)
    lake.register(trades, rules)
    lake.write(bars, real.bars(real_data, "binance_XRP_ETH_spot_1m_ft"))
    lake.write(trades, real.trades(real_data, "binance_XRP_ETH_trades_201910"))
    one = only(lake, bars)
    assert check(one, "trades").detail == "bars made of trades: 2469 bars compared, 0 differ, 0 incomplete"
    assert (len(one.gaps), one.missing) == (676, 1091)


@pytest.mark.real_data
def test_upbit_hours_prove_its_minutes(lake: Lake, real_data: Path):
    rules = Instrument.loose("BTC/KRW")
    for name, timeframe in (("1m_20250901", "1m"), ("1h_20220101", "1h")):
        series = Series("upbit", "BTC/KRW", timeframe)
        lake.register(series, rules)
        lake.write(series, real.bars(real_data, f"upbit_BTCKRW_spot_{name}"))
    one = only(lake, Series("upbit", "BTC/KRW"))
    assert "1h bars: 694 bars compared, 0 differ, 2 incomplete" in check(one, "longer_bars").detail
    assert (one.missing, one.verdict) == (2, Verdict.INCOMPLETE)
