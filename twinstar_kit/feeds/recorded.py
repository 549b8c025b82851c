"""A recorded order book with its trades as a feed: nothing is made up, and nothing is known outside the recording."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import DAY_MS, MINUTE_MS, NoFunding, Rows, find_instrument, ticker_t, trade_t
from twinstar_kit.feeds.depth import MS, DepthReplay
from twinstar_kit.feeds.resample import aggregate, ceil_time, floor_time
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.replay import PRICE, QTY, SIDE, TRADE, TS, WHAT, rebuild

if TYPE_CHECKING:
    from twinstar_kit.kernel.engine import Engine


class RecordedMarket(NoFunding):
    """A `Feed` over the recorded book and trades of one market.

    Bars are the trades joined; those that the recording holds only in part are left out, and a time without trades has none.
    Where the recording has a gap the book is empty until it is known again. UsageError without trades.
    """

    granularity = "trades"
    synthetic: frozenset[str] = frozenset()
    simulated = False

    def __init__(self, replay: DepthReplay) -> None:
        self.replay = replay
        self.spec = replay.spec
        self.instruments: tuple[Instrument, ...] = (replay.instrument,)
        rows = replay.rows[replay.rows[:, WHAT] == TRADE]
        if not len(rows):
            raise UsageError(f"{self.spec}: a feed needs trades beside the book: depth:PATH,trades:PATH")
        self._trades = np.zeros(len(rows), trade_t)
        self._trades["ts"], self._trades["price"], self._trades["amount"] = (
            rows[:, TS] // MS,
            rows[:, PRICE],
            rows[:, QTY],
        )
        self._trades["side"], self._trades["id"] = rows[:, SIDE], np.arange(1, len(rows) + 1)
        self._done = 0

    def __repr__(self) -> str:
        return f"RecordedMarket({self.spec!r})"

    @classmethod
    def open(cls, spec: str, **rules: Any) -> RecordedMarket:
        """The feed over `PATH,trades:PATH`; `rules` (symbol, exchange, tick, lot, instrument) go to `DepthReplay.open`."""
        return cls(DepthReplay.open(spec, **rules))

    def span(self) -> tuple[int, int]:
        """The time of the first row of the recording, and that after the last."""
        return self.replay.span()

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> npt.NDArray[np.void]:
        """Trades with time in [since_ms, until_ms), numbered as they stand in the recording."""
        self._check(symbol)
        first, end = np.searchsorted(self._trades["ts"], (since_ms, max(since_ms, until_ms)))
        return self._trades[first:end].copy()

    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = MINUTE_MS) -> Bars:
        """Complete bars that open in [since_ms, until_ms), where there were trades."""
        first, end = self.span()
        since = ceil_time(max(since_ms, first), timeframe_ms)
        until = floor_time(end, timeframe_ms)
        rows = aggregate(self._points(self.trades(symbol, since, until)), timeframe_ms)
        return Bars(self.replay.instrument, timeframe_ms, rows[rows[:, 0] < until_ms], source=self.spec)

    def forming_bar(self, symbol: str, now_ms: int, timeframe_ms: int = MINUTE_MS) -> Rows | None:
        """The trades so far of the bar that is open at `now_ms`; None before the first."""
        rows = self._points(self.trades(symbol, floor_time(now_ms, timeframe_ms), now_ms + 1))
        if not len(rows):
            return None
        row: Rows = aggregate(rows, timeframe_ms)[0]
        return row

    def book(self, symbol: str, now_ms: int, depth: int = 10) -> tuple[Rows, Rows]:
        """Bids and asks as they stood after all that had happened by `now_ms`; asking for an earlier time than before starts over."""
        self._check(symbol)
        if depth < 1:
            raise UsageError(f"a book has at least one level, not {depth}")
        end = int(np.searchsorted(self.replay.rows[:, TS], (now_ms + 1) * MS))
        if end < self._done:
            self._done = 0
            self._engine.inst["n_levels"] = 0
        rows = self.replay.rows[self._done : end]
        rebuild(self._engine.desk.handle, 0, rows, np.zeros((len(rows), 5), np.int64))
        self._done = end
        bids, asks = (self._engine.book(0, side)[:depth] for side in (1, -1))
        return np.column_stack([bids["price"], bids["qty"]]), np.column_stack([asks["price"], asks["qty"]])

    def last(self, symbol: str, now_ms: int) -> int:
        """Price units of the last trade at `now_ms`; DataError before the first."""
        self._check(symbol)
        at = int(np.searchsorted(self._trades["ts"], now_ms, "right"))
        if not at:
            raise DataError(f"{symbol}: no trades before {int(self._trades['ts'][0])}; it is {now_ms}")
        return int(self._trades["price"][at - 1])

    def tickers(self, now_ms: int) -> npt.NDArray[np.void]:
        """What the recording holds of the last 24 hours; zeros before its first trade."""
        m = self.replay.instrument
        day = np.zeros(1, ticker_t)
        found = self.trades(m.symbol, now_ms - DAY_MS, now_ms + 1)
        if not len(found):
            return day
        row, price = day[0], found["price"]
        row["last"], row["open24h"], row["high"], row["low"] = price[-1], price[0], price.max(), price.min()
        row["volume"] = found["amount"].sum() / 10.0**m.amount_scale
        row["quote_volume"] = sum(
            m.money(m.value(int(p), int(a))) for p, a in found[["price", "amount"]].tolist()
        )
        row["change"] = row["last"] - row["open24h"]
        row["percentage"] = 100.0 * row["change"] / row["open24h"]
        for side, levels in zip(("bid", "ask"), self.book(m.symbol, now_ms, 1), strict=True):
            if len(levels):
                row[side], row[f"{side}_amount"] = levels[0]
        return day

    @cached_property
    def _engine(self) -> Engine:
        """The kernel's book, without an account."""
        from twinstar_kit.kernel.engine import Engine
        from twinstar_kit.kernel.models import Broker

        return Engine([self.replay.instrument], Broker(), levels=self.replay.levels, live_book=True)

    @staticmethod
    def _points(trades: npt.NDArray[np.void]) -> Rows:
        """Each trade as a bar of its own."""
        prices = [trades["price"]] * 4
        return np.column_stack([trades["ts"], *prices, trades["amount"]]).astype(np.int64)

    def _check(self, symbol: str) -> None:
        find_instrument(self.instruments, symbol)
