"""`backtest`, `paper`, `parity`, `journal` and `jobs` from the command line: reports, exit codes, every bad input."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import nbformat
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from commands import Commands

from twinstar_kit.feeds import SimulatedMarket, save_bars

FIRST = 1_735_689_600_000
REPORT = {
    "strategy", "params", "exchange", "symbol", "timeframe", "bars", "start_balance", "end_balance", "orders",
    "fills", "fees_paid", "metrics", "journal_digest", "data_digest", "seconds", "bars_per_second",
}  # fmt: skip
METRICS = {
    "total_return", "cagr", "volatility", "sharpe", "sortino", "calmar", "max_drawdown", "max_drawdown_days",
    "win_rate", "profit_factor", "expectancy", "sqn", "exposure", "trades", "avg_trade", "best_trade", "worst_trade",
    "var_95", "cvar_95", "omega",
}  # fmt: skip


@pytest.fixture
def twinstar(capsys: pytest.CaptureFixture[str], home: Path) -> Commands:
    """Runs a command under a fresh home."""
    return Commands(capsys)


@pytest.fixture(scope="module")
def bars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two simulated days of BTC/USDT in a file."""
    path = tmp_path_factory.mktemp("bars") / "btc_1m.parquet"
    market = SimulatedMarket(7)
    return save_bars(market.bars("BTC/USDT", FIRST, FIRST + 2 * 86_400_000), path)


# --- reports ---


def test_backtest_reports_what_the_contract_names(twinstar, bars: Path):
    report = twinstar("backtest", "breakout", "--data", bars, "--json").json
    assert report.keys() >= REPORT
    assert report["metrics"].keys() >= METRICS
    assert (report["strategy"], report["symbol"], report["bars"]) == ("breakout", "BTC/USDT", 2_880)
    assert report["fills"] > 0


def test_settings_reach_parameters_broker_and_window(twinstar, bars: Path):
    changed = ["--set", "lookback=20", "--set", "start_balance=500", "--set", "since=2025-01-01T12:00"]
    report = twinstar("backtest", "breakout", "--data", bars, "--json", *changed).json
    assert report["params"]["lookback"] == 20
    assert report["start_balance"] == 500
    assert report["bars"] == 2_880 - 720


WEEK = ["--set", "since=2025-01-01", "--set", "until=2025-01-08", "--timeframe", "15m"]


def test_a_perpetual_is_run_in_what_it_settles_in(twinstar):
    inverse = [
        "--feed",
        "simulated:7",
        "--symbol",
        "BTC/USD:BTC",
        "--set",
        "start_balance=1",
        "--set",
        "amount=200",
    ]
    report = twinstar("backtest", "sma_cross", *inverse, *WEEK, "--json").json
    assert (report["symbol"], report["start_balance"]) == ("BTC/USD:BTC", 1.0)
    assert report["fills"] > 2
    assert 0.9 < report["end_balance"] < 1.1  # coins, not dollars
    assert "Funding is left out: bars do not tell it." in report["notes"]
    assert "agree over 672 bars" in twinstar("parity", "sma_cross", *inverse, *WEEK).out


def test_leverage_says_how_much_may_be_held(twinstar):
    perpetual = ["--feed", "simulated:7", "--symbol", "BTC/USDT:USDT", *WEEK, "--set", "amount=0.3"]
    assert (
        twinstar("backtest", "sma_cross", *perpetual, "--json").json["fills"] == 0
    )  # 0.3 BTC cost more than 10,000
    geared = twinstar("backtest", "sma_cross", *perpetual, "--set", "leverage=5", "--json").json
    assert geared["fills"] > 2
    for wrong in ("0", "2.5", "much"):
        line = twinstar("backtest", "sma_cross", *perpetual, "--set", f"leverage={wrong}").refusal
        assert "leverage" in line
        assert "whole number" in line
    assert "fee_tiers" in twinstar("backtest", "sma_cross", *perpetual, "--set", "fee_tiers=1").refusal


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A feed over two files that do not say which market they are of: three minutes of a book and its trades."""
    folder, start = tmp_path_factory.mktemp("recorded"), FIRST
    rows = [
        (n, side, 100.0 + way * (1 + n % 3), 5.0)
        for n in range(180)
        for side, way in (("bid", -1), ("ask", 1))
    ]
    book = {
        "local_ts_ns": [(start + 1_000 * n) * 1_000_000 for n, *_ in rows],
        "event_ms": [start + 1_000 * n for n, *_ in rows],
        "transact_ms": pa.nulls(len(rows), pa.int64()),
        "prev_update_id": pa.nulls(len(rows), pa.int64()),
        "first_update_id": [n for n, *_ in rows],
        "last_update_id": [n for n, *_ in rows],
        "type": ["update" if n else "snapshot" for n, *_ in rows],
        "side": [side for _, side, *_ in rows],
        "price": [price for *_, price, _ in rows],
        "amount": [amount for *_, amount in rows],
    }
    trades = {
        "local_ts_ns": [(start + 1_000 * n + 500) * 1_000_000 for n in range(180)],
        "timestamp": [start + 1_000 * n + 500 for n in range(180)],
        "price": [100.0 + 0.01 * (n % 5) for n in range(180)],
        "amount": [0.5] * 180,
        "side": ["buy", "sell"] * 90,
        "id": list(range(180)),
    }
    for name, columns in (("book", book), ("trades", trades)):
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return f"depth:{folder / 'book.parquet'},trades:{folder / 'trades.parquet'}"


def test_symbol_and_grid_say_what_the_files_of_a_feed_are_of(twinstar, recorded: str, bars: Path):
    named = ["--symbol", "BTCUSDT", "--set", "tick=0.01", "--set", "lot=0.001"]
    for feed in (recorded, f"replay:{bars}"):
        report = twinstar("backtest", "sma_cross", "--feed", feed, *named, "--json").json
        assert report["symbol"] == "BTC/USDT"
        live = twinstar(
            "paper", "sma_cross", "--feed", feed, *named, "--speed", "max", "--account", "a", "--json"
        )
        assert live.json["journal_digest"] == report["journal_digest"]
    assert "no file" in twinstar("backtest", "sma_cross", "--feed", "depth:/nowhere/book.parquet").refusal


def test_people_get_lines_and_a_word_about_simulated_data(twinstar, bars: Path):
    answer = twinstar("backtest", "sma_cross", "--data", bars, "--timeframe", "5m")
    assert answer.code == 0
    lines = dict(line.split(maxsplit=1) for line in answer.out.splitlines() if line)
    assert lines["timeframe"] == "5m"
    assert "max_drawdown" in lines
    assert "SIMULATED" in answer.err


def test_a_feed_serves_as_well_as_a_file(twinstar, bars: Path):
    window = ["--set", "since=2025-01-01", "--set", "until=2025-01-03"]
    fed = twinstar("backtest", "breakout", "--feed", "simulated:7", "--json", *window).json
    filed = twinstar("backtest", "breakout", "--data", bars, "--json").json
    assert fed["data_digest"] == filed["data_digest"]
    assert fed["journal_digest"] == filed["journal_digest"]


def test_paper_parity_and_the_stored_journal_agree_with_the_backtest(twinstar, bars: Path, tmp_path: Path):
    tested = twinstar("backtest", "breakout", "--data", bars, "--json").json
    traded = twinstar("paper", "breakout", "--feed", f"replay:{bars}", "--speed", "max", "--json").json
    assert traded["journal_digest"] == tested["journal_digest"]
    assert traded["metrics"] == tested["metrics"]

    journal = traded["journal"]
    fresh = [sys.executable, "-m", "twinstar_kit", "journal", "digest", journal]
    done = subprocess.run(fresh, capture_output=True, text=True)
    assert done.stdout == tested["journal_digest"] + "\n"
    assert twinstar("journal", "verify", journal, "--json").json["ok"]

    over_data = twinstar("parity", "breakout", "--data", bars, "--json").json
    assert (over_data["differences"], over_data["fills"]) == (0, tested["fills"])
    over_journal = twinstar("parity", "--journal", journal, "--json").json
    assert (over_journal["differences"], over_journal["waterfall"]) == (0, [])

    exported = tmp_path / "events.csv"
    assert twinstar("journal", "export", journal, "-o", exported).code == 0
    assert exported.read_text().count(",FILLED,") == tested["fills"]


def test_a_damaged_journal_fails_its_verification(twinstar, bars: Path):
    journal = Path(
        twinstar("paper", "breakout", "--feed", f"replay:{bars}", "--speed", "max", "--json").json["journal"]
    )
    content = bytearray(journal.read_bytes())
    content[len(content) // 2] ^= 1
    journal.write_bytes(content)
    answer = twinstar("journal", "verify", journal, "--json")
    assert answer.code == 1
    assert not answer.json["ok"]
    assert answer.json["fault"]


def test_a_strategy_of_ones_own_runs_from_its_file(twinstar, bars: Path, tmp_path: Path):
    (tmp_path / "ideas.py").write_text(
        "from twinstar_kit import Param, Strategy\n\n\n"
        "class Patient(Strategy):\n"
        "    wait: int = Param(10, 1, 100)\n"
        "    seen: int = 0\n\n"
        "    def on_bar(self, ctx):\n"
        "        self.seen += 1\n"
        "        if self.seen == self.wait:\n"
        "            ctx.buy()\n"
    )
    report = twinstar(
        "backtest", f"{tmp_path}/ideas.py:Patient", "--data", bars, "--set", "wait=5", "--json"
    ).json
    assert (report["params"], report["fills"]) == ({"wait": 5}, 1)


# --- bad input: one line that names the rule and the way out, exit 2, nothing left behind ---

HEADER = "timestamp,open,high,low,close,volume"
ROWS = [f"{FIRST + 60_000 * i},100,101,99,100,1" for i in range(5)]
FILES = {
    "column.csv": ["timestamp,open,high,low,last,volume", *ROWS],
    "unsorted.csv": [HEADER, ROWS[1], ROWS[0], *ROWS[2:]],
    "duplicate.csv": [HEADER, ROWS[0], *ROWS],
    "nan.csv": [HEADER, *ROWS[:2], f"{FIRST + 120_000},100,101,99,nan,1", *ROWS[3:]],
    "text.csv": [HEADER, *ROWS[:2], f"{FIRST + 120_000},100,101,99,soon,1", *ROWS[3:]],
    "empty.csv": [HEADER],
}


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("nothing.parquet", ["nothing.parquet"]),
        ("column.csv", ["close"]),
        ("unsorted.csv", ["row 1"]),
        ("duplicate.csv", ["row 1"]),
        ("nan.csv", ["row 2", "close"]),
        ("text.csv", ["close", "soon"]),
        ("empty.csv", ["empty.csv"]),
    ],
)
def test_a_bad_file_is_named_with_its_row_and_rule(twinstar, tmp_path: Path, file: str, words: list[str]):
    if file in FILES:
        (tmp_path / file).write_text("\n".join(FILES[file]) + "\n")
    line = twinstar("backtest", "breakout", "--data", tmp_path / file).refusal
    assert all(word in line for word in [file, *words]), line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backtest", "breakot"], ["breakot", "breakout"]),
        (["backtest", "no/such/file.py:Mine"], ["no/such/file.py"]),
        (["backtest", "breakout", "--set", "lokback=20"], ["lokback", "lookback"]),
        (["backtest", "breakout", "--set", "lookback=1"], ["lookback", "1", "5"]),
        (["backtest", "breakout", "--set", "lookback=many"], ["lookback", "many", "whole number"]),
        (["backtest", "breakout", "--set", "fee_taker=2"], ["fee_taker", "2"]),
        (["backtest", "breakout", "--set", "fill=yesterday"], ["fill", "next_open"]),
        (["backtest", "breakout", "--set", "start_balance=lots"], ["start_balance", "lots"]),
        (["backtest", "breakout", "--set", "since=2031-01-01"], ["since"]),
        (["backtest", "breakout", "--set", "tick=0"], ["tick"]),
        (["backtest", "breakout", "--timeframe", "7x"], ["7x"]),
        (["backtest", "breakout", "--symbol", "BTC-"], ["BTC-"]),
    ],
)
def test_a_bad_setting_is_named_with_its_way_out(
    twinstar, bars: Path, arguments: list[str], words: list[str]
):
    line = twinstar(*arguments, "--data", bars).refusal
    assert all(word in line for word in words), line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backtest", "breakout"], ["--data PATH", "--feed FEED"]),
        (["backtest", "breakout", "--data", "a", "--data", "b"], ["--data is given 2 times"]),
        (["backtest", "breakout", "--feed", "simulated"], ["since=2025-01-01"]),
        (["backtest", "breakout", "--feed", "simulatd"], ["simulatd", "did you mean simulated?"]),
        (["parity", "--data", "a"], ["STRATEGY"]),
        (
            ["paper", "breakout", "--feed", "simulated", "--symbol", "BTC/USDX", "--for", "1h"],
            ["BTC/USDX", "BTC/USDT"],
        ),
        (["paper", "breakout", "--feed", "replay:none.csv"], ["none.csv"]),
        (["paper", "breakout", "--for", "a while"], ["--for", "8h"]),
        (["paper", "breakout", "--speed", "warp"], ["speed", "warp", "max"]),
        (["paper", "breakout", "--speed", "max"], ["--for"]),
        (["paper", "breakout", "--account", "../x", "--for", "1h"], ["account", "../x"]),
        (["jobs", "run", "daily_reprt"], ["daily_reprt", "daily_report"]),
        (["jobs", "run", "daily_report", "-p", "dayz=1"], ["dayz"]),
    ],
)
def test_a_request_that_cannot_be_is_refused_and_leaves_nothing(
    twinstar, home: Path, arguments: list[str], words: list[str]
):
    line = twinstar(*arguments).refusal
    assert all(word in line for word in words), line
    assert not [path for path in home.rglob("*") if path.is_file() and path.suffix in {".db", ".ipynb"}]


def test_a_second_run_on_one_account_is_refused(twinstar, home: Path, bars: Path):
    from twinstar_kit.journal.folder import AccountFolder

    with AccountFolder(home, "mine").lock("the test"):
        line = twinstar(
            "paper", "breakout", "--feed", f"replay:{bars}", "--speed", "max", "--account", "mine"
        ).refusal
    assert "mine" in line
    assert (
        twinstar("paper", "breakout", "--feed", f"replay:{bars}", "--speed", "max", "--account", "mine").code
        == 0
    )


# --- jobs ---


@pytest.fixture
def templates(tmp_path: Path) -> Path:
    """A folder with one job that divides."""
    cells = [
        nbformat.v4.new_markdown_cell("# Divides\n\nSays what 12 divided by a number is."),
        nbformat.v4.new_code_cell("by: int = 3  # the number", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(12 // by)"),
    ]
    folder = tmp_path / "templates"
    folder.mkdir()
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "divide.ipynb")
    return folder


def test_jobs_are_listed_with_their_parameters(twinstar, templates: Path):
    (job,) = twinstar("jobs", "list", "--templates", templates, "--json").json["jobs"]
    assert (job["name"], job["parameters"], job["types"]) == ("divide", {"by": 3}, {"by": "int"})
    assert "by=3" in twinstar("jobs", "list", "--templates", templates).out


def test_a_job_leaves_its_notebook_and_a_line_of_history(twinstar, templates: Path):
    ran = twinstar("jobs", "run", "divide", "-p", "by=4", "--templates", templates)
    assert ran.code == 0, ran.err
    book = nbformat.read(ran.out.strip(), as_version=4)
    assert [cell.outputs[0].text for cell in book.cells if cell.get("outputs")] == ["3\n"]

    broken = twinstar("jobs", "run", "divide", "-p", "by=0", "--templates", templates, "--json")
    assert broken.code == 1
    assert broken.json["status"] == "failed"
    assert "ZeroDivisionError" in broken.err

    runs = twinstar("jobs", "history", "--json").json["runs"]
    assert [(run["parameters"]["by"], run["status"]) for run in runs] == [(0, "failed"), (4, "done")]
    lines = twinstar("jobs", "history", "divide", "--limit", "1").out.splitlines()
    assert len(lines) == 2
    assert "failed" in lines[1]


def test_a_parameter_of_another_type_is_refused_before_anything_runs(twinstar, templates: Path):
    line = twinstar("jobs", "run", "divide", "-p", "by=four", "--templates", templates).refusal
    assert all(word in line for word in ("by", "int", "four"))
    assert twinstar("jobs", "history", "--json").json == {"runs": []}
