"""Files of bars: what is read, and that everything wrong with a file is one clear line."""

from __future__ import annotations

import shutil
import subprocess
import sys
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from twinstar_kit.feeds import load_bars, normalise_symbol, save_bars
from twinstar_kit.feeds.files import COLUMNS
from twinstar_kit.feeds.resample import resample
from twinstar_kit.kernel.errors import DataError, InstrumentError, TwinStarError, UsageError

START, MINUTE = 1_735_689_600_000, 60_000


def frame(rows=6, **changes):
    """A table of sound minute bars, with some columns or rows changed."""
    base = 100 + np.arange(rows, dtype=float)
    columns = {
        "timestamp": START + MINUTE * np.arange(rows),
        "open": base, "high": base + 2, "low": base - 1, "close": base + 1, "volume": base / 10,
    }  # fmt: skip
    for name, change in changes.items():
        if isinstance(change, dict):
            text = any(isinstance(value, str) for value in change.values())
            column = columns[name].astype(str).astype(object) if text else columns[name].astype(float)
            for row, value in change.items():
                column[row] = value
            columns[name] = column
        else:
            columns[name] = change
    return pd.DataFrame(columns)


def write(table, path):
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    elif path.suffix == ".feather":
        table.to_feather(path)
    else:
        table.to_parquet(path, index=False)
    return path


@pytest.fixture(params=["bars.parquet", "bars.csv", "bars.feather"])
def path(request, tmp_path):
    return tmp_path / request.param


def refusal(path, **rules):
    with pytest.raises(DataError) as caught:
        load_bars(path, **rules)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


def test_parquet_csv_and_feather_give_the_same_bars(tmp_path):
    names = ("bars.parquet", "bars.csv", "bars.feather")
    one, other, third = (load_bars(write(frame(), tmp_path / name)) for name in names)
    assert one.data_digest == other.data_digest == third.data_digest
    assert one.close.tolist() == [101, 102, 103, 104, 105, 106]
    assert one.timeframe == "1m"
    assert one.rows[0].tolist() == [START, 100 * 10**8, 102 * 10**8, 99 * 10**8, 101 * 10**8, 10 * 10**8]
    assert not one.simulated


def test_more_columns_and_another_order_do_no_harm(path):
    table = frame().assign(trades=3, note="x")[["note", "volume", *COLUMNS[:5], "trades"]]
    assert len(load_bars(write(table, path))) == 6


def test_names_come_from_the_file_and_rules_from_the_caller(tmp_path):
    file = write(frame(), tmp_path / "upbit_BTCKRW_spot_1m_20250901.parquet")
    guessed = load_bars(file).instrument
    assert (guessed.exchange, guessed.symbol, guessed.quote_scale) == ("upbit", "BTC/KRW", 2)
    given = load_bars(file, symbol="ETHUSDT", exchange="binance", tick="0.01", lot="0.001").instrument
    assert (given.exchange, given.symbol) == ("binance", "ETH/USDT")
    assert (given.price(given.tick), given.amount(given.lot)) == (0.01, 0.001)


def test_a_file_without_a_name_still_has_a_currency(path):
    assert load_bars(write(frame(), path)).instrument.symbol == "DATA/USDT"


def test_renaming_a_file_without_a_symbol_changes_no_digest(path, tmp_path):
    one = load_bars(write(frame(), path))
    copy = tmp_path / f"copy{path.suffix}"
    shutil.copy(path, copy)
    assert load_bars(copy).data_digest == one.data_digest


def test_prices_off_the_tick_are_kept_and_counted(path):
    bars = load_bars(write(frame(close={2: 103.005}), path), tick="0.01")
    assert bars.off_tick == 1
    assert bars.close[2] == 103.005


def test_a_lot_of_one_makes_room_for_billions(path):
    table = frame(volume=np.full(6, 6e11))
    assert "lot" in refusal(write(table, path))
    assert load_bars(path, lot="1").volume[0] == 6e11


@pytest.mark.parametrize("step", [1_000, 300_000, 3_600_000, 86_400_000, 604_800_000])
def test_the_timeframe_is_the_smallest_distance(path, step):
    stamps = START + step * np.array([0, 1, 2, 5, 6, 9])  # a gap is no longer timeframe
    assert load_bars(write(frame(timestamp=stamps), path)).timeframe_ms == step


def test_one_bar_needs_its_timeframe(path):
    assert "pass timeframe" in refusal(write(frame(1), path))
    assert load_bars(path, timeframe="1m").timeframe == "1m"


def test_bars_of_a_quiet_market_take_the_timeframe_they_are_given(path):
    table = frame(timestamp=START + MINUTE * np.array([0, 2, 5, 7, 9, 12]))
    assert "grid" in refusal(write(table, path))
    assert load_bars(path, timeframe="1m").timeframe == "1m"


def test_bars_are_joined_to_a_longer_timeframe_and_never_cut(path):
    write(frame(30), path)
    joined = load_bars(path, timeframe="15m")
    assert joined.rows[:, [0, 2]].tolist() == [[START, 116 * 10**8], [START + 15 * MINUTE, 131 * 10**8]]
    assert joined.data_digest == resample(load_bars(path), 15 * MINUTE).data_digest
    write(frame(timestamp=START + 5 * MINUTE * np.arange(6)), path)
    assert "multiple of 5m" in refusal(path, timeframe="1m")
    assert "too short" in refusal(path, timeframe="4h")
    assert "not a timeframe" in refusal(path, timeframe="5 minutes")


def test_a_window_keeps_the_bars_that_open_in_it(path):
    write(frame(), path)
    window = load_bars(path, since="2025-01-01T00:01", until=START + 4 * MINUTE)
    assert ((window.timestamp - START) // MINUTE).tolist() == [1, 2, 3]
    assert "the file holds 2025-01-01 00:00 to 2025-01-01 00:05" in refusal(path, since="2025-02-01")
    with pytest.raises(UsageError, match="not a time"):
        load_bars(path, since="yesterday")


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_a_date_column_knows_its_unit(tmp_path, unit):
    stamps = pd.to_datetime(START + MINUTE * np.arange(6), unit="ms", utc=True).as_unit(unit)
    for number, column in enumerate((stamps, stamps.tz_localize(None), stamps.tz_convert("Asia/Seoul"))):
        bars = load_bars(write(frame(timestamp=column), tmp_path / f"{number}.parquet"))
        assert bars.timestamp.tolist() == (START + MINUTE * np.arange(6)).tolist()


def test_a_csv_may_hold_iso_times(tmp_path):
    stamps = pd.to_datetime(START + MINUTE * np.arange(6), unit="ms", utc=True).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert load_bars(write(frame(timestamp=stamps), tmp_path / "iso.csv")).timestamp[0] == START


def test_text_in_a_csv_of_iso_times_is_still_named(tmp_path):
    stamps = [f"2025-01-01T00:0{n}:00Z" for n in range(6)]
    message = refusal(write(frame(timestamp=stamps, open={2: "?"}), tmp_path / "iso.csv"))
    assert "row 2: open is the text '?'" in message


def test_milliseconds_stored_as_text_are_milliseconds(tmp_path):
    table = frame().astype({"timestamp": str})
    assert load_bars(write(table, tmp_path / "text.parquet")).timestamp[0] == START


def test_reading_a_file_does_not_import_pandas(path):
    """It takes longer than reading a year of bars."""
    write(frame(), path)
    program = "import sys; from twinstar_kit.feeds import load_bars; load_bars(sys.argv[1]); print('pandas' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_numbers_stored_as_text_or_decimals_are_numbers(tmp_path):
    text = frame().astype({"close": str})
    exact = frame(close=[Decimal(f"{100 + n}.5") for n in range(6)])
    assert load_bars(write(text, tmp_path / "text.parquet")).close[0] == 101
    assert load_bars(write(exact, tmp_path / "exact.parquet")).close[0] == 100.5


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"close": {3: np.nan}}, "row 3"),
        ({"close": {3: "n/a?"}}, "row 3: close is the text 'n/a?', not a number"),
        ({"open": {2: "1,234.5"}}, "row 2: open is the text '1,234.5'"),
        ({"high": {4: np.inf}}, "row 4"),
        ({"low": {1: -99.0}}, "row 1"),
        ({"low": {1: 0.0}}, "low must be above zero"),
        ({"volume": {5: -1.0}}, "volume must not be negative"),
        ({"high": {2: 50.0}}, "row 2"),
        ({"close": {0: 500.0}}, "close lies above high"),
        ({"timestamp": {2: float(START + MINUTE)}}, "duplicate timestamp"),
        ({"timestamp": {2: float(START - MINUTE)}}, "must ascend"),
        ({"timestamp": {2: START + 2 * MINUTE + 0.5}}, "not a whole number of milliseconds"),
        ({"timestamp": {3: float(START + 3 * MINUTE + 1_000)}}, "one grid"),
        ({"timestamp": {2: np.nan}}, "row 2"),
    ],
)
def test_a_bad_row_is_named(path, changes, words):
    assert words in refusal(write(frame(**changes), path))


@pytest.mark.parametrize(
    ("scale", "unit", "cure"),
    [(1e-3, "seconds", "multiply them by 1000"), (1e3, "microseconds", "divide them by 1000"),
     (1e6, "nanoseconds", "divide them by 1000000")],
)  # fmt: skip
def test_timestamps_in_another_unit_are_refused_with_the_way_out(path, scale, unit, cure):
    stamps = [int(t * Decimal(str(scale))) for t in (START + MINUTE * np.arange(6)).tolist()]
    message = refusal(write(frame(timestamp=stamps), path))
    assert f"looks like {unit}" in message
    assert cure in message


def test_text_instead_of_times_is_refused(path):
    assert "milliseconds" in refusal(write(frame(timestamp=[f"bar {n}" for n in range(6)]), path))


def test_trades_are_no_bars(path):
    assert "trades" in refusal(write(frame(timestamp=START + 7 * np.arange(6)), path))


def test_missing_columns_are_named_with_what_there_is(path):
    message = refusal(write(frame().rename(columns={"timestamp": "time", "close": "c"}), path))
    assert "missing columns timestamp, close" in message
    assert "it has time, open" in message


def test_no_rows_no_bytes_no_file(path, tmp_path):
    assert "no bars" in refusal(write(frame(0), path))
    path.write_bytes(b"")
    assert "the file is empty" in refusal(path)
    path.unlink()
    (tmp_path / f"bar{path.suffix}").write_text("x")
    assert f"did you mean {tmp_path / f'bar{path.suffix}'}" in refusal(path)


def test_a_folder_and_an_unknown_kind_are_refused(tmp_path):
    assert "folder" in refusal(tmp_path)
    (tmp_path / "bars.xlsx").write_text("x")
    assert ".parquet, .csv or .feather" in refusal(tmp_path / "bars.xlsx")


def test_what_is_no_parquet_and_what_is_a_damaged_one(tmp_path):
    (tmp_path / "bars.parquet").write_text("timestamp,open\n1,2\n")
    assert "not a readable Parquet file" in refusal(tmp_path / "bars.parquet")
    whole = write(frame(500), tmp_path / "whole.parquet").read_bytes()
    for size in (len(whole) // 2, len(whole) - 10):
        (tmp_path / "cut.parquet").write_bytes(whole[:size])
        assert "not a readable Parquet file" in refusal(tmp_path / "cut.parquet")


@pytest.mark.parametrize(
    "text",
    ["timestamp,open,high,low,close,volume\n1,2\n", "\x00\x01\x02", "timestamp,open,high,low,close,volume\n"],
)
def test_what_is_no_csv(tmp_path, text):
    (tmp_path / "bars.csv").write_text(text)
    refusal(tmp_path / "bars.csv")


def test_bytes_that_are_no_text_are_no_csv(tmp_path):
    (tmp_path / "bars.csv").write_bytes(b"\xff\xfe\x00timestamp\xff,open\n\xff1,2\n")
    refusal(tmp_path / "bars.csv")


def test_a_symbol_that_is_none_is_refused(path):
    with pytest.raises(InstrumentError, match="BASE/QUOTE"):
        load_bars(write(frame(), path), symbol="BITCOIN")


def test_bad_rules_are_refused(path):
    write(frame(), path)
    for rules in ({"tick": "-1"}, {"lot": "abc"}, {"tick": 0}):
        with pytest.raises(TwinStarError):
            load_bars(path, **rules)


def test_saved_bars_come_back_with_their_label(tmp_path):
    from feeds.market import MARKET

    bars = MARKET.bars("XRP/KRW", START, START + 90 * MINUTE)
    saved = save_bars(bars, tmp_path / "simulated.parquet")
    loaded = load_bars(saved)
    assert loaded.data_digest == bars.data_digest
    assert loaded.instrument == bars.instrument
    assert (loaded.simulated, loaded.source) == (True, "simulated:11")
    assert load_bars(saved, symbol="XRP/KRW").simulated, "another instrument does not make them real"
    assert [entry.name for entry in tmp_path.iterdir()] == ["simulated.parquet"]


def test_a_label_of_another_version_is_refused_until_the_symbol_is_named(tmp_path):
    table = pa.Table.from_pandas(frame(), preserve_index=False)
    for text, words in (
        (b'{"instrument": {"coin": 1}}', "another version"),
        (b"{", "not a readable Parquet file"),
    ):
        path = tmp_path / "bars.parquet"
        pq.write_table(table.replace_schema_metadata({b"twinstar": text}), path)
        assert words in refusal(path)
    pq.write_table(table.replace_schema_metadata({b"twinstar": b'{"instrument": {}}'}), path)
    assert load_bars(path, symbol="BTC/USDT").instrument.symbol == "BTC/USDT"


def test_a_save_that_fails_leaves_nothing_behind(tmp_path):
    from feeds.market import MARKET

    with pytest.raises(OSError, match="nowhere"):
        save_bars(MARKET.bars("BTC/USDT", START, START + MINUTE), tmp_path / "nowhere" / "bars.parquet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("symbol", ["", "/", "BTC/USDT/KRW", "HELLO", "B T C/USDT"])
def test_no_symbols(symbol):
    with pytest.raises(InstrumentError):
        normalise_symbol(symbol)


@pytest.mark.real_data
def test_real_files_load_as_pandas_reads_them(real_data):
    for name, symbol, timeframe in (
        ("binance_BTCUSDT_spot_1m_20250101", "BTC/USDT", "1m"),
        ("upbit_XRPKRW_spot_1h_20220101", "XRP/KRW", "1h"),
        ("kraken_BTCUSDC_spot_1m_2023", "BTC/USDC", "1m"),
        ("coinbase_BTCUSD_spot_1s_lean", "BTC/USD", "1s"),
        ("nasdaq_GOOG_1d_2004", "DATA/USDT", "1d"),
    ):
        file = real_data / "ohlcv" / f"{name}.parquet"
        bars, table = load_bars(file), pd.read_parquet(file)
        assert (bars.instrument.symbol, bars.timeframe) == (symbol, timeframe)
        assert bars.timestamp.tolist() == table["timestamp"].tolist()
        for column in COLUMNS[1:]:
            np.testing.assert_allclose(getattr(bars, column), table[column], rtol=1e-8, atol=1e-8)


@pytest.mark.real_data
def test_joined_upbit_minutes_are_upbits_own_hours(real_data):
    """The exchange's hourly bars are the oracle for joining minutes."""
    folder = real_data / "ohlcv"
    joined = load_bars(folder / "upbit_BTCKRW_spot_1m_20250901.parquet", timeframe="1h")
    hours = load_bars(folder / "upbit_BTCKRW_spot_1h_20220101.parquet")
    both = np.intersect1d(joined.timestamp, hours.timestamp)
    assert len(both) > 600
    left, right = (bars.rows[np.isin(bars.timestamp, both)] for bars in (joined, hours))
    assert np.array_equal(left[:, :5], right[:, :5])
    assert np.abs(left[:, 5] - right[:, 5]).max() <= 60  # volumes are rounded minute by minute
