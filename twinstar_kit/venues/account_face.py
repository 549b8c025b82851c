"""Orders of the virtual exchange in ccxt's words: sending, changing, canceling, reading. Every refusal names its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, cast

import ccxt

from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import OrdType, Reason, Side
from twinstar_kit.venues.blotter import OrderRequest, VenueOrder
from twinstar_kit.venues.core import ORDER_CAPACITY
from twinstar_kit.venues.entry import OrderRefused
from twinstar_kit.venues.order_terms import TRAILS, TRIGGERS
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import Facts, refusal, spoken
from twinstar_kit.venues.structures import LIMITS


class AccountFace:
    """Private methods about orders; a mixin for classes of ccxt beside `MarketFace` and `OrderTerms`."""

    venue: Venue

    # -- sending ------------------------------------------------------------------------------------------

    def create_order(
        self: Any, symbol: str, type: str, side: str, amount: float | None, price: float | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Send an order.

        `type` is market (`price` is then ignored, as on every exchange) or limit. `params` make it a stop, a
        take-profit, a trailing stop, a bracket and so on; docs/virtual-exchange.md lists them all. Amounts are cut to the lot and
        prices rounded to the tick. Errors name the rule: BadSymbol, InvalidOrder, InsufficientFunds,
        ArgumentsRequired, NotSupported, OrderImmediatelyFillable, DuplicateOrderId.
        """
        return self.carry_out(self.prepared(symbol, type, side, amount, price, params))

    def create_market_order_with_cost(
        self: Any, symbol: str, side: str, cost: float, params: dict[str, Any] | None = None
    ) -> Any:
        """Send a market order for as many lots as `cost` of the quote pays for, its fee not counted."""
        params = params or {}
        if not isinstance(params, dict):
            raise ccxt.BadRequest(
                f"{self.id} createMarketOrderWithCost(): params must be a dict, not {params!r}"
            )
        return AccountFace.create_order(self, symbol, "market", side, None, None, {"cost": cost, **params})

    def create_market_buy_order_with_cost(
        self: Any, symbol: str, cost: float, params: dict[str, Any] | None = None
    ) -> Any:
        """Buy for `cost` of the quote, see `create_market_order_with_cost`."""
        return AccountFace.create_market_order_with_cost(self, symbol, "buy", cost, params)

    def create_market_sell_order_with_cost(
        self: Any, symbol: str, cost: float, params: dict[str, Any] | None = None
    ) -> Any:
        """Sell for `cost` of the quote, see `create_market_order_with_cost`."""
        return AccountFace.create_market_order_with_cost(self, symbol, "sell", cost, params)

    def carry_out(self: Any, request: OrderRequest) -> Any:
        """Send a request, or find the order that it made before; returns the order's structure."""
        self.venue.catch_up()
        known = self.venue.blotter.by_client_id.get(request.client_order_id)
        if known is not None and not (known.request is not None and known.request.same_as(request)):
            raise ccxt.DuplicateOrderId(
                f"{self.id} clientOrderId {request.client_order_id!r} names order {known.order_id}, which is another "
                "order; choose a new id"
            )
        return self.parse_order(self.send(request))

    def send(self: Any, request: OrderRequest) -> VenueOrder:
        """Hand a request to the venue and translate its refusal."""
        with spoken():
            try:
                return cast(VenueOrder, self.venue.place(request))
            except OrderRefused as error:
                refused = error
        raise self.refused(refused, request)

    def refused(self: Any, refused: OrderRefused, request: OrderRequest) -> ccxt.ExchangeError:
        """The ccxt error for a request that the venue refused."""
        if refused.reason is Reason.NO_MARKET:
            return ccxt.MarketClosed(f"{self.id} {refused}")  # there may be no prices to say more by
        request = refused.request or request
        m = self.venue.instruments[request.symbol]
        units = request.price or request.stop_px
        amount = from_units(request.order_qty, m.amount_scale)
        asset, cost = self.needed(m, request.side, amount, units, request.ord_type)
        contracts = self.venue.blotter.contracts
        facts = Facts(
            self.free(m, asset),
            asset,
            cost,
            self.venue.feed.last(m.symbol, self.venue.now()),
            contracts.leverages.get(contracts.numbers.get(m.symbol, -1), 1),
            m.max_orders or ORDER_CAPACITY,
        )
        return refusal(refused, m, facts)

    def free(self: Any, m: Instrument, asset: str) -> Decimal:
        """The free balance of `asset` in the wallet that an instrument is traded from."""
        wallet = Wallet.SWAP if m.derivative else Wallet.SPOT
        return cast(Decimal, self.venue.blotter.balance(asset, wallet)[0])

    def needed(
        self: Any, m: Instrument, side: Side, amount: Decimal, units: int, kind: OrdType = OrdType.MARKET
    ) -> tuple[str, Decimal]:
        """What an order takes of the balance, and of which: coins that are sold, or the cost or margin with the fee, up to slippage."""
        if side < 0 and not m.derivative:
            return m.base, amount
        bid, ask = self.venue.quote(m.symbol, self.venue.catch_up())
        price = from_units(units or (ask if side > 0 else bid), m.price_scale)
        broker = self.venue.broker
        if kind not in LIMITS:
            price *= 1 + broker.slippage_bps / 10_000
        worth = (
            amount * m.contract_size / price if m.kind is Kind.INVERSE else amount * m.contract_size * price
        )
        leverage = self.venue.blotter.contracts.leverages.get(
            self.venue.blotter.contracts.numbers.get(m.symbol, -1), 1
        )
        return m.settle, Decimal(round(worth / leverage + worth * broker.fee_taker, m.quote_scale))

    # -- changing -----------------------------------------------------------------------------------------

    def edit_order(
        self: Any, id: str, symbol: str, type: str, side: str, amount: float | None = None, price: float | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Change an open order: its amount, its price, and by `params` its trigger or its trail. It keeps its id.

        It keeps its place in the queue when only its amount shrinks. Type and side are those that it has.
        """
        params = {name: value for name, value in (params or {}).items() if value is not None}
        self.supported("editOrder", params, *TRIGGERS, *TRAILS, "clientOrderId")
        for name, value in (("type", type), ("side", side)):
            if value is None:
                raise ccxt.ArgumentsRequired(f"{self.id} editOrder() requires the argument {name!r}")
        order = self._find(id, symbol, params)
        m = order.instrument
        is_now = "limit" if order.ord_type in LIMITS else "market", "buy" if order.side > 0 else "sell"
        if (type, side) != is_now:
            raise ccxt.InvalidOrder(
                f"{self.id} order {order.order_id} is a {' '.join(is_now)}; send a new order for a {type} {side}"
            )
        changes: dict[str, int] = {}
        if amount is not None:
            changes["qty"] = self._amount(m, order.side, amount, order.price)
        if price is not None and type == "limit":
            changes["price"] = self._price(m, price, "price")
        for name in (n for n in (*TRIGGERS, *TRAILS) if n in params):
            changes |= self._moved(m, order, name, params[name])
        if not changes:
            raise ccxt.ArgumentsRequired(
                f"{self.id} editOrder() requires an amount, a price, or a trigger in params"
            )
        self._still_open(order)
        with spoken():
            try:
                return self.parse_order(self.venue.amend(order.order_id, **changes))
            except OrderRefused as error:
                refused = error
        raise self.refused(refused, OrderRequest(m.symbol, order.side, order.ord_type, changes.get("qty", order.order_qty),
                                                 price=changes.get("price", order.price)))  # fmt: skip

    def _moved(self: Any, m: Instrument, order: VenueOrder, name: str, value: Any) -> dict[str, int]:
        trails = order.ord_type in (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
        if trails != (name in TRAILS) or order.ord_type in (OrdType.MARKET, OrdType.LIMIT):
            raise ccxt.InvalidOrder(
                f"{self.id} order {order.order_id} is a {order.ord_type.name.lower()}; it has no {name}"
            )
        if name == "trailingPercent":
            return {"trail_rate": self._trail_rate(value), "trail": 0}
        if name == "trailingAmount":
            return {"trail": self._price(m, value, name), "trail_rate": 0}
        return {"stop_px": self._price(m, value, name)}

    def _still_open(self: Any, order: VenueOrder) -> None:
        if order.order_id not in self.venue.blotter.open:
            done = "filled" if order.status == "closed" else f"canceled ({order.reason.text})"
            raise ccxt.OrderNotFound(f"{self.id} order {order.order_id} is not open: it was {done}")

    # -- canceling ----------------------------------------------------------------------------------------

    def cancel_order(
        self: Any, id: str, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Cancel an open order; OrderNotFound when it is not open (the message says what became of it)."""
        self.supported("cancelOrder", params or {}, "clientOrderId")
        order = self._find(id, symbol, params or {})
        self._still_open(order)
        with spoken(what=ccxt.OrderNotFound):
            return self.parse_order(self.venue.cancel(order.order_id))

    # -- reading ------------------------------------------------------------------------------------------

    def fetch_order(
        self: Any, id: str, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """One order by its id, or by `clientOrderId` in `params`; OrderNotFound when there is none."""
        self.supported("fetchOrder", params or {}, "clientOrderId")
        return self.parse_order(self._find(id, symbol, params or {}))

    def fetch_orders(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """All accepted orders, ascending; `until` in `params` ends them (UTC milliseconds, exclusive)."""
        return self._orders("fetchOrders", lambda order: True, symbol, since, limit, params)

    def fetch_open_orders(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Orders that are open, ascending."""
        return self._orders("fetchOpenOrders", lambda o: o.status == "open", symbol, since, limit, params)

    def fetch_closed_orders(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Orders that filled, ascending."""
        return self._orders("fetchClosedOrders", lambda o: o.status == "closed", symbol, since, limit, params)

    def fetch_canceled_orders(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Orders that were canceled, ascending; `info` says why."""
        return self._orders(
            "fetchCanceledOrders", lambda o: o.status == "canceled", symbol, since, limit, params
        )

    def fetch_canceled_and_closed_orders(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Orders that are no longer open, ascending."""
        return self._orders(
            "fetchCanceledAndClosedOrders", lambda o: o.status != "open", symbol, since, limit, params
        )

    def fetch_my_trades(
        self: Any, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """The account's fills, ascending; `until` in `params` ends them (UTC milliseconds, exclusive)."""
        self.supported("fetchMyTrades", params or {}, "until")
        self.venue.catch_up()
        market = None if symbol is None else self.market(symbol)
        fills = self._within(self.venue.blotter.fills, market, since, limit, params or {})
        return [self.parse_trade(fill) for fill in fills]

    def fetch_order_trades(
        self: Any, id: str, symbol: str | None = None, since: int | None = None, limit: int | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """The fills of one order, ascending."""
        self.supported("fetchOrderTrades", params or {}, "until")
        order = self._find(id, symbol, {})
        return [
            self.parse_trade(fill) for fill in self._within(order.fills, None, since, limit, params or {})
        ]

    def _orders(
        self: Any, method: str, chosen: Callable[[VenueOrder], bool], symbol: str | None, since: int | None,
        limit: int | None, params: dict[str, Any] | None,
    ) -> Any:  # fmt: skip
        self.supported(method, params or {}, "until")
        self.venue.catch_up()
        market = None if symbol is None else self.market(symbol)
        orders = filter(chosen, self.venue.orders())
        return [self.parse_order(order) for order in self._within(orders, market, since, limit, params or {})]

    def _within(
        self: Any,
        items: Iterable[Any],
        market: Any,
        since: int | None,
        limit: int | None,
        params: dict[str, Any],
    ) -> list[Any]:
        """Orders or fills of a market and a time: the first `limit` from `since` on, else the latest `limit`."""
        since, until = self.moment(since, "since"), self.moment(params.get("until"), "until")
        found = [
            item
            for item in items
            if (market is None or item.instrument.symbol == market["symbol"])
            and (since is None or item.ts >= since)
            and (until is None or item.ts < until)
        ]
        if limit is None:
            return found
        limit = self._limit(limit, 0)
        return found[:limit] if since is not None else found[-limit:]

    def _find(self: Any, id: str, symbol: str | None, params: dict[str, Any]) -> VenueOrder:
        self.ready()
        self.venue.catch_up()
        name = params.get("clientOrderId")
        if name is not None:
            order = self.venue.blotter.by_client_id.get(self.client_name(name))
        else:
            order = self.venue.blotter.orders.get(order_number(id))
        if order is None:
            what = f"clientOrderId {name!r}" if name is not None else f"id {id!r}"
            raise ccxt.OrderNotFound(
                f"{self.id} has no order with the {what}; fetch_orders() lists those it has"
            )
        if symbol is not None and order.instrument.symbol != self.market(symbol)["symbol"]:
            raise ccxt.OrderNotFound(
                f"{self.id} order {order.order_id} is of {order.instrument.symbol}, not of {symbol}"
            )
        self.venue.orders()
        return cast(VenueOrder, order)


def order_number(id: Any) -> int:
    """The number that an order's id stands for; 0, which no order has, when it stands for none."""
    if isinstance(id, int) and not isinstance(id, bool):
        return id
    return int(id) if isinstance(id, str) and id.isascii() and id.isdecimal() and len(id) < 20 else 0
