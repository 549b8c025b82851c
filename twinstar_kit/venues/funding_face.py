"""Funding and mark prices of perpetual contracts in ccxt's words."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import ccxt
import numpy as np

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import RATE_SCALE, from_units
from twinstar_kit.venues.blotter import Funding
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken
from twinstar_kit.venues.windows import MOST_BARS

DAY_MS = 86_400_000
INTERVAL_MS = 8 * 3_600_000
DEFAULT_ROWS = 100


def rate_of(units: int) -> float:
    """A rate from its hundred-millionths."""
    return float(Decimal(int(units)) / RATE_SCALE)


class FundingFace:
    """What holding contracts costs; a mixin for classes of ccxt beside `ContractsFace`."""

    venue: Venue

    def fetch_funding_rate(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """The funding that comes next, its rate as the premium has been so far."""
        self.supported("fetchFundingRate", params or {})
        return self.funding_rate(self.contract(symbol, "fetchFundingRate"))

    def fetch_funding_rates(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """The fundings that come next, by symbol."""
        self.supported("fetchFundingRates", params or {})
        return {m.symbol: self.funding_rate(m) for m in self.contracts_among(symbols, "fetchFundingRates")}

    def fetch_funding_interval(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """How often funding is exchanged, with the rate that comes next."""
        return FundingFace.fetch_funding_rate(self, symbol, params)

    def fetch_funding_intervals(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """How often funding is exchanged, by symbol."""
        return FundingFace.fetch_funding_rates(self, symbols, params)

    def funding_rate(self: Any, m: Instrument) -> Any:
        """A funding rate structure of a market."""
        now = self.venue.catch_up()
        with spoken():
            coming = self.venue.feed.next_funding(m.symbol, now)
            before = self.venue.feed.funding(m.symbol, now - DAY_MS, now + 1)
        if coming is None:
            raise ccxt.NotSupported(f"{self.id} knows no funding of {m.symbol} on {self.venue.feed.spec}")
        past = before[-1].tolist() if len(before) else [None, None]
        return {
            "info": {
                "rate": coming.rate,
                "mark": coming.mark,
                "index": coming.index_px,
                "simulated": self.venue.feed.simulated,
            },
            "symbol": m.symbol,
            "markPrice": m.price(coming.mark),
            "indexPrice": m.price(coming.index_px),
            "interestRate": 0.0,
            "estimatedSettlePrice": None,
            "timestamp": now,
            "datetime": self.iso8601(now),
            "fundingRate": rate_of(coming.rate),
            "fundingTimestamp": coming.ts,
            "fundingDatetime": self.iso8601(coming.ts),
            "nextFundingRate": None,
            "nextFundingTimestamp": coming.ts + INTERVAL_MS,
            "nextFundingDatetime": self.iso8601(coming.ts + INTERVAL_MS),
            "previousFundingRate": None if past[1] is None else rate_of(past[1]),
            "previousFundingTimestamp": past[0],
            "previousFundingDatetime": self.iso8601(past[0]),
            "interval": "8h",
        }

    def fetch_funding_rate_history(
        self: Any,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Fundings that have happened, ascending: the first `limit` from `since` on, or the latest `limit` (100 by default)."""
        self.supported("fetchFundingRateHistory", params or {}, "until")
        m, now = self.contract(symbol, "fetchFundingRateHistory"), self.venue.catch_up()
        limit = self._limit(limit, DEFAULT_ROWS, MOST_BARS)
        since, until = self._window(since, params or {}, now)
        begin = until - (limit + 1) * INTERVAL_MS if since is None else since
        end = until if since is None else min(until, since + (limit + 1) * INTERVAL_MS)
        with spoken():
            rows = self.venue.feed.funding(m.symbol, begin, end)
        rows = rows[-limit:] if since is None else rows[:limit]
        return [
            {
                "info": {"rate": rate, "mark": mark, "simulated": self.venue.feed.simulated},
                "symbol": m.symbol,
                "fundingRate": rate_of(rate),
                "timestamp": ts,
                "datetime": self.iso8601(ts),
            }
            for ts, rate, mark in np.asarray(rows).tolist()
        ]

    def fetch_funding_history(
        self: Any,
        symbol: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Funding that this account received (below zero: paid), ascending."""
        self.supported("fetchFundingHistory", params or {}, "until")
        market = None if symbol is None else self.market(self.contract(symbol, "fetchFundingHistory").symbol)
        self.ready()
        self.venue.catch_up()
        found = self._within(self.venue.blotter.fundings, market, since, limit, params or {})
        return [self.parse_income(funding) for funding in found]

    def parse_income(self: Any, income: Funding, market: Any = None) -> Any:
        """An income structure from a funding."""
        m = income.instrument
        return {
            "info": {"rate": income.rate, "mark": income.mark, "qty": income.qty, "paper": True},
            "id": str(income.seq),
            "symbol": m.symbol,
            "code": m.settle,
            "timestamp": income.ts,
            "datetime": self.iso8601(income.ts),
            "amount": float(from_units(income.amount, m.quote_scale)),
            "rate": rate_of(income.rate),
        }

    # -- mark prices --------------------------------------------------------------------------------------

    def fetch_mark_price(self: Any, symbol: str, params: dict[str, Any] | None = None) -> Any:
        """Mark and index price of one market, in a ticker."""
        self.supported("fetchMarkPrice", params or {})
        return self.mark_price(self.contract(symbol, "fetchMarkPrice"))

    def fetch_mark_prices(
        self: Any, symbols: list[str] | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Mark and index prices, by symbol."""
        self.supported("fetchMarkPrices", params or {})
        return {m.symbol: self.mark_price(m) for m in self.contracts_among(symbols, "fetchMarkPrices")}

    def mark_price(self: Any, m: Instrument) -> Any:
        """A ticker that holds mark and index price only."""
        now = self.venue.catch_up()
        with spoken():
            coming = self.venue.feed.next_funding(m.symbol, now)
            mark = self.venue.mark(m)
        return self.safe_ticker(
            {
                "symbol": m.symbol,
                "timestamp": now,
                "datetime": self.iso8601(now),
                "markPrice": m.price(mark),
                "indexPrice": m.price(coming.index_px) if coming else None,
                "info": {"mark": mark, "simulated": self.venue.feed.simulated},
            },
            self.market(m.symbol),
        )
