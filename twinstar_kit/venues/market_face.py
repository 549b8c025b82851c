"""Market data of the virtual exchange in ccxt's structures. Nothing here shows what lies after the venue's now."""

from __future__ import annotations

import difflib
from decimal import Decimal
from typing import Any

import ccxt
import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.money import MAX_UNITS, RATE_SCALE, from_units
from twinstar_kit.venues.description import TIMEFRAMES
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain, spoken
from twinstar_kit.venues.windows import MOST_BARS, MOST_TRADES, bar_rows, float_rows, latest_trades

FIAT = {"KRW", "USD", "EUR", "JPY"}
DEFAULT_BARS, DEFAULT_TRADES, DEFAULT_LEVELS = 500, 500, 10


class MarketFace:
    """Public methods; a mixin for classes of ccxt.

    It needs `venue` and calls nothing of ccxt that an asynchronous class would have to await.
    """

    venue: Venue

    def ready(self: Any, reload: bool = False) -> None:
        """Load markets and currencies, which are at hand."""
        if reload or not self.markets:
            self.set_markets(MarketFace.fetch_markets(self), MarketFace.fetch_currencies(self))
            self.symbols = in_order(self.venue.instruments)

    def supported(self: Any, method: str, params: dict[str, Any], *names: str) -> None:
        """NotSupported for a parameter that would change nothing: none is dropped in silence."""
        if not isinstance(params, dict):
            raise ccxt.BadRequest(f"{self.id} {method}(): params must be a dict, not {params!r}")
        for name, value in params.items():
            if name not in names and value is not None:
                known = f"it knows {', '.join(names)}" if names else "it has none"
                raise ccxt.NotSupported(
                    f"{self.id} {method}() does not support the parameter {name!r}; {known}"
                )

    def market(self: Any, symbol: str) -> Any:
        """A market by its symbol, or by its id such as BTCUSDT; BadSymbol with a suggestion."""
        self.ready()
        if not isinstance(symbol, str):
            raise ccxt.ArgumentsRequired(
                f"{self.id} needs a symbol such as {self.symbols[0]}, not {symbol!r}"
            )
        found = self.markets.get(symbol) or (self.markets_by_id.get(symbol) or [None])[0]
        if found is None:
            near = difflib.get_close_matches(symbol.upper(), self.symbols, 1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(self.symbols[:4])} ..."
            raise ccxt.BadSymbol(f"{self.id} does not have the market {symbol!r}; {hint}")
        return found

    def instrument(self: Any, symbol: str) -> Instrument:
        """The kernel's instrument of a market."""
        return self.venue.instruments[self.market(symbol)["symbol"]]  # type: ignore[no-any-return]

    # -- the venue ----------------------------------------------------------------------------------------

    def fetch_markets(self: Any, params: dict[str, Any] | None = None) -> Any:
        """The markets of the feed, spot and perpetual contracts, with precision, limits and fees."""
        self.supported("fetchMarkets", params or {})
        return [self.parse_instrument(m) for m in self.venue.instruments.values()]

    def parse_instrument(self: Any, m: Instrument) -> Any:
        """A market structure from an instrument."""
        return self.safe_market_structure(
            {
                "id": m.symbol.replace("/", "") if not m.derivative else market_id(m),
                "symbol": m.symbol,
                "base": m.base,
                "quote": m.quote,
                "settle": m.settle if m.derivative else None,
                "baseId": m.base,
                "quoteId": m.quote,
                "settleId": m.settle if m.derivative else None,
                "active": True,
                "type": "swap" if m.derivative else "spot",
                "spot": not m.derivative,
                "margin": False,
                "swap": m.derivative,
                "future": False,
                "option": False,
                "contract": m.derivative,
                "linear": m.kind is Kind.LINEAR if m.derivative else None,
                "inverse": m.kind is Kind.INVERSE if m.derivative else None,
                "contractSize": float(m.contract_size) if m.derivative else None,
                "taker": rate(m.fee_taker, self.venue.broker.fee_taker),
                "maker": rate(m.fee_maker, self.venue.broker.fee_maker),
                "precision": {
                    "amount": float(from_units(m.lot, m.amount_scale)),
                    "price": float(from_units(m.tick, m.price_scale)),
                    "cost": float(from_units(1, m.quote_scale)),
                    "base": float(from_units(1, self.venue.blotter.scales.get(m.base, m.amount_scale))),
                    "quote": float(from_units(1, m.quote_scale)),
                },
                "limits": {
                    "leverage": {
                        "min": 1.0,
                        "max": float(m.margin_tiers[0].leverage) if m.margin_tiers else None,
                    }
                    if m.derivative
                    else {"min": None, "max": None},
                    "amount": {
                        "min": float(from_units(max(m.min_amount, m.lot), m.amount_scale)),
                        "max": float(from_units(m.max_amount, m.amount_scale))
                        if m.max_amount < MAX_UNITS
                        else None,
                    },
                    "price": {"min": float(from_units(m.tick, m.price_scale)), "max": None},
                    "cost": {"min": float(from_units(m.min_notional, m.quote_scale)), "max": None},
                },
                "marginModes": {"cross": m.derivative, "isolated": m.derivative},
                "info": {**m.canonical(), "simulated": self.venue.feed.simulated},
            }
        )

    def fetch_currencies(self: Any, params: dict[str, Any] | None = None) -> Any:
        """Every asset that is traded here. `deposit` and `withdraw` mean play money: accounts can be funded."""
        self.supported("fetchCurrencies", params or {})
        return {
            code: self.safe_currency_structure(
                {
                    "id": code,
                    "code": code,
                    "name": code,
                    "type": "fiat" if code in FIAT else "crypto",
                    "active": True,
                    "deposit": code in self.venue.blotter.scales,
                    "withdraw": code in self.venue.blotter.scales,
                    "fee": None,
                    "precision": float(from_units(1, scale)),
                    "limits": {
                        "amount": {"min": None, "max": None},
                        "withdraw": {"min": None, "max": None},
                        "deposit": {"min": None, "max": None},
                    },
                    "networks": {},
                    "info": {"code": code, "decimals": scale, "paper": True},
                }
            )
            for code, scale in self._assets().items()
        }

    def _assets(self: Any) -> dict[str, int]:
        """Every asset with its decimals, those that are only quoted in and not kept among them."""
        quoted = {m.quote: m.price_scale for m in self.venue.instruments.values()}
        return {**quoted, **self.venue.blotter.scales}

    def fetch_time(self: Any, params: dict[str, Any] | None = None) -> Any:
        """The venue's time in UTC milliseconds."""
        self.supported("fetchTime", params or {})
        return self.venue.catch_up()

    def fetch_status(self: Any, params: dict[str, Any] | None = None) -> Any:
        """Always ok unless the journal failed; `info` says what kind of market this is."""
        self.supported("fetchStatus", params or {})
        now = self.venue.catch_up()
        failure = self.venue.failure
        return {
            "status": "error" if failure else "ok",
            "updated": now,
            "eta": None,
            "url": None,
            "info": {
                "paper": True,
                "simulated": self.venue.feed.simulated,
                "feed": self.venue.feed.spec,
                "failure": str(failure) if failure else None,
            },
        }

    def fetch_trading_fee(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """Maker and taker rates of one market."""
        self.supported("fetchTradingFee", params or {})
        market = self.market(symbol)
        return {
            "info": self.venue.broker.canonical(),
            "symbol": market["symbol"],
            "maker": market["maker"],
            "taker": market["taker"],
            "percentage": True,
            "tierBased": False,
        }

    def fetch_trading_fees(self: Any, params: dict[str, Any] | None = None) -> Any:
        """Maker and taker rates of all markets."""
        self.supported("fetchTradingFees", params or {})
        self.ready()
        return {symbol: MarketFace.fetch_trading_fee(self, symbol) for symbol in self.symbols}

    # -- prices -------------------------------------------------------------------------------------------

    def fetch_ticker(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """The last 24 hours of one market and its best quotes."""
        self.supported("fetchTicker", params or {})
        tickers = MarketFace.fetch_tickers(self, [symbol])
        if not tickers:
            raise ccxt.MarketClosed(
                f"{self.id} {symbol}: there is no market data yet at this time; advance the venue"
            )
        return next(iter(tickers.values()))

    def fetch_tickers(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """The last 24 hours and the best quotes of many markets, by symbol."""
        self.supported("fetchTickers", params or {})
        now, chosen = self._chosen(symbols)
        with spoken():
            day = self.venue.feed.tickers(now)
        numbers = {symbol: n for n, symbol in enumerate(self.venue.instruments)}
        rows = {symbol: day[numbers[symbol]] for symbol in chosen}
        return {
            symbol: self.parse_ticker_row(symbol, row, now) for symbol, row in rows.items() if row["last"]
        }

    def parse_ticker_row(self: Any, symbol: str, row: Any, now: int) -> Any:
        """A ticker structure from a record of the feed."""
        m = self.venue.instruments[symbol]

        def price(name: str) -> str | None:
            units = int(row[name])
            return plain(from_units(units, m.price_scale)) if units or name == "change" else None

        def amount(name: str) -> str | None:
            return plain(from_units(int(row[name]), m.amount_scale)) if row[name] else None

        return self.safe_ticker(
            {
                "symbol": symbol,
                "timestamp": now,
                "datetime": self.iso8601(now),
                "high": price("high"),
                "low": price("low"),
                "bid": price("bid"),
                "bidVolume": amount("bid_amount"),
                "ask": price("ask"),
                "askVolume": amount("ask_amount"),
                "open": price("open24h"),
                "close": price("last"),
                "last": price("last"),
                "change": price("change"),
                "percentage": float(row["percentage"]),
                "baseVolume": float(row["volume"]),
                "quoteVolume": float(row["quote_volume"]),
                "info": {
                    "simulated": self.venue.feed.simulated,
                    **{name: row[name].item() for name in row.dtype.names},
                },
            },
            self.market(symbol),
        )

    def fetch_bids_asks(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """The best quotes of many markets, by symbol, as tickers."""
        self.supported("fetchBidsAsks", params or {})
        return MarketFace.fetch_tickers(self, symbols)

    def fetch_last_prices(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """The last price of many markets, by symbol."""
        self.supported("fetchLastPrices", params or {})
        tickers = MarketFace.fetch_tickers(self, symbols)
        return {
            symbol: {
                "symbol": symbol,
                "timestamp": ticker["timestamp"],
                "datetime": ticker["datetime"],
                "price": ticker["last"],
                "side": None,
                "info": ticker["info"],
            }
            for symbol, ticker in tickers.items()
        }

    def fetch_order_book(
        self: Any, symbol: str, limit: int | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Bids and asks, `limit` levels a side (10 by default)."""
        self.supported("fetchOrderBook", params or {})
        m, now = self.instrument(symbol), self.venue.catch_up()
        with spoken():
            bids, asks = self.venue.feed.book(m.symbol, now, self._limit(limit, DEFAULT_LEVELS))
        return {
            "symbol": m.symbol,
            "bids": _levels(m, bids),
            "asks": _levels(m, asks),
            "timestamp": now,
            "datetime": self.iso8601(now),
            "nonce": None,
        }

    def fetch_order_books(
        self: Any,
        symbols: list[str] | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """The order books of many markets, by symbol."""
        self.supported("fetchOrderBooks", params or {})
        return {
            symbol: MarketFace.fetch_order_book(self, symbol, limit) for symbol in self._chosen(symbols)[1]
        }

    def _chosen(self: Any, symbols: list[str] | None) -> tuple[int, list[str]]:
        self.ready()
        if isinstance(symbols, str):
            raise ccxt.BadRequest(f"{self.id} wants a list of symbols, such as [{symbols!r}]")
        if symbols is not None and not isinstance(symbols, list | tuple | set):
            raise ccxt.BadRequest(f"{self.id} wants a list of symbols, not {symbols!r}")
        chosen = self.symbols if symbols is None else [self.market(symbol)["symbol"] for symbol in symbols]
        return self.venue.catch_up(), chosen

    # -- history ------------------------------------------------------------------------------------------

    def fetch_ohlcv(
        self: Any, symbol: str, timeframe: str = "1m", since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Bars as [timestamp, open, high, low, close, volume], ascending; the last may be unfinished.

        The first `limit` bars that open at or after `since`, or the latest `limit` (500 by default). `until` in
        `params` ends them (UTC milliseconds, exclusive).
        """
        self.supported("fetchOHLCV", params or {}, "until")
        m, now = self.instrument(symbol), self.venue.catch_up()
        if not isinstance(timeframe, str) or timeframe not in TIMEFRAMES:
            raise ccxt.BadRequest(f"{self.id} has no timeframe {timeframe!r}; it has {', '.join(TIMEFRAMES)}")
        limit, step = self._limit(limit, DEFAULT_BARS, MOST_BARS), parse_timeframe(timeframe)
        since, until = self._window(since, params or {}, now)
        with spoken():
            rows = bar_rows(self.venue.feed, m.symbol, step, since, limit, until, now)
        return float_rows(m, rows)

    def fetch_trades(
        self: Any,
        symbol: str,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Public trades, ascending: the first `limit` at or after `since`, or the latest `limit` (500 by default)."""
        self.supported("fetchTrades", params or {}, "until")
        m, now = self.instrument(symbol), self.venue.catch_up()
        since, until = self._window(since, params or {}, now)
        with spoken():
            most = self._limit(limit, DEFAULT_TRADES, MOST_TRADES)
            rows = latest_trades(self.venue.feed, m.symbol, since, most, until)
        return self.parse_public_trades(m, rows)

    def parse_public_trades(self: Any, m: Instrument, rows: npt.NDArray[np.void]) -> list[dict[str, Any]]:
        """Trade structures from records of the feed."""
        made_up = "trades" in getattr(self.venue.feed, "synthetic", ())
        info = {"simulated": self.venue.feed.simulated, "synthetic": made_up}
        return [
            {
                "id": str(id_),
                "timestamp": ts,
                "datetime": self.iso8601(ts),
                "symbol": m.symbol,
                "order": None,
                "type": None,
                "side": "buy" if side > 0 else "sell",
                "takerOrMaker": None,
                "price": m.price(price),
                "amount": m.amount(amount),
                "cost": cost_of(m, price, amount),
                "fee": {"cost": None, "currency": None},
                "fees": [],
                "info": {"id": id_, **info},
            }
            for ts, price, amount, side, id_ in rows.tolist()
        ]

    def moment(self: Any, value: Any, what: str) -> int | None:
        """A time in UTC milliseconds, or None; BadRequest for anything else."""
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
            raise ccxt.BadRequest(
                f"{self.id}: {what} must be UTC milliseconds, not {value!r}; parse8601() makes them from a text"
            )
        return int(value)

    def _window(self: Any, since: Any, params: dict[str, Any], now: int) -> tuple[int | None, int]:
        """From when, and until when (exclusive), never beyond now."""
        until = self.moment(params.get("until"), "until")
        return self.moment(since, "since"), now + 1 if until is None else min(until, now + 1)

    def _limit(self: Any, limit: int | None, default: int, most: int | None = None) -> int:
        if limit is None:
            return default
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise ccxt.BadRequest(f"{self.id}: limit must be a whole number above zero, not {limit!r}")
        if most is not None and limit > most:
            raise ccxt.BadRequest(
                f"{self.id}: limit may be {most} at most; ask again from where an answer ends"
            )
        return limit


def in_order(instruments: dict[str, Instrument]) -> list[str]:
    """Symbols in the feed's order, in which the most traded come first, contracts behind the first market of their coin."""
    first: dict[str, int] = {}
    for number, m in enumerate(instruments.values()):
        first.setdefault(m.base, number)
    places = {
        m.symbol: (first[m.base] if m.derivative else number) for number, m in enumerate(instruments.values())
    }
    return sorted(instruments, key=places.__getitem__)


def cost_of(m: Instrument, price: int, amount: int) -> float:
    """What a public trade was worth, in the asset that the instrument settles in."""
    if m.kind is Kind.INVERSE:
        return amount * m.contract_size * 10.0**m.price_scale / price / 10.0**m.amount_scale
    return float(from_units(price * amount * m.contract_size, m.price_scale + m.amount_scale))


def market_id(m: Instrument) -> str:
    """The id of a market of contracts, as exchanges name them: BTCUSDT-PERP."""
    return f"{m.base}{m.quote}-PERP"


def rate(own: int, broker: Decimal) -> float:
    """A fee's rate: the instrument's own (hundred-millionths), or the broker's where it has none."""
    return float(broker if own < 0 else Decimal(own) / RATE_SCALE)


def _levels(m: Instrument, rows: npt.NDArray[np.int64]) -> list[list[float]]:
    return [[m.price(price), m.amount(amount)] for price, amount in rows.tolist()]
