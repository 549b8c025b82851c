"""What the metrics of a year of minutes cost, beside pandas and empyrical."""

from __future__ import annotations

import numpy as np

from benchmarks.measure import Row, alternate


def report(rounds: int) -> list[Row]:
    """`report.metrics` over 525,600 bars and 10,000 trades, and nine of them by pandas and empyrical."""
    import empyrical
    import pandas as pd

    from twinstar_kit.kernel.instruments import Instrument
    from twinstar_kit.report import metrics, trade_t

    btc = Instrument.from_sizes("BTC/USDT")
    rng = np.random.default_rng(0)
    start = btc.money_units(10_000)
    closes = 1_735_689_600_000 + 60_000 * np.arange(1, 525_601)
    equity = np.rint(start * np.exp(np.cumsum(rng.normal(0, 3e-4, len(closes))))).astype(np.int64)
    rows = np.zeros(10_000, trade_t)
    edges = np.sort(rng.choice(len(closes), 20_000, replace=False)).reshape(-1, 2)
    rows["entry_ts"], rows["exit_ts"] = closes[edges].T
    rows["entry_money"] = start
    rows["pnl"] = rng.normal(0, 0.01, len(rows)) * start
    rows["ret"] = rows["pnl"] / start
    index = pd.DatetimeIndex(pd.to_datetime(closes, unit="ms"))
    names = {
        "cagr": "annual_return", "volatility": "annual_volatility", "sharpe": "sharpe_ratio", "sortino": "sortino_ratio",
        "calmar": "calmar_ratio", "omega": "omega_ratio",
    }  # fmt: skip
    plain = {
        "max_drawdown": "max_drawdown",
        "var_95": "value_at_risk",
        "cvar_95": "conditional_value_at_risk",
    }

    def theirs() -> dict[str, float]:
        days = pd.Series(equity, index).resample("1D", closed="right").last().to_numpy(float)
        returns = np.diff(days, prepend=start) / np.append(start, days[:-1])
        out = {k: getattr(empyrical, f)(returns, annualization=365) for k, f in names.items()}
        return out | {k: getattr(empyrical, f)(returns) for k, f in plain.items()}

    mine, other = metrics(closes, equity, rows, btc, start_equity=start), theirs()
    worst = max(abs((mine[k] or 0.0) / v - 1) for k, v in other.items())
    spent = alternate(
        rounds,
        ours=lambda: [metrics(closes, equity, rows, btc, start_equity=start) for _ in range(20)],
        peer=lambda: [theirs() for _ in range(20)],
    )
    ours_ms, peer_ms = (spent[k] / 20 * 1e3 for k in ("ours", "peer"))
    agreed = (
        f"equal: nine figures to {worst:.0e}" if worst < 1e-9 else f"nine figures differ by up to {worst:.1e}"
    )
    return [
        Row(
            "24 metrics of 525,600 bars, 10,000 trades", ours_ms, "ms", peer_ms, "pandas to days, empyrical, 9 of them",
            peer_ms / ours_ms, answers=agreed, holds=worst < 1e-9,
        )
    ]  # fmt: skip
