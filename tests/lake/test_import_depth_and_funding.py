"""Book changes and funding rates from tables: to the unit, there and back, and the real ones as they were captured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import Commands
from lake.lakes import DEPTH, FUNDING, INSTRUMENT, depth_rows, funding_rows

from twinstar_kit.kernel.errors import DataError
from twinstar_kit.lake import Kind, Lake, Series
from twinstar_kit.lake.exports import export
from twinstar_kit.lake.imports import import_bars

START = 1_735_689_600_000


@pytest.fixture
def lake(tmp_path: Path):
    with Lake(tmp_path / "lake") as opened:
        yield opened


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], home: Path) -> Commands:
    return Commands(capsys)


def changes(**other: list[object]) -> pl.DataFrame:
    """Three changes of a book and a level of a snapshot."""
    columns: dict[str, list[object]] = {
        "timestamp": [START, START, START + 100, START + 100], "update_id": [7, 7, 8, 9],
        "side": ["bid", "ask", "bid", "ask"], "price": [93_576.01, 93_576.02, 93_576.0, 93_580.5],
        "amount": [0.5, 1.25, 0.0, 3.0], "flags": [0, 0, 0, 1],
    }  # fmt: skip
    return pl.DataFrame(columns | other)


@pytest.mark.parametrize("ending", ["parquet", "csv", "feather"])
def test_book_changes_by_their_columns(lake: Lake, tmp_path: Path, ending: str):
    file = tmp_path / f"book.{ending}"
    {"parquet": changes().write_parquet, "csv": changes().write_csv, "feather": changes().write_ipc}[ending](
        file
    )
    assert import_bars(lake, file, exchange="binance", symbol="BTC/USDT").total("added") == 4
    assert lake.read("binance", "BTC/USDT", kind=Kind.DEPTH).rows.tolist() == [
        [START, 7, -1, 9_357_602_000_000, 125_000_000, 0],
        [START, 7, 1, 9_357_601_000_000, 50_000_000, 0],
        [START + 100, 8, 1, 9_357_600_000_000, 0, 0],
        [START + 100, 9, -1, 9_358_050_000_000, 300_000_000, 1],
    ]


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        ("side", ["bid", "ask", "buy", "ask"], "row 2: side is 'buy', neither bid nor ask"),
        ("amount", [0.5, -1.0, 0.0, 3.0], "row 1: amount must not be negative; 0 deletes a level"),
        ("price", [0.0, 1.0, 2.0, 3.0], "row 0: price must be above zero"),
        ("update_id", ["7", "x", "8", "9"], "row 1: update_id is the text 'x'"),
        (
            "timestamp",
            [START, 10_000_000_000, START, START],
            "row 1: timestamp 10000000000 looks like seconds",
        ),
    ],
)
def test_a_bad_change_refuses_the_file(
    lake: Lake, tmp_path: Path, column: str, values: list[object], said: str
):
    file = tmp_path / "book.csv"
    changes(**{column: values}).write_csv(file)
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        import_bars(lake, file, exchange="binance", symbol="BTC/USDT")
    assert lake.series() == []


@pytest.mark.parametrize("name", ["rate", "funding_rate"])
def test_funding_rates_by_their_columns(lake: Lake, tmp_path: Path, name: str):
    file = tmp_path / "rates.csv"
    file.write_text(f"timestamp,{name}\n{START + 7},0.0001\n{START + 28_800_011},-0.00003125\n")
    import_bars(lake, file, exchange="binance", symbol="BTC/USDT:USDT")
    rows = lake.read("binance", "BTC/USDT:USDT", kind=Kind.FUNDING).rows
    assert rows.tolist() == [[START + 7, 100_000_000], [START + 28_800_011, -31_250_000]]


@pytest.mark.parametrize("ending", ["parquet", "csv", "feather"])
@pytest.mark.parametrize(("series", "rows"), [(DEPTH, depth_rows(500)), (FUNDING, funding_rows(50))])
def test_an_export_comes_back_to_the_unit(lake: Lake, tmp_path: Path, ending: str, series: Series, rows):
    lake.register(series, INSTRUMENT)
    lake.write(series, rows)
    (written,) = export(lake, series, tmp_path / f"out.{ending}", format=ending)
    with Lake(tmp_path / "other") as other:
        other.register(series, INSTRUMENT)
        import_bars(other, written.path, exchange=series.exchange, symbol=series.symbol)
        back = other.read(series.exchange, series.symbol, kind=series.kind).rows
    assert (back == lake.read(series.exchange, series.symbol, kind=series.kind).rows).all()
    assert len(back) == len(rows)


# --- as exchanges sent them ---


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "symbol", "rows"),
    [
        ("binance_spot_BTCUSDT_depth_20240808", "BTC/USDT", 126_090),
        ("binance_spot_ETHUSDT_depth_20240808", "ETH/USDT", 108_814),
        ("binance_usdm_BTCUSDT_depth_20240808", "BTC/USDT:USDT", 445_521),
    ],
)
def test_a_captured_book_is_read_back_exactly(
    run: Commands, tmp_path: Path, real_data: Path, name: str, symbol: str, rows: int
):
    captured = pl.read_parquet(real_data / "l2" / f"{name}.parquet")
    book = captured.select(
        timestamp=pl.coalesce("event_ms", pl.col("local_ts_ns") // 1_000_000),  # a snapshot has no event's time
        update_id="last_update_id", side="side", price="price", amount="amount",
        flags=(pl.col("type") == "snapshot").cast(pl.Int64),
    )  # fmt: skip
    book.write_parquet(tmp_path / "book.parquet")
    lake = ("--lake", tmp_path / "lake")
    command = (
        "data",
        "import",
        tmp_path / "book.parquet",
        "--exchange",
        "binance",
        "--symbol",
        symbol,
        *lake,
    )
    assert run(*command, "--json").json["added"] == rows
    assert run(*command, "--json").json["same"] == rows
    wanted = book.with_columns(
        pl.when(pl.col("side") == "bid").then(1).otherwise(-1).alias("side"),
        *((pl.col(column) * 1e8).round().cast(pl.Int64) for column in ("price", "amount")),
    ).sort("timestamp", "update_id", "side", "price")
    with Lake(tmp_path / "lake") as opened:
        found = opened.read("binance", symbol, kind=Kind.DEPTH)
        assert (found.rows == wanted.to_numpy()).all()
        size = opened.info(Series("binance", symbol, kind=Kind.DEPTH)).bytes
    assert size < 12 * rows
    assert run("data", "verify", *lake).code == 0


@pytest.mark.real_data
def test_the_jitter_of_real_funding_times_is_kept(run: Commands, tmp_path: Path, real_data: Path):
    file = real_data / "funding" / "binance_XRPUSDT_perp_funding_8h_202111.parquet"
    lake = ("--lake", tmp_path / "lake")
    done = run("data", "import", file, "--market", "swap", *lake, "--json")
    assert done.json["files"][0]["series"] == ["binance XRP/USDT:USDT funding"]
    table = pl.read_parquet(file)
    with Lake(tmp_path / "lake") as opened:
        found = opened.read("binance", "XRP/USDT:USDT", kind=Kind.FUNDING)
    assert found.rows[:, 0].tolist() == table["timestamp"].to_list()
    assert np.allclose(found.rows[:, 1] / 1e12, table["funding_rate"].to_numpy(), rtol=0, atol=1e-13)
    assert (found.rows[:, 0] % 28_800_000 != 0).sum() == 59
