"""`twinstar data import`, `data export` and back-tests over the lake, as a user types them."""

from __future__ import annotations

import pandas as pd
import pytest
from commands import Commands
from lake.files import bars, freqtrade, klines, write

from twinstar_kit import backtest
from twinstar_kit.lake import Lake


@pytest.fixture
def twinstar(capsys, home, monkeypatch):
    monkeypatch.setenv("TWINSTAR_LAKE", str(home / "lake"))  # --lake changes it, which ends with the test
    return Commands(capsys)


@pytest.fixture
def file(tmp_path):
    return write(bars(3_000), tmp_path / "btc.csv")


SAID = ("--exchange", "binance", "--symbol", "BTCUSDT", "--timeframe", "1m")


def test_import_then_export_then_the_same_numbers(twinstar, file, tmp_path):
    report = twinstar("data", "import", str(file), *SAID, "--json").json
    assert (report["added"], report["files"][0]["series"]) == (3_000, ["binance BTC/USDT 1m"])
    report = twinstar("data", "import", str(file), *SAID, "--json").json
    assert (report["added"], report["same"]) == (0, 3_000)
    out = tmp_path / "out.feather"
    report = twinstar("data", "export", *SAID, "--format", "feather", "--to", str(out), "--json").json
    assert report["rows"] == 3_000
    pd.testing.assert_frame_equal(pd.read_feather(out), pd.read_csv(file), check_exact=True)


def test_the_table_names_what_was_refused_and_the_exit_says_so(twinstar, tmp_path):
    folder = tmp_path / "user_data" / "data" / "okx"
    freqtrade(bars(), folder / "BTC_USDT-1m.feather")
    table = bars()
    table.loc[3, "high"] = 1.0
    freqtrade(table, folder / "ETH_USDT-1m.feather")
    answer = twinstar("data", "import", str(tmp_path / "user_data"))
    assert answer.code == 1
    assert "row 3: open lies above high" in answer.out
    answer = twinstar("data", "import", str(tmp_path / "user_data"), "--dry-run")
    assert "nothing was written" in answer.err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["data", "import", "nowhere.csv"], "no file or folder nowhere.csv"),
        (["data", "import", "nowhere.csv", "--set", "fee=1"], "--set takes tick and lot here, not fee"),
        (["data", "export", "--exchange", "okx", "--to", "x"], "the lake holds no such series"),
        (["data", "export", "--kind", "books", "--to", "x"], "kind 'books'"),
        (
            ["backtest", "breakout", "--exchange", "okx", "--symbol", "BTC/USDT"],
            "the lake holds no okx BTC/USDT 1m",
        ),
        (["backtest", "breakout", "--exchange", "okx"], "say what to run over"),
    ],
)
def test_bad_input_is_one_line(twinstar, words, says):
    assert says in twinstar(*words).refusal


def test_an_ambiguous_name_asks_for_the_market(twinstar, tmp_path):
    file = klines(bars(), tmp_path / "BTCUSDT-1m-2025-01.zip")
    assert "--market spot or swap" in twinstar("data", "import", str(file)).refusal
    assert twinstar("data", "import", str(file), "--market", "spot").code == 0


def test_a_backtest_over_the_lake_is_the_one_over_the_file(twinstar, file, tmp_path):
    lake = str(tmp_path / "lake")
    twinstar("data", "import", str(file), *SAID, "--lake", lake)
    stored = twinstar("backtest", "sma_cross", "--exchange", "binance", "--symbol", "BTC/USDT", "--timeframe", "15m",
                      "--lake", lake, "--json").json  # fmt: skip
    loaded = twinstar("backtest", "sma_cross", "--data", str(file), "--exchange", "binance", "--symbol", "BTC/USDT",
                      "--timeframe", "15m", "--json").json  # fmt: skip
    assert (stored["bars"], stored["exchange"], stored["symbol"]) == (200, "binance", "BTC/USDT")
    assert stored["journal_digest"] == loaded["journal_digest"]
    assert stored["data_digest"] == loaded["data_digest"]
    with Lake(lake) as opened:
        reading = opened.read("binance", "BTC/USDT", "15m")
        assert backtest("sma_cross", reading).journal_digest == stored["journal_digest"]
