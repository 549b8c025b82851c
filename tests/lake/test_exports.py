"""Out of the lake and back: every format keeps every integer, and other readers see the same numbers."""

from __future__ import annotations

import pandas as pd
import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from lake.files import MINUTE, START, bars, trades, write

from twinstar_kit.feeds import load_bars
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Provenance, Series
from twinstar_kit.lake.exports import FORMATS, export
from twinstar_kit.lake.imports import import_bars

BTC = Series("binance", "BTC/USDT", "1m")
FUTURE = Series("binance", "BTC/USDT:USDT", "1h")
TICKS = Series("binance", "BTC/USDT", kind=Kind.TRADES)
NAMED = {"exchange": "binance", "symbol": "BTC/USDT"}


@pytest.fixture
def lake(tmp_path):
    with Lake(tmp_path / "lake") as opened:
        yield opened


@pytest.fixture
def filled(lake, tmp_path):
    """A lake with two months of hourly holes, and its table."""
    table = bars(90_000, first=START - 1_000 * MINUTE).drop(index=range(60, 90)).reset_index(drop=True)
    import_bars(lake, write(table, tmp_path / "bars.parquet"), timeframe="1m", **NAMED)
    return lake, table


def read_back(path, format):
    if format == "freqtrade":
        table = pd.read_feather(path)
        stamps = table.pop("date").astype("datetime64[ms, UTC]").astype("int64")
        table.insert(0, "timestamp", stamps)
        return table
    readers = {"parquet": pd.read_parquet, "feather": pd.read_feather}
    return readers.get(format, pd.read_csv)(path)


@pytest.mark.parametrize("format", FORMATS)
def test_pandas_reads_what_was_imported(filled, tmp_path, format):
    lake, table = filled
    (file,) = export(lake, BTC, tmp_path / "out", format=format)
    assert file.rows == len(table)
    got = read_back(file.path, format)
    pd.testing.assert_frame_equal(got[list(table.columns)], table, check_exact=True)


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_comes_back_as_the_same_integers(filled, tmp_path, format):
    lake, _ = filled
    export(lake, BTC, tmp_path / "out" / "data", format=format)
    with Lake(tmp_path / "second") as second:
        import_bars(second, tmp_path / "out")
        (info,) = second.series()
        assert info.series == BTC
        assert (
            second.read("binance", "BTC/USDT").rows.tolist() == lake.read("binance", "BTC/USDT").rows.tolist()
        )


PRICE = st.integers(1, 10**13)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.tuples(PRICE, PRICE, PRICE, PRICE, st.integers(0, 10**13)), min_size=1, max_size=20),
    scales=st.tuples(st.integers(2, 8), st.integers(3, 8)),
    format=st.sampled_from(FORMATS),
)
def test_any_units_survive_the_round_trip(tmp_path_factory, rows, scales, format):
    folder = tmp_path_factory.mktemp("round")
    instrument = Instrument("BTC/USDT", "BTC", "USDT", "binance", scales[0], max(scales[1], 8 - scales[0]))
    table = [
        [
            START + at * MINUTE,
            opened,
            max(opened, close, one, other),
            min(opened, close, one, other),
            close,
            volume,
        ]
        for at, (opened, close, one, other, volume) in enumerate(rows)
    ]
    with Lake(folder / "a") as first, Lake(folder / "b") as second:
        for lake in (first, second):
            lake.register(BTC, instrument)
        first.write(BTC, table)
        export(first, BTC, folder / "data", format=format)
        import_bars(second, folder / "data", exchange="binance", symbol="BTC/USDT", timeframe="1m")
        assert second.read("binance", "BTC/USDT").rows.tolist() == table


def test_load_bars_takes_an_export_with_its_units(filled, tmp_path):
    lake, _ = filled
    for name in ("btc.parquet", "btc.feather"):
        (file,) = export(lake, BTC, tmp_path / name, format=name[4:])
        assert file.path == str(tmp_path / name)
        loaded = load_bars(file.path)
        assert loaded.data_digest == lake.read("binance", "BTC/USDT").bars().data_digest


def test_trades_and_futures_in_freqtrades_folder(lake, tmp_path):
    table = trades(100)
    import_bars(lake, write(table, tmp_path / "ticks.parquet"), **NAMED)
    hours = bars(48, step=60 * MINUTE)
    import_bars(
        lake,
        write(hours, tmp_path / "hours.parquet"),
        exchange="binance",
        symbol="BTC/USDT:USDT",
        timeframe="1h",
    )
    files = export(lake, [TICKS, FUTURE], tmp_path / "data", format="freqtrade")
    assert [file.path for file in files] == [
        str(tmp_path / "data" / "binance" / "BTC_USDT-trades.feather"),
        str(tmp_path / "data" / "binance" / "futures" / "BTC_USDT_USDT-1h-futures.feather"),
    ]
    got = pd.read_feather(files[0].path)
    assert list(got.columns) == ["timestamp", "id", "type", "side", "price", "amount", "cost"]
    pd.testing.assert_frame_equal(
        got[["timestamp", "price", "amount", "side"]],
        table[["timestamp", "price", "amount", "side"]],
        check_dtype=False,
    )
    assert got.id.tolist() == [str(number) for number in table.id]
    dates = pd.read_feather(files[1].path).date
    assert str(dates.dtype) == "datetime64[ms, UTC]"
    with Lake(tmp_path / "second") as second:
        import_bars(second, tmp_path / "data")
        assert {str(info.series): info.rows for info in second.series()} == {
            "binance BTC/USDT trades": 100, "binance BTC/USDT:USDT 1h": 48,
        }  # fmt: skip


@pytest.mark.parametrize("format", ["parquet", "csv", "feather"])
def test_trades_as_plain_tables(lake, tmp_path, format):
    table = trades(100)
    import_bars(lake, write(table, tmp_path / "ticks.csv"), **NAMED)
    (file,) = export(lake, TICKS, tmp_path / f"out.{format}", format=format)
    got = {
        "parquet": pl.read_parquet,
        "csv": pl.read_csv,
        "feather": lambda p: pl.read_ipc(p),
    }[format](file.path)
    assert got.rows() == pl.from_pandas(table).rows()


def test_a_window_a_snapshot_and_provenance(filled, tmp_path):
    lake, table = filled
    lake.snapshot("yesterday")
    row = lake.read("binance", "BTC/USDT", since=START, until=START + MINUTE).rows.copy()
    row[0, 4] = row[0, 3]
    lake.replace(BTC, row, Provenance.HEALED, "kraken", "the venue's own bar was wrong")
    said = {"since": START, "until": START + 10 * MINUTE, "provenance": True}
    (now,) = export(lake, BTC, tmp_path / "now.parquet", **said)
    (then,) = export(lake, BTC, tmp_path / "then.parquet", as_of="yesterday", **said)
    new, old = pd.read_parquet(now.path), pd.read_parquet(then.path)
    window = table[(table.timestamp >= START) & (table.timestamp < START + 10 * MINUTE)].reset_index(
        drop=True
    )
    pd.testing.assert_frame_equal(old[list(table.columns)], window)
    assert new.provenance.tolist() == ["healed"] + ["backfilled"] * 9
    assert new.close[0] == new.low[0]


def test_memory_holds_one_month_and_the_parquet_has_their_groups(filled, tmp_path):
    lake, _ = filled
    (file,) = export(lake, BTC, tmp_path / "btc.parquet")
    months = list(lake.scan(BTC))
    assert pq.ParquetFile(file.path).num_row_groups == len(months) > 2


def test_what_a_format_cannot_hold_is_refused_before_anything_is_written(filled, tmp_path):
    lake, _ = filled
    import_bars(lake, write(bars(48, step=60 * MINUTE), tmp_path / "h.csv"), timeframe="1h", **NAMED)
    hours = Series("binance", "BTC/USDT", "1h")
    with pytest.raises(UsageError, match="jesse's candle table holds bars of 1m"):
        export(lake, hours, tmp_path / "out", format="jesse")
    with pytest.raises(UsageError, match="format 'xlsx'"):
        export(lake, BTC, tmp_path / "out", format="xlsx")
    with pytest.raises(UsageError, match="no place for provenance"):
        export(lake, BTC, tmp_path / "out", format="jesse", provenance=True)
    with pytest.raises(UsageError, match="the lake holds no"):
        export(lake, Series("okx", "BTC/USDT"), tmp_path / "out")
    import_bars(lake, write(bars(), tmp_path / "k.csv"), exchange="kraken", symbol="BTC/USD", timeframe="1m")
    with pytest.raises(DataError, match="jesse has no name for kraken"):
        export(lake, Series("kraken", "BTC/USD"), tmp_path / "out", format="jesse")
    assert not (tmp_path / "out").exists()


def test_an_export_that_fails_leaves_the_old_file_and_no_rest(filled, tmp_path, monkeypatch):
    lake, _ = filled
    (file,) = export(lake, BTC, tmp_path / "out" / "btc.parquet")
    chunks = lake.scan(BTC)

    def broken(*said, **more):
        yield next(chunks)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Lake, "scan", broken)
    with pytest.raises(OSError, match="No space"):
        export(lake, BTC, tmp_path / "out" / "btc.parquet")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["btc.parquet"]
    assert len(pd.read_parquet(file.path)) == file.rows
