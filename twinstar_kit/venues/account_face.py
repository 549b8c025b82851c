"""Orders and fills of the virtual exchange in ccxt's structures; every refusal is an error that names its rule."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any, cast

import ccxt

from twinstar_kit.kernel.errors import OrderError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import RATE_SCALE, from_units, to_decimal
from twinstar_kit.kernel.orders import OrdType, Reason, Side
from twinstar_kit.venues.blotter import TIME_IN_FORCE, OrderRequest, VenueFill, VenueOrder
from twinstar_kit.venues.core import OrderRefused
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain, refusal, spoken

STOPS = ("stopLossPrice", "triggerPrice", "stopPrice")
TRAILS = ("trailingAmount", "trailingPercent")
ORDER_PARAMS = ("clientOrderId", "timeInForce", "postOnly", "reduceOnly", *STOPS, *TRAILS)
ADVICE = {
    "takeProfitPrice": "a limit order takes profit",
    "takeProfit": "send the limit order that takes profit after the entry has filled",
    "stopLoss": "send a second order with stopLossPrice after the entry has filled",
    "trailingTriggerPrice": "a trailing stop begins at the last price",
    "leverage": "spot is not leveraged",
    "marginMode": "spot has no margin",
}
TYPES = {
    OrdType.MARKET: "market",
    OrdType.LIMIT: "limit",
    OrdType.STOP: "market",
    OrdType.TRAILING_STOP: "market",
}


class AccountFace:
    """Private methods; a mixin for classes of ccxt beside `MarketFace`."""

    venue: Venue

    # -- sending ------------------------------------------------------------------------------------------

    def create_order(
        self: Any, symbol: str, type: str, side: str, amount: float, price: float | None = None,
        params: dict[str, Any] | None = None,
    ) -> Any:  # fmt: skip
        """Send an order.

        `type` is market (`price` is then ignored, as on every exchange) or limit. In `params`: `clientOrderId` (the
        same id twice is one order), `timeInForce` (GTC, IOC, FOK, PO), `postOnly`, `reduceOnly`; with a market
        order also `stopLossPrice`, `triggerPrice` or `stopPrice` (fires when a trade reaches it: below the last price
        for a sell, above for a buy), `trailingAmount` (in quote) or `trailingPercent`. Amounts are cut to the lot and
        prices rounded to the tick. Errors name the rule: BadSymbol, InvalidOrder, InsufficientFunds,
        ArgumentsRequired, NotSupported, OrderImmediatelyFillable, DuplicateOrderId.
        """
        return self.carry_out(self.prepared(symbol, type, side, amount, price, params))

    def prepared(
        self: Any, symbol: Any, type: Any, side: Any, amount: Any, price: Any = None, params: Any = None
    ) -> OrderRequest:
        """The arguments of `create_order`, checked, as the venue's request."""
        params = params or {}
        if not isinstance(params, dict):
            raise ccxt.BadRequest(f"{self.id} createOrder(): params must be a dict, not {params!r}")
        for name in params:
            if name not in ORDER_PARAMS and params[name] is not None:
                advice = ADVICE.get(name, f"it knows {', '.join(ORDER_PARAMS)}")
                raise ccxt.NotSupported(
                    f"{self.id} createOrder() does not support the parameter {name!r}; {advice}"
                )
        return self.order_request(self.instrument(symbol), type, side, amount, price, params)  # type: ignore[no-any-return]

    def carry_out(self: Any, request: OrderRequest) -> Any:
        """Send a request, or find the order that it made before; returns the order's structure."""
        self.venue.catch_up()
        known = self.venue.blotter.by_client_id.get(request.client_order_id)
        if known is not None and not _same(known, request):
            raise ccxt.DuplicateOrderId(
                f"{self.id} clientOrderId {request.client_order_id!r} names order {known.order_id}, which is another "
                "order; choose a new id"
            )
        return self.parse_order(self.send(request))

    def send(self: Any, request: OrderRequest) -> VenueOrder:
        """Hand a request to the venue and translate its refusal."""
        m = self.venue.instruments[request.symbol]
        with spoken():
            try:
                return cast(VenueOrder, self.venue.place(request))
            except OrderRefused as error:
                refused = error
        asset = m.quote if request.side > 0 else m.base
        free, cost = self.venue.blotter.balance(asset)[0], self.needed(request)
        raise refusal(refused, m, free, asset, cost)

    def needed(self: Any, request: OrderRequest) -> Decimal:
        """What an order takes of the balance: the amount, or for a purchase its cost with the fee, up to slippage."""
        m = self.venue.instruments[request.symbol]
        amount = from_units(request.order_qty, m.amount_scale)
        if request.side < 0:
            return amount
        units = request.price or request.stop_px or self.venue.quote(m.symbol, self.venue.now())[1]
        broker = self.venue.broker
        slippage = 0 if request.ord_type is OrdType.LIMIT else broker.slippage_bps / 10_000
        exact = amount * from_units(units, m.price_scale) * (1 + slippage) * (1 + broker.fee_taker)
        return Decimal(round(exact, m.quote_scale))

    def order_request(
        self: Any, m: Instrument, type: str, side: str, amount: Any, price: Any, params: dict[str, Any]
    ) -> OrderRequest:
        """The kernel's request from ccxt's arguments; raises what is wrong with them."""
        if type not in ("market", "limit"):
            raise ccxt.InvalidOrder(
                f"{self.id} order type {type!r} must be 'market' or 'limit'; stops are market orders with "
                "stopLossPrice, trailingAmount or trailingPercent in params"
            )
        if side not in ("buy", "sell"):
            raise ccxt.InvalidOrder(f"{self.id} order side {side!r} must be 'buy' or 'sell'")
        way = Side.BUY if side == "buy" else Side.SELL
        kind, stop_px, trail, trail_rate = self._trigger(m, type, params)
        limit_px = self._price(m, price, "price") if type == "limit" else 0
        qty = self._amount(m, way, amount, limit_px or stop_px)
        name = params.get("clientOrderId")
        if name is not None and (not isinstance(name, str) or not 1 <= len(name) <= 64):
            raise ccxt.BadRequest(f"{self.id} clientOrderId {name!r} must be a text of 1 to 64 characters")
        reduce_only = params.get("reduceOnly")
        if reduce_only not in (None, True, False):
            raise ccxt.BadRequest(f"{self.id} reduceOnly must be True or False, not {reduce_only!r}")
        return OrderRequest(
            m.symbol, way, kind, qty, price=limit_px, stop_px=stop_px, trail=trail, trail_rate=trail_rate,
            reduce_only=bool(reduce_only), time_in_force=self._time_in_force(kind, params), client_order_id=name or "",
        )  # fmt: skip

    def _trigger(
        self: Any, m: Instrument, type: str, params: dict[str, Any]
    ) -> tuple[OrdType, int, int, int]:
        """Order type, stop price, trailing distance and trailing rate."""
        given = [name for name in (*STOPS, *TRAILS) if params.get(name) is not None]
        if not given:
            return OrdType.LIMIT if type == "limit" else OrdType.MARKET, 0, 0, 0
        name, value = given[0], params[given[0]]
        if len(given) > 1 and (set(given) != {"triggerPrice", "stopPrice"} or params[given[1]] != value):
            raise ccxt.InvalidOrder(
                f"{self.id} an order has one trigger; give {' or '.join(given)}, not all of them"
            )
        if type == "limit":
            raise ccxt.NotSupported(
                f"{self.id} createOrder() does not support {name!r} with a limit order; send a market order with it"
            )
        if name in STOPS:
            return OrdType.STOP, self._price(m, value, name), 0, 0
        if name == "trailingAmount":
            return OrdType.TRAILING_STOP, 0, self._price(m, value, name), 0
        percent = self._number(value, name)
        if not 0 < percent < 100:
            raise ccxt.InvalidOrder(
                f"{self.id} trailingPercent {plain(percent)} must be above 0 and below 100"
            )
        rate = int(percent * RATE_SCALE / 100)
        if rate == 0:
            raise ccxt.InvalidOrder(
                f"{self.id} trailingPercent {plain(percent)} is below the smallest, 0.000001"
            )
        return OrdType.TRAILING_STOP, 0, 0, rate

    def _time_in_force(self: Any, kind: OrdType, params: dict[str, Any]) -> str:
        given = params.get("timeInForce")
        if given not in (None, *TIME_IN_FORCE):
            raise ccxt.NotSupported(
                f"{self.id} createOrder() does not support timeInForce {given!r}; it knows {', '.join(TIME_IN_FORCE)}"
            )
        post_only = params.get("postOnly")
        if post_only not in (None, True, False):
            raise ccxt.BadRequest(f"{self.id} postOnly must be True or False, not {post_only!r}")
        if post_only and given not in (None, "PO", "GTC"):
            raise ccxt.InvalidOrder(
                f"{self.id} a post-only order cannot be {given}; leave out one of the two"
            )
        wanted = "PO" if post_only else given
        if wanted not in (None, "GTC") and kind not in (OrdType.LIMIT, OrdType.MARKET):
            raise ccxt.NotSupported(
                f"{self.id} createOrder() does not support timeInForce {wanted!r} with a stop; leave it out"
            )
        if wanted == "PO" and kind is not OrdType.LIMIT:
            raise ccxt.InvalidOrder(f"{self.id} only a limit order can be post-only")
        return wanted or ("IOC" if kind is OrdType.MARKET else "GTC")

    def _number(self: Any, value: Any, what: str) -> Decimal:
        if value is None:
            raise ccxt.ArgumentsRequired(
                f"{self.id} createOrder() requires the argument {what!r} for this order"
            )
        if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
            raise ccxt.InvalidOrder(f"{self.id} {what} {value!r} must be a number")
        try:
            return to_decimal(value)
        except OrderError as error:
            raise ccxt.InvalidOrder(f"{self.id} {what}: {error}") from None

    def _price(self: Any, m: Instrument, value: Any, what: str) -> int:
        number = self._number(value, what)
        if number <= 0:
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: {what} {plain(number)} must be above zero")
        with spoken():
            return m.price_units(self.price_to_precision(m.symbol, plain(number)))

    def _amount(self: Any, m: Instrument, side: Side, value: Any, price: int) -> int:
        number = self._number(value, "amount")
        if number <= 0:
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: amount {plain(number)} must be above zero")
        lot = from_units(m.lot, m.amount_scale)
        if number < lot:
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol}: amount {plain(number)} is below the smallest lot of {plain(lot)}"
            )
        largest = from_units(m.max_amount, m.amount_scale)
        if number > largest:
            # what nobody could pay for is a matter of funds first
            units = price or self.venue.quote(m.symbol, self.venue.catch_up())[1]
            asset, cost = (
                (m.quote, number * from_units(units, m.price_scale)) if side > 0 else (m.base, number)
            )
            free = self.venue.blotter.balance(asset)[0]
            if cost > free:
                raise ccxt.InsufficientFunds(
                    f"{self.id} {m.symbol}: the order needs {plain(cost)} {asset} and {plain(free)} {asset} is free; order less"
                )
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol}: amount {plain(number)} is above the maximum of {plain(largest)}"
            )
        with spoken():
            return m.amount_units(self.amount_to_precision(m.symbol, plain(number)))

    # -- canceling ----------------------------------------------------------------------------------------

    def cancel_order(
        self: Any, id: str, symbol: str | None = None, params: dict[str, Any] | None = None
    ) -> Any:
        """Cancel an open order; OrderNotFound when it is not open (the message says what became of it)."""
        self.supported("cancelOrder", params or {}, "clientOrderId")
        order = self._find(id, symbol, params or {})
        if order.order_id not in self.venue.blotter.open:
            done = "filled" if order.status == "closed" else f"canceled ({order.reason.text})"
            raise ccxt.OrderNotFound(f"{self.id} order {order.order_id} is not open: it was {done}")
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
            order = self.venue.blotter.by_client_id.get(name)
        else:
            order = self.venue.blotter.orders.get(int(id)) if str(id).isdigit() else None
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

    # -- structures ---------------------------------------------------------------------------------------

    def parse_order(self: Any, order: VenueOrder, market: Any = None) -> Any:
        """An order structure; amounts and prices are exact decimals until ccxt makes floats of them."""
        m = order.instrument
        filled = from_units(order.cum_qty, m.amount_scale)
        paid = from_units(sum(f.last_px * f.last_qty for f in order.fills), m.price_scale + m.amount_scale)
        stop = plain(from_units(order.stop_px, m.price_scale)) if order.stop_px else None
        is_stop = order.ord_type in (OrdType.STOP, OrdType.TRAILING_STOP)
        fees = (
            [{"cost": float(from_units(order.fee, m.quote_scale)), "currency": m.quote}]
            if order.fills
            else []
        )
        parsed = self.safe_order(
            {
                "id": str(order.order_id),
                "clientOrderId": order.client_order_id or None,
                "timestamp": order.ts,
                "datetime": self.iso8601(order.ts),
                "lastTradeTimestamp": order.fills[-1].ts if order.fills else None,
                "lastUpdateTimestamp": order.updated,
                "symbol": m.symbol,
                "type": TYPES[order.ord_type],
                "timeInForce": None if is_stop else order.time_in_force,
                "postOnly": order.time_in_force == "PO",
                "reduceOnly": order.reduce_only,
                "side": "buy" if order.side > 0 else "sell",
                "price": plain(from_units(order.price, m.price_scale)) if order.price else None,
                "triggerPrice": stop if is_stop else None,
                "stopLossPrice": stop if order.ord_type is OrdType.STOP else None,
                "amount": plain(from_units(order.order_qty, m.amount_scale)),
                "filled": plain(filled),
                "remaining": plain(from_units(order.order_qty, m.amount_scale) - filled),
                "cost": plain(paid),
                "average": plain(paid / filled) if filled else None,
                "status": order.status,
                "fee": dict(fees[0]) if fees else None,
                "fees": fees,
                "trades": [],
                "info": self.order_info(order),
            },
            self.market(m.symbol),
        )
        parsed["trades"] = [self.parse_trade(fill) for fill in order.fills]
        return parsed

    def order_info(self: Any, order: VenueOrder) -> dict[str, Any]:
        """The order in the kernel's words and units, with the reason why it ended."""
        return {
            "order_id": order.order_id,
            "ord_type": order.ord_type.name,
            "asked_qty": order.asked_qty,
            "order_qty": order.order_qty,
            "price": order.price,
            "stop_px": order.stop_px,
            "trail": order.trail,
            "trail_rate": order.trail_rate,
            "triggered": order.triggered or None,
            "reason": order.reason.text if order.reason is not Reason.NONE else None,
            "paper": True,
            "simulated": self.venue.feed.simulated,
        }

    def parse_trade(self: Any, trade: VenueFill, market: Any = None) -> Any:
        """A trade structure from a fill."""
        m = trade.instrument
        order = self.venue.blotter.orders[trade.order_id]
        return self.safe_trade(
            {
                "id": str(trade.fill_id),
                "timestamp": trade.ts,
                "datetime": self.iso8601(trade.ts),
                "symbol": m.symbol,
                "order": str(trade.order_id),
                "type": TYPES[order.ord_type],
                "side": "buy" if trade.side > 0 else "sell",
                "takerOrMaker": "maker" if trade.maker else "taker",
                "price": plain(from_units(trade.last_px, m.price_scale)),
                "amount": plain(from_units(trade.last_qty, m.amount_scale)),
                "cost": plain(from_units(trade.last_px * trade.last_qty, m.price_scale + m.amount_scale)),
                "fee": {"cost": plain(from_units(trade.fee, m.quote_scale)), "currency": m.quote},
                "info": {"fill_id": trade.fill_id, "paper": True, "simulated": self.venue.feed.simulated},
            },
            self.market(m.symbol),
        )


def _same(order: VenueOrder, request: OrderRequest) -> bool:
    """Whether a request asks for the order that its client id names already."""
    return (
        order.instrument.symbol == request.symbol
        and order.side is request.side
        and order.ord_type is request.ord_type
        and order.asked_qty == request.order_qty
        and order.price == request.price
        and (order.stop_px == request.stop_px or order.ord_type is OrdType.TRAILING_STOP)
        and order.trail == request.trail
        and order.trail_rate == request.trail_rate
        and order.reduce_only == request.reduce_only
        and order.time_in_force == request.time_in_force
    )
