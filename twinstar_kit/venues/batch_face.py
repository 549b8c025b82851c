"""Several orders in one request, in ccxt's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ccxt

from twinstar_kit.venues.account_face import AccountFace
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import spoken

FIELDS = ("symbol", "type", "side", "amount", "price", "params")


class BatchFace:
    """Batches; a mixin for classes of ccxt beside `AccountFace`."""

    venue: Venue

    def create_orders(self: Any, orders: list[Any], params: dict[str, Any] | None = None) -> Any:
        """Send several orders, one after another; each is a dict with the arguments of `create_order`.

        All are checked before any is sent, so that an error of this method means that nothing was. What the venue
        refuses after that is in its place as an order with the status rejected, whose `info` names error and message;
        the others are sent all the same.
        """
        self.supported("createOrders", params or {})
        if not isinstance(orders, list | tuple) or not orders:
            raise ccxt.ArgumentsRequired(f"{self.id} createOrders() wants a list of orders, not {orders!r}")
        for order in orders:
            unknown = [name for name in order if name not in FIELDS] if isinstance(order, Mapping) else ["it"]
            if unknown:
                raise ccxt.BadRequest(
                    f"{self.id} createOrders(): {order!r} must be a dict of {', '.join(FIELDS)}; {unknown[0]!r} is not known"
                )
        requests = [self.prepared(*(order.get(name) for name in FIELDS)) for order in orders]
        return [self._sent(request) for request in requests]

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
