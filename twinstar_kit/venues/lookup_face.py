"""One order, transfer or ledger entry by its id, and orders by what became of them, in ccxt's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ccxt

from twinstar_kit.kernel.ledger import Account
from twinstar_kit.venues.account_face import AccountFace
from twinstar_kit.venues.blotter import Posting
from twinstar_kit.venues.port import Venue

STATUSES = ("open", "closed", "canceled")


class LookupFace:
    """What is asked for by name; a mixin for classes of ccxt beside `AccountFace` and `FundsFace`."""

    venue: Venue

    # -- orders -------------------------------------------------------------------------------------------

    def fetch_open_order(
        self: Any, id: str, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One open order by its id, or by `clientOrderId` in `params`; OrderNotFound when it is not open (and why)."""
        return self._order_that_is("open", "fetchOpenOrder", id, symbol, params)

    def fetch_closed_order(
        self: Any, id: str, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One order that filled, by its id or by `clientOrderId` in `params`; OrderNotFound when it did not."""
        return self._order_that_is("closed", "fetchClosedOrder", id, symbol, params)

    def _order_that_is(
        self: Any, status: str, method: str, id: str, symbol: str | None, params: dict[str, Any] | None
    ) -> Any:
        self.supported(method, params or {}, "clientOrderId")
        order = self._find(id, symbol, params or {})
        if order.status != status:
            why = f" ({order.reason.text})" if order.status == "canceled" else ""
            raise ccxt.OrderNotFound(
                f"{self.id} {method}(): order {order.order_id} is {order.status}{why}; fetch_order() finds it"
            )
        return self.parse_order(order)

    def fetch_orders_by_status(
        self: Any, status: str, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Orders of one status (open, closed or canceled), ascending; `until` in `params` ends them."""
        if status not in STATUSES:
            raise ccxt.BadRequest(
                f"{self.id} fetchOrdersByStatus(): status {status!r} must be one of {', '.join(STATUSES)}"
            )
        return self._orders("fetchOrdersByStatus", lambda o: o.status == status, symbol, since, limit, params)

    def cancel_orders_with_client_order_ids(
        self: Any, clientOrderIds: list[str], symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Cancel several orders by the names that the client gave them; those before one that is not found stay canceled."""
        self.supported("cancelOrdersWithClientOrderIds", params or {})
        if not isinstance(clientOrderIds, list | tuple):
            raise ccxt.ArgumentsRequired(
                f"{self.id} cancelOrdersWithClientOrderIds() wants a list of clientOrderIds, not {clientOrderIds!r}"
            )
        return [
            AccountFace.cancel_order(self, "", symbol, {"clientOrderId": self.client_name(name)})
            for name in clientOrderIds
        ]

    # -- money --------------------------------------------------------------------------------------------

    def fetch_deposit(
        self: Any, id: str, code: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One deposit of play money by its id; ExchangeError when there is none."""
        posting = self._entry(
            "fetchDeposit", id, code, params, lambda p: p.counterpart is Account.CAPITAL and p.amount > 0
        )
        return self.parse_transaction(posting)

    def fetch_withdrawal(
        self: Any, id: str, code: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One withdrawal of play money by its id; ExchangeError when there is none."""
        posting = self._entry(
            "fetchWithdrawal", id, code, params, lambda p: p.counterpart is Account.CAPITAL and p.amount < 0
        )
        return self.parse_transaction(posting)

    def fetch_transfer(
        self: Any, id: str, code: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One transfer between the wallets by its id; ExchangeError when there is none."""
        posting = self._entry(
            "fetchTransfer", id, code, params, lambda p: p.counterpart is Account.TRANSFER and p.amount > 0
        )
        return self.parse_transfer(posting)

    def fetch_ledger_entry(
        self: Any, id: str, code: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One entry of the ledger by its id; ExchangeError when there is none."""
        return self.parse_ledger_entry(self._entry("fetchLedgerEntry", id, code, params, lambda p: True))

    def _entry(
        self: Any, method: str, id: Any, code: Any, params: Any, chosen: Callable[[Posting], bool]
    ) -> Posting:
        self.supported(method, params or {})
        found = self._postings(method, code, None, None, None, lambda p: str(p.seq) == str(id) and chosen(p))
        if not found:
            there = {
                "fetchLedgerEntry": "fetch_ledger()",
                "fetchDeposit": "fetch_deposits()",
                "fetchWithdrawal": "fetch_withdrawals()",
                "fetchTransfer": "fetch_transfers()",
            }
            raise ccxt.ExchangeError(
                f"{self.id} {method}(): there is none with the id {id!r}; {there[method]} lists those there are"
            )
        return found[0]  # type: ignore[no-any-return]
