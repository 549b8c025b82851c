"""A venue's history over ccxt: complete bars, trades and funding as exact integers, asked for with patience."""

from __future__ import annotations

import difflib
import random
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from twinstar_kit.feeds.base import Rows
from twinstar_kit.feeds.ccxt_answers import Asked, bar_rows, funding_rows, trade_rows
from twinstar_kit.feeds.ccxt_markets import instruments_of, turnover
from twinstar_kit.feeds.ccxt_taps import Taps
from twinstar_kit.feeds.clock import Clock, SystemClock
from twinstar_kit.feeds.retrying import Pace, Retrier, Sleep, TryAgain
from twinstar_kit.feeds.source import BadAnswer, SourceError
from twinstar_kit.kernel.bars import TIMESTAMP, parse_timeframe
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument

T = TypeVar("T")
HOUR_MS = 3_600_000
USUAL_LIMIT = 500
FINAL_STATUS = (400, 404, 405, 410, 451)  # ccxt counts these among the failures that pass; they do not
# How a venue's trades can be had completely. Others give their newest ones whatever they are asked for.
TRADE_PAGING = {
    "binance": "id", "binanceus": "id", "binanceusdm": "id", "binancecoinm": "id",
    "bitfinex": "time", "kraken": "time",
}  # fmt: skip


class CcxtSource:
    """A `Source` over a ccxt exchange, by its name or as an object of one of ccxt's synchronous classes.

    An object that is handed in belongs to the source from then on: it parses numbers as text, so that no digit is
    lost, and waits through the source's clock and `sleep`. Several threads may ask at once. Requests keep ccxt's own
    pace (`rateLimit` and the costs of endpoints). What may pass (429, 418, 5xx, time-outs, cut connections, wrong
    answers) is tried up to `attempts` times with growing pauses, never earlier than Retry-After says; then GaveUp.
    Everything else is a SourceError at once.

    Amounts of swaps are what ccxt gives, which is contracts on some venues. `instruments` replaces the units of some
    symbols by others, such as those of a lake.
    """

    def __init__(
        self,
        exchange: str | Any,
        *,
        clock: Clock | None = None,
        sleep: Sleep = time.sleep,
        chance: random.Random | None = None,
        attempts: int = 8,
        patience_s: float = 900.0,
        instruments: Mapping[str, Instrument] | None = None,
        trade_paging: str | None = None,
    ) -> None:
        self._exchange = _opened(exchange) if isinstance(exchange, str) else exchange
        _refuse_asynchronous(self._exchange)
        self.name: str = self._exchange.id
        self._clock = clock or SystemClock()
        self._pace = Pace(self._clock, sleep)
        self._retrier = Retrier(self._pace, chance=chance, attempts=attempts, patience_s=patience_s)
        self._taps = Taps(self._exchange, self._pace)
        self._own_units = dict(instruments or {})
        self._paging = trade_paging or TRADE_PAGING.get(self.name)
        self._listed: dict[str, Instrument] = {}
        self._venue_ms = -1  # the latest time that the venue has said it is
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return (
            f"CcxtSource({self.name!r}, requests={self.requests}, retries={self.retries}, "
            f"waited={self.waited_s:.1f} s, network={self.network_s:.1f} s)"
        )

    @property
    def requests(self) -> int:
        """Requests sent, retries among them."""
        return self._taps.requests

    @property
    def network_s(self) -> float:
        """Seconds between sending requests and having their answers, over all threads."""
        return self._taps.network_s

    @property
    def retries(self) -> int:
        """How often something was asked again."""
        return self._retrier.retries

    @property
    def waited_s(self) -> float:
        """Seconds spent holding back: for the pace, after failures, and because the venue said so."""
        return self._pace.waited_s

    def close(self) -> None:
        """Let go of the connections."""
        self._exchange.session.close()

    # --- what there is ---

    def instruments(self) -> Mapping[str, Instrument]:
        """Spot and swap markets by ccxt symbol; the first call asks the venue.

        Prices and amounts are counted finer than the tick and lot of today, because those change over the years.
        """
        with self._lock:
            if not self._listed:
                markets = self._ask("its markets", self._exchange.load_markets)
                self._listed = instruments_of(self._exchange, markets) | self._own_units
            return self._listed

    def limit(self, timeframe: str) -> int:
        """How many bars one request may bring, as ccxt states it for the venue."""
        self._step(timeframe)
        features = self._exchange.features or {}
        kinds = [features.get("spot"), (features.get("swap") or {}).get("linear")]
        stated = [((kind or {}).get("fetchOHLCV") or {}).get("limit") for kind in kinds]
        return next((int(limit) for limit in stated if limit), USUAL_LIMIT)

    def top_symbols(self, n: int, quote: str | None = None) -> list[str]:
        """The `n` spot symbols with the largest turnover in 24 hours, in `quote` or (None) in all quotes.

        Turnover in different quotes is compared through their prices in the ticker itself.
        """
        listed = self.instruments()
        tickers = self._ask("its tickers", self._exchange.fetch_tickers)
        ranked = turnover({symbol: tickers[symbol] for symbol in tickers if symbol in listed})
        chosen = [
            (value, symbol) for symbol, value in ranked.items() if quote in (None, listed[symbol].quote)
        ]
        if not chosen:
            raise SourceError(
                f"{self.name} has no spot symbol quoted in {quote}; leave the quote out to see others"
            )
        return [symbol for _, symbol in sorted(chosen, key=lambda pair: (-pair[0], pair[1]))[:n]]

    # --- bars ---

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        """Complete bars that open in the `limit` timeframes from `since_ms` on.

        One request, and one more for the venue's time when the range reaches beyond what is known of it: a bar
        whose close lies after that time is left out.
        """
        instrument, step = self._instrument(symbol), self._step(timeframe)
        if limit < 1:
            raise UsageError(f"a request asks for at least one bar, not {limit}")
        most = self.limit(timeframe)
        limit = min(limit, most)
        until_ms = since_ms + limit * step
        # before the bars are asked for: a bar may close between the two
        venue_ms = self._venue_time(until_ms)
        bounded = _takes_until(self._exchange.fetch_ohlcv)
        params = {"until": until_ms - 1} if bounded else {}
        asked = Asked(step, since_ms, until_ms, venue_ms, most, bounded)

        def fetch() -> Rows:
            answer = self._exchange.fetch_ohlcv(symbol, timeframe, since_ms, limit, params)
            return bar_rows(answer, instrument, asked)

        rows = self._ask(f"{symbol} {timeframe} bars from {_written(since_ms)}", fetch)
        return rows[rows[:, TIMESTAMP] + step <= venue_ms]

    def _venue_time(self, until_ms: int) -> int:
        """A time that the venue's clock has surely reached; asked anew unless it is known to be past `until_ms`."""
        if self._venue_ms < until_ms:
            if self._exchange.has.get("fetchTime"):
                said = self._ask("its time", self._exchange.fetch_time)
            else:
                said = self._clock.milliseconds()
            with self._lock:
                self._venue_ms = max(self._venue_ms, int(said))
        return self._venue_ms

    # --- trades and funding ---

    def trades(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """All trades of [since_ms, until_ms), as many requests as it takes: (n, 5), ascending.

        The columns are timestamp, price, amount, side of the taker (1 or -1) and id. On binance these are aggregate
        trades. SourceError where the venue gives only its newest trades.
        """
        instrument = self._instrument(symbol)
        if self._paging is None:
            raise SourceError(
                f"{self.name} gives only its newest trades; import its files, or take trades from "
                f"{', '.join(sorted(TRADE_PAGING))}"
            )
        pages = self._pages_by_id if self._paging == "id" else self._pages_by_time
        found = [page for page in pages(symbol, instrument, since_ms, until_ms) if len(page)]
        rows = np.vstack(found) if found else np.empty((0, 5), np.int64)
        return rows[(rows[:, 0] >= since_ms) & (rows[:, 0] < until_ms)]

    def _pages_by_id(self, symbol: str, instrument: Instrument, since_ms: int, until_ms: int) -> Any:
        """Look for the first trade an hour at a time, which is the longest window; then follow the ids."""
        page, start_ms = np.empty((0, 5), np.int64), since_ms
        while not len(page):
            if start_ms >= until_ms:
                return
            end_ms = min(start_ms + HOUR_MS, until_ms)
            page = self._trades(symbol, instrument, start_ms, {"until": end_ms - 1})
            start_ms = end_ms
        while len(page):
            yield page
            if int(page[-1, 0]) >= until_ms:
                return
            page = self._trades(symbol, instrument, None, {"fromId": int(page[-1, 4]) + 1})

    def _pages_by_time(self, symbol: str, instrument: Instrument, since_ms: int, until_ms: int) -> Any:
        """Ask again from the last time seen, and drop what was there already."""
        params = {"until": until_ms - 1} if _takes_until(self._exchange.fetch_trades) else {}
        start_ms, seen = since_ms, np.empty(0, np.int64)
        while start_ms < until_ms:
            page = self._trades(symbol, instrument, start_ms, params)
            fresh = page[~np.isin(page[:, 4], seen)]
            if not len(fresh):
                return
            yield fresh
            last_ms = int(page[-1, 0])
            if last_ms == start_ms and int(page[0, 0]) == last_ms and len(page) >= self._trade_limit():
                raise SourceError(
                    f"{self.name} has more trades at {_written(last_ms)} than one answer holds; ask by id"
                )
            start_ms, seen = last_ms, page[page[:, 0] == last_ms, 4]

    def _trades(
        self, symbol: str, instrument: Instrument, start_ms: int | None, params: dict[str, Any]
    ) -> Rows:
        def fetch() -> Rows:
            answer = self._exchange.fetch_trades(symbol, start_ms, self._trade_limit(), params)
            return trade_rows(answer, instrument)

        place = f"from {_written(start_ms)}" if start_ms is not None else f"from id {params['fromId']}"
        return self._ask(f"{symbol} trades {place}", fetch)

    def _trade_limit(self) -> int:
        spot = (self._exchange.features or {}).get("spot") or {}
        return int((spot.get("fetchTrades") or {}).get("limit") or USUAL_LIMIT)

    def funding(self, symbol: str, since_ms: int, until_ms: int) -> Rows:
        """Funding rates of [since_ms, until_ms): (n, 2) of timestamp and rate in 1e-12."""
        self._instrument(symbol)
        if not self._exchange.has.get("fetchFundingRateHistory"):
            raise SourceError(
                f"{self.name} has no history of funding rates in ccxt; take it from another venue"
            )
        if ":" not in symbol:
            raise SourceError(f"{symbol} is spot and pays no funding; ask for a swap such as {symbol}:USDT")
        pages, start_ms = [np.empty((0, 2), np.int64)], since_ms
        while start_ms < until_ms:
            page = self._funding_page(symbol, start_ms, until_ms)
            page = page[(page[:, 0] >= start_ms) & (page[:, 0] < until_ms)]
            if not len(page):
                break
            pages.append(page)
            start_ms = int(page[-1, 0]) + 1
        return np.vstack(pages)

    def _funding_page(self, symbol: str, start_ms: int, until_ms: int) -> Rows:
        def fetch() -> Rows:
            params = {"until": until_ms - 1}
            return funding_rows(self._exchange.fetch_funding_rate_history(symbol, start_ms, 1_000, params))

        return self._ask(f"{symbol} funding from {_written(start_ms)}", fetch)

    # --- asking ---

    def _ask(self, what: str, work: Callable[[], T]) -> T:
        return self._retrier.call(lambda: self._once(what, work), f"{self.name}: {what}")

    def _once(self, what: str, work: Callable[[], T]) -> T:
        """One attempt: ccxt's errors become `TryAgain` when they may pass, and SourceError otherwise."""
        import ccxt

        self._taps.forget()
        try:
            return work()
        except BadAnswer as error:
            raise TryAgain(f"wrong answer: {error}") from error
        except ccxt.OperationFailed as error:
            status = self._taps.status
            if status in FINAL_STATUS:
                raise SourceError(
                    f"{self.name}: {what}: refused with {status}: {_line(error)}{_way_out(status)}"
                ) from error
            raise TryAgain(_line(error), self._taps.retry_after_s(self._clock.milliseconds())) from error
        except ccxt.BadSymbol as error:
            raise SourceError(
                f"{self.name}: {what}: {_line(error)}; `instruments()` lists its symbols"
            ) from error
        except ccxt.AuthenticationError as error:
            raise SourceError(
                f"{self.name}: {what}: {_line(error)}; market data needs no key, remove it"
            ) from error
        except ccxt.BaseError as error:
            raise SourceError(f"{self.name}: {what}: {type(error).__name__}: {_line(error)}") from error
        except (TypeError, KeyError, IndexError, ValueError, AttributeError, ArithmeticError) as error:
            # ccxt stumbled over the shape of an answer
            raise TryAgain(f"an answer of another shape ({type(error).__name__}: {error})") from error

    def _instrument(self, symbol: str) -> Instrument:
        listed = self.instruments()
        if symbol in listed:
            return listed[symbol]
        near = difflib.get_close_matches(symbol.upper(), list(listed), 1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else f"it lists {len(listed)} symbols"
        raise SourceError(f"{self.name} does not list {symbol}; {hint}")

    def _step(self, timeframe: str) -> int:
        known = self._exchange.timeframes or {}
        if timeframe not in known:
            raise SourceError(f"{self.name} has no bars of {timeframe}; it has {', '.join(known) or 'none'}")
        return parse_timeframe(timeframe)


def _opened(name: str) -> Any:
    import ccxt

    if name not in ccxt.exchanges:
        near = difflib.get_close_matches(name.lower(), ccxt.exchanges, 1, cutoff=0.5)
        raise UsageError(f"ccxt knows no exchange {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    return getattr(ccxt, name)({"enableRateLimit": True})


def _refuse_asynchronous(exchange: Any) -> None:
    import inspect

    if inspect.iscoroutinefunction(exchange.fetch):
        raise UsageError(f"{exchange.id}: a source takes ccxt's synchronous class; pass ccxt.{exchange.id}()")


def _takes_until(method: Callable[..., Any]) -> bool:
    # ccxt tells it nowhere else; an unknown parameter would go to the venue as it is
    return "params.until" in (method.__doc__ or "")


def _written(ts_ms: int) -> str:
    return f"{np.datetime64(ts_ms, 'ms')}Z"


def _line(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= 200 else words[:200] + " ..."


def _way_out(status: int) -> str:
    if status == 451:
        return "; it does not serve this country, choose another exchange"
    return "; the request or its address is wrong for this venue"
