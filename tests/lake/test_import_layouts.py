"""The files of other programs and exchanges, written here as they write them: to the unit, or refused."""

from __future__ import annotations

import gzip
import hashlib

import numpy as np
import pandas as pd
import pytest
from lake.files import MINUTE, START, agg_trades, bars, freqtrade, klines, trades, zipped
from lake.test_imports import exact

from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.lake import Kind, Lake, Series
from twinstar_kit.lake.imports import import_bars

FUTURE = "BTC/USDT:USDT"


@pytest.fixture
def lake(tmp_path):
    with Lake(tmp_path / "lake") as opened:
        yield opened


def held(lake):
    return {str(info.series): info.rows for info in lake.series()}


def ticks(lake, exchange, symbol="BTC/USDT"):
    series = Series(exchange, symbol, kind=Kind.TRADES)
    return np.vstack([chunk.rows for chunk in lake.scan(series)]).tolist()


def exact_trades(table):
    """Trades in units of 1e-8, from their decimal text."""

    def units(value: float) -> int:
        return int(f"{value:.8f}".replace(".", ""))

    rows = [
        [t.timestamp, units(t.price), units(t.amount), 1 if t.side == "buy" else -1, t.id]
        for t in table.itertuples()
    ]
    return sorted(rows, key=lambda row: (row[0], row[4]))


# --- freqtrade ---


@pytest.mark.parametrize("ending", ["feather", "json", "json.gz", "parquet"])
def test_freqtrades_bars(lake, tmp_path, ending):
    table = bars(50, step=5 * MINUTE)
    freqtrade(table, tmp_path / "data" / "kraken" / f"XRP_ETH-5m.{ending}")
    import_bars(lake, tmp_path)
    assert held(lake) == {"kraken XRP/ETH 5m": 50}
    assert lake.read("kraken", "XRP/ETH", "5m").rows.tolist() == exact(table)


def test_freqtrades_folder_with_futures_trades_and_funding(lake, tmp_path):
    folder = tmp_path / "user_data" / "data" / "binance"
    freqtrade(bars(30, step=60 * MINUTE), folder / "futures" / "BTC_USDT_USDT-1h-futures.feather")
    freqtrade(bars(30, step=60 * MINUTE), folder / "futures" / "BTC_USDT_USDT-1h-mark.feather")
    rates = bars(3, step=480 * MINUTE).assign(
        open=[0.0001, -0.00002513, 0.0], high=0.0, low=0.0, close=0.0, volume=0.0
    )
    freqtrade(rates, folder / "futures" / "BTC_USDT_USDT-8h-funding_rate.feather")
    freqtrade(bars(2, step=2_678_400_000), folder / "BTC_USDT-1Mo.feather")
    table = trades(40)
    stored = table.assign(id=table.id.astype(str), type=None, cost=table.price * table.amount)
    stored[["timestamp", "id", "type", "side", "price", "amount", "cost"]].to_feather(
        folder / "BTC_USDT-trades.feather"
    )

    report = import_bars(lake, tmp_path / "user_data")
    assert held(lake) == {
        f"binance {FUTURE} 1h": 30, f"binance {FUTURE} funding": 3, "binance BTC/USDT trades": 40,
    }  # fmt: skip
    skipped = {file.path.rpartition("/")[2]: file.skipped for file in report.files if file.skipped}
    assert skipped == {
        "BTC_USDT_USDT-1h-mark.feather": "mark prices are not what was traded",
        "BTC_USDT-1Mo.feather": "bars of 1Mo have no fixed length",
    }
    assert ticks(lake, "binance") == exact_trades(table)
    (chunk,) = lake.scan(Series("binance", FUTURE, kind=Kind.FUNDING))
    assert chunk.rows[:, 1].tolist() == [100_000_000, -25_130_000, 0]  # units of 1e-12


def test_freqtrades_file_outside_its_folder_needs_the_exchange(lake, tmp_path):
    file = freqtrade(bars(), tmp_path / "BTC_USDT-1m.feather")
    with pytest.raises(UsageError, match="say --exchange"):
        import_bars(lake, file)
    import_bars(lake, file, exchange="okx")
    assert held(lake) == {"okx BTC/USDT 1m": 6}


def test_freqtrades_broken_files_are_one_line(lake, tmp_path):
    file = tmp_path / "BTC_USDT-1m.json"
    for text, says in (
        ("[[1,2,3]]", "row 0: a row is a list of 6"),
        ("{}", "no list of rows"),
        ("[[", "not a readable file"),
        (f'[[{START},1,2,1,2,3],[{START + MINUTE},1,"x",1,2,3]]', "row 1: high is the text 'x'"),
        ("[]", "no rows"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=r"BTC_USDT-1m\.json: ") as caught:
            import_bars(lake, file, exchange="okx")
        assert says in str(caught.value)
    bars().to_feather(tmp_path / "ETH_USDT-1m.feather")
    with pytest.raises(DataError, match="missing column date"):
        import_bars(lake, tmp_path / "ETH_USDT-1m.feather", exchange="okx")
    assert lake.series() == []


# --- Binance ---


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("micro", [False, True])
@pytest.mark.parametrize("ending", ["zip", "csv"])
def test_binances_klines(lake, tmp_path, header, micro, ending):
    table = bars(100)
    folder = tmp_path / "spot" / "monthly" / "klines" / "BTCUSDT" / "1m"
    klines(table, folder / f"BTCUSDT-1m-2025-01.{ending}", header=header, micro=micro)
    import_bars(lake, tmp_path)
    assert lake.read("binance", "BTC/USDT").rows.tolist() == exact(table)


def test_binances_names_do_not_tell_spot_from_swap_outside_their_folders(lake, tmp_path):
    file = klines(bars(), tmp_path / "BTCUSDT-1m-2025-01.zip")
    with pytest.raises(UsageError, match="can be BTC/USDT or BTC/USDT:USDT: say --market spot or swap"):
        import_bars(lake, file)
    import_bars(lake, file, market="swap")
    import_bars(lake, file, symbol="BTC/USDT")
    klines(bars(), tmp_path / "futures" / "um" / "daily" / "ETHUSDT-1m-2025-01-01.zip")
    import_bars(lake, tmp_path / "futures")
    assert held(lake) == {"binance BTC/USDT 1m": 6, f"binance {FUTURE} 1m": 6, "binance ETH/USDT:USDT 1m": 6}


def test_binances_folder_of_days_becomes_one_series_and_contracts_are_left_alone(lake, tmp_path):
    table = bars(3 * 1440)
    for day in range(3):
        rows = table.iloc[day * 1440 : (day + 1) * 1440]
        klines(rows, tmp_path / "spot" / f"BTCUSDT-1m-2025-01-0{day + 1}.zip", micro=day == 2)
    klines(bars(), tmp_path / "futures" / "cm" / "BTCUSD_PERP-1m-2025-01-01.zip")
    klines(bars(), tmp_path / "spot" / "BTCUSDT-1mo-2025-01.zip")
    report = import_bars(lake, tmp_path)  # the lake itself lies there too
    assert held(lake) == {"binance BTC/USDT 1m": 3 * 1440}
    assert lake.read("binance", "BTC/USDT").rows.tolist() == exact(table)
    assert sorted(file.skipped for file in report.files if file.skipped) == [
        "amounts of COIN-M and dated futures count contracts, not coins",
        "bars of 1mo have no fixed length",
    ]


def test_a_checksum_beside_a_file_is_compared(lake, tmp_path):
    file = klines(bars(), tmp_path / "BTCUSDT-1m-2025-01.zip")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    beside = tmp_path / "BTCUSDT-1m-2025-01.zip.CHECKSUM"
    beside.write_text(f"{digest}  {file.name}\n")
    import_bars(lake, file, market="spot")
    beside.write_text(f"{'0' * 64}  {file.name}\n")
    with pytest.raises(DataError, match="SHA-256 is not the one in"):
        import_bars(lake, file, market="spot")


def test_a_damaged_zip_and_strange_columns_are_refused(lake, tmp_path):
    file = klines(bars(2000), tmp_path / "BTCUSDT-1m-2025-01.zip")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="damaged"):
        import_bars(lake, file, market="spot")
    middle = len(whole) // 2
    file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :])
    with pytest.raises(DataError, match="damaged"):
        import_bars(lake, file, market="spot")
    zipped(file, "open_time,open,close,high,low,volume,extra\n1,2,3,4,5,6,7\n")
    with pytest.raises(DataError, match="unknown column extra"):
        import_bars(lake, file, market="spot")
    zipped(file, "1,2,3\n")
    with pytest.raises(DataError, match="a row has 3 fields"):
        import_bars(lake, file, market="spot")
    assert lake.series() == []


@pytest.mark.parametrize("header", [False, True])
@pytest.mark.parametrize("micro", [False, True])
def test_binances_aggregated_trades(lake, tmp_path, header, micro):
    table = trades(300)
    agg_trades(table, tmp_path / "spot" / "BTCUSDT-aggTrades-2025-01.zip", header=header, micro=micro)
    import_bars(lake, tmp_path)
    assert ticks(lake, "binance") == exact_trades(table)


def test_binances_single_trades_do_not_stand_beside_the_aggregated_ones(lake, tmp_path):
    table = trades(20)
    lines = [f"{t.id},{t.price:.8f},{t.amount:.8f},{t.price * t.amount:.8f},{t.timestamp},{t.side == 'sell'},True"
             for t in table.itertuples()]  # fmt: skip
    file = zipped(tmp_path / "spot" / "BTCUSDT-trades-2025-01-01.zip", "\n".join(lines) + "\n")
    for said in ({}, {"exchange": "binance"}):
        with pytest.raises(UsageError, match="would count twice"):
            import_bars(lake, file, **said)
    import_bars(lake, file, exchange="binance_trades")
    assert ticks(lake, "binance_trades") == exact_trades(table)


def test_a_bad_trade_far_down_refuses_what_stands_above_it(lake, tmp_path, monkeypatch):
    monkeypatch.setattr("twinstar_kit.lake.layouts.base.BLOCK", 4096)
    monkeypatch.setattr("twinstar_kit.lake.imports.HELD", 100)
    table = trades(2_000)
    file = agg_trades(table, tmp_path / "spot" / "BTCUSDT-aggTrades-2025-01.zip")
    import_bars(lake, file)
    assert ticks(lake, "binance") == exact_trades(table)
    table.loc[1_700, "amount"] = 0.0
    file = agg_trades(table, tmp_path / "spot" / "ETHUSDT-aggTrades-2025-01.zip")
    with pytest.raises(DataError, match="row 1700: amount must be above zero"):
        import_bars(lake, file)
    assert "binance ETH/USDT trades" not in held(lake)
    import_bars(lake, file, keep_good=True)
    assert held(lake)["binance ETH/USDT trades"] == 1_999


# --- OKX ---


@pytest.mark.parametrize(
    "header",
    [
        "instrument_name,trade_id,side,price,size,created_time",
        "instrument_name,trade_id,side,price,size,created_time,source",
        "trade_id/交易id,side/交易方向,size/数量,price/价格,created_time/成交时间",
    ],
)
def test_okxs_trades(lake, tmp_path, header):
    table = trades(100)
    names = [cell.partition("/")[0] for cell in header.split(",")]
    cells = table.assign(instrument_name="BTC-USDT", source=0).rename(
        columns={"id": "trade_id", "amount": "size", "timestamp": "created_time"}
    )
    text = header + "\n" + cells[names].to_csv(index=False, header=False)
    zipped(tmp_path / "BTC-USDT-trades-2025-01-01.zip", text)
    zipped(tmp_path / "BTC-USDT-SWAP-trades-2025-01-01.zip", text)
    report = import_bars(lake, tmp_path)
    assert ticks(lake, "okx") == exact_trades(table)
    assert [file.skipped for file in report.files if file.skipped] == [
        "sizes of swaps, futures and options count contracts, not coins"
    ]


# --- Bybit ---


def test_bybits_spot_trades(lake, tmp_path):
    table = trades(100, first_id=1)
    cells = table.rename(columns={"amount": "volume"})[["id", "timestamp", "price", "volume", "side"]].assign(
        rpi=0
    )
    (tmp_path / "BTCUSDT_2025-01-01.csv.gz").write_bytes(gzip.compress(cells.to_csv(index=False).encode()))
    import_bars(lake, tmp_path)
    assert ticks(lake, "bybit") == exact_trades(table)


def test_bybits_perpetual_trades(lake, tmp_path):
    table = trades(100)
    ids = [hashlib.md5(str(n).encode()).hexdigest() for n in table.id]
    lines = [
        "timestamp,symbol,side,size,price,tickDirection,trdMatchID,grossValue,homeNotional,foreignNotional"
    ]
    for row, digest in zip(table.itertuples(), ids, strict=True):
        whole = f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:]}"
        seconds = f"{row.timestamp // 1000}.{row.timestamp % 1000:03d}9"
        lines.append(
            f"{seconds},BTCUSDT,{row.side.title()},{row.amount},{row.price},PlusTick,{whole},0,{row.amount},0"
        )
    (tmp_path / "BTCUSDT2025-01-01.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    import_bars(lake, tmp_path)
    expected = table.assign(id=[int(digest[:16], 16) >> 1 for digest in ids])
    assert ticks(lake, "bybit", FUTURE) == exact_trades(expected)


# --- jesse ---


def test_jesses_candle_table_holds_several_series_with_close_before_high(lake, tmp_path):
    one, other = bars(40), bars(30, seed=9)
    parts = [
        one.assign(exchange="Binance Spot", symbol="BTC-USDT", timeframe="1m"),
        other.assign(exchange="Bybit USDT Perpetual", symbol="ETH-USDT", timeframe="1m"),
    ]
    table = pd.concat(parts).assign(id="x")
    order = ["id", "timestamp", "open", "close", "high", "low", "volume", "exchange", "symbol", "timeframe"]
    table[order].to_csv(tmp_path / "candle.csv", index=False)
    import_bars(lake, tmp_path / "candle.csv")
    assert held(lake) == {"binance BTC/USDT 1m": 40, "bybit ETH/USDT:USDT 1m": 30}
    assert lake.read("binance", "BTC/USDT").rows.tolist() == exact(one)
    assert lake.read("bybit", "ETH/USDT:USDT").rows.tolist() == exact(other)
    table.assign(exchange="Nowhere Spot")[order].to_csv(tmp_path / "candle.csv", index=False)
    with pytest.raises(DataError, match="row 0: jesse's exchange 'Nowhere Spot' is unknown"):
        import_bars(lake, tmp_path / "candle.csv")


def test_jesses_arrays_have_no_header_and_are_read_so_only_when_asked_for(lake, tmp_path):
    table = bars(20)
    array = table[["timestamp", "open", "close", "high", "low", "volume"]].to_numpy()
    np.savetxt(tmp_path / "candles.csv", array, delimiter=",", fmt="%.18e")
    said = {"exchange": "binance", "symbol": "BTC/USDT"}
    with pytest.raises(DataError, match="missing column"):
        import_bars(lake, tmp_path / "candles.csv", **said)
    import_bars(lake, tmp_path / "candles.csv", layout="jesse", **said)
    assert lake.read("binance", "BTC/USDT").rows.tolist() == exact(table)
