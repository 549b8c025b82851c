"""What the synchronous and the asynchronous exchange have in common: what they are, and the venue's time."""

from __future__ import annotations

from typing import Any

import ccxt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.kernel.explain import Explanation
from twinstar_kit.venues.account_face import AccountFace
from twinstar_kit.venues.batch_face import BatchFace
from twinstar_kit.venues.contracts_face import ContractsFace
from twinstar_kit.venues.description import description
from twinstar_kit.venues.funding_face import FundingFace
from twinstar_kit.venues.funds_face import FundsFace
from twinstar_kit.venues.history_face import HistoryFace
from twinstar_kit.venues.html import account_html
from twinstar_kit.venues.lookup_face import LookupFace
from twinstar_kit.venues.market_face import MarketFace
from twinstar_kit.venues.opening import open_venue, renewed
from twinstar_kit.venues.order_terms import OrderTerms
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken
from twinstar_kit.venues.structures import Structures


class VirtualFace(
    MarketFace, AccountFace, OrderTerms, Structures, BatchFace, FundsFace, LookupFace, ContractsFace, HistoryFace, FundingFace,
):  # fmt: skip
    """Everything of the virtual exchange that does not wait; a mixin for classes of ccxt."""

    venue: Venue
    lastRestRequestTimestamp: float

    def describe(self: Any) -> Any:
        """ccxt's description of this exchange."""
        return self.deep_extend(super().describe(), description(streaming=not self.synchronous))  # type: ignore[misc]

    def after_construct(self: Any, userConfig: Any = None) -> None:
        """Open the venue that the options describe."""
        super().after_construct({})  # type: ignore[misc]
        with spoken():
            self.venue = open_venue(self.options)
        self.isSandboxModeEnabled = True

    def parse_ticker(self: Any, ticker: Any, market: Any = None) -> Any:
        """A ticker structure from a triple of symbol, record and time."""
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

    def advance(self: Any, ms: int) -> int:
        """Move the venue's time on by `ms` milliseconds; returns the new time."""
        if isinstance(ms, bool) or not isinstance(ms, int | float) or not abs(ms) < 2**53:
            raise ccxt.BadRequest(f"{self.id} advance() wants milliseconds, not {ms!r}")
        with spoken():
            return self.venue.advance(ms)  # type: ignore[no-any-return]

    def advance_to(self, ts: int | str) -> int:
        """Move the venue's time on to `ts` (UTC milliseconds or an ISO date); BadRequest when that is past."""
        with spoken():
            return self.venue.advance_to(to_milliseconds(ts))

    def due_ms(self: Any, cost: float | None) -> float:
        """How long the rate limit asks to wait. There is no server to spare, so a running clock waits for nothing."""
        if not self.venue.standing:
            return 0.0
        pause = self.rateLimit * (1 if cost is None else cost)
        return float(max(0, pause - (self.milliseconds() - self.lastRestRequestTimestamp)))

    # -- the account --------------------------------------------------------------------------------------

    def reset(self: Any) -> Any:
        """Put the account away and begin a new one with the same options, at the venue's present time.

        Nothing is overwritten: returns where the old journal stays, or None for an account in memory.
        """
        if self.venue.remote:
            raise ccxt.NotSupported(
                f"{self.id} the account of a session is not reset from outside; reset works on a private exchange"
            )
        with spoken():
            self.venue, kept = renewed(self.venue, self.options)
        return kept

    def explain(self: Any, id: str, symbol: str | None = None) -> Explanation:
        """Why an order filled at that price, or what still stands between it and a fill, in a sentence and in numbers."""
        order = self._find(id, symbol, {})
        with spoken():
            return self.venue.explain(order.order_id)  # type: ignore[no-any-return]

    # -- what it is ---------------------------------------------------------------------------------------

    def set_sandbox_mode(self: Any, enabled: bool) -> None:
        """Nothing to do: there is no live side to this exchange, and NotSupported when one is asked for."""
        if not enabled:
            raise ccxt.NotSupported(
                f"{self.id} has no live mode: every order here is paper; use a live exchange's class"
            )

    def __repr__(self) -> str:
        venue = self.__dict__.get("venue")
        return f"{type(self).__name__}({venue.label if venue else 'not open'})"

    def _repr_html_(self) -> str:
        return account_html(self.venue)
