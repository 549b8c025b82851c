"""Several orders in one request, in ccxt's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ccxt

from twinstar_kit.venues.account_face import AccountFace
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken
from twinstar_kit.venues.requests import OrderRequest

FIELDS = ("symbol", "type", "side", "amount", "price", "params")
CHANGES = ("id", *FIELDS)


class BatchFace:
    """Batches; a mixin for classes of ccxt beside `AccountFace`."""

    venue: Venue

    def create_orders(self: Any, orders: list[Any], params: dict[str, Any] | None = None) -> Any:
        """Send several orders, one after another; each is a dict with the arguments of `create_order`.

        All are checked before any is sent, so that an error of this method means that nothing was. What the venue
        refuses after that is in its place as an order with the status rejected, whose `info` names error and message;
        the others are sent all the same. With `oco` in `params` the orders are one request, of which one that fills ends the
        others (one-cancels-other), or nothing is sent; sales of coins only reduce then, so that both need no more than there is.
        """
        self.supported("createOrders", params or {}, "oco")
        self._check_batch("createOrders", orders, FIELDS)
        requests = [self.prepared(*(order.get(name) for name in FIELDS)) for order in orders]
        if self._flag({name: value for name, value in (params or {}).items() if value is not None}, "oco"):
            return self._linked(requests)
        return [self._sent(request) for request in requests]

    def _linked(self: Any, requests: list[OrderRequest]) -> Any:
        first = requests[0]
        if (
            len(requests) < 2
            or any(r.symbol != first.symbol or r.attached or r.client_order_id for r in requests[1:])
            or first.attached
        ):
            raise ccxt.InvalidOrder(
                f"{self.id} oco links two orders or more of one market; the first one's clientOrderId names them all"
            )
        if not self.venue.instruments[first.symbol].derivative:
            requests = [replace(r, reduce_only=True) if r.side < 0 else r for r in requests]
        request = replace(requests[0], linked=tuple(requests[1:]))
        made = AccountFace.carry_out(self, request)
        ids = range(int(made["id"]), int(made["id"]) + len(requests))
        return [self.parse_order(self.venue.blotter.orders[order_id]) for order_id in ids]

    def edit_orders(self: Any, orders: list[Any], params: dict[str, Any] | None = None) -> Any:
        """Change several orders; each is a dict with the arguments of `edit_order`. Those before one that fails stay changed."""
        self.supported("editOrders", params or {})
        self._check_batch("editOrders", orders, CHANGES)
        return [AccountFace.edit_order(self, *(order.get(name) for name in CHANGES)) for order in orders]

    def _check_batch(self: Any, method: str, orders: Any, fields: tuple[str, ...]) -> None:
        """An error when `orders` is no list of dicts with such fields."""
        if not isinstance(orders, list | tuple) or not orders:
            raise ccxt.ArgumentsRequired(f"{self.id} {method}() wants a list of orders, not {orders!r}")
        for order in orders:
            unknown = [name for name in order if name not in fields] if isinstance(order, Mapping) else ["it"]
            if unknown:
                raise ccxt.BadRequest(
                    f"{self.id} {method}(): {order!r} must be a dict of {', '.join(fields)}; {unknown[0]!r} is not known"
                )

    def _sent(self: Any, request: Any) -> Any:
        try:
            return self.carry_out(request)
        except ccxt.ExchangeError as error:
            m = self.venue.instruments[request.symbol]
            refused = {
                "symbol": m.symbol,
                "clientOrderId": request.client_order_id or None,
                "side": "buy" if request.side > 0 else "sell",
                "amount": m.amount(request.order_qty),
                "price": m.price(request.price) if request.price else None,
                "status": "rejected",
                "info": {"error": type(error).__name__, "message": str(error)},
            }
            return self.safe_order(refused, self.market(m.symbol))

    def cancel_orders(
        self: Any, ids: list[str], symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Cancel several orders; those before one that is not found stay canceled."""
        self.supported("cancelOrders", params or {})
        if not isinstance(ids, list | tuple):
            raise ccxt.ArgumentsRequired(f"{self.id} cancelOrders() wants a list of ids, not {ids!r}")
        return [AccountFace.cancel_order(self, id, symbol) for id in ids]

    def cancel_all_orders(self: Any, symbol: str | None = None, params: dict[str, Any] | None = None) -> Any:
        """Cancel every open order, or those of one market. An order that this ends on its way is left out."""
        self.supported("cancelAllOrders", params or {})
        wanted = None if symbol is None else self.market(symbol)["symbol"]
        self.venue.catch_up()
        canceled = []
        for order in list(self.venue.blotter.open.values()):
            if wanted in (None, order.instrument.symbol) and order.order_id in self.venue.blotter.open:
                with spoken():
                    canceled.append(self.parse_order(self.venue.cancel(order.order_id)))
        return canceled

    def cancel_orders_for_symbols(self: Any, orders: list[Any], params: dict[str, Any] | None = None) -> Any:
        """Cancel several orders, each given as a dict of id and symbol."""
        self.supported("cancelOrdersForSymbols", params or {})
        if not isinstance(orders, list | tuple) or not all(isinstance(order, Mapping) for order in orders):
            raise ccxt.ArgumentsRequired(
                f"{self.id} cancelOrdersForSymbols() wants a list of dicts of id and symbol, not {orders!r}"
            )
        return [AccountFace.cancel_order(self, order.get("id"), order.get("symbol")) for order in orders]

    def cancel_all_orders_after(self: Any, timeout: int, params: dict[str, Any] | None = None) -> Any:
        """Cancel every open order in `timeout` milliseconds, unless this is called again before; 0 calls it off."""
        self.supported("cancelAllOrdersAfter", params or {})
        if isinstance(timeout, bool) or not isinstance(timeout, int | float) or not 0 <= timeout < 2**53:
            raise ccxt.BadRequest(f"{self.id} cancelAllOrdersAfter() wants milliseconds, not {timeout!r}")
        with spoken():
            due = self.venue.cancel_all_after(int(timeout))
        return {
            "info": {"due": due, "paper": True},
            "triggerTime": due or None,
            "datetime": self.iso8601(due) if due else None,
        }
