"""The watch methods of the asynchronous exchange: each waits for news of its topic and hands out what ccxt's do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ccxt

from twinstar_kit.venues import topics
from twinstar_kit.venues.description import TIMEFRAMES
from twinstar_kit.venues.streams import Streams

Params = dict[str, Any] | None
Pairs = list[list[str]]


class WatchFace:
    """Streams; a mixin for asynchronous classes of ccxt beside `VirtualFace`.

    A state (ticker, book, bar, balance) is there at the first call, and then whenever it differs; events (trades,
    orders, fills) are those since the first call. What happens between two calls is in the answer to the second.
    With ccxt's `newUpdates`, which is on, lists hold what is new, else all that is cached.
    """

    streams: Streams

    # -- prices -------------------------------------------------------------------------------------------

    async def watch_ticker(self: Any, symbol: str, params: Params = None) -> Any:
        """The ticker of one market when it changes."""
        self.supported("watchTicker", params or {})
        symbol = self.market(symbol)["symbol"]
        return (await self._tickers("ticker", [symbol], False))[symbol]

    async def watch_tickers(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """The tickers that changed, by symbol; all markets without `symbols`."""
        self.supported("watchTickers", params or {})
        return await self._tickers("tickers", symbols, False)

    async def watch_bids_asks(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """The tickers whose best bid or ask changed, by symbol; all markets without `symbols`."""
        self.supported("watchBidsAsks", params or {})
        return await self._tickers("bidsAsks", symbols, True)

    async def _tickers(self: Any, kind: str, symbols: list[str] | None, quotes: bool) -> Any:
        chosen = self._symbols(symbols)
        return await self._next((kind, tuple(chosen)), lambda: topics.Tickers(self, chosen, quotes))

    async def watch_order_book(
        self: Any, symbol: str, limit: int | None = None, params: Params = None
    ) -> Any:
        """The order book of one market when it changes, `limit` levels a side (10 by default)."""
        self.supported("watchOrderBook", params or {})
        return await self.watch_order_book_for_symbols([symbol], limit)

    async def watch_order_book_for_symbols(
        self: Any, symbols: list[str], limit: int | None = None, params: Params = None
    ) -> Any:
        """The next order book of several markets that changes."""
        self.supported("watchOrderBookForSymbols", params or {})
        chosen = self._symbols(symbols)
        limit = None if limit is None else self._limit(limit, 0)
        return await self._next(("book", tuple(chosen), limit), lambda: topics.Books(self, chosen, limit))

    # -- history ------------------------------------------------------------------------------------------

    async def watch_trades(
        self: Any, symbol: str, since: int | None = None, limit: int | None = None, params: Params = None
    ) -> Any:
        """Public trades of one market that happened since the last call."""
        self.supported("watchTrades", params or {})
        return await self.watch_trades_for_symbols([symbol], since, limit)

    async def watch_trades_for_symbols(
        self: Any,
        symbols: list[str],
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """New public trades of the next of several markets that has some."""
        self.supported("watchTradesForSymbols", params or {})
        chosen, since = self._symbols(symbols), self.moment(since, "since")
        news = await self._next(
            ("trades", tuple(chosen)), lambda: topics.Trades(self, chosen, self.milliseconds())
        )
        return self._part(*news, since, limit, "timestamp")

    async def watch_ohlcv(
        self: Any, symbol: str, timeframe: str = "1m", since: int | None = None, limit: int | None = None,
        params: Params = None,
    ) -> Any:  # fmt: skip
        """Bars of one market that changed since the last call; the last one is open."""
        self.supported("watchOHLCV", params or {})
        bars = await self.watch_ohlcv_for_symbols([[symbol, timeframe]], since, limit)
        return bars[self.market(symbol)["symbol"]][timeframe]

    async def watch_ohlcv_for_symbols(
        self: Any,
        symbolsAndTimeframes: Pairs,
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """Changed bars of the next of several pairs of symbol and timeframe, as {symbol: {timeframe: bars}}."""
        self.supported("watchOHLCVForSymbols", params or {})
        pairs, since = self._pairs(symbolsAndTimeframes), self.moment(since, "since")
        news = await self._next(("bars", tuple(pairs)), lambda: topics.Bars(self, pairs, self.milliseconds()))
        symbol, timeframe, cache, new = news
        return {symbol: {timeframe: self._part(cache, new, since, limit, 0)}}

    # -- account ------------------------------------------------------------------------------------------

    async def watch_balance(self: Any, params: Params = None) -> Any:
        """The balance of a wallet (`type` in `params`: spot or swap): at once, and then when it changes."""
        self.supported("watchBalance", params or {}, "type")
        wallet = self.wallet((params or {}).get("type"))
        return await self._next(("balance", wallet), lambda: topics.Balance(self, wallet))

    async def watch_orders(
        self: Any,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """Orders that were accepted, changed, filled or canceled since the last call."""
        self.supported("watchOrders", params or {})
        return await self._of_account(
            "orders", topics.Orders, None if symbol is None else [symbol], since, limit
        )

    async def watch_orders_for_symbols(
        self: Any,
        symbols: list[str],
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """`watch_orders` of several markets."""
        self.supported("watchOrdersForSymbols", params or {})
        return await self._of_account("orders", topics.Orders, symbols, since, limit)

    async def watch_my_trades(
        self: Any,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """The account's fills since the last call."""
        self.supported("watchMyTrades", params or {})
        return await self._of_account(
            "fills", topics.Fills, None if symbol is None else [symbol], since, limit
        )

    async def watch_my_trades_for_symbols(
        self: Any,
        symbols: list[str],
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """`watch_my_trades` of several markets."""
        self.supported("watchMyTradesForSymbols", params or {})
        return await self._of_account("fills", topics.Fills, symbols, since, limit)

    async def watch_my_liquidations(
        self: Any,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """Positions of this account that were liquidated since the last call."""
        self.supported("watchMyLiquidations", params or {})
        chosen = None if symbol is None else [self.contract(symbol, "watchMyLiquidations").symbol]
        return await self._of_account("liquidations", topics.Liquidations, chosen, since, limit)

    async def watch_my_liquidations_for_symbols(
        self: Any,
        symbols: list[str],
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """`watch_my_liquidations` of several markets."""
        self.supported("watchMyLiquidationsForSymbols", params or {})
        chosen = [m.symbol for m in self.contracts_among(symbols, "watchMyLiquidationsForSymbols")]
        return await self._of_account("liquidations", topics.Liquidations, chosen, since, limit)

    async def _of_account(
        self: Any,
        kind: str,
        subject: type[topics.Orders | topics.Fills | topics.Liquidations],
        symbols: Any,
        since: Any,
        limit: Any,
    ) -> Any:
        self.ready()
        chosen, since = self._some(symbols), self.moment(since, "since")
        news = await self._next((kind, chosen), lambda: subject(self, chosen))
        return self._part(*news, since, limit, "timestamp")

    def _some(self: Any, symbols: Any) -> frozenset[str] | None:
        return None if symbols is None else frozenset(self._symbols(symbols))

    async def watch_positions(
        self: Any,
        symbols: list[str] | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: Params = None,
    ) -> Any:
        """The open positions, all of them whenever one has changed; while there is none there is no news of them."""
        self.supported("watchPositions", params or {})
        chosen = frozenset(m.symbol for m in self.contracts_among(symbols, "watchPositions"))
        since = self.moment(since, "since")
        news = await self._next(("positions", chosen), lambda: topics.Positions(self, chosen))
        return self.filter_by_since_limit(
            news, since, None if limit is None else self._limit(limit, 0), "timestamp", True
        )

    async def watch_position(self: Any, symbol: str | None = None, params: Params = None) -> Any:
        """The open position of one market when it changes; in hedge mode the long one, if there is one."""
        self.supported("watchPosition", params or {})
        return (await self.watch_positions([self.contract(symbol, "watchPosition").symbol]))[0]

    # -- contracts ----------------------------------------------------------------------------------------

    async def watch_funding_rate(self: Any, symbol: str, params: Params = None) -> Any:
        """The funding that comes next of one market, when it or the mark price changes."""
        self.supported("watchFundingRate", params or {})
        symbol = self.contract(symbol, "watchFundingRate").symbol
        return (await self._rates("fundingRate", [symbol], self.funding_rate))[symbol]

    async def watch_funding_rates(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """The fundings that come next, those that changed, by symbol."""
        self.supported("watchFundingRates", params or {})
        return await self._rates("fundingRates", symbols, self.funding_rate)

    async def watch_mark_price(self: Any, symbol: str, params: Params = None) -> Any:
        """The mark price of one market, when it changes."""
        self.supported("watchMarkPrice", params or {})
        symbol = self.contract(symbol, "watchMarkPrice").symbol
        return (await self._rates("markPrice", [symbol], self.mark_price))[symbol]

    async def watch_mark_prices(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """The mark prices that changed, by symbol."""
        self.supported("watchMarkPrices", params or {})
        return await self._rates("markPrices", symbols, self.mark_price)

    async def _rates(self: Any, kind: str, symbols: list[str] | None, tell: Any) -> Any:
        chosen = self._contract_key(symbols)
        return await self._next((kind, chosen), lambda: topics.Rates(self, chosen, tell))

    def _contract_key(self: Any, symbols: Any) -> tuple[str, ...]:
        chosen = tuple(sorted({m.symbol for m in self.contracts_among(symbols, "watch")}))
        if not chosen:
            raise ccxt.ArgumentsRequired(f"{self.id} needs at least one market of contracts to watch")
        return chosen

    # -- ending a subscription ----------------------------------------------------------------------------

    async def un_watch_ticker(self: Any, symbol: str, params: Params = None) -> Any:
        """End `watch_ticker`; whoever waits gets UnsubscribeError. Returns whether it was watched."""
        return self._end("unWatchTicker", params, ("ticker", tuple(self._symbols([symbol]))))

    async def un_watch_tickers(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """End `watch_tickers` of the same symbols."""
        return self._end("unWatchTickers", params, ("tickers", tuple(self._symbols(symbols))))

    async def un_watch_bids_asks(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """End `watch_bids_asks` of the same symbols."""
        return self._end("unWatchBidsAsks", params, ("bidsAsks", tuple(self._symbols(symbols))))

    async def un_watch_order_book(self: Any, symbol: str, params: Params = None) -> Any:
        """End `watch_order_book`."""
        return self._end("unWatchOrderBook", params, ("book", tuple(self._symbols([symbol]))))

    async def un_watch_order_book_for_symbols(self: Any, symbols: list[str], params: Params = None) -> Any:
        """End `watch_order_book_for_symbols` of the same symbols."""
        return self._end("unWatchOrderBookForSymbols", params, ("book", tuple(self._symbols(symbols))))

    async def un_watch_trades(self: Any, symbol: str, params: Params = None) -> Any:
        """End `watch_trades`."""
        return self._end("unWatchTrades", params, ("trades", tuple(self._symbols([symbol]))))

    async def un_watch_trades_for_symbols(self: Any, symbols: list[str], params: Params = None) -> Any:
        """End `watch_trades_for_symbols` of the same symbols."""
        return self._end("unWatchTradesForSymbols", params, ("trades", tuple(self._symbols(symbols))))

    async def un_watch_ohlcv(self: Any, symbol: str, timeframe: str = "1m", params: Params = None) -> Any:
        """End `watch_ohlcv`."""
        return self._end("unWatchOHLCV", params, ("bars", tuple(self._pairs([[symbol, timeframe]]))))

    async def un_watch_ohlcv_for_symbols(
        self: Any, symbolsAndTimeframes: Pairs, params: Params = None
    ) -> Any:
        """End `watch_ohlcv_for_symbols` of the same pairs."""
        return self._end("unWatchOHLCVForSymbols", params, ("bars", tuple(self._pairs(symbolsAndTimeframes))))

    async def un_watch_orders(self: Any, symbol: str | None = None, params: Params = None) -> Any:
        """End `watch_orders`."""
        return self._end(
            "unWatchOrders", params, ("orders", self._some(None if symbol is None else [symbol]))
        )

    async def un_watch_my_trades(self: Any, symbol: str | None = None, params: Params = None) -> Any:
        """End `watch_my_trades`."""
        return self._end(
            "unWatchMyTrades", params, ("fills", self._some(None if symbol is None else [symbol]))
        )

    async def un_watch_balance(self: Any, params: Params = None) -> Any:
        """End `watch_balance` of the same wallet."""
        self.supported("unWatchBalance", params or {}, "type")
        wallet = self.wallet((params or {}).get("type"))
        return self._end("unWatchBalance", None, ("balance", wallet))

    async def un_watch_positions(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """End `watch_positions` of the same symbols."""
        return self._end("unWatchPositions", params, ("positions", frozenset(self._contract_key(symbols))))

    async def un_watch_funding_rate(self: Any, symbol: str, params: Params = None) -> Any:
        """End `watch_funding_rate`."""
        return self._end("unWatchFundingRate", params, ("fundingRate", self._contract_key([symbol])))

    async def un_watch_funding_rates(
        self: Any, symbols: list[str] | None = None, params: Params = None
    ) -> Any:
        """End `watch_funding_rates` of the same symbols."""
        return self._end("unWatchFundingRates", params, ("fundingRates", self._contract_key(symbols)))

    async def un_watch_mark_price(self: Any, symbol: str, params: Params = None) -> Any:
        """End `watch_mark_price`."""
        return self._end("unWatchMarkPrice", params, ("markPrice", self._contract_key([symbol])))

    async def un_watch_mark_prices(self: Any, symbols: list[str] | None = None, params: Params = None) -> Any:
        """End `watch_mark_prices` of the same symbols."""
        return self._end("unWatchMarkPrices", params, ("markPrices", self._contract_key(symbols)))

    def _end(self: Any, method: str, params: Params, key: tuple[Any, ...]) -> bool:
        self.supported(method, params or {})
        return bool(
            self.streams.drop(key, ccxt.UnsubscribeError(f"{self.id} {key[0]} is not watched any more"))
        )

    async def _next(self: Any, key: tuple[Any, ...], subject: Any) -> Any:
        self.open()
        return await self.streams.next(key, subject)

    # -- arguments and answers ----------------------------------------------------------------------------

    def _symbols(self: Any, symbols: Sequence[str] | None) -> list[str]:
        chosen = sorted(set(self._chosen(symbols)[1]))
        if not chosen:
            raise ccxt.ArgumentsRequired(f"{self.id} needs at least one symbol to watch")
        return chosen

    def _pairs(self: Any, given: Any) -> list[tuple[str, str]]:
        if not isinstance(given, list | tuple) or not all(
            isinstance(p, list | tuple) and len(p) == 2 for p in given
        ):
            raise ccxt.ArgumentsRequired(f"{self.id} wants pairs such as [['BTC/USDT', '1m']], not {given!r}")
        for _, timeframe in given:
            if not isinstance(timeframe, str) or timeframe not in TIMEFRAMES:
                raise ccxt.BadRequest(
                    f"{self.id} has no timeframe {timeframe!r}; it has {', '.join(TIMEFRAMES)}"
                )
        pairs = sorted({(self.market(symbol)["symbol"], timeframe) for symbol, timeframe in given})
        if not pairs:
            raise ccxt.ArgumentsRequired(
                f"{self.id} needs at least one pair of symbol and timeframe to watch"
            )
        return pairs

    def _part(self: Any, cache: Any, new: int, since: int | None, limit: int | None, key: Any) -> Any:
        """What is new of a cache, at most `limit`."""
        limit = None if limit is None else self._limit(limit, 0)
        if self.newUpdates:
            limit = new if limit is None else min(new, limit)
        return self.filter_by_since_limit(cache, since, limit, key, True)
