"""What the venue may show at a time: bars, trades and books of a feed, never later than its clock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import Feed, Rows, trade_t
from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.kernel.bars import TIMESTAMP, parse_timeframe
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument

SPOT, SWAP = "spot", "swap"
INTERVALS = {
    name: parse_timeframe(name)
    for name in ("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w")
}
Trades = npt.NDArray[np.void]


class Refusal(Exception):
    """A request that the venue answers with a 4xx and one of binance's error codes."""

    def __init__(self, code: int, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.code, self.words, self.status = code, words, status


def market_id(symbol: str) -> str:
    """The venue's name of a ccxt symbol.

    >>> market_id("BTC/USDT"), market_id("BTC/USDT:USDT")
    ('BTCUSDT', 'BTCUSDT')
    """
    return symbol.partition(":")[0].replace("/", "")


class Market:
    """A feed as a venue shows it: by market id, and only what has happened by a given time.

    `trades` replaces a symbol's trades by given ones: int64 (n, 5) of timestamp, price, amount, side and id, or an
    array of dtype `trade_t`, in ascending time.
    """

    def __init__(self, feed: Feed, trades: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
        self.feed = feed
        self._given = {symbol: _as_trades(symbol, rows) for symbol, rows in (trades or {}).items()}
        self._listed: dict[tuple[str, str], Instrument] = {}
        for instrument in feed.instruments:
            family = SWAP if ":" in instrument.symbol else SPOT
            self._listed[family, market_id(instrument.symbol)] = instrument
        unknown = self._given.keys() - {instrument.symbol for instrument in feed.instruments}
        if unknown:
            raise UsageError(f"trades are given for {sorted(unknown)}, which the venue has no bars of")

    def warm_up(self, now_ms: int) -> None:
        """Ask a feed that compiles when it is first asked, before anyone waits for an answer."""
        if not self.feed.span()[0] <= now_ms:
            return
        symbol = self.feed.instruments[0].symbol
        self.feed.tickers(now_ms)
        self.feed.last(symbol, now_ms)
        self.feed.bars(symbol, now_ms, now_ms + 1)
        self.feed.trades(symbol, now_ms, now_ms + 1)
        self.feed.forming_bar(symbol, now_ms)
        self.feed.book(symbol, now_ms, 1)

    def instruments(self, family: str) -> list[Instrument]:
        """All instruments of `spot` or `swap`."""
        return [instrument for (kind, _), instrument in self._listed.items() if kind == family]

    def instrument(self, family: str, name: str) -> Instrument:
        """The instrument with this market id."""
        if (family, name) not in self._listed:
            raise Refusal(-1121, "Invalid symbol.")
        return self._listed[family, name]

    def klines(
        self, symbol: str, interval_ms: int, now_ms: int, start_ms: int | None, end_ms: int | None, limit: int
    ) -> Rows:
        """At most `limit` rows that open in [start, end], the one that is forming at `now_ms` among them.

        With a start the first ones are given, without one the last, as binance does.
        """
        forming_at = floor_time(now_ms, interval_ms)
        until_ms = min(now_ms, now_ms if end_ms is None else end_ms) + 1
        if start_ms is not None:
            rows = self._forward(symbol, interval_ms, start_ms, min(until_ms, forming_at), limit)
        else:
            rows = self._backward(symbol, interval_ms, min(until_ms, forming_at), limit)
        if (
            forming_at < until_ms
            and forming_at >= (start_ms or 0)
            and (start_ms is None or len(rows) < limit)
        ):
            forming = self.forming(symbol, now_ms, interval_ms)
            if forming is not None:
                rows = np.vstack([rows, forming])
        return rows[:limit] if start_ms is not None else rows[-limit:]

    def forming(self, symbol: str, now_ms: int, interval_ms: int) -> Rows | None:
        """What has elapsed of the open bar."""
        given = self._given.get(symbol)
        if given is None:
            return self.feed.forming_bar(symbol, now_ms, interval_ms)
        opened = floor_time(now_ms, interval_ms)
        part = self.trades(symbol, opened, now_ms + 1)
        if not len(part):
            return None
        price = part["price"]
        row = [opened, price[0], price.max(), price.min(), price[-1], part["amount"].sum()]
        return np.array(row, np.int64)

    def _forward(self, symbol: str, interval_ms: int, start_ms: int, until_ms: int, limit: int) -> Rows:
        span = limit * interval_ms
        while True:
            rows = self.feed.bars(symbol, start_ms, min(start_ms + span, until_ms), interval_ms).rows
            if len(rows) >= limit or start_ms + span >= until_ms:
                return rows[:limit]
            span *= 4  # bars are missing here: look further on

    def _backward(self, symbol: str, interval_ms: int, until_ms: int, limit: int) -> Rows:
        span, first = limit * interval_ms, self.feed.span()[0]
        while True:
            rows = self.feed.bars(symbol, until_ms - span, until_ms, interval_ms).rows
            if len(rows) >= limit or until_ms - span <= first:
                return rows[-limit:]
            span *= 4

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Trades:
        """Trades with time in [since, until)."""
        given = self._given.get(symbol)
        if given is None:
            return self.feed.trades(symbol, since_ms, until_ms)
        first, last = np.searchsorted(given["ts"], [since_ms, until_ms])
        return given[first:last]

    def first_trades(self, symbol: str, since_ms: int, until_ms: int, limit: int) -> Trades:
        """The first `limit` trades of [since, until)."""
        span = 60_000
        while True:
            found = self.trades(symbol, since_ms, min(since_ms + span, until_ms))
            if len(found) >= limit or since_ms + span >= until_ms:
                return found[:limit]
            span *= 4

    def last_trades(self, symbol: str, until_ms: int, limit: int) -> Trades:
        """The last `limit` trades before `until_ms`."""
        span, first = 60_000, self.feed.span()[0]
        while True:
            found = self.trades(symbol, until_ms - span, until_ms)
            if len(found) >= limit or until_ms - span <= first:
                return found[-limit:]
            span *= 4

    def trades_from(self, symbol: str, first_id: int, until_ms: int, limit: int) -> Trades:
        """The first `limit` trades with an id of `first_id` or more; ids ascend with time."""
        low, high = self.feed.span()[0], until_ms
        while low < high:
            middle = (low + high) // 2
            found = self.first_trades(symbol, middle, until_ms, 1)
            if len(found) and int(found["id"][0]) < first_id:
                low = int(found["ts"][0]) + 1
            else:
                high = middle
        # trades of one millisecond may stand on both sides of the id
        found = self.first_trades(symbol, max(0, low - 1), until_ms, limit + 1_000)
        return found[found["id"] >= first_id][:limit]

    def complete(self, symbol: str, interval_ms: int, since_ms: int, now_ms: int) -> Rows:
        """Bars that closed in (since_ms, now_ms]."""
        first = floor_time(since_ms, interval_ms)
        rows = self.feed.bars(symbol, first, now_ms - interval_ms + 1, interval_ms).rows
        return rows[rows[:, TIMESTAMP] + interval_ms > since_ms]


def _as_trades(symbol: str, rows: npt.NDArray[Any]) -> Trades:
    trades: Trades = rows
    if rows.dtype != trade_t:
        if rows.ndim != 2 or rows.shape[1] != 5:
            raise UsageError(f"{symbol}: trades are rows of timestamp, price, amount, side and id")
        trades = np.zeros(len(rows), trade_t)
        for at, name in enumerate(("ts", "price", "amount", "side", "id")):
            trades[name] = rows[:, at]
    if np.any(np.diff(trades["ts"]) < 0) or np.any(np.diff(trades["id"]) <= 0):
        raise UsageError(f"{symbol}: trades must ascend in time and in id")
    return trades
