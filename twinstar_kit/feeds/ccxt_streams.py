"""A ccxt.pro exchange as a stream of rows: what its messages say, which subscriptions live, and who fell silent.

ccxt keeps the connections, subscribes and parses. Its `watch_*` methods give one symbol at a time and may hold the
last trade of a quiet one back, so rows are taken from its caches and, where a venue says that a bar is finished, from
the message itself.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.ccxt_answers import trade_rows, units
from twinstar_kit.feeds.clock import Clock
from twinstar_kit.feeds.ordering import Row
from twinstar_kit.feeds.source import BadAnswer
from twinstar_kit.kernel.instruments import Instrument

Pause = Callable[[float], Awaitable[None]]
TRADES_KEPT = 20_000
"""Trades of one symbol that ccxt holds until they are taken."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.25, 30.0


@dataclass(slots=True, eq=False)
class Group:
    """Symbols that are subscribed to together: `kind` is bars or trades; `losses` counts connections that ended."""

    kind: str
    symbols: tuple[str, ...]
    urls: set[str] = field(default_factory=set)
    losses: int = 0
    failures: int = 0
    error: str = ""
    up: bool = False


_GROUP: ContextVar[Group | None] = ContextVar("group", default=None)


class Streams:
    """Listens to an exchange of `ccxt.pro` for `symbols`; everything it learns is fetched by `bars` and `trades`.

    The exchange is listened to from then on, and reads numbers as text. `heard` has the time of the last message by
    address. Call everything from the event loop that the exchange lives in.
    """

    def __init__(
        self, exchange: Any, instruments: dict[str, Instrument], timeframe: str, clock: Clock, pause: Pause
    ) -> None:
        self.exchange, self.instruments, self.timeframe = exchange, instruments, timeframe
        self.groups: list[Group] = []
        self.heard: dict[str, int] = {}
        self.messages = 0
        self.unreadable = 0
        self.finished = FINISHED.get(exchange.id)
        self._interval = str((exchange.timeframes or {}).get(timeframe, timeframe))  # the venue's word for it
        self._clock, self._pause = clock, pause
        self._bars: list[tuple[str, Row]] = []
        self._taken: dict[str, Any] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._names: dict[str, str] = {}
        exchange.number = str
        exchange.options["tradesLimit"] = TRADES_KEPT
        self._handle, self._watch, self._watch_many = (
            exchange.handle_message,
            exchange.watch,
            exchange.watch_multiple,
        )
        exchange.handle_message = self._heard
        exchange.watch = self._placed(self._watch)
        exchange.watch_multiple = self._placed(self._watch_many)

    # --- subscriptions ---

    def follow(self, kind: str, symbols: Sequence[str]) -> None:
        """Subscribe to `bars` or `trades` and stay subscribed."""
        group = Group(kind, tuple(symbols))
        self.groups.append(group)
        self._names |= {self.exchange.market(symbol)["id"]: symbol for symbol in symbols}
        self._tasks.append(asyncio.create_task(self._keep(group)))

    async def close(self) -> None:
        """End all subscriptions; the exchange is its owner's to close."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, group: Group) -> None:
        """Subscribe, wait until a connection of the group ends, and begin anew after a growing pause."""
        _GROUP.set(group)
        while True:
            group.urls.clear()
            asking = asyncio.ensure_future(self._subscribe(group))
            try:
                await self._lasts(group, asking)
            finally:
                asking.cancel()
                with contextlib.suppress(asyncio.CancelledError, Exception):
                    await asking
            group.failures = 1 if group.up else group.failures + 1
            group.losses += 1
            group.up = False
            await self._pause(min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2 ** (group.failures - 1)))

    async def _lasts(self, group: Group, asking: asyncio.Future[Any]) -> None:
        """Returns when the group's connection is gone; `group.error` says why."""
        while True:
            if asking.done():
                failure = asking.exception()
                if failure is not None:
                    group.error = (
                        f"{type(failure).__name__}: {str(failure).splitlines()[0] if str(failure) else ''}"
                    )
                    return
                group.up = True
            if group.urls and not all(self._alive(url) for url in group.urls):
                group.error = "the connection ended"
                return
            await asyncio.sleep(0.02)

    def _alive(self, url: str) -> bool:
        client = (self.exchange.clients or {}).get(url)
        return client is not None and client.error is None and not (client.isConnected and client.closed())

    def _subscribe(self, group: Group) -> Awaitable[Any]:
        exchange, symbols = self.exchange, list(group.symbols)
        if group.kind == "bars":
            if exchange.has.get("watchOHLCVForSymbols"):
                return exchange.watch_ohlcv_for_symbols([[symbol, self.timeframe] for symbol in symbols])  # type: ignore[no-any-return]
            return _all(exchange.watch_ohlcv(symbol, self.timeframe) for symbol in symbols)
        params = TRADE_STREAM.get(exchange.id, {})
        if exchange.has.get("watchTradesForSymbols"):
            return exchange.watch_trades_for_symbols(symbols, None, None, params)  # type: ignore[no-any-return]
        return _all(exchange.watch_trades(symbol, None, None, params) for symbol in symbols)

    def cut(self, url: str, why: str) -> None:
        """Give a connection up, as if it had been lost."""
        import ccxt

        client = (self.exchange.clients or {}).get(url)
        if client is not None:
            client.on_error(ccxt.NetworkError(why))

    def _placed(self, watch: Callable[..., Any]) -> Callable[..., Any]:
        """ccxt's `watch`, noting which address a group is served from."""

        def placed(url: str, *arguments: Any, **named: Any) -> Any:
            group = _GROUP.get()
            if group is not None:
                group.urls.add(url)
                self.heard.setdefault(url, self._clock.milliseconds())
            return watch(url, *arguments, **named)

        return placed

    def _heard(self, client: Any, message: Any) -> None:
        self.messages += 1
        self.heard[client.url] = self._clock.milliseconds()
        if self.finished is not None:
            for name, values in self.finished(message, self._interval):
                self._note(name, values)
        self._handle(client, message)

    def _note(self, name: str, values: Sequence[Any]) -> None:
        symbol = self._names.get(name)
        if symbol is None:
            return
        try:
            self._bars.append((symbol, bar_row(values, self.instruments[symbol])))
        except BadAnswer:
            self.unreadable += 1

    # --- rows ---

    def bars(self) -> list[tuple[str, Row]]:
        """Bars that the venue called finished since the last call; empty for ever where it does not say."""
        taken, self._bars = self._bars, []
        return taken

    def candidates(self, symbol: str) -> dict[int, Row]:
        """The bars of a symbol as the stream last had them, by open; whether they are finished it does not say."""
        kept = (self.exchange.ohlcvs.get(symbol) or {}).get(self.timeframe) or []
        found = {}
        for values in kept:
            with contextlib.suppress(BadAnswer):
                found[int(values[0])] = bar_row(values, self.instruments[symbol])
        return found

    def trades(self) -> Iterator[tuple[str, Rows]]:
        """Trades that arrived since the last call, by symbol."""
        for symbol, cache in list((self.exchange.trades or {}).items()):
            if symbol not in self.instruments or not len(cache) or cache[-1] is self._taken.get(symbol):
                continue
            fresh = []
            for trade in reversed(cache):
                if trade is self._taken.get(symbol):
                    break
                fresh.append(trade)
            self._taken[symbol] = cache[-1]
            for trade in reversed(fresh):
                try:
                    yield symbol, trade_rows([trade], self.instruments[symbol])
                except BadAnswer:
                    self.unreadable += 1


async def _all(calls: Iterator[Awaitable[Any]]) -> None:
    await asyncio.gather(*calls)


def bar_row(values: Sequence[Any], instrument: Instrument) -> Row:
    """A bar's texts or floats in the instrument's units: int64 (6,)."""
    prices = units(list(values[1:5]), instrument.price_scale, f"{instrument.symbol} price")
    volume = units([values[5]], instrument.amount_scale, f"{instrument.symbol} volume")
    return _joined(int(values[0]), prices, volume)


def _joined(stamp: int, prices: Rows, volume: Rows) -> Row:
    import numpy as np

    return np.concatenate([[stamp], prices, volume]).astype(np.int64)


# --- what venues say about finished bars: the market's id and the six values of each ---

Finished = Callable[[Any, str], Iterator[tuple[str, Sequence[Any]]]]


def binance_finished(message: Any, interval: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """A kline message with `x` set.

    >>> kline = {"t": 0, "s": "BTCUSDT", "i": "1m", "o": "1", "h": "2", "l": "1", "c": "2", "v": "3", "x": True}
    >>> list(binance_finished({"e": "kline", "k": kline}, "1m"))
    [('BTCUSDT', [0, '1', '2', '1', '2', '3'])]
    """
    if not isinstance(message, dict):
        return
    data = message.get("data", message)
    kline = data.get("k") if isinstance(data, dict) and data.get("e") == "kline" else None
    if kline and kline.get("x") is True and kline.get("i") == interval:
        yield kline["s"], [kline[name] for name in ("t", "o", "h", "l", "c", "v")]


def bybit_finished(message: Any, interval: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """A kline message whose rows have `confirm` set; the topic is kline.INTERVAL.SYMBOL."""
    topic = message.get("topic") if isinstance(message, dict) else None
    parts = topic.split(".") if isinstance(topic, str) else []
    if len(parts) != 3 or parts[0] != "kline" or parts[1] != interval:
        return
    for row in message.get("data") or []:
        if row.get("confirm") is True:
            yield parts[2], [row[name] for name in ("start", "open", "high", "low", "close", "volume")]


def okx_finished(message: Any, interval: str) -> Iterator[tuple[str, Sequence[Any]]]:
    """A candle message whose rows end in "1"; the channel is candleINTERVAL."""
    about = message.get("arg") if isinstance(message, dict) else None
    if not isinstance(about, dict) or about.get("channel") != f"candle{interval}":
        return
    for row in message.get("data") or []:
        if len(row) >= 9 and row[8] == "1":
            yield about["instId"], [int(row[0]), *row[1:6]]


FINISHED: dict[str, Finished] = {
    "binance": binance_finished, "binanceus": binance_finished, "binanceusdm": binance_finished,
    "bybit": bybit_finished, "okx": okx_finished,
}  # fmt: skip
# Where the trades of the stream must be told to be those that REST gives, with the same ids.
TRADE_STREAM: dict[str, dict[str, Any]] = {
    name: {"name": "aggTrade"} for name in ("binance", "binanceus", "binanceusdm", "binancecoinm")
}
