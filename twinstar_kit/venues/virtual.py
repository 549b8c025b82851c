"""VirtualExchange: the virtual venue as a synchronous exchange of ccxt."""

from __future__ import annotations

import time
from typing import Any

import ccxt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.venues.account_face import AccountFace
from twinstar_kit.venues.description import description
from twinstar_kit.venues.html import account_html
from twinstar_kit.venues.market_face import MarketFace
from twinstar_kit.venues.opening import open_venue
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken


class VirtualExchange(MarketFace, AccountFace, ccxt.Exchange):  # type: ignore[misc]
    """An exchange with play money, driven like any other exchange of ccxt.

    Without options it is private and in memory: the simulated market of 98 symbols in real time, and a funded
    account. `options` (see `opening.OPTIONS`) choose the feed, the balances, the clock, fees, and a journal that
    keeps the account. `advance(ms)` and `advance_to(ts)` move the venue's time, which `milliseconds()` tells; the
    rate limiter waits on that time too, so nothing sleeps.

    What fills and when, and what is unrealistic about it, stands in `venues.core` and `kernel.matching`.

    >>> ex = VirtualExchange({"options": {"start": "2025-06-01", "balances": {"USDT": 1_000}}})
    >>> order = ex.create_order("BTC/USDT", "market", "buy", 0.001)
    >>> order["status"], order["filled"], ex.fetch_balance()["BTC"]["total"]
    ('closed', 0.001, 0.001)
    """

    venue: Venue
    lastRestRequestTimestamp: float

    def describe(self) -> Any:
        """ccxt's description of this exchange."""
        return self.deep_extend(super().describe(), description())

    def after_construct(self, userConfig: Any = None) -> None:
        """Open the venue that the options describe."""
        super().after_construct({})
        with spoken():
            self.venue = open_venue(self.options)
        self.isSandboxModeEnabled = True

    def load_markets(self, reload: bool = False, params: Any = None) -> Any:
        """Markets by symbol; they are at hand."""
        self.supported("loadMarkets", params or {})
        if reload:
            self.set_markets(self.fetch_markets(), self.fetch_currencies())
        self.ready()
        return self.markets

    def parse_ticker(self, ticker: Any, market: Any = None) -> Any:
        """A ticker structure from a pair of symbol and record."""
        symbol, row, now = ticker
        return self.parse_ticker_row(symbol, row, now)

    # -- time ---------------------------------------------------------------------------------------------

    def milliseconds(self) -> int:
        """The venue's time in UTC milliseconds."""
        return self.venue.now()

    def seconds(self) -> int:
        """The venue's time in UTC seconds."""
        return self.milliseconds() // 1000

    def microseconds(self) -> int:
        """The venue's time in UTC microseconds."""
        return self.milliseconds() * 1000

    def advance(self, ms: int) -> int:
        """Move the venue's time on by `ms` milliseconds; returns the new time."""
        if isinstance(ms, bool) or not isinstance(ms, int | float):
            raise ccxt.BadRequest(f"{self.id} advance() wants milliseconds, not {ms!r}")
        with spoken():
            return self.venue.advance(ms)

    def advance_to(self, ts: int | str) -> int:
        """Move the venue's time on to `ts` (UTC milliseconds or an ISO date); BadRequest when that is past."""
        with spoken():
            return self.venue.advance_to(to_milliseconds(ts))

    def sleep(self, milliseconds: float) -> None:
        """Let time pass: the venue's where it waits to be advanced, else real time."""
        if self.venue.standing:
            self.advance(round(milliseconds))
        else:
            time.sleep(milliseconds / 1000)

    def throttle(self, cost: float | None = None) -> None:
        """Wait as the rate limit asks. There is no server to spare, so a running clock waits for nothing."""
        wait = self.rateLimit * (1 if cost is None else cost) - (self.milliseconds() - self.lastRestRequestTimestamp)
        if wait > 0 and self.venue.standing:
            self.sleep(wait)
        self.lastRestRequestTimestamp = self.milliseconds()

    # -- what it is ---------------------------------------------------------------------------------------

    def set_sandbox_mode(self, enabled: bool) -> None:
        """Nothing to do: there is no live side to this exchange, and NotSupported when one is asked for."""
        if not enabled:
            raise ccxt.NotSupported(f"{self.id} has no live mode: every order here is paper; use a live exchange's class")

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """This exchange makes no requests over a network."""
        raise ccxt.NotSupported(f"{self.id} has no network side; there is nothing at {url}")

    def close(self, clean_instance_data: bool = False) -> None:
        """Close the journal, if there is one, and what ccxt opened."""
        venue = self.__dict__.get("venue")
        if venue is not None:
            venue.close()
        super().close(clean_instance_data)

    def __repr__(self) -> str:
        venue = self.__dict__.get("venue")
        return f"VirtualExchange({venue.label if venue else 'not open'})"

    def _repr_html_(self) -> str:
        return account_html(self.venue)
