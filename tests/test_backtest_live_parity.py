"""One kernel: a back-test, a paper run and a stored journal are the same events, and a difference of one tick shows."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from session.builders import Restless, walk

from twinstar_kit.feeds import load_bars
from twinstar_kit.journal import Journal, JournalReader
from twinstar_kit.kernel.bars import CLOSE, HIGH, LOW, Bars
from twinstar_kit.session import backtest, live, load_run, paper, parity
from twinstar_kit.session.proof import row_text
from twinstar_kit.strategy import load

BARS = walk(20_000, seed=4)
REAL = "binance_BTCUSDT_spot_1m_20250101.parquet"
STRATEGIES = ["breakout", "sma_cross"]
DIGEST = (
    "import sys, json; from twinstar_kit.journal import JournalReader; "
    "print(json.dumps([JournalReader(path).digest() for path in sys.argv[1:]]))"
)


def digests_in_a_fresh_process(*journals: Path) -> list[dict]:
    command = [sys.executable, "-c", DIGEST, *map(str, journals)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def check_all_ways_agree(strategy: str, bars: Bars, feed: str | None, **broker) -> None:
    """Back-test, parity, two paper runs and their stored journals: no difference, one digest."""
    from twinstar_kit.feeds.replay import Replay

    expected = backtest(strategy, bars, **broker)
    assert len(expected.fill_records) > 50
    report = parity(strategy, bars, **broker)
    assert report.to_dict() == {
        "strategy": strategy, "bars": len(bars), "orders": expected.order_count, "fills": len(expected.fill_records),
        "differences": 0, "waterfall": [], "compared": ["backtest", "live"],
    }  # fmt: skip
    assert "agree over" in str(report)
    runs = [paper(strategy, feed or Replay([bars]), speed="max", **broker) for _ in range(2)]
    assert runs[0].journal != runs[1].journal
    told = digests_in_a_fresh_process(*(run.journal for run in runs))
    for run, stored in zip(runs, told, strict=True):
        assert run.journal_digest == stored["journal_digest"] == expected.journal_digest
        assert run.data_digest == stored["data_digest"] == expected.data_digest
        assert load_run(run.journal).journal_digest == expected.journal_digest
        assert run.metrics == expected.metrics
        assert parity(journal=run.journal).differences == 0
    assert backtest(strategy, bars, **broker).journal_digest == expected.journal_digest


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize(
    "broker",
    [
        {},
        {"fill": "close", "slippage_bps": 2},
        {"path": "open_high_low_close", "close_at_end": True, "fee_taker": 0.0004},
    ],
)
def test_all_ways_agree_on_made_up_bars(home: Path, strategy: str, broker: dict):
    check_all_ways_agree(strategy, BARS, None, **broker)


@pytest.mark.real_data
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_all_ways_agree_on_real_bars(home: Path, real_data: Path, strategy: str):
    path = real_data / "ohlcv" / REAL
    check_all_ways_agree(strategy, load_bars(path), f"replay:{path}")


@pytest.mark.real_data
@pytest.mark.parametrize(
    "name",
    [
        "upbit_BTCKRW_spot_1m_20250901.parquet",
        "kraken_BTCUSDC_spot_1m_2023.parquet",
        "ftx_BTC-PERP_1m_20211231.parquet",
    ],
)
def test_other_venues_agree_too(home: Path, real_data: Path, name: str):
    bars = load_bars(real_data / "ohlcv" / name, symbol="BTC/KRW" if "KRW" in name else "BTC/USDC")
    assert parity("breakout", bars[:20_000], fee_taker=0.0005).differences == 0


def test_a_strategy_that_only_python_can_run_agrees_with_itself(home: Path):
    for mode in ("compiled", "interpreted"):
        assert parity(Restless(), BARS[:3_000], mode=mode).differences == 0
    assert (
        backtest(Restless(), BARS[:3_000]).journal_digest
        == backtest(Restless(), BARS[:3_000], mode="interpreted").journal_digest
    )


# -- a fault in the live loop alone ---------------------------------------------------------------------------


def traded_bar(bars: Bars, strategy: str) -> int:
    """The bar whose close made the first entry."""
    entry = int(backtest(strategy, bars).fill_records["ts_event"][0])
    return int(np.searchsorted(bars.timestamp + bars.timeframe_ms, entry))


def plant(monkeypatch: pytest.MonkeyPatch, bars: Bars, at: int, column: int = CLOSE) -> None:
    tick = bars.instrument.tick
    seen = [0]
    hand_over = live.take

    def take(rows: np.ndarray, k: int, bar: np.ndarray) -> None:
        hand_over(rows, k, bar)
        if seen[0] == at:
            rows[k, column] += tick
            rows[k, HIGH] = max(rows[k, HIGH], rows[k, column])
            rows[k, LOW] = min(rows[k, LOW], rows[k, column])
        seen[0] += 1

    monkeypatch.setattr(live, "take", take)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_one_tick_in_the_live_loop_alone_makes_parity_fail(monkeypatch: pytest.MonkeyPatch, strategy: str):
    at = traded_bar(BARS, strategy)
    plant(monkeypatch, BARS, at)
    report = parity(strategy, BARS)
    assert report.differences > 0
    assert not report.ok
    first, close = report.waterfall[0], BARS.close[at]
    assert first["stage"] == "market data"
    assert first["differences"] == 1
    assert f"bar {at} " in first["first"]
    assert f"close {close:g} / {close + 0.01:g}" in first["first"]
    assert [row["stage"] for row in report.waterfall[1:-1] if "differences" in row]  # and what it spread to
    assert report.waterfall[-1]["stage"] == "end equity, live"


@pytest.mark.real_data
def test_one_tick_on_real_bars_shows_as_well(monkeypatch: pytest.MonkeyPatch, real_data: Path):
    bars = load_bars(real_data / "ohlcv" / REAL, tick="0.01")
    plant(monkeypatch, bars, 25_000)
    report = parity("breakout", bars)
    assert report.waterfall[0]["stage"] == "market data"
    assert report.waterfall[0]["differences"] == 1


def test_the_command_fails_with_a_waterfall_that_people_can_read(monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch, BARS, traded_bar(BARS, "breakout"))
    text = str(parity("breakout", BARS))
    lines = text.splitlines()
    assert lines[0].startswith("breakout: ")
    assert "differences between backtest and live" in lines[0]
    assert lines[1].startswith("  market data: 1 differ; first: bar ")
    assert any(
        line.startswith("  fills: ") and "backtest 2025-01-01" in line and "/ live 2025-01-01" in line
        for line in lines
    )
    assert lines[-1].startswith("  end equity, live: ")


def test_the_equity_steps_lead_from_one_end_to_the_other_exactly(monkeypatch: pytest.MonkeyPatch):
    plant(monkeypatch, BARS, traded_bar(BARS, "breakout"))
    rows = [row for row in parity("breakout", BARS).waterfall if "equity" in row]
    assert rows[0]["stage"] == "end equity, backtest"
    assert rows[0]["equity"] == backtest("breakout", BARS).end_balance
    steps = [row for row in rows if row["stage"].startswith("equity by")]
    assert steps
    assert rows[0]["equity"] + sum(row["equity"] for row in steps) == pytest.approx(
        rows[-1]["equity"], abs=1e-7
    )
    assert all(row["quote"] == "USDT" for row in rows)


def test_paper_with_the_fault_has_another_digest(home: Path, monkeypatch: pytest.MonkeyPatch):
    from twinstar_kit.feeds.replay import Replay

    plant(monkeypatch, BARS, traded_bar(BARS, "breakout"))
    run = paper("breakout", Replay([BARS]), speed="max")
    assert run.journal_digest != backtest("breakout", BARS).journal_digest
    # what it acted on was recorded: the history loop over the recorded bars agrees with it again
    assert parity(journal=run.journal).differences == 0


# -- stored journals ------------------------------------------------------------------------------------------


def test_a_journal_whose_events_are_not_what_its_inputs_make_is_told(home: Path, tmp_path: Path):
    from twinstar_kit.feeds.replay import Replay

    run = paper("breakout", Replay([BARS]), speed="max")
    with (
        JournalReader(run.journal) as kept,
        Journal.create(tmp_path / "forged.db", kept.header, kept.meta) as forged,
    ):
        for batch in kept.batches():
            events = batch.events.copy()
            if batch.number == 3:
                fills = np.flatnonzero(events["kind"] == 25)
                events["last_px"][fills[0]] += BARS.instrument.tick
            forged.commit(replace(batch, events=events))
    report = parity(journal=tmp_path / "forged.db")
    assert report.differences == 1
    assert report.compared == ("backtest", "journal")
    assert report.waterfall[0]["stage"] == "fills"
    assert "equity" not in report.waterfall[0]


def test_a_journal_of_another_strategy_is_refused(home: Path):
    from twinstar_kit.feeds.replay import Replay
    from twinstar_kit.kernel.errors import UsageError

    run = paper(Restless(), Replay([BARS[:500]]), speed="max")
    with pytest.raises(UsageError, match="made by Restless, which no file defines; give the strategy"):
        parity(journal=run.journal)
    with pytest.raises(UsageError, match="was made by another Restless"):
        parity("breakout", journal=run.journal)
    assert parity(Restless(), journal=run.journal).differences == 0


def test_parameters_are_the_journals(home: Path):
    from twinstar_kit.feeds.replay import Replay

    run = paper(load("breakout")(lookback=20), Replay([BARS[:3_000]]), speed="max", fee_taker=0.0002)
    assert parity("breakout", journal=run.journal).differences == 0
    assert parity(load("breakout")(lookback=99), journal=run.journal).differences == 0


def test_parity_wants_one_thing_to_compare_over():
    from twinstar_kit.kernel.errors import UsageError

    for call in (
        lambda: parity("breakout"),
        lambda: parity("breakout", BARS, journal="x.db"),
        lambda: parity(None, BARS),
    ):
        with pytest.raises(UsageError):
            call()


def test_events_in_another_order_are_a_difference():
    from twinstar_kit.session.proof import Half, compare

    run = backtest("breakout", BARS[:3_000])
    events = run.events.copy()
    at = int(np.flatnonzero(events["kind"][:-1] != events["kind"][1:])[5])
    events[[at, at + 1]] = events[[at + 1, at]]
    rows = run.bars.rows
    report = compare(
        "breakout",
        run.instrument,
        Half("backtest", rows, run.events, run.equity_units),
        Half("live", rows, events, run.equity_units),
    )
    assert report.differences == 2
    assert row_text(report.waterfall[0]) == f"order of events: 2 differ; first: event {at + 1}"


def test_a_missing_tail_is_a_difference():
    from twinstar_kit.session.proof import Half, compare

    run = backtest("breakout", BARS[:3_000])
    cut = Half("live", run.bars.rows[:-10], run.events[:-3], run.equity_units[:-10])
    report = compare(
        "breakout", run.instrument, Half("backtest", run.bars.rows, run.events, run.equity_units), cut
    )
    assert report.differences == 10 + 3 + 10
    assert "only one of them has it" in report.waterfall[0]["first"]
    assert any("live has none" in row.get("first", "") for row in report.waterfall)
