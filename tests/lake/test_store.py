"""What goes into the lake comes out of it: appended, written, revised, repaired, refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lake.bars import MINUTE, START, walk
from lake.lakes import (
    BTC,
    DEPTH,
    FEBRUARY,
    FUNDING,
    INSTRUMENT,
    TRADES,
    depth_rows,
    funding_rows,
    held,
    opened,
    trade_rows,
)

from twinstar_kit.feeds.resample import resample
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, NoSuchSeries, Provenance, Series, month_of, month_span, months
from twinstar_kit.lake.writing import Written


def test_bars_that_were_appended_are_there_after_the_lake_was_opened_again(tmp_path: Path):
    rows = walk(50)
    with opened(tmp_path) as lake:
        assert lake.append(BTC, rows) == Written(added=50)
    with Lake(tmp_path) as lake:
        assert np.array_equal(held(lake), rows)
        assert set(lake.read("binance", "BTC/USDT").provenance) == {Provenance.OBSERVED}


def test_bars_of_several_months_are_written_as_one_file_each(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_000 * MINUTE)
    with opened(tmp_path) as lake:
        assert lake.write(BTC, rows, source="binance") == Written(added=3_000)
        assert [(c.month, len(c)) for c in lake.scan(BTC)] == [("2025-01", 1_000), ("2025-02", 2_000)]
        assert np.array_equal(held(lake), rows)
        info = lake.info(BTC)
        assert (info.first_ms, info.last_ms, info.rows) == (rows[0, 0], rows[-1, 0], 3_000)
        on_disk = sorted(p.relative_to(tmp_path).parts[:3] for p in tmp_path.rglob("*.parquet"))
        assert on_disk == [("binance", "BTC-USDT", "1m")] * 2


@pytest.mark.parametrize("way", ["append", "write"])
def test_the_same_bars_again_change_nothing_and_others_are_revisions_that_the_log_keeps(
    tmp_path: Path, way: str
):
    rows = walk(400)
    with opened(tmp_path) as lake:
        put = getattr(lake, way)
        put(BTC, rows)
        files = sorted(tmp_path.rglob("*.parquet"))
        assert put(BTC, rows) == Written(same=400)
        assert sorted(tmp_path.rglob("*.parquet")) == files
        assert lake.log() == []

        other = rows[100:103].copy()
        other[1, 4] += 7
        assert put(BTC, other, source="binance") == Written(same=2, revised=1)
        assert np.array_equal(held(lake)[101], other[1])
        (entry,) = lake.log(BTC)
        assert (entry["kind"], entry["source"], entry["first_ms"]) == ("revision", "binance", rows[101, 0])
        assert (entry["old"], entry["new"]) == ([rows[101].tolist()], [other[1].tolist()])


def test_late_bars_find_their_place_among_those_of_files_and_tail(tmp_path: Path):
    rows = walk(300)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[100:200])
        lake.append(BTC, rows[250:])
        lake.append(BTC, rows[:50])
        lake.write(BTC, rows[220:250])
        lake.append(BTC, rows[50:100])
        lake.append(BTC, rows[200:220])
        assert np.array_equal(held(lake), rows)
        assert lake.info(BTC).rows == 300


def test_a_batch_of_several_series_is_stored_whole_or_not_at_all(tmp_path: Path):
    eth = Series("binance", "ETH/USDT")
    with opened(tmp_path, BTC, eth) as lake:
        with pytest.raises(DataError, match=r"ETH/USDT.*sort rows by time"):
            lake.append_many([(BTC, walk(3)), (eth, walk(3)[::-1])])
        with pytest.raises(
            NoSuchSeries, match="the lake holds no binance XRP/USDT 1m; it holds binance BTC/USDT 1m"
        ):
            lake.append_many([(BTC, walk(3)), (Series("binance", "XRP/USDT"), walk(3))])
        assert lake.info(BTC).rows == 0
        assert lake.append_many([(BTC, walk(3)), (eth, walk(4))]).added == 7


def test_a_repair_is_told_with_its_reason_and_marks_its_bars(tmp_path: Path):
    rows = walk(200)
    with opened(tmp_path) as lake:
        lake.write(BTC, np.delete(rows, [50, 51], axis=0))
        repaired = rows[50:53].copy()
        repaired[2, 5] += 1
        done = lake.replace(BTC, repaired, Provenance.HEALED, "kraken", "two bars were missing, one differed")
        assert done == Written(added=2, revised=1)
        read = lake.read("binance", "BTC/USDT")
        assert np.array_equal(read.rows[50:53], repaired)
        assert np.flatnonzero(read.provenance == Provenance.HEALED).tolist() == [50, 51, 52]
        (entry,) = lake.log(BTC)
        assert (entry["kind"], entry["source"], entry["added"], entry["revised"]) == (
            "repair",
            "kraken",
            2,
            1,
        )
        assert entry["why"] == "two bars were missing, one differed"
        assert entry["new"] == repaired.tolist()
        assert entry["old"] == [rows[52].tolist()]
        # the same repair again is no repair
        assert lake.replace(BTC, repaired, Provenance.HEALED, "kraken", "again") == Written(same=3)
        assert len(lake.log()) == 1
        # a mark alone can change, and of each row by itself
        marks = np.array([Provenance.DISPUTED, Provenance.HEALED, Provenance.HEALED], np.int8)
        assert lake.replace(BTC, repaired, marks, "kraken", "disputed").revised == 1


def test_bars_off_the_grid_are_reported_and_kept_in_the_log_once(tmp_path: Path):
    rows = walk(10)
    rows[4, 0] += 1_234
    with opened(tmp_path) as lake:
        assert lake.write(BTC, rows) == Written(added=9, off_grid=1)
        assert lake.append(BTC, rows) == Written(same=9, off_grid=1)
        (entry,) = lake.log()
        assert (entry["kind"], entry["new"]) == ("off_grid", [rows[4].tolist()])
        assert len(held(lake)) == 9


def test_weeks_lie_on_mondays(tmp_path: Path):
    weekly = Series("binance", "BTC/USDT", "1w")
    monday = 1_736_121_600_000  # 2025-01-06
    rows = walk(3, start=monday, step=7 * 86_400_000)
    with opened(tmp_path, weekly) as lake:
        assert lake.write(weekly, rows).added == 3
        assert lake.missing(weekly, monday - 7 * 86_400_000, monday + 7 * 86_400_000)[0].count == 1


@pytest.mark.parametrize(
    ("spoil", "rule"),
    [
        (lambda rows: rows[[0, 2, 1]], "row 2: timestamp .* comes before the row above; sort rows by time"),
        (
            lambda rows: np.add(rows[[0, 0]], [[0] * 6, [0, 0, 1, 0, 0, 0]]),
            "row 1: .* comes twice with different",
        ),
        (lambda rows: rows.astype(float), "rows must be whole numbers of the shape"),
        (lambda rows: rows[:, :5], "timestamp, open, high, low, close, volume; these are int64"),
        (lambda rows: rows // [1_000, 1, 1, 1, 1, 1], "is not a time in milliseconds UTC"),
        (lambda rows: rows * [1_000, 1, 1, 1, 1, 1], "is not a time in milliseconds UTC"),
    ],
)
@pytest.mark.parametrize("way", ["append", "write"])
def test_rows_that_break_a_rule_are_refused_with_one_line_and_nothing_is_stored(
    tmp_path: Path, way, spoil, rule
):
    with opened(tmp_path) as lake:
        with pytest.raises(DataError, match=rule):
            getattr(lake, way)(BTC, spoil(walk(5)))
        assert lake.info(BTC).rows == 0
        with pytest.raises(DataError, match="a stored row is observed"):
            lake.append(BTC, walk(1), Provenance.NO_TRADE)


def test_equal_copies_within_a_batch_count_as_the_same(tmp_path: Path):
    with opened(tmp_path) as lake:
        assert lake.append(BTC, np.repeat(walk(5), 2, axis=0)) == Written(added=5, same=5)
        assert lake.append(BTC, []) == Written()


def test_a_series_keeps_its_units(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.register(BTC, INSTRUMENT)
        assert lake.instrument(BTC) == INSTRUMENT
        other = Instrument.from_sizes("BTC/USDT", "0.1", "0.00001", exchange="binance")
        with pytest.raises(
            UsageError, match="registered already with price_scale 2, not 1; a series keeps its units"
        ):
            lake.register(BTC, other)
        with pytest.raises(UsageError, match="registered already with real rows"):
            lake.register(BTC, INSTRUMENT, simulated=True)


def test_tables_hold_the_numbers_that_exact_arithmetic_gives(tmp_path: Path):
    rows = walk(500)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:300])
        lake.append(BTC, rows[300:])
        read = lake.read("binance", "BTC/USDT")
        table, frame = read.polars(), read.pandas()
        exact = [float(Decimal(int(v)).scaleb(-2)) for v in rows[:, 4]]
        assert table["close"].to_list() == exact
        assert table["volume"].to_list() == [float(Decimal(int(v)).scaleb(-8)) for v in rows[:, 5]]
        assert table.columns == ["timestamp", "open", "high", "low", "close", "volume"]
        assert frame["timestamp"].dtype == np.int64
        pd.testing.assert_frame_equal(frame, pd.DataFrame(table.to_dict(as_series=False)))
        bars = read.bars()
        assert isinstance(bars, Bars)
        assert (bars.timeframe, bars.instrument, bars.source) == (
            "1m",
            INSTRUMENT,
            "lake:binance BTC/USDT 1m",
        )
        marked = lake.read("binance", "BTC/USDT").polars(["close", "provenance"])
        assert marked.columns == ["close", "provenance"]
        assert marked["provenance"].to_list() == [1] * 300 + [0] * 200
        with pytest.raises(UsageError, match="there is no column 'vwap'; bars have timestamp"):
            read.polars(["vwap"])


def test_a_range_is_half_open_and_may_be_written_as_people_do(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_500 * MINUTE)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
        assert np.array_equal(held(lake, since="2025-02-01", until="2025-02-01T01:00"), rows[1_500:1_560])
        assert np.array_equal(held(lake, until=int(rows[7, 0])), rows[:7])
        assert len(held(lake, since="2026-01-01")) == 0
        with pytest.raises(UsageError, match="lies before since"):
            held(lake, since="2025-02-02", until="2025-02-01")
        cut = list(lake.scan(BTC, int(rows[1_490, 0]), int(rows[1_510, 0]), columns=["close"]))
        assert [c.units("close").tolist() for c in cut] == [
            rows[1_490:1_500, 4].tolist(),
            rows[1_500:1_510, 4].tolist(),
        ]


def test_a_lazy_query_gives_what_an_eager_one_gives_and_decodes_only_what_it_needs(tmp_path: Path):
    import polars as pl

    rows = walk(3_000, start=FEBRUARY - 1_500 * MINUTE)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows)
        read = lake.read("binance", "BTC/USDT")
        eager = read.polars(["timestamp", "close", "volume"])
        query = read.lazy().filter(pl.col("volume") > 0.02).select("timestamp", "close")
        assert query.collect().equals(eager.filter(pl.col("volume") > 0.02).select("timestamp", "close"))
        assert read.lazy().head(1_700).collect().height == 1_700
        assert read.lazy().select(pl.col("close").mean()).collect().item() == pytest.approx(
            rows[:, 4].mean() / 100
        )


def test_longer_bars_are_joined_from_complete_shorter_ones(tmp_path: Path):
    rows = walk(6_000)
    with opened(tmp_path) as lake:
        lake.write(BTC, np.delete(rows, 130, axis=0))
        lake.replace(BTC, rows[200:201], Provenance.DISPUTED, "kraken", "test")
        whole = resample(Bars(INSTRUMENT, MINUTE, rows), 3_600_000).rows
        joined = lake.read("binance", "BTC/USDT", "1h")
        assert joined.timeframe == "1h"
        assert np.array_equal(
            joined.rows, np.delete(whole, 2, axis=0)
        )  # the hour that lacks a minute is not a bar
        assert joined.provenance[2] == Provenance.DISPUTED
        lake.prove_absent(
            BTC, int(rows[130, 0]), int(rows[131, 0]), Provenance.NO_TRADE, {"asked": "binance"}
        )
        hour = lake.read("binance", "BTC/USDT", "1h", since=START + 1, until=START + 3 * 3_600_000)
        assert len(hour) == 2  # 01:00, and 02:00 of which every minute is accounted for
        part = resample(Bars(INSTRUMENT, MINUTE, np.delete(rows, 130, axis=0)), 3_600_000).rows
        assert np.array_equal(hour.rows, part[1:3])
        assert len(hour.polars()) == len(hour.lazy().collect()) == 2
        with pytest.raises(NoSuchSeries):
            lake.read("binance", "BTC/USDT", "90s")


@pytest.mark.parametrize(
    ("series", "rows"),
    [(TRADES, trade_rows(5_000)), (FUNDING, funding_rows(300)), (DEPTH, depth_rows(2_000))],
    ids=str,
)
def test_trades_funding_rates_and_book_changes_are_kept_alike(tmp_path: Path, series: Series, rows):
    half = len(rows) // 2
    with opened(tmp_path, series) as lake:
        assert lake.append(series, rows[:half]).added == half
        assert lake.write(series, rows[half - 40 :]) == Written(added=len(rows) - half, same=40)
        lake.compact()
        read = lake.read("binance", "BTC/USDT", kind=series.kind)
        order = {Kind.TRADES: (4, 0), Kind.FUNDING: (0,), Kind.DEPTH: (3, 2, 1, 0)}[series.kind]
        assert np.array_equal(read.rows, rows[np.lexsort([rows[:, k] for k in order])])
        assert (
            len(list(lake.scan(series))) == len({month_of(int(t)) for t in rows[:, 0]})
            or series.kind != Kind.FUNDING
        )
    with Lake(tmp_path) as lake:
        table = lake.read("binance", "BTC/USDT", kind=series.kind).polars()
        if series is FUNDING:
            assert table["rate"].to_list() == [float(Decimal(int(r)).scaleb(-12)) for r in rows[:, 1]]
        else:
            assert (
                table["price"].to_list()
                == (
                    lake.read("binance", "BTC/USDT", kind=series.kind).rows[:, 1 if series is TRADES else 3]
                    / 100
                ).tolist()
            )
        with pytest.raises(UsageError, match="only bars lie on a grid"):
            lake.missing(series, START, START + 1)
        with pytest.raises(UsageError, match="only bars lie on a grid"):
            lake.read("binance", "BTC/USDT", kind=series.kind).bars()


def test_a_trade_is_known_by_its_id(tmp_path: Path):
    rows = trade_rows(10)
    with opened(tmp_path, TRADES) as lake:
        lake.append(TRADES, rows)
        twin = rows[3:4].copy()
        twin[0, 4] = 800_000_000_000  # same time and price, another trade
        assert lake.append(TRADES, twin).added == 1
        assert lake.append(TRADES, rows[2:6]).same == 4


def test_a_lake_and_a_reading_show_themselves_as_small_tables(tmp_path: Path):
    with opened(tmp_path) as lake:
        assert "0 series" in repr(Lake(tmp_path / "empty"))
        lake.append(BTC, walk(20))
        read = lake.read("binance", "BTC/USDT")
        assert "<Reading of binance BTC/USDT 1m: 20 rows>" in repr(read)
        assert "2025-01-01 00:19:00" in repr(read)
        assert "observed" in repr(read)
        assert "<table" in read._repr_html_()
        assert "1 series, 20 rows" in repr(lake)
        assert "binance BTC/USDT 1m" in lake._repr_html_()
        assert "no rows" in repr(lake.read("binance", "BTC/USDT", since="2026-01-01"))


def test_simulated_rows_say_so_everywhere(tmp_path: Path):
    with Lake(tmp_path) as lake:
        lake.register(BTC, INSTRUMENT, simulated=True)
        lake.append(BTC, walk(3))
        read = lake.read("binance", "BTC/USDT")
        assert read.simulated
        assert read.bars().simulated
        assert ", simulated>" in repr(read)
        assert "(simulated)" in repr(lake)


def test_months_are_those_of_utc():
    assert month_of(FEBRUARY - 1) == "2025-01"
    assert month_span("2024-02") == (1_706_745_600_000, 1_709_251_200_000)
    assert month_span("2025-01-31") == (FEBRUARY - 86_400_000, FEBRUARY)
    assert list(months(FEBRUARY - 1, FEBRUARY + 1)) == ["2025-01", "2025-02"]
    assert list(months(FEBRUARY, FEBRUARY)) == []


@pytest.mark.parametrize("text", ["binance BTC/USDT 1m", "binance BTC/USDT trades", "upbit BTC/KRW 1w"])
def test_a_series_reads_back_what_it_wrote(text: str):
    assert str(Series.parse(text)) == text


@pytest.mark.parametrize(
    "bad", ["binance BTC/USDT", "bin/ance BTC/USDT 1m", "binance ../x 1m", "binance BTC/USDT 1y"]
)
def test_what_is_no_series_is_refused(bad: str):
    with pytest.raises((UsageError, DataError)):
        Series.parse(bad)
