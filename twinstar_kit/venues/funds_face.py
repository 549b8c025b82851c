"""What the account of the virtual exchange owns, in ccxt's structures: every number is exact until ccxt makes floats."""

from __future__ import annotations

from typing import Any

import ccxt

from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain


class FundsFace:
    """Balances; a mixin for classes of ccxt beside `MarketFace`."""

    venue: Venue

    def fetch_balance(self: Any, params: dict[str, Any] | None = None) -> Any:
        """Free, used and total of every asset; used is what open orders hold."""
        self.supported("fetchBalance", params or {}, "type")
        if (params or {}).get("type") not in (None, "spot"):
            raise ccxt.NotSupported(f"{self.id} has a spot account only, not {params['type']!r}")  # type: ignore[index]
        now = self.venue.catch_up()
        return self.parse_balance((self.venue.balances(), now))

    def parse_balance(self: Any, response: Any) -> Any:
        """A balance structure from a pair of balances by asset and time."""
        balances, now = response
        result: dict[str, Any] = {
            asset: {"free": plain(free), "used": plain(held), "total": plain(free + held)}
            for asset, (free, held) in balances.items()
        }
        info = {
            asset: {"free": str(free), "held": str(held)}
            for asset, (free, held) in balances.items()
            if free or held
        }
        return self.safe_balance({**result, "timestamp": now, "datetime": self.iso8601(now), "info": info})
