"""The figures of a run, from daily UTC equity and 365 periods a year, each with its formula and its source."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from twinstar_kit.kernel.instruments import Instrument

DAY_MS = 86_400_000
PERIODS = 365
"""Periods a year: crypto trades every day, so volatility and growth are annualised by 365 daily returns."""

METRICS: dict[str, str] = {
    "total_return": "E_end / E_start - 1 (holding period return; Bodie, Kane and Marcus 1989)",
    "cagr": "(E_end / E_start) ** (365 / days) - 1, compound annual growth (Bacon 2008)",
    "volatility": "std(r, ddof=1) * sqrt(365) (Markowitz 1952; scaled by time as in Bacon 2008)",
    "sharpe": "mean(r) / std(r, ddof=1) * sqrt(365), no risk-free rate (Sharpe 1994)",
    "sortino": "mean(r) / sqrt(mean(min(r, 0) ** 2)) * sqrt(365), target 0 (Sortino and Price 1994)",
    "calmar": "cagr / |max_drawdown| (Young 1991)",
    "max_drawdown": "min over d of E_d / max(E_start, E_1 .. E_d) - 1, a number <= 0 (Magdon-Ismail and Atiya 2004)",
    "max_drawdown_days": "most days in a row below an earlier peak of daily equity (Bacon 2008)",
    "win_rate": "closed trades with pnl > 0 / closed trades (Tharp 1998)",
    "profit_factor": "sum of winning pnl / |sum of losing pnl| (Schwager 1984)",
    "expectancy": "mean(pnl) of closed trades, in quote currency, after fees (Tharp 1998)",
    "sqn": "sqrt(n) * mean(pnl) / std(pnl, ddof=1) of closed trades, system quality number (Tharp 2008)",
    "exposure": "time with a position / time of the run; several positions at once count once (Kaufman 1998)",
    "trades": "closed round trips, each from flat to flat (Tharp 1998)",
    "avg_trade": "mean of pnl / entry cost over closed trades (Kaufman 1998)",
    "best_trade": "largest pnl / entry cost of a closed trade (Kaufman 1998)",
    "worst_trade": "smallest pnl / entry cost of a closed trade (Kaufman 1998)",
    "var_95": "5 % quantile of r, linear interpolation: historical value at risk, a day (Jorion 1996)",
    "cvar_95": "mean of the r at or below var_95: expected shortfall, a day (Rockafellar and Uryasev 2000)",
    "omega": "sum(max(r, 0)) / sum(max(-r, 0)), threshold 0 (Keating and Shadwick 2002)",
    "max_drawdown_intraday": "max_drawdown over the equity of every bar (Magdon-Ismail and Atiya 2004)",
    "fees": "sum of the fees of all trades, in quote currency (what the ledger posted)",
    "open_trades": "positions still held, marked at the last price and left out of the trade figures (count)",
    "days": "calendar days (UTC) touched by the run = number of daily returns (count)",
}
"""Every name that `metrics` returns, with its formula and its source.

r are daily returns, E daily equity at 00:00 UTC, d a day, pnl profit after fees.
"""

PAGE = """# Metrics

Written by `make docs` from `twinstar_kit/report/metrics.py`. All figures of returns come from equity at 00:00 UTC (a day
without bars repeats the day before) and count **365 periods a year**; r are daily returns, E daily equity, pnl profit
after fees. A figure that is not defined (no trades, no losing day, one day only) is null. A trade runs from flat to flat:
scaling in and out belongs to it, its entry price is the average.

| name | formula | source |
|---|---|---|
"""


def metrics_page() -> str:
    """The documentation of every metric as one Markdown page."""
    rows = []
    for name, text in METRICS.items():
        formula, _, source = text.rpartition(" (")
        rows.append(f"| `{name}` | `{formula.replace('|', chr(92) + '|')}` | {source.rstrip(')')} |\n")
    return PAGE + "".join(rows)


def daily_equity(
    equity_ts: NDArray[np.int64], equity: NDArray[np.int64], start_equity: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Equity at the end of each UTC day from the first to the last, a day without bars keeping the day before's.

    `equity_ts` are bar closes (ms UTC, ascending), `equity` money units after each bar. A bar that closes exactly
    at midnight ends the day before it. Returns `(days, values)`: the day's start in ms, and `values` one longer,
    beginning with `start_equity`.

    >>> ts = np.array([60_000, 86_400_000, 86_460_000, 3 * 86_400_000])
    >>> days, values = daily_equity(ts, np.array([101, 102, 103, 104]), 100)
    >>> (days // 86_400_000).tolist(), values.tolist()
    ([0, 1, 2], [100, 102, 103, 104])
    """
    if len(equity_ts) == 0:
        return np.empty(0, np.int64), np.array([start_equity], np.int64)
    first = (int(equity_ts[0]) - 1) // DAY_MS
    final = (int(equity_ts[-1]) - 1) // DAY_MS
    days = np.arange(first, final + 1, dtype=np.int64) * DAY_MS
    rows = np.searchsorted(equity_ts, days + DAY_MS, side="right") - 1
    return days, np.concatenate((np.array([start_equity], np.int64), np.asarray(equity)[rows]))


def metrics(
    equity_ts: NDArray[np.int64],
    equity: NDArray[np.int64],
    trades: NDArray[np.void],
    instrument: Instrument,
    *,
    start_equity: int,
    start_ts: int | None = None,
) -> dict[str, float | int | None]:
    """Compute every figure of `METRICS` from plain arrays: 365 daily UTC returns a year.

    `equity_ts` int64 bar closes (ms UTC, ascending); `equity` int64 money units of the quote currency after each
    bar; `trades` the `trade_t` rows of `report.trades`; `instrument` gives the scale of money; `start_equity` money
    units before the first bar; `start_ts` the open of the first bar (default: one bar length before the first
    close). A figure that is not defined (no trades, no losing day, one day only) is None, never NaN or infinity, so
    the dictionary is plain JSON. Takes about 1 ms for 525,600 bars and 20,000 trades.
    """
    unit = 10.0**-instrument.quote_scale
    _days, values = daily_equity(equity_ts, equity, start_equity)
    out: dict[str, float | None] = {**_of_days(values), **_of_trades(trades, unit)}
    out["max_drawdown_intraday"] = _deepest(equity, start_equity)
    out["exposure"] = _exposure(equity_ts, trades, start_ts)
    counts = {"max_drawdown_days", "trades", "open_trades", "days"}
    return {name: _plain(out[name], name in counts) for name in METRICS}


def _plain(value: float | None, count: bool) -> float | int | None:
    if value is None or not np.isfinite(value):
        return None
    return int(value) if count else float(value)


def _of_days(values: NDArray[np.int64]) -> dict[str, float | None]:
    """The figures that need only daily equity; a run that lost everything has no growth rate."""
    level = values.astype(np.float64)
    n = len(level) - 1
    with np.errstate(divide="ignore", invalid="ignore"):
        r = level[1:] / level[:-1] - 1.0
        mean, spread = (r.mean(), r.std(ddof=1)) if n > 1 else (np.nan, np.nan)
        downside = np.sqrt(np.mean(np.minimum(r, 0.0) ** 2)) if n else np.nan
        total = level[-1] / level[0] - 1.0
        cagr = (1.0 + total) ** (PERIODS / n) - 1.0 if n and total > -1.0 else np.nan
        peak = np.maximum.accumulate(level)
        drawdown = level / peak - 1.0
        deepest = drawdown.min()
        var = np.quantile(r, 0.05) if n else np.nan
        tail = r[r <= var]
        gain, loss = np.maximum(r, 0.0).sum(), np.maximum(-r, 0.0).sum()
        year = np.sqrt(PERIODS)
        return {
            "total_return": total,
            "cagr": cagr,
            "volatility": spread * year,
            "sharpe": mean / spread * year if spread > 1e-15 else None,
            "sortino": mean / downside * year if downside > 0 else None,
            "calmar": cagr / -deepest if deepest < 0 else None,
            "max_drawdown": deepest,
            "max_drawdown_days": _longest_run(drawdown < 0),
            "var_95": var,
            "cvar_95": tail.mean() if len(tail) else None,
            "omega": gain / loss if loss > 0 else None,
            "days": n,
        }


def _longest_run(flags: NDArray[np.bool_]) -> int:
    """The most consecutive True values."""
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0


def _of_trades(rows: NDArray[np.void], unit: float) -> dict[str, float | None]:
    """The figures of closed trades; money in quote currency."""
    closed = rows["open"] == 0
    pnl, ret = rows["pnl"][closed] * unit, rows["ret"][closed]
    n = len(pnl)
    out: dict[str, float | None] = dict.fromkeys(
        ("win_rate", "profit_factor", "expectancy", "sqn", "avg_trade", "best_trade", "worst_trade")
    )
    out |= {"trades": n, "open_trades": len(rows) - n, "fees": float(rows["fees"].sum()) * unit}
    if n == 0:
        return out
    lost = -pnl[pnl < 0].sum()
    spread = pnl.std(ddof=1) if n > 1 else 0.0
    out["win_rate"] = np.count_nonzero(pnl > 0) / n
    out["profit_factor"] = pnl[pnl > 0].sum() / lost if lost > 0 else None
    out["expectancy"] = pnl.mean()
    out["sqn"] = np.sqrt(n) * pnl.mean() / spread if spread > 0 else None
    out["avg_trade"] = ret.mean()
    out["best_trade"] = ret.max()
    out["worst_trade"] = ret.min()
    return out


def _deepest(equity: NDArray[np.int64], start_equity: int, block: int = 1024) -> float | None:
    """Deepest drawdown over every bar.

    The extremes of each block of bars bound what the block can hold, so a bar-by-bar pass is made only over the
    few blocks that may hold something deeper than what was found: a tenth of the time of one plain pass.
    """
    if start_equity <= 0:
        return None
    starts = np.arange(0, len(equity), block)
    if len(starts) == 0:
        return 0.0
    lows, tops = np.minimum.reduceat(equity, starts), np.maximum.reduceat(equity, starts)
    peaks = np.maximum.accumulate(np.concatenate(([start_equity], tops)))
    surely, perhaps = lows / peaks[:-1], lows / peaks[1:]
    deepest = min(1.0, float(surely.min()))
    for k in np.flatnonzero(perhaps < deepest):
        level = equity[starts[k] : starts[k] + block].astype(np.float64)
        peak = np.maximum(np.maximum.accumulate(level), peaks[k])
        deepest = min(deepest, float((level / peak).min()))
    return deepest - 1.0


def _exposure(equity_ts: NDArray[np.int64], rows: NDArray[np.void], start_ts: int | None) -> float | None:
    """Share of the time with a position in any instrument: the union of the trades' spans."""
    if len(equity_ts) == 0:
        return None
    bar = int(equity_ts[1] - equity_ts[0]) if len(equity_ts) > 1 else 0
    start = int(equity_ts[0]) - bar if start_ts is None else start_ts
    span = int(equity_ts[-1]) - start
    if span <= 0:
        return None
    order = np.argsort(rows["entry_ts"], kind="stable")
    entry = rows["entry_ts"][order]
    ends = np.maximum.accumulate(rows["exit_ts"][order])
    covered = np.concatenate(([start], ends[:-1])) if len(ends) else ends
    held = np.maximum(ends - np.maximum(entry, covered), 0).sum()
    return float(held) / span
