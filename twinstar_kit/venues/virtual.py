"""VirtualExchange: the virtual venue as a synchronous exchange of ccxt."""

from __future__ import annotations

import time
from typing import Any

import ccxt

from twinstar_kit.venues.face import VirtualFace


class VirtualExchange(VirtualFace, ccxt.Exchange):  # type: ignore[misc]
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

    def load_markets(self, reload: bool = False, params: Any = None) -> Any:
        """Markets by symbol; they are at hand."""
        self.supported("loadMarkets", params or {})
        self.ready(reload)
        return self.markets

    def sleep(self, milliseconds: float) -> None:
        """Let time pass: the venue's where it waits to be advanced, else real time."""
        if self.venue.standing:
            self.advance(round(milliseconds))
        else:
            time.sleep(milliseconds / 1000)

    def throttle(self, cost: float | None = None) -> None:
        """Wait as the rate limit asks, on the venue's time."""
        wait = self.due_ms(cost)
        if wait:
            self.sleep(wait)
        self.lastRestRequestTimestamp = self.milliseconds()

    def fetch(self, url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
        """This exchange makes no requests over a network."""
        raise ccxt.NotSupported(f"{self.id} has no network side; there is nothing at {url}")

    def close(self, clean_instance_data: bool = False) -> None:
        """Close the journal, if there is one, and what ccxt opened."""
        venue = self.__dict__.get("venue")
        if venue is not None:
            venue.close()
        super().close(clean_instance_data)
