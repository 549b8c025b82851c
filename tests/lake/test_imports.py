"""Files into the lake: what is taken as it stands, what is asked for, and what is refused with file and row."""

from __future__ import annotations

import hashlib
import re
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from lake.files import MINUTE, START, bars, trades, write

from twinstar_kit.feeds import load_bars, save_bars
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Provenance, Series
from twinstar_kit.lake.imports import import_bars

BTC = Series("binance", "BTC/USDT", "1m")
NAMED = {"exchange": "binance", "symbol": "BTC/USDT", "timeframe": "1m"}


@pytest.fixture
def lake(tmp_path):
    with Lake(tmp_path / "lake") as opened:
        yield opened


def exact(table, scale=8):
    """Prices and volumes of a table counted in units by decimal arithmetic, which rounds nothing."""
    return [[int(row[0]), *(int(Decimal(repr(float(value))).scaleb(scale)) for value in row[1:6])]
            for row in table.itertuples(index=False)]  # fmt: skip


@pytest.mark.parametrize("name", ["bars.parquet", "bars.csv", "bars.feather"])
def test_a_table_arrives_to_the_unit(lake, tmp_path, name):
    table = bars(500)
    file = write(table, tmp_path / name)
    done = import_bars(lake, file, **NAMED)
    assert (done.total("added"), done.total("same"), done.ok) == (500, 0, True)
    stored = lake.read("binance", "BTC/USDT")
    assert stored.rows.tolist() == exact(table)
    pd.testing.assert_frame_equal(
        stored.pandas().reset_index()[list(table.columns)].astype({"timestamp": "int64"}), table
    )


def test_rows_are_marked_as_asked_for_afterwards_and_say_from_which_bytes(lake, tmp_path):
    file = write(bars(), tmp_path / "bars.parquet")
    import_bars(lake, file, **NAMED)
    assert set(lake.read("binance", "BTC/USDT").provenance.tolist()) == {int(Provenance.BACKFILLED)}
    changed = bars().assign(close=lambda t: t.low)
    import_bars(lake, write(changed, file), **NAMED)
    entry = lake.log(BTC)[-1]
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert entry["kind"] == "revision"
    assert entry["source"] == f"file:bars.parquet sha256:{digest}"


def test_importing_twice_changes_nothing(lake, tmp_path):
    file = write(bars(100), tmp_path / "bars.csv")
    import_bars(lake, file, **NAMED)
    before = lake.snapshot("before").digest
    again = import_bars(lake, file, **NAMED)
    assert (again.total("added"), again.total("same"), again.total("revised")) == (0, 100, 0)
    assert lake.snapshot("after").digest == before
    assert lake.log(BTC) == []


def test_names_tell_what_the_caller_does_not_say(lake, tmp_path):
    import_bars(lake, write(bars(step=5 * MINUTE), tmp_path / "upbit_BTCKRW_spot_5m_2025.parquet"))
    assert [info.series for info in lake.series()] == [Series("upbit", "BTC/KRW", "5m")]


def test_the_timeframe_is_the_grid_of_the_rows_where_nobody_says_it(lake, tmp_path):
    import_bars(lake, write(bars(step=15 * MINUTE), tmp_path / "x.csv"), exchange="okx", symbol="ETH/USDT")
    assert [info.series.timeframe for info in lake.series()] == ["15m"]


@pytest.mark.parametrize(
    ("name", "said", "asks"),
    [
        ("prices.csv", {}, "--exchange"),
        ("prices.csv", {"exchange": "binance"}, "--symbol"),
        (
            "binance_XRPUSDT_perp_1m.csv",
            {},
            "no spot market by its name: say --market swap for XRP/USDT:USDT, or --symbol",
        ),
        ("binance_BTCUSDT_1m.csv", {"symbol": "ETH/USDT"}, "it says BTC/USDT, and --symbol ETH/USDT"),
        ("binance_BTCUSDT_1m.csv", {"timeframe": "5m"}, "it says 1m, and --timeframe 5m"),
    ],
)
def test_what_is_unclear_is_asked_for_and_never_guessed(lake, tmp_path, name, said, asks):
    file = write(bars(), tmp_path / name)
    with pytest.raises(UsageError) as caught:
        import_bars(lake, file, **said)
    assert asks in str(caught.value)
    assert name in str(caught.value)
    assert lake.series() == []


@pytest.mark.parametrize(
    ("column", "value", "rule"),
    [
        ("high", 1.0, "open lies above high"),
        ("low", 1e6, "open lies below low"),
        ("close", -5.0, "close must be above zero"),
        ("open", 0.0, "open must be above zero"),
        ("volume", -1.0, "volume must not be negative"),
        ("close", float("inf"), "close is not a finite number"),
        ("timestamp", START + MINUTE, "duplicate timestamp"),
        ("timestamp", START - MINUTE, "timestamps must ascend"),
        ("timestamp", START + 2 * MINUTE + 1, "not on the grid of 1m"),
        ("timestamp", 10_000_000_000, "looks like seconds"),
        ("timestamp", START * 1000, "looks like microseconds"),
        ("timestamp", 7, "not a time in milliseconds UTC between 1990 and 2100"),
    ],
)
def test_a_bad_row_refuses_the_file_by_name_and_row_and_the_good_ones_can_be_kept(
    lake, tmp_path, column, value, rule
):
    table = bars(8).astype({column: type(value)})
    table.loc[2, column] = value
    file = write(table, tmp_path / "bars.parquet")
    with pytest.raises(DataError) as caught:
        import_bars(lake, file, **NAMED)
    assert "bars.parquet: row 2: " in str(caught.value)
    assert rule in str(caught.value)
    assert lake.series() == []

    done = import_bars(lake, file, keep_good=True, **NAMED)
    assert list(done.files[0].bad) == [2]
    kept = table.drop(index=2)
    assert lake.read("binance", "BTC/USDT").rows.tolist() == exact(kept)
    (entry,) = [entry for entry in lake.log(BTC) if entry["kind"] == "bad_rows"]
    assert entry["rows"][0]["row"] == 2
    assert entry["rows"][0]["values"] == [str(table[name][2]) for name in table.columns]
    import_bars(lake, file, keep_good=True, **NAMED)
    assert len(lake.log(BTC)) == 1


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("timestamp,open,high,low,close\n1,2,3,4,5\n", "missing column volume"),
        ("timestamp,open,high,low,close,volume\n", "there are no rows in it"),
        (f"timestamp,open,high,low,close,volume\n{START},1,2,1,2,3\n{START + MINUTE},1,two,1,2,3\n",
         "row 1: high is the text 'two'"),
        ("timestamp,open,high,low,close,volume\n10000000000,1,2,1,2,3\n", "looks like seconds"),
        ("timestamp,open,high,low,close,volume\n2025-01-01 00:00+00:00,1,2,1,2,3\n2025-01-01 09:01,1,2,1,2,3\n",
         "time zones are mixed: none here, +00:00 in the first row"),
        ("", "empty"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_table_of_bars_is_one_clear_line(lake, tmp_path, text, says):
    file = tmp_path / "bars.csv"
    file.write_text(text)
    with pytest.raises(DataError) as caught:
        import_bars(lake, file, **NAMED)
    assert says in str(caught.value)
    assert "bars.csv" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert lake.series() == []


def test_a_dry_run_says_what_would_come_and_writes_nothing(lake, tmp_path):
    file = write(bars(50), tmp_path / "bars.csv")
    said = import_bars(lake, file, dry_run=True, **NAMED)
    assert (said.files[0].series, said.files[0].rows) == (["binance BTC/USDT 1m"], 50)
    assert (said.files[0].first_ms, said.files[0].last_ms) == (START, START + 49 * MINUTE)
    assert lake.series() == []


def test_a_folder_takes_what_is_sound_and_names_what_is_not(lake, tmp_path):
    folder = tmp_path / "in"
    write(bars(10), folder / "deep" / "binance_BTCUSDT_1m.parquet")
    write(bars(10, seed=5), folder / "binance_ETHUSDT_1m.csv")
    bad = bars(10)
    bad.loc[4, "low"] = 1e9
    write(bad, folder / "binance_SOLUSDT_1m.csv")
    (folder / "notes.txt").write_text("hello")
    seen = []
    report = import_bars(lake, folder, progress=lambda done, total, note: seen.append((done, total, note)))
    states = {file.path.rpartition("/")[2]: (file.added, file.skipped, file.error) for file in report.files}
    assert states["binance_BTCUSDT_1m.parquet"] == (10, "", "")
    assert states["binance_ETHUSDT_1m.csv"] == (10, "", "")
    assert "binance_SOLUSDT_1m.csv: row 4: open lies below low" in states["binance_SOLUSDT_1m.csv"][2]
    assert states["notes.txt"][1] == "no file of market data"
    assert not report.ok
    assert [info.series.symbol for info in lake.series()] == ["BTC/USDT", "ETH/USDT"]
    assert len(seen) == 4
    assert all(done <= total for done, total, _ in seen)
    with pytest.raises(DataError, match="no files of market data"):
        import_bars(lake, folder / "deep" / "..", layout="okx")


def test_a_series_keeps_the_units_that_the_lake_knows(lake, tmp_path):
    instrument = Instrument.from_sizes("BTC/USDT", "0.01", "0.00001", exchange="binance")
    lake.register(Series("binance", "BTC/USDT", "5m"), instrument)
    import_bars(lake, write(bars(), tmp_path / "bars.csv"), **NAMED)
    assert lake.instrument(BTC) == instrument
    assert lake.read("binance", "BTC/USDT").rows[:, 1].tolist() == [
        round(price * 100) for price in bars().open
    ]
    with pytest.raises(UsageError, match="has its units"):
        import_bars(lake, write(bars(), tmp_path / "bars.csv"), tick="0.1", **NAMED)


def test_sizes_of_a_new_series_can_be_said(lake, tmp_path):
    table = bars().assign(volume=4e12)
    file = write(table, tmp_path / "bars.csv")
    with pytest.raises(DataError, match="too large for units of 1e-8; set a larger tick or lot"):
        import_bars(lake, file, **NAMED)
    import_bars(lake, file, lot="1", **NAMED)
    assert lake.read("binance", "BTC/USDT").rows[:, 5].tolist() == [4 * 10**12] * 6


def test_simulated_bars_stay_labelled(lake, tmp_path):
    loaded = load_bars(write(bars(), tmp_path / "binance_BTCUSDT_1m.csv"))
    simulated = loaded.__class__(loaded.instrument, loaded.timeframe_ms, loaded.rows, "simulated:0", True)
    import_bars(lake, save_bars(simulated, tmp_path / "market.parquet"))
    (info,) = lake.series()
    assert info.simulated
    assert info.series == BTC


def test_a_table_of_trades_is_told_by_its_columns(lake, tmp_path):
    table = trades(200)
    import_bars(lake, write(table, tmp_path / "ticks.csv"), exchange="binance", symbol="BTC/USDT")
    series = Series("binance", "BTC/USDT", kind=Kind.TRADES)
    rows = np.vstack([chunk.rows for chunk in lake.scan(series)])
    expected = [
        [t.timestamp, int(Decimal(repr(t.price)).scaleb(8)), int(Decimal(repr(t.amount)).scaleb(8)),
         1 if t.side == "buy" else -1, t.id]
        for t in table.itertuples()
    ]  # fmt: skip
    assert rows.tolist() == expected
    table.loc[3, "side"] = "both"
    with pytest.raises(DataError, match="row 3: side is 'both'"):
        import_bars(lake, write(table, tmp_path / "ticks.csv"), exchange="binance", symbol="BTC/USDT")


def test_a_missing_file_and_a_strange_layout_are_refused(lake, tmp_path):
    with pytest.raises(DataError, match="no file or folder"):
        import_bars(lake, tmp_path / "nothing")
    with pytest.raises(UsageError, match="no layout 'excel'"):
        import_bars(lake, write(bars(), tmp_path / "bars.csv"), layout="excel", **NAMED)
    with pytest.raises(UsageError, match="say spot or swap"):
        import_bars(lake, write(bars(), tmp_path / "bars.csv"), market="both", **NAMED)


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        (
            "2025-01-01T00:00:00Z",
            "2025-01-01T01:01:00+01:00",
            "row 1: time zones are mixed: +01:00 here, Z in",
        ),
        ("2025-01-01T00:00:00Z", "2025-01-01 00:01:00", "row 1: time zones are mixed: none here, Z in"),
        (
            "2025-01-01 00:00:00",
            "2025-01-01 00:01:00+00:00",
            "row 1: time zones are mixed: +00:00 here, none",
        ),
    ],
)
def test_mixed_time_zones_refuse_the_file(lake, tmp_path, first, second, said):
    file = tmp_path / "bars.csv"
    file.write_text(f"timestamp,open,high,low,close,volume\n{first},1,2,0.5,1.5,3\n{second},1,2,0.5,1.5,3\n")
    with pytest.raises(DataError, match=re.escape(said)):
        import_bars(lake, file, exchange="x", symbol="BTC/USDT", timeframe="1m")
    assert lake.series() == []


def test_one_time_zone_is_counted_in_utc(lake, tmp_path):
    file = tmp_path / "bars.csv"
    rows = "".join(f"2025-01-01T09:0{k}:00+09:00,1,2,0.5,1.5,3\n" for k in range(3))
    file.write_text(f"timestamp,open,high,low,close,volume\n{rows}")
    import_bars(lake, file, exchange="x", symbol="BTC/USDT", timeframe="1m")
    opens = lake.read("x", "BTC/USDT").rows[:, 0].tolist()
    assert opens == [1_735_689_600_000 + k * 60_000 for k in range(3)]
