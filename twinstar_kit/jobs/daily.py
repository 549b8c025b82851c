"""What the daily report says: the run behind a day, and the day's own figures out of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from twinstar_kit.jobs.templates import JobError
from twinstar_kit.report.metrics import DAY_MS

if TYPE_CHECKING:
    import pandas as pd

    from twinstar_kit.session.results import RunResult


@dataclass(frozen=True)
class Day:
    """One UTC day of a run: `first_ms` inclusive, `last_ms` exclusive, and what happened between."""

    date: str
    first_ms: int
    last_ms: int
    bars: int
    open_equity: float
    close_equity: float
    fills: int
    fees: float
    trades: int
    pnl: float
    quote: str

    @property
    def result(self) -> float:
        """The day's return on equity."""
        return self.close_equity / self.open_equity - 1 if self.open_equity else 0.0

    def lines(self) -> list[str]:
        """The day in words, one figure a line."""
        return [
            f"{self.date} UTC, {self.bars:,} bars",
            f"equity   {self.open_equity:,.2f} -> {self.close_equity:,.2f} {self.quote} ({self.result:+.2%})",
            f"fills    {self.fills}, fees {self.fees:,.2f} {self.quote}",
            f"closed   {self.trades} trade{'' if self.trades == 1 else 's'}, {self.pnl:+,.2f} {self.quote} after fees",
        ]


def day_run(
    *,
    day: str | None,
    days: int,
    account: str | None,
    strategy: str,
    feed: str,
    symbol: str,
    now_ms: int,
    home: Path | None = None,
) -> tuple[RunResult, Day]:
    """The run that a report is about, and its last day.

    With `account` it is that account's latest stored run, cut at the end of `day` (default: its last day); else
    `strategy` is back-tested over `days` days of `feed` that end with `day` (default: the last whole day before
    `now_ms` that the feed has). JobError when there is nothing to report on.
    """
    if days < 1:
        raise JobError(f"days = {days} must be at least 1")
    if account is not None:
        run = _stored(account, home)
        end = _end_of(day) if day else None
        run = run if end is None else cut(run, end)
    else:
        run = _backtest(
            strategy, feed, symbol, _end_of(day) if day else now_ms // DAY_MS * DAY_MS, days, day is not None
        )
    if len(run.bars) == 0:
        raise JobError(f"there are no bars up to {day or 'now'}; nothing to report on")
    last = int(run.close_ts[-1]) - 1
    return run, day_of(run, last // DAY_MS * DAY_MS)


def day_of(run: RunResult, first_ms: int) -> Day:
    """The figures of the UTC day that begins at `first_ms`; a bar belongs to the day that it opens in."""
    last_ms = first_ms + DAY_MS
    opens = run.bars.timestamp
    a, b = (int(np.searchsorted(opens, t)) for t in (first_ms, last_ms))
    m = run.instrument
    before = run.start_units if a == 0 else int(run.equity_units[a - 1])
    after = before if b == a else int(run.equity_units[b - 1])
    fills, trades = run.fill_records, run.trade_records
    # what fills at a close counts to the day of that bar
    filled = fills[(fills["ts_event"] > first_ms) & (fills["ts_event"] <= last_ms)]
    closed = trades[(trades["open"] == 0) & (trades["exit_ts"] > first_ms) & (trades["exit_ts"] <= last_ms)]
    return Day(
        str(np.datetime64(first_ms, "ms").astype("datetime64[D]")), first_ms, last_ms, b - a, m.money(before), m.money(after),
        len(filled), m.money(int(filled["fee"].sum())), len(closed), m.money(int(closed["pnl"].sum())), m.settle,
    )  # fmt: skip


def closed_trades(run: RunResult, day: Day) -> pd.DataFrame:
    """The trades that closed on the day, as a table that reads well."""
    table = run.trades
    ended = (run.trade_records["exit_ts"] > day.first_ms) & (run.trade_records["exit_ts"] <= day.last_ms)
    shown = table[ended & ~table["open"].to_numpy()].drop(columns="open")
    decimals = {"entry_price": 2, "exit_price": 2, "fees": 2, "pnl": 2, "return": 5}
    return shown.round(decimals).reset_index(drop=True)


def cut(run: RunResult, end_ms: int) -> RunResult:
    """The run as it stood at `end_ms`: bars that closed and events that happened by then."""
    n = int(np.searchsorted(run.close_ts, end_ms, side="right"))
    seen = run.events[run.events["ts_event"] <= end_ms]
    return replace(run, bars=run.bars[:n], equity_units=run.equity_units[:n], events=seen, finished=False)


def _backtest(strategy: str, feed: str, symbol: str, end_ms: int, days: int, exact: bool) -> RunResult:
    from twinstar_kit.feeds import open_feed
    from twinstar_kit.session import backtest

    opened: Any = open_feed(feed)
    first, last = opened.span()
    if not exact:
        end_ms = min(end_ms, last // DAY_MS * DAY_MS)
    return backtest(strategy, (opened, symbol, max(first, end_ms - days * DAY_MS), end_ms))


def _stored(account: str, home: Path | None) -> RunResult:
    from twinstar_kit.journal.folder import AccountFolder
    from twinstar_kit.session import load_run
    from twinstar_kit.settings import load_settings

    folder = AccountFolder(load_settings(home=home).home, account)
    latest = folder.active()
    if latest is None:
        raise JobError(
            f"account {account} has no journal under {folder.path}; run `twinstar paper ... --account {account}` first"
        )
    return load_run(latest)


def _end_of(day: str) -> int:
    try:
        return int(np.datetime64(day, "D").astype("datetime64[ms]").astype(np.int64)) + DAY_MS
    except ValueError:
        raise JobError(f"day = {day!r} must be a date such as 2025-01-31") from None
