"""What can be watched, and what of it is new: each subject holds the caches that ccxt's streaming exchanges hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ccxt.async_support.base.ws.cache import ArrayCache, ArrayCacheBySymbolById, ArrayCacheByTimestamp

from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.venues.blotter import VenueFill
from twinstar_kit.venues.core import VenueStopped
from twinstar_kit.venues.market_data import MINUTE_MS
from twinstar_kit.venues.market_face import MarketFace
from twinstar_kit.venues.streams import Moment
from twinstar_kit.venues.windows import bar_rows, float_rows, latest_trades

CACHED = 1_000
"""How many trades, bars, orders and fills a cache holds, as ccxt's own; options such as `tradesLimit` change it."""
QUOTES = ("bid", "bid_amount", "ask", "ask_amount")


class Subject:
    """What the subjects of market data have in common; `face` is the exchange that they stand on."""

    paced = False

    def __init__(self, face: Any, symbols: Sequence[str]) -> None:
        self.face = face
        self._symbols = list(symbols)

    def symbols(self) -> Iterable[str]:
        """Markets whose trades may bring news."""
        return self._symbols

    def take_turns(self, symbol: str) -> None:
        """Put a symbol that has just had its turn behind the others."""
        self._symbols.remove(symbol)
        self._symbols.append(symbol)

    def forget(self) -> None:
        """Drop what the exchange shows of it."""


class Tickers(Subject):
    """Tickers of several markets: a dict of those that changed. With `quotes`, only the best bid and ask count."""

    paced = True

    def __init__(self, face: Any, symbols: Sequence[str], quotes: bool = False) -> None:
        super().__init__(face, symbols)
        self.shown: dict[str, Any] = face.bidsasks if quotes else face.tickers
        self._fields = list(QUOTES) if quotes else None
        self._numbers = {symbol: n for n, symbol in enumerate(face.venue.instruments)}
        self._sent: dict[str, Any] = {}

    def poll(self, moment: Moment) -> Any:
        """The tickers that changed, by symbol."""
        changed = {}
        for symbol in self._symbols:
            row = moment.tickers[self._numbers[symbol]]
            what = (row if self._fields is None else row[self._fields]).tolist()
            if row["last"] and self._sent.get(symbol) != what:
                self._sent[symbol] = what
                changed[symbol] = self.face.parse_ticker_row(symbol, row, moment.now)
        self.shown.update(changed)
        return changed or None

    def forget(self) -> None:
        """Drop the tickers that the exchange shows."""
        for symbol in self._symbols:
            self.shown.pop(symbol, None)


class Books(Subject):
    """Order books: the next one that changed, as a book of ccxt that lives on."""

    paced = True

    def __init__(self, face: Any, symbols: Sequence[str], limit: int | None) -> None:
        super().__init__(face, symbols)
        self.limit = limit
        self._books: dict[str, Any] = {}

    def poll(self, moment: Moment) -> Any:
        """The book that changed and waited longest."""
        shown = self.face.orderbooks
        for symbol in list(self._symbols):
            snapshot = MarketFace.fetch_order_book(self.face, symbol, self.limit)
            book = self._books.get(symbol)
            if book is None:
                book = self._books[symbol] = self.face.order_book({}, self.limit)
            elif all(list(book[side]) == snapshot[side] for side in ("bids", "asks")):
                continue
            book.reset(snapshot)
            shown[symbol] = book
            self.take_turns(symbol)
            return book.limit()
        return None

    def forget(self) -> None:
        """Drop the books that the exchange shows."""
        for symbol in self._symbols:
            self.face.orderbooks.pop(symbol, None)


class Trades(Subject):
    """Public trades: those of the next market that had any since it was watched."""

    def __init__(self, face: Any, symbols: Sequence[str], now: int) -> None:
        super().__init__(face, symbols)
        size = face.safe_integer(face.options, "tradesLimit", CACHED)
        self._seen = dict.fromkeys(symbols, now)
        self._caches = {symbol: ArrayCache(size) for symbol in symbols}
        face.trades.update(self._caches)

    def poll(self, moment: Moment) -> Any:
        """The cache and how many of its trades are new."""
        feed = moment.venue.feed
        for symbol in list(self._symbols):
            seen, cache = self._seen[symbol], self._caches[symbol]
            if moment.now - seen <= 10 * MINUTE_MS:
                rows = feed.trades(symbol, seen + 1, moment.now + 1)
            else:
                rows = latest_trades(feed, symbol, None, cache.max_size, moment.now + 1)
                rows = rows[rows["ts"] > seen]
            self._seen[symbol] = moment.now
            if len(rows):
                for trade in self.face.parse_public_trades(moment.venue.instruments[symbol], rows):
                    cache.append(trade)
                self.take_turns(symbol)
                return cache, cache.getLimit(symbol, None)
        return None

    def forget(self) -> None:
        """Drop the trades that the exchange shows."""
        for symbol in self._symbols:
            self.face.trades.pop(symbol, None)


class Bars(Subject):
    """Bars of (symbol, timeframe): those of the next pair that changed, beginning with the one that is open."""

    def __init__(self, face: Any, pairs: Sequence[tuple[str, str]], now: int) -> None:
        super().__init__(face, [symbol for symbol, _ in pairs])
        self._pairs = list(pairs)
        size = face.safe_integer(face.options, "OHLCVLimit", CACHED)
        self._caches = {pair: ArrayCacheByTimestamp(size) for pair in pairs}
        self._sent: dict[tuple[str, str], list[Any]] = {
            (symbol, timeframe): [floor_time(now, parse_timeframe(timeframe))] for symbol, timeframe in pairs
        }
        for (symbol, timeframe), cache in self._caches.items():
            face.ohlcvs.setdefault(symbol, {})[timeframe] = cache

    def poll(self, moment: Moment) -> Any:
        """Symbol, timeframe, cache, and how many of its bars are new."""
        for pair in list(self._pairs):
            symbol, timeframe = pair
            step, cache, sent = parse_timeframe(timeframe), self._caches[pair], self._sent[pair]
            far = moment.now - sent[0] > step * cache.max_size
            since = None if far else sent[0]
            rows = bar_rows(
                moment.venue.feed, symbol, step, since, cache.max_size, moment.now + 1, moment.now
            )
            bars = float_rows(moment.venue.instruments[symbol], rows)
            if bars and bars[0] == sent:
                del bars[0]
            if bars:
                for bar in bars:
                    cache.append(list(bar))
                self._sent[pair] = bars[-1]
                self._pairs.remove(pair)
                self._pairs.append(pair)
                return symbol, timeframe, cache, cache.getLimit(symbol, None)
        return None

    def forget(self) -> None:
        """Drop the bars that the exchange shows."""
        for symbol, timeframe in self._pairs:
            self.face.ohlcvs.get(symbol, {}).pop(timeframe, None)


class AccountSubject:
    """What the subjects of the account have in common: `symbols` choose markets."""

    def __init__(self, face: Any, symbols: frozenset[str] | None = None) -> None:
        self.face, self.chosen = face, symbols
        self.venue = face.venue
        # another process may act at any time, and says so in its journal
        self.paced = bool(self.venue.remote)
        self._blotter = self.venue.blotter
        self._cache: Any = ArrayCacheBySymbolById(face.safe_integer(face.options, "ordersLimit", CACHED))

    def symbols(self) -> Iterable[str]:
        """Markets with open orders."""
        return {order.instrument.symbol for order in self.venue.blotter.open.values()}

    def wanted(self, symbol: str) -> bool:
        """Whether news of a market is wanted."""
        return self.chosen is None or symbol in self.chosen

    def forget(self) -> None:
        """The account's caches go with the subject."""

    def begun_anew(self) -> bool:
        """Whether the account has another journal by now."""
        anew = self._blotter is not self.venue.blotter
        self._blotter = self.venue.blotter
        return anew

    def news(self, items: Sequence[dict[str, Any]]) -> Any:
        """The cache with `items` added, and how many are new."""
        for item in items:
            self._cache.append(item)
        if not items:
            self.check()
            return None
        return self._cache, self._cache.getLimit(
            next(iter(self.chosen)) if self.chosen and len(self.chosen) == 1 else None, None
        )

    def check(self) -> None:
        """VenueStopped when there will be no more news."""
        if self.venue.failure is not None:
            raise VenueStopped(f"the account gives no more news: {self.venue.failure}")


class Orders(AccountSubject):
    """Orders of the account as they change."""

    def __init__(self, face: Any, symbols: frozenset[str] | None = None) -> None:
        super().__init__(face, symbols)
        self._at = len(self._blotter.log)
        face.orders = self._cache

    def poll(self, moment: Moment) -> Any:
        """The cache and how many of its orders changed."""
        if self.begun_anew():
            self._at = 0
        changed = self._blotter.log[self._at :]
        self._at += len(changed)
        orders = [self._blotter.orders[order_id] for order_id in dict.fromkeys(changed)]
        if orders:
            self.venue.orders()  # brings the triggers of trailing stops up to date
        return self.news([self.face.parse_order(o) for o in orders if self.wanted(o.instrument.symbol)])


class Fills(AccountSubject):
    """Fills of the account as they happen."""

    def __init__(self, face: Any, symbols: frozenset[str] | None = None) -> None:
        super().__init__(face, symbols)
        self._at = len(self._blotter.fills)
        face.myTrades = self._cache

    def poll(self, moment: Moment) -> Any:
        """The cache and how many of its fills are new."""
        if self.begun_anew():
            self._at = 0
        fills = self._blotter.fills[self._at :]
        self._at += len(fills)
        told = [self.told(f) for f in fills if self.wanted(f.instrument.symbol)]
        return self.news([each for each in told if each is not None])

    def told(self, fill: VenueFill) -> dict[str, Any] | None:
        """What is said of a fill."""
        return self.face.parse_trade(fill)  # type: ignore[no-any-return]


class Liquidations(Fills):
    """Positions of the account as they are liquidated."""

    def __init__(self, face: Any, symbols: frozenset[str] | None = None) -> None:
        AccountSubject.__init__(self, face, symbols)
        self._at = len(self._blotter.fills)
        self._cache = ArrayCache(face.safe_integer(face.options, "liquidationsLimit", CACHED))
        face.myLiquidations = self._cache

    def symbols(self) -> Iterable[str]:
        """Markets with positions."""
        return {p.instrument.symbol for p in self.venue.positions()}

    def told(self, fill: VenueFill) -> dict[str, Any] | None:
        """What is said of a fill: something when it ended a position by force."""
        return self.face.parse_liquidation(fill) if fill.liquidation else None


class Positions(AccountSubject):
    """The open positions of several markets, all of them whenever one has changed; as ccxt has no word for a flat one, none is no news."""

    def __init__(self, face: Any, symbols: frozenset[str] | None) -> None:
        super().__init__(face)
        self._wanted = symbols
        self._sent: list[Any] = []

    def symbols(self) -> Iterable[str]:
        """Markets with open orders or positions."""
        return {*super().symbols(), *(p.instrument.symbol for p in self.venue.positions())}

    def poll(self, moment: Moment) -> Any:
        """The positions when they have changed."""
        held = [
            p for p in self.venue.positions() if self._wanted is None or p.instrument.symbol in self._wanted
        ]
        now = [(p.instrument.symbol, p.slot, p.qty, p.cost, p.margin) for p in held]
        if now == self._sent:
            self.check()
            return None
        self._sent = now
        return [self.face.parse_position(p) for p in held] or None


class Rates(Subject):
    """What the exchange says of several contracts, such as their funding rates: a dict of those that changed."""

    paced = True

    def __init__(self, face: Any, symbols: Sequence[str], tell: Callable[[Any], Any]) -> None:
        super().__init__(face, symbols)
        self._tell = tell
        self._sent: dict[str, Any] = {}

    def poll(self, moment: Moment) -> Any:
        """Those that changed, by symbol."""
        changed = {}
        for symbol in self._symbols:
            told = self._tell(moment.venue.instruments[symbol])
            if self._sent.get(symbol) != told["info"]:
                self._sent[symbol] = told["info"]
                changed[symbol] = told
        return changed or None


class Balance(AccountSubject):
    """The balances of a wallet: at once, and then whenever they differ."""

    def __init__(self, face: Any, wallet: Wallet) -> None:
        super().__init__(face)
        self.wallet = wallet
        self._sent: Any = None

    def poll(self, moment: Moment) -> Any:
        """The whole balance when it has changed."""
        balances = self.venue.balances(self.wallet)
        if balances == self._sent:
            self.check()
            return None
        self._sent = balances
        self.face.balance = self.face.parse_balance((balances, moment.now))
        return self.face.balance
