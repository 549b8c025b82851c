"""What is refused before it is sent: an order that would not do what it says, in the market as it is now."""

from __future__ import annotations

from twinstar_kit.kernel.errors import OrderError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.orders import OrdType, Reason, TriggerBy
from twinstar_kit.venues.requests import OrderRequest

STOPS = (OrdType.STOP, OrdType.STOP_LIMIT)
TOUCHES = (OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED)
NAMES = {TriggerBy.LAST: "last price", TriggerBy.MARK: "mark price", TriggerBy.BID_ASK: "quote"}


class OrderRefused(OrderError):
    """The venue rejected an order or a setting; `reason` is the rule, `request` what was asked, if it was an order."""

    def __init__(self, reason: Reason, request: OrderRequest | None, message: str = "") -> None:
        super().__init__(message or (f"{request.symbol}: {reason.text}" if request else reason.text))
        self.reason = reason
        self.request = request


class WouldFillAtOnce(OrderRefused):
    """A trigger that the market has passed already, or a post-only order that would take: it was not sent."""


def check_against_market(
    request: OrderRequest, m: Instrument, bid: int, ask: int, last: int, mark: int
) -> None:
    """Refuse a trigger that the market has passed, and a post-only order that crosses; prices in price units."""
    _check_trigger(
        request,
        m,
        {
            TriggerBy.LAST: last,
            TriggerBy.MARK: mark or last,
            TriggerBy.BID_ASK: ask if request.side > 0 else bid,
        },
    )
    if request.time_in_force != "PO":
        return
    buy = request.side > 0
    if request.ord_type is not OrdType.LIMIT:
        raise OrderRefused(Reason.INVALID_TYPE, request, f"{m.symbol}: only a limit order can be post-only")
    if request.price >= ask if buy else request.price <= bid:
        raise WouldFillAtOnce(
            Reason.INVALID_PRICE, request,
            f"{m.symbol}: a post-only order at {m.price(request.price)} would take the "
            f"{'ask' if buy else 'bid'} of {m.price(ask if buy else bid)}; "
            f"choose a {'lower' if buy else 'higher'} price",
        )  # fmt: skip


def _check_trigger(request: OrderRequest, m: Instrument, prices: dict[TriggerBy, int]) -> None:
    if request.ord_type not in (*STOPS, *TOUCHES) or request.stop_px <= 0:
        return
    buy, stop = request.side > 0, request.ord_type in STOPS
    above, price = buy == stop, prices[request.trigger_by]
    if (request.stop_px - price) * (1 if above else -1) > 0:
        return
    kind = "stop" if stop else "take-profit"
    raise WouldFillAtOnce(
        Reason.INVALID_PRICE, request,
        f"{m.symbol}: a {'buy' if buy else 'sell'} {kind} must lie {'above' if above else 'below'} the {NAMES[request.trigger_by]} "
        f"{m.price(price)}, and {m.price(request.stop_px)} does not; "
        f"to {'buy' if buy else 'sell'} {'lower' if buy else 'higher'}, send a {'limit order' if stop else 'stop'}",
    )  # fmt: skip
