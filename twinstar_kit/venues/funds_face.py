"""What the account of the virtual exchange owns, in ccxt's structures: every number is exact until ccxt makes floats."""

from __future__ import annotations

from typing import Any

import ccxt

from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.money import from_units
from twinstar_kit.venues.blotter import Posting
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain, spoken

KINDS = {
    Account.MARKET: "trade",
    Account.ROUNDING: "trade",
    Account.FEES: "fee",
    Account.CAPITAL: "transaction",
}
"""ccxt's types of ledger entries by who the other side is. A residue of rounding belongs to its trade."""


class FundsFace:
    """Balances and how they came about; a mixin for classes of ccxt beside `MarketFace`."""

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

    def deposit(self: Any, code: str, amount: float, params: dict[str, Any] | None = None) -> Any:
        """Credit play money to the account; returns the deposit's structure.

        InvalidOrder for an amount that is none or too fine, BadRequest for an asset that is not traded here, or when
        the account belongs to a session.
        """
        self.supported("deposit", params or {})
        if amount is None:
            raise ccxt.ArgumentsRequired(f"{self.id} deposit() requires the argument 'amount'")
        number = self._number(amount, "amount")
        with spoken():
            return self.parse_transaction(self.venue.deposit(code, number))

    def parse_transaction(self: Any, transaction: Posting, currency: Any = None) -> Any:
        """A deposit from its posting."""
        return {
            "info": {"seq": transaction.seq, "amount": transaction.amount, "paper": True},
            "id": str(transaction.seq),
            "txid": str(transaction.seq),
            "timestamp": transaction.ts,
            "datetime": self.iso8601(transaction.ts),
            "network": None,
            "address": None,
            "addressTo": None,
            "addressFrom": None,
            "tag": None,
            "tagTo": None,
            "tagFrom": None,
            "type": "deposit",
            "amount": float(from_units(transaction.amount, self.venue.blotter.scales[transaction.asset])),
            "currency": transaction.asset,
            "status": "ok",
            "updated": transaction.ts,
            "internal": True,
            "comment": "play money",
            "fee": {"cost": 0, "currency": transaction.asset},
        }

    def fetch_ledger(
        self: Any, code: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Every posting that changed what the account owns, ascending: deposits, both legs of each trade, fees.

        `code` chooses an asset; `until` in `params` ends them (UTC milliseconds, exclusive). What open orders hold is
        still owned, so it is no entry.
        """
        self.supported("fetchLedger", params or {}, "until")
        self.venue.catch_up()
        if code is not None and code not in self.venue.blotter.scales:
            raise ccxt.BadRequest(
                f"{self.id} fetchLedger(): {code!r} is not traded here; fetch_currencies() lists what is"
            )
        chosen = [posting for posting in self.venue.blotter.postings if code in (None, posting.asset)]
        self.ready()
        return [self.parse_ledger_entry(p) for p in self._within(chosen, None, since, limit, params or {})]

    def parse_ledger_entry(self: Any, item: Posting, currency: Any = None) -> Any:
        """A ledger entry from a posting of the journal; `referenceId` is the order."""
        scale = self.venue.blotter.scales[item.asset]
        before, after = (from_units(units, scale) for units in (item.after - item.amount, item.after))
        return self.safe_ledger_entry(
            {
                "id": str(item.seq),
                "timestamp": item.ts,
                "direction": "in" if item.amount > 0 else "out",
                "account": "spot",
                "referenceId": str(item.order_id) if item.order_id else None,
                "referenceAccount": item.counterpart.name.lower(),
                "type": KINDS[item.counterpart],
                "amount": plain(abs(from_units(item.amount, scale))),
                "before": plain(before),
                "after": plain(after),
                "status": "ok",
                "fee": {"cost": 0, "currency": item.asset},  # a fee is an entry of its own
                "info": {"seq": item.seq, "amount": item.amount, "order_id": item.order_id, "paper": True},
            },
            self.currency(item.asset),
        )
