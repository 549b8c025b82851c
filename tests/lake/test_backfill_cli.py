"""`twinstar data backfill`, `heal` and `maintain` against a local venue, as a shell would call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from commands import Answer, Commands
from lake.bars import MINUTE, START, walk

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.lake import Lake
from twinstar_kit.testing.local_venue import LocalVenue
from twinstar_kit.testing.local_venue.faults import Hole

BARS = 3_000
SINCE, UNTIL = "2025-01-01", "2025-01-03T02:00"
END = START + BARS * MINUTE


def bars_of(symbol: str, seed: int, price: int) -> Bars:
    rows = walk(BARS + 2_000, seed=seed)
    rows[:, 1:5] *= price
    return Bars(Instrument.from_sizes(symbol, "0.01", "0.00001", exchange="binance"), MINUTE, rows)


DATA = [bars_of("BTC/USDT", 0, 10), bars_of("ETH/USDT", 1, 2), bars_of("SOL/USDT", 2, 1)]


@pytest.fixture(scope="module")
def serving():
    with LocalVenue(DATA, clock=ManualClock(END + 86_400_000)) as venue:
        yield venue


@pytest.fixture
def venue(serving: LocalVenue):
    serving.faults.clear()
    serving.log.clear()
    return serving


@pytest.fixture
def run(venue: LocalVenue, home: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    commands = Commands(capsys)

    def run(command: str, *arguments: object) -> Answer:
        place = ["--exchange", "binance", "--endpoint", venue.url, "--lake", tmp_path / "lake"]
        return commands("data", command, *place, *arguments)

    return run


def held(tmp_path: Path, symbol: str) -> np.ndarray:
    with Lake(tmp_path / "lake") as lake:
        return lake.read("binance", symbol).rows


def test_backfill_brings_named_symbols_and_then_nothing(run, venue: LocalVenue, tmp_path: Path):
    window = ("--since", SINCE, "--until", UNTIL, "--json")
    report = run("backfill", "--symbol", "BTC/USDT", "--symbol", "ETHUSDT", *window).json
    assert (report["ok"], report["added"], report["left"]) == (True, 2 * BARS, 0)
    assert [part["series"] for part in report["series"]] == ["binance BTC/USDT 1m", "binance ETH/USDT 1m"]
    assert np.array_equal(held(tmp_path, "BTC/USDT")[:, 4], DATA[0].rows[:BARS, 4] * 10**6)
    venue.log.clear()
    assert run("backfill", *window).json["requests"] == 0
    assert venue.log.count("request") == 0


def test_backfill_takes_the_largest_symbols(run):
    report = run(
        "backfill", "--top", 2, "--quote", "USDT", "--since", SINCE, "--until", "2025-01-01T01:00", "--json"
    ).json
    turnover = {bars.instrument.symbol: float((bars.close * bars.volume)[-1440:].sum()) for bars in DATA}
    largest = sorted(turnover, key=turnover.get, reverse=True)[:2]
    assert [part["series"].split()[1] for part in report["series"]] == largest


def test_heal_fills_a_hole_from_trades_and_the_table_says_so(run, venue: LocalVenue, tmp_path: Path):
    venue.plant(Hole(symbol="BTC/USDT", since_ms=START + 100 * MINUTE, until_ms=START + 110 * MINUTE))
    window = ("--since", SINCE, "--until", "2025-01-01T10:00")
    run("backfill", "--symbol", "BTC/USDT", *window)
    assert len(held(tmp_path, "BTC/USDT")) == 590
    answer = run("heal", *window)
    assert answer.code == 0, answer.err
    head, line = answer.out.splitlines()
    told = dict(
        zip(
            head.replace("from trades", "from_trades").replace("no trade", "no_trade").split(),
            line.rsplit(maxsplit=9),
            strict=True,
        )
    )
    assert (told["holes"], told["from_trades"], told["missing"]) == ("10", "10", "0")
    assert len(held(tmp_path, "BTC/USDT")) == 600


def test_maintain_does_the_round_and_exits_by_what_it_found(run, venue: LocalVenue):
    window = ("--since", SINCE, "--until", UNTIL)
    answer = run("maintain", "--symbol", "BTC/USDT", *window)
    assert answer.code == 0, answer.err
    lines = dict(line.split(maxsplit=1) for line in answer.out.splitlines())
    assert lines["backfill"].startswith("3,000 bars came")
    venue.log.clear()
    again = run("maintain", *window, "--json").json
    assert (again["ok"], again["backfill"]["added"], again["certified"]) == (True, 0, 0)
    assert venue.log.count("request") == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["backfill", "--since", SINCE], ["--symbol", "--top"]),
        (["backfill", "--symbol", "BTC/USDT"], ["since when"]),
        (["backfill", "--symbol", "BTC/USDT", "--since", "soon"], ["soon", "ISO"]),
        (["backfill", "--symbol", "BTC/USDX", "--since", SINCE], ["BTC/USDX", "BTC/USDT"]),
        (["backfill", "--symbol", "BTC/USDT", "--top", 5, "--since", SINCE], ["--symbol", "--top"]),
        (["backfill", "--quote", "USDT", "--since", SINCE], ["--top"]),
        (["backfill", "--symbol", "BTC/USDT", "--timeframe", "7m", "--since", SINCE], ["7m"]),
        (["backfill", "--symbol", "BTC/USDT", "--since", "2099-01-01"], ["2099-01-01", "future"]),
        (["heal", "--symbol", "BTC/USDT"], ["backfill it first"]),
        (["heal"], ["holds no 1m bars of binance", "backfill some first"]),
        (["heal", "--second-venue", "kraken"], ["kraken", "endpoint"]),
        (["maintain"], ["name symbols"]),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_behind(run, tmp_path: Path, arguments, words):
    line = run(*arguments).refusal
    assert all(word in line for word in words), line
    with Lake(tmp_path / "lake") as lake:
        assert lake.series() == []


@pytest.mark.parametrize(
    "endpoint", ["https://api.binance.com", "http://10.0.0.1:80", "127.0.0.1:80", "http://127.0.0.1"]
)
def test_an_endpoint_is_on_this_machine(run, endpoint: str):
    assert (
        "this machine"
        in run("backfill", "--symbol", "BTC/USDT", "--since", SINCE, "--endpoint", endpoint).refusal
    )
