"""From the arguments of ccxt's `create_order` to the venue's request; whatever is wrong with them, or not supported, is said."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, cast

import ccxt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.kernel.errors import OrderError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.money import MAX_UNITS, RATE_SCALE, from_units, to_decimal
from twinstar_kit.kernel.orders import OrdType, SelfTrade, Side, TriggerBy
from twinstar_kit.venues.market_data import book_records
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain, spoken
from twinstar_kit.venues.requests import AT_ONCE, TIME_IN_FORCE, OrderRequest
from twinstar_kit.venues.structures import LIMITS

TRIGGERS = ("stopLossPrice", "takeProfitPrice", "triggerPrice", "stopPrice")
TRAILS = ("trailingAmount", "trailingPercent")
ATTACHED = ("stopLoss", "takeProfit")
ORDER_PARAMS = (
    "clientOrderId", "timeInForce", "postOnly", "reduceOnly", "closePosition", *TRIGGERS, *TRAILS, *ATTACHED,
    "triggerDirection", "triggerPriceType", "trailingTriggerPrice", "limitOffset", "expireTime", "goodTillDate", "cost",
    "hedged", "positionSide", "marginMode", "icebergAmount", "displayQty", "hidden", "selfTradePrevention",
)  # fmt: skip
LEG_PARAMS = ("triggerPrice", "stopPrice", "price", "type", "triggerPriceType", *TRAILS)
ADVICE = {"leverage": "set_leverage() changes it"}
DIRECTIONS = {"ascending": 1, "above": 1, "descending": -1, "below": -1}
TRIGGERED_BY = {"last": TriggerBy.LAST, "mark": TriggerBy.MARK, "bid_ask": TriggerBy.BID_ASK}
SELF_TRADE = {mode.name: mode for mode in SelfTrade}
STOPPED = {False: OrdType.STOP, True: OrdType.STOP_LIMIT}
TOUCHED = {False: OrdType.MARKET_IF_TOUCHED, True: OrdType.LIMIT_IF_TOUCHED}
TRAILED = {False: OrdType.TRAILING_STOP, True: OrdType.TRAILING_STOP_LIMIT}


class OrderTerms:
    """What an order asks for; a mixin for classes of ccxt beside `MarketFace`."""

    venue: Venue

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
        m = self.instrument(symbol)
        if type not in ("market", "limit"):
            raise ccxt.InvalidOrder(
                f"{self.id} order type {type!r} must be 'market' or 'limit'; stops are orders with "
                "stopLossPrice, triggerPrice, trailingAmount or trailingPercent in params"
            )
        if side not in ("buy", "sell"):
            raise ccxt.InvalidOrder(f"{self.id} order side {side!r} must be 'buy' or 'sell'")
        given = {name: value for name, value in params.items() if value is not None}
        way = Side.BUY if side == "buy" else Side.SELL
        return cast(OrderRequest, self._request(m, type == "limit", way, amount, price, given))

    def _request(
        self: Any, m: Instrument, limit: bool, way: Side, amount: Any, price: Any, given: dict[str, Any]
    ) -> OrderRequest:
        terms = self._trigger(m, limit, way, price, given)
        kind: OrdType = terms["ord_type"]
        terms |= (
            self._limits(m, limit, kind, price, given)
            | self._lifetime(kind, given)
            | self._position(m, way, given)
        )
        terms |= self._shown(m, limit, given)
        self._check_together(terms, kind)
        if given.get("cost") is not None:
            qty = self._by_cost(m, way, kind, amount, given["cost"])
        elif terms.get("close_position") and amount is None:
            qty = max(1, m.lot)
        else:
            qty = self._amount(m, way, amount, terms.get("price") or terms.get("stop_px") or 0)
        name = self.client_name(given["clientOrderId"]) if "clientOrderId" in given else ""
        entry = OrderRequest(m.symbol, way, order_qty=qty, client_order_id=name, **terms)
        return self._with_legs(m, entry, given)  # type: ignore[no-any-return]

    def client_name(self: Any, name: Any) -> str:
        """A `clientOrderId`; BadRequest when it is none."""
        if not isinstance(name, str) or not 1 <= len(name) <= 64:
            raise ccxt.BadRequest(f"{self.id} clientOrderId {name!r} must be a text of 1 to 64 characters")
        return name

    # -- triggers -----------------------------------------------------------------------------------------

    def _trigger(
        self: Any, m: Instrument, limit: bool, way: Side, price: Any, given: dict[str, Any]
    ) -> dict[str, Any]:
        """Order type, trigger, trail, and what the trigger looks at."""
        names = [name for name in (*TRIGGERS, *TRAILS) if name in given]
        if len(names) > 1 and (
            set(names) != {"triggerPrice", "stopPrice"} or given[names[0]] != given[names[1]]
        ):
            raise ccxt.InvalidOrder(
                f"{self.id} an order has one trigger; give {' or '.join(names)}, not all of them"
            )
        if not names:
            stray = next(
                (
                    n
                    for n in ("triggerDirection", "triggerPriceType", "trailingTriggerPrice", "limitOffset")
                    if n in given
                ),
                None,
            )
            if stray:
                raise ccxt.InvalidOrder(
                    f"{self.id} {stray} belongs to an order with a trigger or a trail; leave it out"
                )
            return {"ord_type": OrdType.LIMIT if limit else OrdType.MARKET}
        name = names[0]
        terms: dict[str, Any] = {"trigger_by": self._trigger_by(m, given)}
        if name in TRAILS:
            return {**terms, **self._trail(m, limit, name, given)}
        stray = next((n for n in ("trailingTriggerPrice", "limitOffset") if n in given), None)
        if stray:
            raise ccxt.InvalidOrder(f"{self.id} {stray} belongs to a trailing stop; leave it out")
        stop_px = self._price(m, given[name], name)
        stops = name == "stopLossPrice" or (
            name != "takeProfitPrice" and self._goes_against(m, way, stop_px, terms["trigger_by"], given)
        )
        return terms | {"ord_type": (STOPPED if stops else TOUCHED)[limit], "stop_px": stop_px}

    def _goes_against(
        self: Any, m: Instrument, way: Side, stop_px: int, by: TriggerBy, given: dict[str, Any]
    ) -> bool:
        """Whether a plain trigger waits for the price to go against its side, by `triggerDirection` or where the market stands."""
        direction = given.get("triggerDirection")
        if direction is not None and direction not in DIRECTIONS:
            raise ccxt.BadRequest(
                f"{self.id} triggerDirection {direction!r} must be one of {', '.join(DIRECTIONS)}"
            )
        if direction is None:
            now = self.venue.catch_up()
            with spoken():
                here = (
                    self.venue.feed.mark(m.symbol, now)
                    if by is TriggerBy.MARK
                    else self.venue.feed.last(m.symbol, now)
                )
            return (stop_px - here) * way >= 0  # type: ignore[no-any-return]
        return DIRECTIONS[direction] == way

    def _trigger_by(self: Any, m: Instrument, given: dict[str, Any]) -> TriggerBy:
        by = given.get("triggerPriceType", "last")
        if not isinstance(by, str) or by not in TRIGGERED_BY:
            raise ccxt.NotSupported(
                f"{self.id} does not support triggerPriceType {by!r}; it knows {', '.join(TRIGGERED_BY)}"
            )
        if by == "mark" and not m.derivative:
            raise ccxt.NotSupported(
                f"{self.id} {m.symbol} is a spot market and has no mark price; leave out triggerPriceType"
            )
        if by != "last" and self.venue.feed.granularity == "bars":
            raise ccxt.NotSupported(
                f"{self.id} knows the last price only on a replay of bars; leave out triggerPriceType"
            )
        return TRIGGERED_BY[by]

    def _trail(self: Any, m: Instrument, limit: bool, name: str, given: dict[str, Any]) -> dict[str, Any]:
        terms: dict[str, Any] = {"ord_type": TRAILED[limit]}
        if name == "trailingAmount":
            terms["trail"] = self._price(m, given[name], name)
        else:
            terms["trail_rate"] = self._trail_rate(given[name])
        if "trailingTriggerPrice" in given:
            terms["activation_px"] = self._price(m, given["trailingTriggerPrice"], "trailingTriggerPrice")
        if "limitOffset" in given and not limit:
            raise ccxt.InvalidOrder(
                f"{self.id} limitOffset belongs to a trailing stop of type limit; leave it out"
            )
        if limit:
            terms["limit_offset"] = self._price(m, given.get("limitOffset"), "limitOffset")
        return terms

    def _trail_rate(self: Any, value: Any) -> int:
        percent = self._number(value, "trailingPercent")
        if not 0 < percent < 100:
            raise ccxt.InvalidOrder(
                f"{self.id} trailingPercent {plain(percent)} must be above 0 and below 100"
            )
        units = int(percent * RATE_SCALE / 100)
        if units == 0:
            raise ccxt.InvalidOrder(
                f"{self.id} trailingPercent {plain(percent)} is below the smallest, 0.000001"
            )
        return units

    # -- the rest of its terms ----------------------------------------------------------------------------

    def _limits(
        self: Any, m: Instrument, limit: bool, kind: OrdType, price: Any, given: dict[str, Any]
    ) -> dict[str, Any]:
        if not limit:
            return {}
        if kind is OrdType.TRAILING_STOP_LIMIT:
            if price is not None:
                raise ccxt.NotSupported(
                    f"{self.id} a trailing stop limit follows the price; give limitOffset instead of a price"
                )
            return {}
        return {"price": self._price(m, price, "price")}

    def _lifetime(self: Any, kind: OrdType, given: dict[str, Any]) -> dict[str, Any]:
        tif, post_only = given.get("timeInForce"), self._flag(given, "postOnly")
        if tif is not None and (not isinstance(tif, str) or tif not in TIME_IN_FORCE):
            raise ccxt.NotSupported(
                f"{self.id} createOrder() does not support timeInForce {tif!r}; it knows {', '.join(TIME_IN_FORCE)}"
            )
        if post_only and tif not in (None, "PO", "GTC"):
            raise ccxt.InvalidOrder(f"{self.id} a post-only order cannot be {tif}; leave out one of the two")
        tif = "PO" if post_only else tif
        if tif == "PO" and kind is not OrdType.LIMIT:
            raise ccxt.InvalidOrder(f"{self.id} only a limit order without a trigger can be post-only")
        if tif in ("IOC", "FOK") and kind not in (OrdType.LIMIT, OrdType.MARKET):
            raise ccxt.NotSupported(
                f"{self.id} createOrder() does not support timeInForce {tif!r} with a trigger; leave it out"
            )
        ends = [name for name in ("expireTime", "goodTillDate") if name in given]
        if (tif == "GTD") != bool(ends) or len(ends) > 1:
            raise ccxt.InvalidOrder(
                f"{self.id} timeInForce GTD and expireTime (UTC milliseconds) go together"
            )
        terms: dict[str, Any] = {"time_in_force": tif or ("IOC" if kind is OrdType.MARKET else "GTC")}
        if ends:
            try:
                value = given[ends[0]]
                moment = to_milliseconds(value) if isinstance(value, str) else self.moment(value, ends[0])
            except UsageError as error:
                raise ccxt.BadRequest(f"{self.id} {ends[0]}: {error}") from None
            if moment <= self.venue.now():
                raise ccxt.InvalidOrder(f"{self.id} {ends[0]} {moment} has passed; it is {self.venue.now()}")
            terms["expire_ts"] = moment
        return terms

    def _position(self: Any, m: Instrument, way: Side, given: dict[str, Any]) -> dict[str, Any]:
        """Reduce-only, close-position, and which position it is about."""
        reduce_only, close = self._flag(given, "reduceOnly"), self._flag(given, "closePosition")
        contracts = self.venue.blotter.contracts
        hedge = m.derivative and contracts.hedge
        side = given.get("positionSide")
        if side is not None and (not isinstance(side, str) or side.upper() not in ("LONG", "SHORT", "BOTH")):
            raise ccxt.BadRequest(f"{self.id} positionSide {side!r} must be LONG, SHORT or BOTH")
        if self._flag(given, "hedged") and not hedge:
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol} is not in hedge mode; set_position_mode(True) changes that"
            )
        if side is not None and (side.upper() != "BOTH") != hedge:
            raise ccxt.InvalidOrder(
                f"{self.id} positionSide is LONG or SHORT in hedge mode, and BOTH or left out in one-way mode"
            )
        mode = given.get("marginMode")
        if mode is not None:
            is_now = (
                "isolated" if m.derivative and contracts.isolated[contracts.numbers[m.symbol]] else "cross"
            )
            if not m.derivative or mode not in ("cross", "isolated"):
                raise ccxt.NotSupported(
                    f"{self.id} marginMode {mode!r} is cross or isolated, of contracts; spot has no margin"
                )
            if mode != is_now:
                raise ccxt.InvalidOrder(
                    f"{self.id} {m.symbol} is on {is_now} margin; set_margin_mode() changes it"
                )
        if not hedge:
            return {"reduce_only": bool(reduce_only or close), "close_position": bool(close)}
        # an order that closes is told by its side: in hedge mode no order turns a position around
        long = side.upper() == "LONG" if side else (way > 0) != bool(reduce_only or close)
        closes = (way > 0) != long
        if reduce_only and not closes:
            raise ccxt.InvalidOrder(
                f"{self.id} a reduce-only {way.name.lower()} is of the {'short' if way > 0 else 'long'} position"
            )
        return {"reduce_only": closes, "close_position": bool(close), "position_side": 1 if long else -1}

    def _shown(self: Any, m: Instrument, limit: bool, given: dict[str, Any]) -> dict[str, Any]:
        """Iceberg, hidden, self-trade prevention."""
        terms: dict[str, Any] = {}
        tips = [name for name in ("icebergAmount", "displayQty") if name in given]
        if len(tips) > 1:
            raise ccxt.InvalidOrder(f"{self.id} icebergAmount and displayQty are the same; give one")
        if self._flag(given, "hidden"):
            terms["hidden"] = True
        if tips:
            with spoken():
                terms["display_qty"] = self._units(m, self._number(given[tips[0]], tips[0]))
        if terms and not limit:
            raise ccxt.InvalidOrder(f"{self.id} only a limit order can be an iceberg or hidden")
        mode = given.get("selfTradePrevention")
        if mode is not None:
            if not isinstance(mode, str) or mode.upper() not in SELF_TRADE:
                raise ccxt.NotSupported(
                    f"{self.id} does not support selfTradePrevention {mode!r}; it knows {', '.join(SELF_TRADE)}"
                )
            terms["self_trade"] = SELF_TRADE[mode.upper()]
        return terms

    def _check_together(self: Any, terms: dict[str, Any], kind: OrdType) -> None:
        """InvalidOrder for conditions that contradict each other."""
        hides = [name for name in ("hidden", "display_qty") if name in terms]
        if len(hides) == 2:
            raise ccxt.InvalidOrder(
                f"{self.id} a hidden order shows nothing, so it has no iceberg; give one of the two"
            )
        if hides and terms["time_in_force"] in AT_ONCE:
            raise ccxt.InvalidOrder(
                f"{self.id} an order that is {terms['time_in_force']} never rests, so it cannot be hidden or an iceberg"
            )
        if terms.get("close_position") and kind in LIMITS and kind is not OrdType.LIMIT:
            raise ccxt.InvalidOrder(
                f"{self.id} closePosition with a trigger or a trail closes at market; send type market, or reduceOnly with an amount"
            )

    def _flag(self: Any, given: dict[str, Any], name: str) -> bool:
        value = given.get(name, False)
        if not isinstance(value, bool):
            raise ccxt.BadRequest(f"{self.id} {name} must be True or False, not {value!r}")
        return value

    # -- what is attached ---------------------------------------------------------------------------------

    def _with_legs(self: Any, m: Instrument, entry: OrderRequest, given: dict[str, Any]) -> OrderRequest:
        """The entry with the orders that protect what it fills."""
        names = [name for name in ATTACHED if name in given]
        if not names:
            return entry
        if entry.reduce_only or (not m.derivative and entry.side < 0):
            raise ccxt.NotSupported(
                f"{self.id} {' and '.join(names)} protect what an order buys or opens; this one only closes"
            )
        legs = tuple(self._leg(m, entry, name, given[name]) for name in names)
        return replace(entry, attached=legs)

    def _leg(self: Any, m: Instrument, entry: OrderRequest, name: str, leg: Any) -> OrderRequest:
        if isinstance(leg, bool) or not isinstance(leg, dict):
            raise ccxt.BadRequest(
                f"{self.id} {name} must be a dict such as {{'triggerPrice': 100}}, not {leg!r}"
            )
        for key in leg:
            if key not in LEG_PARAMS and leg[key] is not None:
                raise ccxt.NotSupported(
                    f"{self.id} {name} does not support {key!r}; it knows {', '.join(LEG_PARAMS)}"
                )
        leg = {key: value for key, value in leg.items() if value is not None}
        kind = leg.pop("type", "limit" if "price" in leg else "market")
        if kind not in ("market", "limit") or (kind == "limit") != ("price" in leg):
            raise ccxt.InvalidOrder(f"{self.id} {name}: type limit and a price go together")
        price, way = leg.pop("price", None), Side(-entry.side)
        key = next((k for k in ("triggerPrice", "stopPrice") if k in leg), None)
        if key is not None:
            leg["stopLossPrice" if name == "stopLoss" else "takeProfitPrice"] = leg.pop(key)
        elif name == "stopLoss" and not any(t in leg for t in TRAILS):
            raise ccxt.ArgumentsRequired(
                f"{self.id} stopLoss requires a triggerPrice, or trailingAmount or trailingPercent"
            )
        elif name == "takeProfit" and price is None:
            raise ccxt.ArgumentsRequired(
                f"{self.id} takeProfit requires a triggerPrice, or a price for a limit order"
            )
        terms = self._trigger(m, kind == "limit", way, price, leg)
        terms |= self._limits(m, kind == "limit", terms["ord_type"], price, leg)
        self._check_leg(m, entry, name, terms.get("stop_px") or terms.get("price") or 0)
        return OrderRequest(
            m.symbol,
            way,
            order_qty=entry.order_qty,
            reduce_only=True,
            position_side=entry.position_side,
            **terms,
        )

    def _check_leg(self: Any, m: Instrument, entry: OrderRequest, name: str, level: int) -> None:
        """A stop lies on the losing side of the entry, a target on the winning one."""
        if not level:
            return
        start = entry.price or entry.stop_px or self._latest(m)
        better = (level - start) * entry.side
        if (name == "stopLoss" and better >= 0) or (name == "takeProfit" and better <= 0):
            where = "below" if (entry.side > 0) == (name == "stopLoss") else "above"
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol}: the {name} of a {'buy' if entry.side > 0 else 'sell'} must lie {where} its price "
                f"{m.price(start)}, and {m.price(level)} does not"
            )

    # -- numbers ------------------------------------------------------------------------------------------

    def _latest(self: Any, m: Instrument) -> int:
        now = self.venue.catch_up()
        with spoken():
            return self.venue.feed.last(m.symbol, now)  # type: ignore[no-any-return]

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
        if number > from_units(MAX_UNITS, m.price_scale):
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: {what} {value} is too large")
        with spoken():
            return m.price_units(self.price_to_precision(m.symbol, plain(number)))

    def _units(self: Any, m: Instrument, number: Decimal) -> int:
        lot = from_units(m.lot, m.amount_scale)
        if number > from_units(MAX_UNITS, m.amount_scale):
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: amount {number} is too large")
        if number < lot:
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol}: amount {plain(number)} is below the smallest lot of {plain(lot)}"
            )
        return m.amount_units(self.amount_to_precision(m.symbol, plain(number)))

    def _amount(self: Any, m: Instrument, side: Side, value: Any, price: int) -> int:
        number = self._number(value, "amount")
        if number <= 0:
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: amount {plain(number)} must be above zero")
        largest = from_units(m.max_amount, m.amount_scale)
        if number > largest:
            # what nobody could pay for is a matter of funds first
            asset, cost = self.needed(m, side, number, price)
            free = self.free(m, asset)
            if cost > free:
                raise ccxt.InsufficientFunds(
                    f"{self.id} {m.symbol}: the order needs {plain(cost)} {asset} and {plain(free)} {asset} is free; order less"
                )
            raise ccxt.InvalidOrder(
                f"{self.id} {m.symbol}: amount {plain(number)} is above the maximum of {plain(largest)}"
            )
        with spoken():
            return self._units(m, number)  # type: ignore[no-any-return]

    def _by_cost(self: Any, m: Instrument, way: Side, kind: OrdType, amount: Any, cost: Any) -> int:
        """As many lots as `cost` of the quote pays for in the book, without the fee."""
        if kind is not OrdType.MARKET or amount is not None or m.derivative:
            raise ccxt.NotSupported(f"{self.id} cost is for spot market orders, instead of an amount")
        left = self._number(cost, "cost")
        if left <= 0:
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: cost {plain(left)} must be above zero")
        qty = Decimal(0)
        with spoken():
            now = self.venue.catch_up()
            levels = book_records(self.venue.feed, list(self.venue.instruments).index(m.symbol), now)["v"]
            for side, price, units in levels[:, :3].tolist():
                if side == -way and left > 0:
                    level, there = from_units(price, m.price_scale), from_units(units, m.amount_scale)
                    part = min(there, left / level)
                    qty, left = qty + part, left - part * level
            lots = int(qty / from_units(m.lot, m.amount_scale))
        if lots == 0:
            raise ccxt.InvalidOrder(f"{self.id} {m.symbol}: cost {cost} does not pay for the smallest lot")
        return lots * m.lot
