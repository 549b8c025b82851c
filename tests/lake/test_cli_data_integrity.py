"""`twinstar data verify|certificate|status|snapshot` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from commands import Commands
from lake.bars import MINUTE, START, Rows, walk

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Kind, Lake, Series

CONTRACT = {
    "exchange", "symbol", "timeframe", "first", "last", "rows", "gaps", "missing", "duplicates", "violations", "verdict",
}  # fmt: skip
RULES = Instrument.from_sizes("BTC/USDT", "0.01", "0.00001")
NAMES = ("timestamp", "open", "high", "low", "close", "volume")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], home: Path) -> Commands:
    return Commands(capsys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A lake of two venues' minutes; binance has a hole of ten."""
    rows = walk(3_000)
    with Lake(tmp_path / "lake") as lake:
        for exchange, part in (("binance", np.delete(rows, slice(100, 110), axis=0)), ("kraken", rows)):
            series = Series(exchange, "BTC/USDT")
            lake.register(series, RULES)
            lake.write(series, part)
    return tmp_path / "lake"


def save(path: Path, rows: Rows, suffix: str = ".parquet") -> Path:
    table = pl.DataFrame({name: rows[:, k] / (1 if k == 0 else 1e8) for k, name in enumerate(NAMES)})
    table = table.with_columns(pl.col("timestamp").cast(pl.Int64))
    file = path / f"binance_BTCUSDT_spot_1m_2025{suffix}"
    table.write_parquet(file) if suffix == ".parquet" else table.write_csv(file)
    return file


def test_verify_prints_the_contract_and_ends_with_1_when_a_bar_is_missing(run: Commands, folder: Path):
    done = run("data", "verify", "--lake", folder, "--json")
    assert done.code == 1
    binance, kraken = done.json["series"]
    assert set(binance) >= CONTRACT
    assert {key: binance[key] for key in ("exchange", "rows", "gaps", "missing", "duplicates", "violations", "verdict")} == {
        "exchange": "binance", "rows": 2990, "gaps": 1, "missing": 10, "duplicates": 0, "violations": 0, "verdict": "incomplete",
    }  # fmt: skip
    assert (kraken["first"], kraken["last"], kraken["verdict"]) == (START, START + 2_999 * MINUTE, "proven")
    assert (done.json["certificates"], done.json["holds"]) == (2, False)


def test_verify_of_one_proven_series_ends_with_0(run: Commands, folder: Path):
    done = run(
        "data",
        "verify",
        "--lake",
        folder,
        "--exchange",
        "kraken",
        "--symbol",
        "BTCUSDT",
        "--against",
        "binance",
    )
    assert done.code == 0
    assert "second_venue  passed" in done.out
    assert "1 series, 3,000 rows" in done.out
    assert "trades        not run" in done.out


def test_the_lake_is_found_by_the_environment_too(
    run: Commands, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TWINSTAR_LAKE", str(folder))
    assert len(run("data", "verify", "--json").json["series"]) == 2


def test_an_empty_lake_holds_and_says_that_it_is_empty(run: Commands, tmp_path: Path):
    done = run("data", "verify", "--lake", tmp_path / "new", "--json")
    assert (done.code, done.json["series"]) == (0, [])
    assert "is empty" in done.err


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
def test_a_bare_file_is_checked_as_it_lies_there(run: Commands, tmp_path: Path, suffix: str):
    rows = walk(2_000)
    rows[50, 2] = rows[50, 3] - 10
    rows = np.insert(np.delete(rows, [300, 301, 302], axis=0), [700, 700], rows[600], axis=0)
    rows[[1_000, 1_001]] = rows[[1_001, 1_000]]
    done = run("data", "verify", "--data", save(tmp_path, rows, suffix), "--json")
    assert done.code == 1
    (one,) = done.json["series"]
    assert (one["exchange"], one["symbol"], one["timeframe"]) == ("binance", "BTC/USDT", "1m")
    assert (one["rows"], one["gaps"], one["missing"], one["duplicates"]) == (1_999, 1, 3, 2)
    assert one["verdict"] == "violated"
    found = {check["check"]: check["count"] for check in one["checks"]}
    assert (found["ohlc"], found["order"]) == (1, 3)  # two repeated rows came late as well
    assert one["violations"] == 4


def test_a_file_of_whole_bars_is_proven(run: Commands, tmp_path: Path):
    done = run("data", "verify", "--data", save(tmp_path, walk(500)))
    assert done.code == 0
    assert "proven" in done.out


def test_since_and_until_count_what_should_be_there(run: Commands, tmp_path: Path):
    file = save(tmp_path, walk(500))
    done = run(
        "data",
        "verify",
        "--data",
        file,
        "--since",
        "2024-12-31T23:50",
        "--until",
        "2025-01-01T10:00",
        "--json",
    )
    (one,) = done.json["series"]
    assert (one["rows"], one["gaps"], one["missing"]) == (500, 2, 10 + 100)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--exchange", "ftx"), "holds no ftx; it holds binance BTC/USDT 1m, kraken BTC/USDT 1m"),
        (("--symbol", "ETH/USDT"), "holds no ETH/USDT"),
        (("--against", "ftx"), "--against ftx: the lake holds nothing of it"),
        (("--since", "yesterday"), "yesterday"),
        (("--data", "bars.parquet", "--quick"), "leave out --against and --quick"),
        (("--data", "nowhere.parquet"), "no file nowhere.parquet"),
    ],
)
def test_bad_input_is_one_clear_line(run: Commands, folder: Path, arguments: tuple[str, ...], said: str):
    assert said in run("data", "verify", "--lake", folder, *arguments).refusal


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [("close", "cheap", "close is the text 'cheap'"), ("timestamp", 1_735_689_600, "looks like seconds")],
)
def test_what_cannot_be_read_as_bars_is_refused(
    run: Commands, tmp_path: Path, column: str, value: object, said: str
):
    file = tmp_path / "bars.csv"
    row = dict(zip(NAMES, (START, 1, 2, 0.5, 1.5, 3), strict=True)) | {column: value}
    pl.DataFrame({name: [str(cell)] for name, cell in row.items()}).write_csv(file)
    assert said in run("data", "verify", "--data", file).refusal


def test_certificates_are_printed_checked_and_found_changed(run: Commands, folder: Path):
    assert "there is no certificate yet" in run("data", "certificate", "--lake", folder).refusal
    assert (
        "there is no certificate to check yet"
        in run("data", "certificate", "--check", "--lake", folder).refusal
    )
    run("data", "verify", "--lake", folder)
    table = run("data", "certificate", "--lake", folder)
    assert [line.split()[3:5] for line in table.out.splitlines()[1:]] == [
        ["2025-01", "incomplete"],
        ["2025-01", "proven"],
    ]
    full = run("data", "certificate", "--lake", folder, "--exchange", "binance", "--month", "2025-01")
    assert "<Certificate 1 of binance BTC/USDT 1m 2025-01: incomplete" in full.out
    assert "10 bars missing" in full.out
    one, other = run("data", "certificate", "--lake", folder, "--json").json["certificates"]
    assert (one["series"], one["missing"], other["missing"]) == ("binance BTC/USDT 1m", 10, 0)
    assert run("data", "certificate", "--check", "--lake", folder).code == 0

    (file,) = (folder / "kraken").rglob("*.parquet")
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(data)
    done = run("data", "certificate", "--check", "--lake", folder, "--json")
    assert (done.code, done.json["ok"], done.json["certificates"]) == (1, False, 2)
    assert [fault["series"] for fault in done.json["faults"]] == ["kraken BTC/USDT 1m"]


def test_status_tells_coverage_and_what_is_certified(run: Commands, folder: Path):
    before = run("data", "status", "--lake", folder, "--json").json
    binance, kraken = before["series"]
    assert (binance["coverage"], binance["gaps"], binance["missing"]) == (pytest.approx(2990 / 3000), 1, 10)
    assert (kraken["coverage"], kraken["months_certified"], kraken["verdict"]) == (1.0, 0, None)
    assert kraken["behind_ms"] > 0
    assert before["rows"] == 5_990
    run("data", "verify", "--lake", folder)
    after = run("data", "status", "--lake", folder)
    assert [line.split()[-1] for line in after.out.splitlines()[1:3]] == ["incomplete", "proven"]
    assert "1 of 1 months" in after.out


def test_snapshots_are_made_and_listed(run: Commands, folder: Path):
    made = run("data", "snapshot", "before", "--lake", folder, "--json").json
    assert made["name"] == "before"
    assert run("data", "snapshot", "--list", "--lake", folder, "--json").json == {"snapshots": [made]}
    assert "before" in run("data", "snapshot", "--list", "--lake", folder).out
    assert "not both" in run("data", "snapshot", "before", "--list", "--lake", folder).refusal


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "gaps", "missing"),
    [
        ("binance_BTCUSDT_spot_1m_20210326", 2, 434),
        ("binance_ETHUSDT_spot_1m_20210809", 1, 270),
        ("kraken_BTCUSDC_spot_1m_2023", 26_746, 72_883),
        ("bitfinex_BTCUSD_spot_1m_2018", 3_992, 5_101),
    ],
)
def test_the_gaps_of_real_files_alone_and_in_a_lake(
    run: Commands, tmp_path: Path, real_data: Path, name: str, gaps: int, missing: int
):
    file = real_data / "ohlcv" / f"{name}.parquet"
    (alone,) = run("data", "verify", "--data", file, "--json").json["series"]
    exchange, symbol = name.split("_")[:2]
    lake = ("--lake", tmp_path / "lake")
    assert (
        run(
            "data", "import", file, "--exchange", exchange, "--symbol", symbol, "--timeframe", "1m", *lake
        ).code
        == 0
    )
    (stored,) = run("data", "verify", *lake, "--json").json["series"]
    assert [
        (one["gaps"], one["missing"], one["duplicates"], one["violations"]) for one in (alone, stored)
    ] == [(gaps, missing, 0, 0)] * 2


def test_what_is_simulated_says_so_and_trades_are_named(run: Commands, tmp_path: Path):
    with Lake(tmp_path / "lake") as lake:
        for series, rows in (
            (Series("toy", "BTC/USDT"), walk(10)),
            (Series("toy", "BTC/USDT", kind=Kind.TRADES), [[START, 100, 1, 1, 7]]),
        ):
            lake.register(series, RULES, simulated=True)
            lake.write(series, rows)
    out = run("data", "status", "--lake", tmp_path / "lake").out
    assert "1m SIMULATED" in out
    assert "trades SIMULATED" in out
    lines = run("data", "verify", "--lake", tmp_path / "lake").out.splitlines()
    assert {line.split()[2] for line in lines[1:3]} == {"1m", "trades"}
