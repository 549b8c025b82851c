"""Orders and fills in ccxt's structures; amounts and prices are exact decimals until ccxt makes floats of them."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Any

import ccxt

from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import OrdType, Reason, TriggerBy
from twinstar_kit.venues.blotter import VenueFill, VenueOrder
from twinstar_kit.venues.port import Venue
from twinstar_kit.venues.refusals import plain

LIMITS = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_IF_TOUCHED, OrdType.TRAILING_STOP_LIMIT)
PLAIN = (OrdType.MARKET, OrdType.LIMIT)


def decimal(fraction: Fraction) -> Decimal:
    """A fraction as a decimal of 28 digits."""
    return Decimal(fraction.numerator) / Decimal(fraction.denominator)


def worth_of(fills: Iterable[VenueFill], m: Instrument) -> Decimal:
    """What fills of one market were worth."""
    if m.kind is Kind.INVERSE or m.contract_size != 1:
        return decimal(sum((f.value for f in fills), Fraction(0)))
    return from_units(sum(f.last_px * f.last_qty for f in fills), m.price_scale + m.amount_scale)


def average_of(order: VenueOrder) -> Decimal:
    """The average price of an order that has fills."""
    m = order.instrument
    if m.kind is Kind.INVERSE:
        worth = sum((f.value for f in order.fills), Fraction(0))
        price = decimal(Fraction(order.cum_qty) * m.contract_size / worth)
        return price.quantize(Decimal(1).scaleb(-m.price_scale - 8)).normalize()
    worth_units = sum(f.last_px * f.last_qty for f in order.fills)
    return Decimal(worth_units) / Decimal(order.cum_qty * 10**m.price_scale)


@lru_cache(1_024)
def iso8601(ts: int) -> str:
    """A time as ccxt writes it; an order and its fills often share one."""
    return str(ccxt.Exchange.iso8601(ts))


class Structures:
    """Parsers; a mixin for classes of ccxt."""

    venue: Venue

    def parse_order(self: Any, order: VenueOrder, market: Any = None) -> Any:
        """An order structure."""
        m, request = order.instrument, order.request
        filled = from_units(order.cum_qty, m.amount_scale)
        fees = [
            {"cost": float(from_units(paid, self.venue.blotter.scales[asset])), "currency": asset}
            for asset, paid in order.fees().items()
        ]
        waits = order.ord_type not in PLAIN
        stop = plain(from_units(order.stop_px, m.price_scale)) if order.stop_px and waits else None
        legs = {leg_name(leg.ord_type): leg for leg in request.attached} if request else {}
        parsed = self.safe_order(
            {
                "id": str(order.order_id),
                "clientOrderId": order.client_order_id or None,
                "timestamp": order.ts,
                "datetime": iso8601(order.ts),
                "lastTradeTimestamp": order.fills[-1].ts if order.fills else None,
                "lastUpdateTimestamp": order.updated,
                "symbol": m.symbol,
                "type": "limit" if order.ord_type in LIMITS else "market",
                "timeInForce": order.time_in_force if not waits or order.time_in_force in ("GTD", "DAY") else None,
                "postOnly": order.time_in_force == "PO",
                "reduceOnly": order.reduce_only,
                "side": "buy" if order.side > 0 else "sell",
                "price": plain(from_units(order.price, m.price_scale)) if order.price and order.ord_type in LIMITS else None,
                "triggerPrice": stop,
                "stopLossPrice": stop if order.ord_type in (OrdType.STOP, OrdType.STOP_LIMIT) else _level(legs.get("stopLoss"), m),
                "takeProfitPrice": stop if order.ord_type in (OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED)
                else _level(legs.get("takeProfit"), m),
                "amount": plain(from_units(order.order_qty, m.amount_scale)),
                "filled": plain(filled),
                "remaining": plain(from_units(order.order_qty, m.amount_scale) - filled),
                "cost": plain(worth_of(order.fills, m)),
                "average": plain(average_of(order)) if order.fills else None,
                "status": order.status,
                "fee": dict(fees[0]) if len(fees) == 1 else None,
                "fees": fees,
                "trades": [],
                "info": self.order_info(order),
            },
            self.market(m.symbol),
        )  # fmt: skip
        parsed["trades"] = [self.parse_trade(fill) for fill in order.fills]
        return parsed

    def order_info(self: Any, order: VenueOrder) -> dict[str, Any]:
        """The order in the kernel's words and units, with the reason why it ended."""
        info: dict[str, Any] = {
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
        if order.parent_id:
            info |= {"parent_id": order.parent_id, "waits_for_parent": order.dormant}
        request = order.request
        if request is not None:
            said = {
                "display_qty": request.display_qty, "hidden": request.hidden, "activation_px": request.activation_px,
                "limit_offset": request.limit_offset, "expire_ts": request.expire_ts, "close_position": request.close_position,
                "position_side": {1: "LONG", -1: "SHORT"}.get(request.position_side), "self_trade": request.self_trade.name,
                "trigger_by": request.trigger_by.name if request.trigger_by is not TriggerBy.LAST else None,
            }  # fmt: skip
            info |= {name: value for name, value in said.items() if value not in (0, False, None, "NONE")}
        return info

    def parse_trade(self: Any, trade: VenueFill, market: Any = None) -> Any:
        """A trade structure from a fill."""
        m = trade.instrument
        order = self.venue.blotter.orders[trade.order_id]
        return self.safe_trade(
            {
                "id": str(trade.fill_id),
                "timestamp": trade.ts,
                "datetime": iso8601(trade.ts),
                "symbol": m.symbol,
                "order": str(trade.order_id),
                "type": "limit" if order.ord_type in LIMITS else "market",
                "side": "buy" if trade.side > 0 else "sell",
                "takerOrMaker": "maker" if trade.maker else "taker",
                "price": plain(from_units(trade.last_px, m.price_scale)),
                "amount": plain(from_units(trade.last_qty, m.amount_scale)),
                "cost": plain(worth_of((trade,), m)),
                "fee": {
                    "cost": plain(from_units(trade.fee, self.venue.blotter.scales[trade.fee_asset])), "currency": trade.fee_asset,
                },
                "info": {
                    "fill_id": trade.fill_id, "reason": trade.reason.text, "liquidation": trade.liquidation, "paper": True,
                    "simulated": self.venue.feed.simulated,
                },
            },
            self.market(m.symbol),
        )  # fmt: skip


def leg_name(kind: OrdType) -> str:
    """Whether an attached order stops a loss or takes a profit."""
    return (
        "stopLoss"
        if kind in (OrdType.STOP, OrdType.STOP_LIMIT, OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
        else "takeProfit"
    )


def _level(leg: Any, m: Any) -> str | None:
    units = 0 if leg is None else leg.stop_px or leg.price
    return plain(from_units(units, m.price_scale)) if units else None
