"""What the account of the virtual exchange owns, in ccxt's structures: every number is exact until ccxt makes floats."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import ccxt

from twinstar_kit.kernel.ledger import Account, Wallet
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import Reason
from twinstar_kit.venues.blotter import Posting
from twinstar_kit.venues.entry import OrderRefused
from twinstar_kit.venues.opening import account_names
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain, spoken

KINDS = {
    Account.MARKET: "trade",
    Account.ROUNDING: "trade",
    Account.FEES: "fee",
    Account.CAPITAL: "transaction",
    Account.TRANSFER: "transfer",
    Account.INSURANCE: "trade",
}
"""ccxt's types of ledger entries by who the other side is. A residue of rounding belongs to its trade."""
WALLETS = {"spot": Wallet.SPOT, "swap": Wallet.SWAP}
NAMES = {wallet: name for name, wallet in WALLETS.items()}


class FundsFace:
    """Balances and how they came about; a mixin for classes of ccxt beside `MarketFace`."""

    venue: Venue

    def wallet(self: Any, name: Any, what: str = "type") -> Wallet:
        """The wallet that a name means: spot, or swap, where contracts are traded from; by default the one of `defaultType`."""
        name = self.options.get("defaultType", "spot") if name is None else name
        if not isinstance(name, str) or name not in WALLETS:
            raise ccxt.BadRequest(f"{self.id} {what} {name!r} must be one of {', '.join(WALLETS)}")
        wallet = WALLETS[name]
        if wallet not in self.venue.blotter.wallets:
            raise ccxt.NotSupported(
                f"{self.id} trades no contracts on {self.venue.feed.spec}, so it has no {name} wallet"
            )
        return wallet

    def fetch_balance(self: Any, params: dict[str, Any] | None = None) -> Any:
        """Free, used and total of every asset of a wallet (`type` in `params`: spot or swap).

        Used is what stands behind open orders and positions; the profit of open positions is no part of it.
        """
        self.supported("fetchBalance", params or {}, "type")
        wallet = self.wallet((params or {}).get("type"))
        now = self.venue.catch_up()
        return self.parse_balance((self.venue.balances(wallet), now))

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
        """Credit play money to the account, `type` in `params` names the wallet; returns the deposit's structure.

        InvalidOrder for an amount that is none or too fine, BadRequest for an asset that is not traded here, or when
        the account belongs to a session.
        """
        self.supported("deposit", params or {}, "type")
        return self._moved_money(self.venue.deposit, "deposit", code, amount, params or {})

    def withdraw(
        self: Any,
        code: str,
        amount: float,
        address: str,
        params: Any = None,
        tag: Any = None,
    ) -> Any:
        """Take play money out of the account. It goes nowhere: address and tag are given back, and not kept.

        ccxt's exchanges take the tag before `params`; both orders are understood.
        """
        if isinstance(params, str) or isinstance(tag, dict):
            params, tag = tag, params
        self.supported("withdraw", params or {}, "type")
        if not isinstance(address, str) or not address:
            raise ccxt.ArgumentsRequired(
                f"{self.id} withdraw() requires the argument 'address', any text will do"
            )
        made = self._moved_money(self.venue.withdraw, "withdraw", code, amount, params or {})
        return {**made, "address": address, "addressTo": address, "tag": tag, "tagTo": tag}

    def _moved_money(
        self: Any, move: Any, method: str, code: str, amount: Any, params: dict[str, Any]
    ) -> Any:
        if amount is None:
            raise ccxt.ArgumentsRequired(f"{self.id} {method}() requires the argument 'amount'")
        self._known_asset(method, code)
        number, wallet = self._number(amount, "amount"), self.wallet(params.get("type"))
        with spoken(), self._leaving(code, number, wallet):
            return self.parse_transaction(move(code, number, wallet) if wallet else move(code, number))

    @contextmanager
    def _leaving(self: Any, code: str, number: Decimal, wallet: Wallet) -> Iterator[None]:
        """InsufficientFunds with the numbers, when there is not so much in a wallet."""
        try:
            yield
        except OrderRefused as error:
            if error.reason is not Reason.INSUFFICIENT_BALANCE:
                raise
            less = ", less what open positions have lost" if wallet is Wallet.SWAP else ""
            raise ccxt.InsufficientFunds(
                f"{self.id} {plain(number)} {code} is more than the {plain(self.venue.blotter.balance(code, wallet)[0])} {code} "
                f"that is free in the {NAMES[wallet]} wallet{less}"
            ) from None

    def _known_asset(self: Any, method: str, code: Any) -> None:
        if not isinstance(code, str) or code not in self.venue.blotter.scales:
            raise ccxt.BadRequest(
                f"{self.id} {method}(): {code!r} is not traded here; fetch_currencies() lists what is"
            )

    def parse_transaction(self: Any, transaction: Posting, currency: Any = None) -> Any:
        """A deposit or a withdrawal from its posting."""
        return {
            "info": {
                "seq": transaction.seq,
                "amount": transaction.amount,
                "wallet": NAMES[transaction.wallet],
                "paper": True,
            },
            "id": str(transaction.seq),
            "txid": str(transaction.seq),
            "timestamp": transaction.ts,
            "datetime": self.iso8601(transaction.ts),
            "network": "PAPER",
            "address": None,
            "addressTo": None,
            "addressFrom": None,
            "tag": None,
            "tagTo": None,
            "tagFrom": None,
            "type": "deposit" if transaction.amount > 0 else "withdrawal",
            "amount": float(
                from_units(abs(transaction.amount), self.venue.blotter.scales[transaction.asset])
            ),
            "currency": transaction.asset,
            "status": "ok",
            "updated": transaction.ts,
            "internal": True,
            "comment": "play money",
            "fee": {"cost": 0, "currency": transaction.asset},
        }

    def fetch_deposits(
        self: Any,
        code: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Play money that was credited, ascending; the opening balances are the first of them."""
        return self._transactions("fetchDeposits", lambda p: p.amount > 0, code, since, limit, params)

    def fetch_withdrawals(
        self: Any,
        code: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Play money that was taken out, ascending."""
        return self._transactions("fetchWithdrawals", lambda p: p.amount < 0, code, since, limit, params)

    def fetch_deposits_withdrawals(
        self: Any,
        code: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Play money that came and went, ascending."""
        return self._transactions("fetchDepositsWithdrawals", lambda p: True, code, since, limit, params)

    def _transactions(
        self: Any, method: str, chosen: Any, code: Any, since: Any, limit: Any, params: Any
    ) -> Any:
        self.supported(method, params or {}, "until")
        postings = self._postings(
            method, code, since, limit, params, lambda p: p.counterpart is Account.CAPITAL and chosen(p)
        )
        return [self.parse_transaction(p) for p in postings]

    def _postings(
        self: Any, method: str, code: Any, since: Any, limit: Any, params: Any, chosen: Any
    ) -> list[Posting]:
        self.ready()
        self.venue.catch_up()
        if code is not None:
            self._known_asset(method, code)
        found = [p for p in self.venue.blotter.postings if code in (None, p.asset) and chosen(p)]
        return self._within(found, None, since, limit, params or {})  # type: ignore[no-any-return]

    # -- between the wallets ------------------------------------------------------------------------------

    def transfer(
        self: Any,
        code: str,
        amount: float,
        fromAccount: str,
        toAccount: str,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Move free balance between the spot and the swap wallet; InsufficientFunds when there is not so much."""
        self.supported("transfer", params or {})
        self._known_asset("transfer", code)
        source, target = self.wallet(fromAccount, "fromAccount"), self.wallet(toAccount, "toAccount")
        number = self._number(amount, "amount")
        if source is target:
            raise ccxt.BadRequest(
                f"{self.id} transfer() moves money between two wallets, and {NAMES[source]} is one; name spot and swap"
            )
        with spoken(), self._leaving(code, number, source):
            return self.parse_transfer(self.venue.transfer(code, number, source, target))

    def parse_transfer(self: Any, transfer: Posting, currency: Any = None) -> Any:
        """A transfer from the posting in the wallet that received it."""
        return {
            "info": {"seq": transfer.seq, "amount": transfer.amount, "paper": True},
            "id": str(transfer.seq),
            "timestamp": transfer.ts,
            "datetime": self.iso8601(transfer.ts),
            "currency": transfer.asset,
            "amount": float(from_units(transfer.amount, self.venue.blotter.scales[transfer.asset])),
            "fromAccount": NAMES[Wallet(1 - transfer.wallet)],
            "toAccount": NAMES[transfer.wallet],
            "status": "ok",
        }

    def fetch_transfers(
        self: Any,
        code: str | None = None,
        since: int | None = None,
        limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:
        """Transfers between the wallets, ascending."""
        self.supported("fetchTransfers", params or {}, "until")
        received = self._postings(
            "fetchTransfers",
            code,
            since,
            limit,
            params,
            lambda p: p.counterpart is Account.TRANSFER and p.amount > 0,
        )
        return [self.parse_transfer(p) for p in received]

    def fetch_accounts(self: Any, params: dict[str, Any] | None = None) -> Any:
        """The wallets of every named account that this exchange can open; the first ones are those of the present account."""
        self.supported("fetchAccounts", params or {})
        names = account_names(self.options)
        return [
            {"id": name, "type": NAMES[wallet], "code": None, "info": {"account": name, "paper": True}}
            for name in names
            for wallet in self.venue.blotter.wallets
        ]

    def fetch_ledger(
        self: Any, code: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Every posting that changed what a wallet owns, ascending: deposits, transfers, both legs of each trade, profits, funding, fees.

        `code` chooses an asset; in `params` `type` a wallet (else both), and `until` ends them (UTC milliseconds, exclusive).
        What orders hold and positions use is still owned, so it is no entry.
        """
        self.supported("fetchLedger", params or {}, "until", "type")
        kind = (params or {}).get("type")
        wallet = None if kind is None else self.wallet(kind)
        postings = self._postings(
            "fetchLedger", code, since, limit, params, lambda p: wallet in (None, p.wallet)
        )
        return [self.parse_ledger_entry(p) for p in postings]

    def parse_ledger_entry(self: Any, item: Posting, currency: Any = None) -> Any:
        """A ledger entry from a posting of the journal; `referenceId` is the order."""
        scale = self.venue.blotter.scales[item.asset]
        before, after = (from_units(units, scale) for units in (item.after - item.amount, item.after))
        return self.safe_ledger_entry(
            {
                "id": str(item.seq),
                "timestamp": item.ts,
                "direction": "in" if item.amount > 0 else "out",
                "account": NAMES[item.wallet],
                "referenceId": str(item.order_id) if item.order_id else None,
                "referenceAccount": item.counterpart.name.lower(),
                "type": "funding" if item.funding else KINDS[item.counterpart],
                "amount": plain(abs(from_units(item.amount, scale))),
                "before": plain(before),
                "after": plain(after),
                "status": "ok",
                "fee": {"cost": 0, "currency": item.asset},  # a fee is an entry of its own
                "info": {"seq": item.seq, "amount": item.amount, "order_id": item.order_id, "paper": True},
            },
            self.currency(item.asset),
        )
