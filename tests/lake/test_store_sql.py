"""DuckDB over the lake, against polars over the same rows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lake.bars import walk
from lake.lakes import BTC, FEBRUARY, FUNDING, TRADES, funding_rows, opened, trade_rows

from twinstar_kit.lake import CorruptFile, NoSuchSeries


def test_a_view_holds_the_rows_of_files_and_tail_with_the_numbers_of_the_tables(tmp_path: Path):
    rows = walk(3_000, start=FEBRUARY - 1_500 * 60_000)
    with opened(tmp_path) as lake:
        lake.write(BTC, rows[:2_500])
        lake.append(BTC, np.add(rows[2_400:], [[0, 0, 0, 0, 0, 3]]))
        read = lake.read("binance", "BTC/USDT").polars(
            ["timestamp", "open", "high", "low", "close", "volume", "provenance"]
        )
        relation = lake.sql("SELECT * FROM btc ORDER BY timestamp", btc=BTC)
        assert relation.columns == read.columns
        assert relation.fetchall() == read.rows()
        hours = lake.sql(
            "SELECT timestamp // 3600000 h, max(high) FROM btc GROUP BY h ORDER BY h", btc=BTC
        ).fetchall()
        want = {int(t) // 3_600_000: 0.0 for t in rows[:, 0]}
        for t, high in zip(read["timestamp"], read["high"], strict=True):
            want[t // 3_600_000] = max(want[t // 3_600_000], high)
        assert dict(hours) == want


def test_several_series_are_joined_by_their_names(tmp_path: Path):
    with opened(tmp_path, BTC, TRADES, FUNDING) as lake:
        lake.append(BTC, walk(10))
        lake.write(TRADES, trade_rows(200))
        lake.append(FUNDING, funding_rows(3))
        query = """
            SELECT count(*), sum(t.amount * t.price) FROM trades t
            JOIN btc b ON t.timestamp // 60000 * 60000 = b.timestamp
        """
        count, value = lake.sql(query, btc=BTC, trades=TRADES).fetchall()[0]
        rows = trade_rows(200)
        rows = rows[rows[:, 0] < walk(10)[-1, 0] + 60_000]
        assert count == len(rows)
        assert value == pytest.approx(float((rows[:, 1] * rows[:, 2]).sum()) / 1e10)
        rates = lake.sql("SELECT rate FROM f ORDER BY timestamp", f=FUNDING).fetchall()
        assert [r for (r,) in rates] == (funding_rows(3)[:, 1] / 1e12).tolist()


def test_an_empty_series_is_an_empty_view_and_an_unknown_one_an_error(tmp_path: Path):
    with opened(tmp_path) as lake:
        assert lake.sql("SELECT count(*) FROM b", b=BTC).fetchall() == [(0,)]
        with pytest.raises(NoSuchSeries):
            lake.sql("SELECT 1 FROM t", t=TRADES)


def test_files_that_a_relation_needs_stay_until_the_lake_is_closed(tmp_path: Path):
    rows = walk(100)
    with opened(tmp_path) as lake, opened(tmp_path) as other:
        lake.write(BTC, rows)
        relation = lake.sql("SELECT sum(volume) s FROM b", b=BTC)
        other.write(BTC, np.add(rows, [[0, 0, 0, 0, 0, 1]]))
        assert other.collect_garbage() == []
        assert relation.fetchall()[0][0] == pytest.approx(rows[:, 5].sum() / 1e8)
        lake.close()
        assert len(other.collect_garbage()) == 1


def test_a_corrupt_file_is_refused_before_a_query_sees_it(tmp_path: Path):
    with opened(tmp_path) as lake:
        lake.write(BTC, walk(100))
        (path,) = tmp_path.rglob("*.parquet")
        data = bytearray(path.read_bytes())
        data[100] ^= 1
        path.write_bytes(data)
        with pytest.raises(CorruptFile):
            lake.sql("SELECT 1", b=BTC)
