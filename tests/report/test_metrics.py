"""Every metric against an outside oracle: empyrical for returns, vectorbt for trades, a Decimal loop for the rest."""

from __future__ import annotations

import itertools
import json
import re
from decimal import Decimal

import numpy as np
import pytest

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.report import METRICS, daily_equity, metrics, trade_t
from twinstar_kit.report.metrics import DAY_MS

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
START = 10_000 * 10**BTC.quote_scale
JANUARY = 1_735_689_600_000


def walk(days: int, seed: int, bar_ms: int = 3_600_000, drift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Hourly equity of a random account: closes in ms and money units."""
    rng = np.random.default_rng(seed)
    n = days * DAY_MS // bar_ms
    steps = rng.normal(drift, 0.004, n)
    equity = np.rint(START * np.exp(np.cumsum(steps))).astype(np.int64)
    return JANUARY + bar_ms * np.arange(1, n + 1, dtype=np.int64), equity


def some_trades(n: int, seed: int, first_ms: int = JANUARY, span_ms: int = 10 * DAY_MS) -> np.ndarray:
    """Closed trades one after the other, with random profits."""
    rng = np.random.default_rng(seed)
    out = np.zeros(n, trade_t)
    edges = np.sort(rng.choice(span_ms // 1000, 2 * n, replace=False)).reshape(n, 2) * 1000 + first_ms
    out["entry_ts"], out["exit_ts"] = edges.T
    out["side"] = 1
    out["entry_money"] = rng.integers(10**9, 10**12, n)
    out["pnl"] = rng.normal(0.0, 0.01, n) * out["entry_money"]
    out["ret"] = out["pnl"] / out["entry_money"]
    out["fees"] = rng.integers(0, 10**8, n)
    return out


def run(equity_ts: np.ndarray, equity: np.ndarray, trades: np.ndarray | None = None, **more: int) -> dict:
    rows = np.empty(0, trade_t) if trades is None else trades
    return metrics(equity_ts, equity, rows, BTC, start_equity=START, **more)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("days", [7, 60, 400])
def test_return_figures_agree_with_empyrical(days: int, seed: int) -> None:
    ep = pytest.importorskip("empyrical")
    ts, equity = walk(days, seed)
    got = run(ts, equity)

    closes = np.concatenate(([START], equity[23::24])).astype(float)
    r = np.diff(closes) / closes[:-1]
    want = {
        "total_return": ep.cum_returns_final(r),
        "cagr": ep.cagr(r, annualization=365),
        "volatility": ep.annual_volatility(r, annualization=365),
        "sharpe": ep.sharpe_ratio(r, annualization=365),
        "sortino": ep.sortino_ratio(r, annualization=365),
        "calmar": ep.calmar_ratio(r, annualization=365),
        "max_drawdown": ep.max_drawdown(r),
        "var_95": ep.value_at_risk(r),
        "cvar_95": ep.conditional_value_at_risk(r),
        "omega": ep.omega_ratio(r, annualization=365),
    }
    assert got["days"] == days
    for name, value in want.items():
        assert got[name] == pytest.approx(value, rel=1e-9), name


@pytest.mark.parametrize("seed", range(3))
def test_return_figures_agree_with_a_decimal_loop(seed: int) -> None:
    ts, equity = walk(40, seed)
    got = run(ts, equity)
    level = [Decimal(START), *(Decimal(int(x)) for x in equity[23::24])]
    r = [b / a - 1 for a, b in itertools.pairwise(level)]
    n, mean = len(r), sum(r) / len(r)
    spread = (sum((x - mean) ** 2 for x in r) / (n - 1)).sqrt()
    down = (sum(min(x, Decimal(0)) ** 2 for x in r) / n).sqrt()
    year = Decimal(365).sqrt()
    peak, deepest, under, longest = level[0], Decimal(0), 0, 0
    for value in level:
        peak = max(peak, value)
        deepest = min(deepest, value / peak - 1)
        under = under + 1 if value < peak else 0
        longest = max(longest, under)
    assert got["sharpe"] == pytest.approx(float(mean / spread * year), rel=1e-9)
    assert got["sortino"] == pytest.approx(float(mean / down * year), rel=1e-9)
    assert got["max_drawdown"] == pytest.approx(float(deepest), rel=1e-12)
    assert got["max_drawdown_days"] == longest
    ordered = sorted(r)
    at = Decimal("0.05") * (n - 1)
    low = ordered[int(at)] + (at - int(at)) * (ordered[int(at) + 1] - ordered[int(at)])
    tail = [x for x in r if x <= low]
    assert got["var_95"] == pytest.approx(float(low), rel=1e-12)
    assert got["cvar_95"] == pytest.approx(float(sum(tail) / len(tail)), rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_trade_figures_agree_with_a_decimal_loop(seed: int) -> None:
    rows = some_trades(37, seed)
    ts, equity = walk(10, seed)
    got = run(ts, equity, rows)
    pnl = [Decimal(int(x)) / 10**BTC.quote_scale for x in rows["pnl"]]
    n, mean = len(pnl), sum(pnl) / len(pnl)
    spread = (sum((x - mean) ** 2 for x in pnl) / (n - 1)).sqrt()
    won, lost = [x for x in pnl if x > 0], [x for x in pnl if x < 0]
    ret = [Decimal(int(p)) / Decimal(int(c)) for p, c in zip(rows["pnl"], rows["entry_money"], strict=True)]
    assert got["trades"] == 37
    assert got["win_rate"] == pytest.approx(len(won) / n)
    assert got["profit_factor"] == pytest.approx(float(sum(won) / -sum(lost)), rel=1e-9)
    assert got["expectancy"] == pytest.approx(float(mean), rel=1e-9)
    assert got["sqn"] == pytest.approx(float(Decimal(n).sqrt() * mean / spread), rel=1e-9)
    assert got["avg_trade"] == pytest.approx(float(sum(ret) / n), rel=1e-9)
    assert got["best_trade"] == pytest.approx(float(max(ret)), rel=1e-9)
    assert got["worst_trade"] == pytest.approx(float(min(ret)), rel=1e-9)
    assert got["fees"] == pytest.approx(
        float(sum(Decimal(int(x)) for x in rows["fees"]) / 10**BTC.quote_scale), rel=1e-12
    )
    held = sum(int(b) - int(a) for a, b in zip(rows["entry_ts"], rows["exit_ts"], strict=True))
    assert got["exposure"] == pytest.approx(held / (int(ts[-1]) - JANUARY), rel=1e-12)


def test_exposure_counts_overlapping_positions_once() -> None:
    ts = JANUARY + np.arange(1, 101, dtype=np.int64) * 60_000
    rows = np.zeros(3, trade_t)
    rows["entry_ts"] = JANUARY + np.array([10, 20, 60]) * 60_000
    rows["exit_ts"] = JANUARY + np.array([40, 30, 70]) * 60_000
    assert run(ts, np.full(100, START), rows)["exposure"] == pytest.approx(0.4)


def test_a_bar_that_closes_at_midnight_ends_its_day_and_silent_days_repeat_the_last() -> None:
    ts = np.array([JANUARY + DAY_MS, JANUARY + DAY_MS + 60_000, JANUARY + 4 * DAY_MS])
    days, values = daily_equity(ts, np.array([101, 102, 103]), 100)
    assert ((days - JANUARY) // DAY_MS).tolist() == [0, 1, 2, 3]
    assert values.tolist() == [100, 101, 102, 102, 103]


def test_intraday_drawdown_sees_what_daily_closes_hide() -> None:
    ts, equity = walk(3, 1)
    equity[:] = START
    equity[30] = START // 2
    got = run(ts, equity)
    assert got["max_drawdown"] == 0
    assert got["max_drawdown_intraday"] == pytest.approx(-0.5)


@pytest.mark.parametrize("seed", range(3))
def test_intraday_drawdown_agrees_with_a_loop_over_many_blocks(seed: int) -> None:
    ts, equity = walk(20, seed, bar_ms=60_000)
    peak, deepest = START, 0.0
    for value in equity.tolist():
        peak = max(peak, value)
        deepest = min(deepest, value / peak - 1)
    assert run(ts, equity)["max_drawdown_intraday"] == pytest.approx(deepest, rel=1e-12)


def test_what_is_not_defined_is_none_and_the_rest_is_plain_json() -> None:
    cases = [
        run(np.empty(0, np.int64), np.empty(0, np.int64)),
        run(*(x[:1] for x in walk(1, 0))),
        run(*walk(1, 0)),
        run(JANUARY + np.arange(1, 5) * DAY_MS, np.array([START] * 4)),
        run(JANUARY + np.arange(1, 5) * DAY_MS, np.array([START, START // 2, 0, 0])),
        run(*walk(9, 2), some_trades(1, 0)),
    ]
    for got in cases:
        assert list(got) == list(METRICS)
        json.dumps(got, allow_nan=False)
    assert cases[0]["total_return"] == 0
    assert cases[0]["sharpe"] is None
    assert cases[3]["sharpe"] is None
    assert cases[3]["omega"] is None
    assert cases[3]["max_drawdown_days"] == 0
    assert cases[4]["total_return"] == -1
    assert cases[5]["sqn"] is None


def test_names_of_the_contract_are_there_and_documented() -> None:
    contract = """total_return cagr volatility sharpe sortino calmar max_drawdown max_drawdown_days win_rate
        profit_factor expectancy sqn exposure trades avg_trade best_trade worst_trade var_95 cvar_95 omega"""
    for name in contract.split():
        formula, _, source = METRICS[name].rpartition(" (")
        assert formula
        assert re.search(r"(19|20)\d\d\)$", source), f"{name} names no source"


def test_open_trades_are_counted_apart() -> None:
    rows = some_trades(5, 3)
    rows["open"][-1] = 1
    got = run(*walk(10, 3), rows)
    assert (got["trades"], got["open_trades"]) == (4, 1)
    assert got["best_trade"] == pytest.approx(rows["ret"][:4].max())
