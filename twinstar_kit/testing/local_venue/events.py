"""What each stream of the local venue says about a stretch of time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from twinstar_kit.feeds.base import Rows
from twinstar_kit.kernel.errors import DataError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.testing.local_venue import wire
from twinstar_kit.testing.local_venue.market import INTERVALS, SWAP, Market, Refusal, market_id

DEPTH_MS = 100
DEPTH_LEVELS = 100
MOST_DEPTH_EVENTS = 600  # of one stretch; a longer one is seen more coarsely
FIRST_UPDATE_ID = 1_000
FORGOTTEN_MS = 10_000  # without a subscriber, a book is that of the moment it is asked for

_STREAM = re.compile(
    r"(?P<id>[a-z0-9_]+)@(?P<kind>trade|aggTrade|bookTicker|miniTicker|ticker|depth|kline_(?P<interval>\w+))"
    r"(@(?P<rate>100|1000|250|500)ms)?"
)
_ALL = {"!miniTicker@arr": True, "!ticker@arr": False}

# Of things at one time, what closes goes first and summaries go last.
_CLOSED, _TRADE, _DEPTH, _FORMING, _SUMMARY = range(5)
Event = tuple[int, int, Any]


def known_stream(name: str) -> bool:
    """Whether the venue has something to say on such a stream.

    >>> known_stream("btcusdt@kline_1m"), known_stream("btcusdt@depth@100ms"), known_stream("btcusdt@liquidations")
    (True, True, False)
    """
    return name in _ALL or _STREAM.fullmatch(name) is not None


class Book:
    """A book as it was published: its levels by side, and the id of the last change."""

    def __init__(self, bids: Rows, asks: Rows) -> None:
        self.update_id = FIRST_UPDATE_ID
        self.sides = (dict(bids.tolist()), dict(asks.tolist()))

    def change_to(self, bids: Rows, asks: Rows) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """The levels that differ now, with amount 0 for those that are gone; each counts as one update."""
        changes = []
        for at, rows in enumerate((bids, asks)):
            old, new = self.sides[at], dict(rows.tolist())
            gone = [(price, 0) for price in old if price not in new]
            changes.append(gone + [(price, size) for price, size in new.items() if old.get(price) != size])
        self.sides = (dict(bids.tolist()), dict(asks.tolist()))
        self.update_id += len(changes[0]) + len(changes[1])
        return changes[0], changes[1]

    def rows(self) -> tuple[Rows, Rows]:
        """Bids and asks, the best first."""
        bids, asks = (np.array(sorted(side.items()), np.int64).reshape(-1, 2) for side in self.sides)
        return bids[::-1], asks


class Events:
    """Turns stretches of time into messages; keeps the books that it published, so that deltas join on snapshots."""

    def __init__(self, market: Market) -> None:
        self.market = market
        self._books: dict[str, Book] = {}
        self._best: dict[str, dict[str, Any]] = {}
        self._followed: dict[str, int] = {}
        """Until when the changes of a book were published."""

    def snapshot(self, instrument: Instrument, now_ms: int) -> tuple[int, Rows, Rows]:
        """The id of the last update that a book holds, its bids and its asks."""
        symbol = instrument.symbol
        book = self._book(symbol, now_ms)
        if now_ms - self._followed.get(symbol, 0) > FORGOTTEN_MS:
            # nobody follows its changes, so it has not moved by itself
            book.change_to(*self.market.feed.book(symbol, now_ms, DEPTH_LEVELS))
        return book.update_id, *book.rows()

    def _book(self, symbol: str, now_ms: int) -> Book:
        if symbol not in self._books:
            self._books[symbol] = Book(*self.market.feed.book(symbol, now_ms, DEPTH_LEVELS))
        return self._books[symbol]

    def between(
        self, family: str, streams: list[str], since_ms: int, now_ms: int
    ) -> Iterator[tuple[str, Any]]:
        """Stream and message of all that happened in (since_ms, now_ms], in the order of time."""
        found: list[tuple[int, int, int, str, Any]] = []
        depths: dict[str, list[Event]] = {}
        for stream in streams:
            for ts, rank, event in self._of(family, stream, since_ms, now_ms, depths):
                found.append((ts, rank, len(found), stream, event))
        for _, _, _, stream, event in sorted(found, key=lambda line: line[:3]):
            yield stream, event

    def _of(
        self, family: str, stream: str, since_ms: int, now_ms: int, depths: dict[str, list[Event]]
    ) -> Iterator[Event]:
        if stream in _ALL:
            events = [event for _, event in self._tickers(family, now_ms, _ALL[stream])]
            yield now_ms, _SUMMARY, events
            return
        parts = _STREAM.fullmatch(stream)
        if parts is None:
            return
        try:
            instrument = self.market.instrument(family, parts["id"].upper())
        except Refusal:  # binance takes a subscription to anything, and says nothing on it
            return
        kind = parts["kind"]
        if parts["interval"]:
            yield from self._klines(instrument, parts["interval"], since_ms, now_ms)
        elif kind in ("trade", "aggTrade"):
            for row in self.market.trades(instrument.symbol, since_ms + 1, now_ms + 1):
                yield int(row["ts"]), _TRADE, wire.trade_event(instrument, row, kind == "aggTrade")
        elif kind == "depth":
            if instrument.symbol not in depths:  # two streams of one book see the same changes
                depths[instrument.symbol] = list(self._depth(family, instrument, since_ms, now_ms))
            yield from depths[instrument.symbol]
        elif kind == "bookTicker":
            yield from self._best_prices(instrument, now_ms)
        else:
            name = market_id(instrument.symbol)
            day = dict(self._tickers(family, now_ms, kind == "miniTicker"))
            yield now_ms, _SUMMARY, day[name]

    def _klines(self, instrument: Instrument, interval: str, since_ms: int, now_ms: int) -> Iterator[Event]:
        interval_ms = INTERVALS.get(interval)
        if interval_ms is None:
            return
        try:
            rows = self.market.complete(instrument.symbol, interval_ms, since_ms, now_ms)
            forming = self.market.forming(instrument.symbol, now_ms, interval_ms)
        except DataError:  # a timeframe that cannot be joined from what the venue was given
            return
        for row in rows.tolist():
            closed_ms = row[0] + interval_ms
            yield closed_ms, _CLOSED, wire.kline_event(instrument, row, interval, interval_ms, closed_ms)
        if forming is not None:
            yield (
                now_ms,
                _FORMING,
                wire.kline_event(instrument, forming.tolist(), interval, interval_ms, now_ms),
            )

    def _depth(self, family: str, instrument: Instrument, since_ms: int, now_ms: int) -> Iterator[Event]:
        symbol = instrument.symbol
        book = self._book(symbol, since_ms)
        self._followed[symbol] = now_ms
        steps = -(-(now_ms - since_ms) // (DEPTH_MS * MOST_DEPTH_EVENTS))
        step_ms = DEPTH_MS * max(1, steps)
        first = since_ms // DEPTH_MS * DEPTH_MS + step_ms
        for ts in range(first, now_ms + 1, step_ms):
            before = book.update_id
            bids, asks = book.change_to(*self.market.feed.book(symbol, ts, DEPTH_LEVELS))
            if not bids and not asks:
                continue
            event = {
                "e": "depthUpdate", "E": ts, "s": market_id(symbol), "U": before + 1, "u": book.update_id,
                "b": wire.levels(instrument, bids), "a": wire.levels(instrument, asks),
            }  # fmt: skip
            if family == SWAP:
                event |= {"T": ts, "pu": before}
            yield ts, _DEPTH, event

    def _best_prices(self, instrument: Instrument, now_ms: int) -> Iterator[Event]:
        best = wire.best(instrument, *self.market.feed.book(instrument.symbol, now_ms, 1))
        if self._best.get(instrument.symbol) == best:
            return
        self._best[instrument.symbol] = best
        event = {
            "u": now_ms, "s": best["symbol"], "b": best["bidPrice"], "B": best["bidQty"], "a": best["askPrice"],
            "A": best["askQty"],
        }  # fmt: skip
        yield now_ms, _SUMMARY, event

    def _tickers(self, family: str, now_ms: int, mini: bool) -> Iterator[tuple[str, Any]]:
        chosen = {instrument.symbol for instrument in self.market.instruments(family)}
        days = self.market.feed.tickers(now_ms)
        for instrument, day in zip(self.market.feed.instruments, days, strict=True):
            if instrument.symbol in chosen:
                words = wire.ticker(instrument, day, now_ms)
                yield words["symbol"], wire.ticker_event(words, now_ms, mini)
