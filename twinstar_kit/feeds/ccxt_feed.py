"""A real venue as a `Feed`: the past over REST, the present from its streams, in the words of every other feed.

What a strategy must be able to trust comes from the live tail: a bar is there when it is finished, those before it are
there too, and it never changes. Books, tickers and the forming bar are what the venue says when it is asked.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Self, TypeVar

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.base import MINUTE_MS, NoFunding, Rows, find_instrument, ticker_t, trade_t
from twinstar_kit.feeds.ccxt_answers import units
from twinstar_kit.feeds.ccxt_endpoint import local_binance, loopback
from twinstar_kit.feeds.ccxt_live import Health, LiveBar, LiveTail, LiveTrades, Patience, Sink, open_stream
from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.feeds.ccxt_streams import bar_row
from twinstar_kit.feeds.ccxt_universe import followed
from twinstar_kit.feeds.clock import Clock, SystemClock
from twinstar_kit.feeds.resample import aggregate, ceil_time, floor_time
from twinstar_kit.feeds.source import Source, SourceError
from twinstar_kit.kernel.bars import TIMESTAMP, Bars, format_timeframe
from twinstar_kit.kernel.errors import DataError, UsageError
from twinstar_kit.kernel.instruments import Instrument

T = TypeVar("T")
FIRST_MS, LAST_MS = 1_230_940_800_000, 4_102_444_800_000
"""2009-01-03, before which no coin was traded, and 2100."""
OVERLAP = 3
"""Bars before the one that is forming that the tail brings, as REST may not have them yet."""
TRADES_KEPT = 50_000
BOOK_MS, TICKERS_MS = 500, 2_000
"""How old an answer about books and tickers may be before the venue is asked again: many may be looking."""
ANSWER_S = 60.0
BOOK_LEVELS = 20
"""Levels a side that are asked for at least, so that one answer does for all who look."""


class CcxtFeed(NoFunding):
    """A `Feed` of `symbols` of a venue, of which every figure is real.

    The streams begin with the first question about now; then all symbols are followed. `sink` (a lake's, say) is given
    every bar and trade before they are seen here. `bars` are those that were handed on, so asking again gives the same;
    a bar that closed a moment ago may not be among them yet. `trades` further back than the streams were heard are
    asked of the venue, which not every one answers. `book`, `last` and `tickers` are those of now (or of a moment ago), whatever time is
    given. Close it, or use it in a with statement.
    """

    simulated = False
    live = True
    """It has no end: what comes next comes as time goes by."""
    granularity = "trades"
    synthetic: frozenset[str] = frozenset()

    def __init__(
        self, source: Source, stream: Callable[[], Any], symbols: Sequence[str], *, sink: Sink | None = None,
        clock: Clock | None = None, patience: Patience | None = None, pulse_s: float = 0.1, spec: str | None = None,
    ) -> None:  # fmt: skip
        listed = source.instruments()
        for symbol in symbols:
            find_instrument(tuple(listed.values()), symbol)
        self.source, self.spec = source, spec or f"ccxt:{source.name}"
        self.instruments: tuple[Instrument, ...] = tuple(listed[symbol] for symbol in symbols)
        self.timeframe_ms = MINUTE_MS
        self._clock = clock or SystemClock()
        self._memory = _Memory(sink, self._clock)
        self._stream, self._patience, self._pulse_s = stream, patience, pulse_s
        self._history: dict[tuple[str, int], tuple[int, int, Rows]] = {}
        self._starting = threading.Lock()
        self._asking = threading.Lock()
        self._looking = threading.Lock()
        self._answers: dict[tuple[Any, ...], tuple[int, Any]] = {}
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tail: LiveTail | None = None
        self._exchange: Any = None
        self._failure: BaseException | None = None

    @classmethod
    def open(
        cls, place: str, *, symbol: str | None = None, symbols: Sequence[str] = (), sink: Sink | None = None
    ) -> Self:
        """The feed of a venue: of the symbols that are named, else of the universe of the settings.

        `place` is ccxt's name of an exchange, or binance@http://127.0.0.1:PORT for a venue on this machine.
        """
        source, stream = ends_of(place)
        wanted = followed(source, symbols=[symbol] if symbol else symbols)
        return cls(source, stream, wanted, sink=sink, spec=f"ccxt:{place}")

    def __repr__(self) -> str:
        return f"CcxtFeed({self.spec!r}, {len(self.instruments)} symbols, {'live' if self._thread else 'not live yet'})"

    @property
    def clock(self) -> Clock:
        """What the feed tells the time by."""
        return self._clock

    def start(self) -> None:
        """Begin to follow all symbols now; the first question about now does it as well."""
        for one in self.instruments:
            self._live_from(one.symbol)

    def told_until(self, symbol: str) -> int:
        """The time up to which every bar of `symbol` was handed on, or is known not to exist."""
        self._instrument(symbol)
        return max(self._memory.until(symbol), self._memory.begins(symbol))

    def wait(self, seconds: float) -> None:
        """Return when bars come, at the latest after `seconds`."""
        with self._memory.changed:
            self._memory.changed.wait(seconds)

    @property
    def health(self) -> Health:
        """What the live tail has done so far."""
        return self._tail.health if self._tail is not None else Health()

    # --- the Feed ---

    def span(self) -> tuple[int, int]:
        """2009 and 2100: a venue does not end, and says only bar by bar when it began."""
        return FIRST_MS, LAST_MS

    def bars(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int = MINUTE_MS) -> Bars:
        """Complete bars that open in [since_ms, until_ms) as far as they were handed on."""
        instrument = self._instrument(symbol)
        if timeframe_ms < MINUTE_MS or timeframe_ms % MINUTE_MS:
            raise DataError("a live feed has bars of one minute and its multiples")
        live_ms = self._live_from(symbol)
        begins_ms = floor_time(live_ms, timeframe_ms)  # a bar that was open then is joined from both sides
        rows = self._past(symbol, since_ms, min(until_ms, begins_ms), timeframe_ms)
        if until_ms > begins_ms:
            minutes = np.vstack(
                [self._past(symbol, begins_ms, live_ms, MINUTE_MS), self._memory.minutes(symbol, live_ms)]
            )
            whole_ms = floor_time(self._memory.until(symbol), timeframe_ms)
            live = aggregate(minutes[minutes[:, TIMESTAMP] < whole_ms], timeframe_ms)
            live = live[(live[:, TIMESTAMP] >= since_ms) & (live[:, TIMESTAMP] < until_ms)]
            rows = np.vstack([rows, live])
        return Bars(instrument, timeframe_ms, np.ascontiguousarray(rows), self.spec, simulated=False)

    def forming_bar(self, symbol: str, now_ms: int, timeframe_ms: int = MINUTE_MS) -> Rows | None:
        """The bar that is open at `now_ms`, as the venue has it now; None when nothing was traded in it yet."""
        instrument, opened = self._instrument(symbol), floor_time(now_ms, timeframe_ms)
        found = self._ask(lambda venue: venue.fetch_ohlcv(symbol, format_timeframe(timeframe_ms), opened, 1))
        if not found or int(found[-1][0]) != opened:
            return None
        return bar_row(found[-1], instrument)

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> npt.NDArray[np.void]:
        """Trades with time in [since_ms, until_ms), of dtype `trade_t`."""
        self._instrument(symbol)
        self._live_from(symbol)
        rows, heard_ms = self._memory.trades_of(symbol)
        rows = rows[(rows[:, 0] >= max(since_ms, heard_ms)) & (rows[:, 0] < until_ms)]
        if since_ms < heard_ms and since_ms < until_ms:
            rows = np.vstack([self.source.trades(symbol, since_ms, min(until_ms, heard_ms)), rows])
        return _trades(rows)

    def heard(self, symbol: str, cursor: int) -> tuple[npt.NDArray[np.void], int]:
        """Trades that were heard since `cursor` was given out (0: since the streams began), ascending, and the next cursor."""
        self._instrument(symbol)
        self._live_from(symbol)
        rows, count = self._memory.heard(symbol, cursor)
        return _trades(rows), count

    def book(self, symbol: str, now_ms: int, depth: int = 10) -> tuple[Rows, Rows]:
        """Bids and asks as they are now, the best first: int64 (n, 2) of price and amount in units."""
        instrument = self._instrument(symbol)
        if depth < 1:
            raise UsageError(f"a book has at least one level, not {depth}")
        levels = max(depth, BOOK_LEVELS)
        said = self._recent(
            ("book", symbol, levels),
            BOOK_MS,
            lambda: self._ask(lambda venue: venue.fetch_order_book(symbol, levels)),
        )
        bids, asks = (_levels(said[side][:depth], instrument) for side in ("bids", "asks"))
        return bids, asks

    def last(self, symbol: str, now_ms: int) -> int:
        """Price units of the last trade."""
        instrument = self._instrument(symbol)
        self._live_from(symbol)
        rows, _ = self._memory.trades_of(symbol)
        if len(rows):
            return int(rows[-1, 1])
        price = self._ask(lambda venue: venue.fetch_ticker(symbol))["last"]
        return int(units([price], instrument.price_scale, f"{symbol} last price")[0])

    def tickers(self, now_ms: int) -> npt.NDArray[np.void]:
        """The last 24 hours of all instruments as the venue has them now; zeros for one that it leaves out."""
        wanted = [one.symbol for one in self.instruments]
        said = self._recent(
            ("tickers",), TICKERS_MS, lambda: self._ask(lambda venue: venue.fetch_tickers(wanted))
        )
        days = np.zeros(len(self.instruments), ticker_t)
        for row, instrument in zip(days, self.instruments, strict=True):
            _fill(row, said.get(instrument.symbol) or {}, instrument)
        return days

    # --- the past ---

    def _past(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int) -> Rows:
        """Bars before the live part, each asked of the venue once."""
        since_ms = ceil_time(max(since_ms, FIRST_MS), timeframe_ms)
        until_ms = ceil_time(until_ms, timeframe_ms)
        if until_ms <= since_ms:
            return np.empty((0, 6), np.int64)
        with self._asking:
            first, end, rows = self._history.get(
                (symbol, timeframe_ms), (since_ms, since_ms, np.empty((0, 6), np.int64))
            )
            if since_ms > end or until_ms < first:  # far from what is known: bring the stretch between, too
                since_ms, until_ms = min(since_ms, end), max(until_ms, first)
            before = self._fetched(symbol, since_ms, first, timeframe_ms)
            after = self._fetched(symbol, end, until_ms, timeframe_ms)
            rows = np.vstack([before, rows, after])
            self._history[symbol, timeframe_ms] = min(first, since_ms), max(end, until_ms), rows
        return rows[(rows[:, TIMESTAMP] >= since_ms) & (rows[:, TIMESTAMP] < until_ms)]

    def _fetched(self, symbol: str, since_ms: int, until_ms: int, timeframe_ms: int) -> Rows:
        timeframe = format_timeframe(timeframe_ms)
        limit = self.source.limit(timeframe)
        pages = [np.empty((0, 6), np.int64)]
        while since_ms < until_ms:
            count = min(limit, (until_ms - since_ms) // timeframe_ms)
            pages.append(self.source.bars(symbol, timeframe, since_ms, count))
            since_ms += count * timeframe_ms
        return np.vstack(pages)

    # --- the present ---

    def _instrument(self, symbol: str) -> Instrument:
        return self.instruments[find_instrument(self.instruments, symbol)]

    def _live_from(self, symbol: str) -> int:
        """The open of the first minute that the streams answer for; starts them."""
        self._live()
        return self._memory.begins(symbol)

    def _live(self) -> asyncio.AbstractEventLoop:
        with self._starting:
            if self._thread is None:
                self._exchange = self._stream()
                self._tail = LiveTail(
                    self._exchange, self.source, [one.symbol for one in self.instruments], self._memory,
                    clock=self._clock, patience=self._patience, pulse_s=self._pulse_s,
                )  # fmt: skip
                ready = threading.Event()
                follow = self._follow(self._tail, ready)
                self._thread = threading.Thread(
                    target=asyncio.run, args=(follow,), name=self.spec, daemon=True
                )
                self._thread.start()
                ready.wait(ANSWER_S)
        if self._failure is not None:
            raise self._failure
        if self._loop is None:
            raise SourceError(f"{self.spec}: the feed was closed")
        return self._loop

    async def _follow(self, tail: LiveTail, ready: threading.Event) -> None:
        """Run the tail; what ends it early is told to whoever asks next."""
        self._loop = asyncio.get_running_loop()
        running = asyncio.ensure_future(tail.run())
        ready.set()
        await asyncio.wait({running})
        self._failure, self._loop = running.exception(), None

    def _ask(self, question: Callable[[Any], Coroutine[Any, Any, T]]) -> T:
        """The venue's answer to a question of now; SourceError when it gives none."""
        import ccxt

        loop = self._live()
        try:
            return asyncio.run_coroutine_threadsafe(question(self._exchange), loop).result(ANSWER_S)
        except ccxt.BaseError as error:
            said = str(error).splitlines()
            raise SourceError(
                f"{self.spec}: {type(error).__name__}: {said[0] if said else 'no reason given'}"
            ) from error
        except TimeoutError:
            raise SourceError(f"{self.spec}: no answer within {ANSWER_S:.0f} s") from None

    def _recent(self, what: tuple[Any, ...], ms: int, ask: Callable[[], T]) -> T:
        """An answer that is no older than `ms`, of a feed that is open."""
        self._live()
        with self._looking:
            now_ms = self._clock.milliseconds()
            if what not in self._answers or now_ms - self._answers[what][0] > ms:
                self._answers[what] = now_ms, ask()
            answer: T = self._answers[what][1]
            return answer

    def close(self) -> None:
        """End the streams; a second call does nothing."""
        loop, tail, thread = self._loop, self._tail, self._thread
        if loop is not None and tail is not None and thread is not None:
            loop.call_soon_threadsafe(tail.stop)
            thread.join(ANSWER_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def ends_of(
    place: str, units: Mapping[str, Instrument] | None = None
) -> tuple[CcxtSource, Callable[[], Any]]:
    """A venue's history, and what opens its streams; see `CcxtFeed.open`. `units` replace those of some symbols."""
    name, at, endpoint = place.partition("@")
    if not name:
        raise UsageError("feed 'ccxt' needs an exchange: ccxt:binance")
    if not at:
        return CcxtSource(name, instruments=units), lambda: open_stream(name)
    here = loopback(name, endpoint)
    return CcxtSource(local_binance(here), instruments=units), lambda: local_binance(here, asynchronous=True)


class _Memory:
    """A `Sink` that keeps what it is handed for questions, after `first` has it."""

    def __init__(self, first: Sink | None, clock: Clock) -> None:
        self._first, self._clock = first, clock
        self.changed = threading.Condition()
        """Holds what follows, and tells whoever waits that bars came."""
        self._bars: dict[str, list[Rows]] = {}
        self._trades: dict[str, Rows] = {}
        self._heard: dict[str, int] = {}
        self._begins: dict[str, int] = {}
        self._until: dict[str, int] = {}
        self._absent: dict[str, list[tuple[int, int]]] = {}

    def bars(self, bars: Sequence[LiveBar]) -> None:
        if self._first is not None:
            self._first.bars(bars)
        with self.changed:
            for bar in bars:
                self._bars.setdefault(bar.symbol, []).append(bar.row)
                self._tell(bar.symbol, int(bar.row[TIMESTAMP]) + MINUTE_MS)
            self.changed.notify_all()

    def trades(self, trades: Sequence[LiveTrades]) -> None:
        if self._first is not None:
            self._first.trades(trades)
        with self.changed:
            for one in trades:
                kept = self._trades.get(one.symbol, one.rows[:0])
                self._trades[one.symbol] = np.vstack([kept, one.rows])[-TRADES_KEPT:]
                self._heard[one.symbol] = self._heard.get(one.symbol, 0) + len(one.rows)

    def absent(self, symbol: str, since_ms: int, until_ms: int) -> None:
        if self._first is not None:
            self._first.absent(symbol, since_ms, until_ms)
        with self.changed:
            self._absent.setdefault(symbol, []).append((since_ms, until_ms))
            self._tell(symbol, self._until.get(symbol, 0))
            self.changed.notify_all()

    def _tell(self, symbol: str, until_ms: int) -> None:
        """All before `until_ms` is told, and so is what follows on it and does not exist."""
        for first, last in sorted(self._absent.get(symbol, [])):
            if first <= until_ms < last:
                until_ms = last
        self._until[symbol] = until_ms

    def last(self, symbol: str) -> tuple[int | None, tuple[int, int] | None]:
        """What is stored, or a few bars ago: the tail brings what REST may not have yet."""
        stored = self._first.last(symbol) if self._first is not None else (None, None)
        recent = self.begins(symbol) - MINUTE_MS
        bar_ms = recent if stored[0] is None else min(recent, stored[0])
        return bar_ms, stored[1]

    def begins(self, symbol: str) -> int:
        """The open of the first bar that is answered for here."""
        with self.changed:
            now_ms = self._clock.milliseconds()
            return self._begins.setdefault(symbol, floor_time(now_ms, MINUTE_MS) - OVERLAP * MINUTE_MS)

    def until(self, symbol: str) -> int:
        """The close of the last bar that was handed on, or of one that does not exist after it."""
        with self.changed:
            return self._until.get(symbol, 0)

    def minutes(self, symbol: str, since_ms: int) -> Rows:
        """The bars from `since_ms` on."""
        with self.changed:
            rows = np.array(self._bars.get(symbol, []), np.int64).reshape(-1, 6)
        return rows[rows[:, TIMESTAMP] >= since_ms]

    def heard(self, symbol: str, cursor: int) -> tuple[Rows, int]:
        """Trades beyond the first `cursor` that were heard, as far back as they are kept, and how many were heard."""
        with self.changed:
            rows, count = self._trades.get(symbol, np.empty((0, 5), np.int64)), self._heard.get(symbol, 0)
        return rows[max(0, len(rows) - (count - cursor)) :], count

    def trades_of(self, symbol: str) -> tuple[Rows, int]:
        """Trades that were heard, and the time from which on all of them are here."""
        with self.changed:
            rows = self._trades.get(symbol, np.empty((0, 5), np.int64))
        # others of the same millisecond as the first may have come before it
        return rows, int(rows[0, 0]) + 1 if len(rows) else LAST_MS


def _trades(rows: Rows) -> npt.NDArray[np.void]:
    trades = np.zeros(len(rows), trade_t)
    for at, name in enumerate(("ts", "price", "amount", "side", "id")):
        trades[name] = rows[:, at]
    return trades


def _levels(levels: Sequence[Sequence[Any]], instrument: Instrument) -> Rows:
    prices = units([level[0] for level in levels], instrument.price_scale, f"{instrument.symbol} price")
    amounts = units([level[1] for level in levels], instrument.amount_scale, f"{instrument.symbol} amount")
    return np.column_stack([prices, amounts])


def _fill(row: Any, said: dict[str, Any], instrument: Instrument) -> None:
    """A line of `tickers` from ccxt's ticker; what it leaves out stays zero."""
    for name, key, scale in (
        ("last", "last", instrument.price_scale), ("open24h", "open", instrument.price_scale),
        ("high", "high", instrument.price_scale), ("low", "low", instrument.price_scale),
        ("bid", "bid", instrument.price_scale), ("ask", "ask", instrument.price_scale),
        ("bid_amount", "bidVolume", instrument.amount_scale), ("ask_amount", "askVolume", instrument.amount_scale),
    ):  # fmt: skip
        if said.get(key) is not None:
            row[name] = units([said[key]], scale, f"{instrument.symbol} {key}")[0]
    row["volume"] = float(said.get("baseVolume") or 0.0)
    row["quote_volume"] = float(said.get("quoteVolume") or 0.0)
    if row["last"] and row["open24h"]:
        row["change"] = row["last"] - row["open24h"]
        row["percentage"] = 100.0 * row["change"] / row["open24h"]
