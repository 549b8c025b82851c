"""An order as a client asks for it, and how it is handed to the kernel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.orders import OrdType, SelfTrade, Side, TimeInForce, TriggerBy

TIME_IN_FORCE = ("GTC", "IOC", "FOK", "GTD", "DAY", "PO")
"""Good till canceled; immediate or cancel; fill or kill; good till date; till midnight UTC; post only."""
RESTS = {"GTC": TimeInForce.GTC, "PO": TimeInForce.GTC, "GTD": TimeInForce.GTD, "DAY": TimeInForce.DAY}
AT_ONCE = {"IOC": TimeInForce.IOC, "FOK": TimeInForce.FOK}


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as a client asks for it, in the instrument's units; see `kernel.orders` for each word.

    `trail` is a distance in price units, `trail_rate` one in hundred-millionths of the best price since the
    order began. `client_order_id` names the order: the same name twice is one order. `attached` orders wait for what this
    one fills and cover exactly that much; of several the first to fill ends the others. `linked` orders are sent with it, and
    one that fills ends the others (one-cancels-other).
    """

    symbol: str
    side: Side
    ord_type: OrdType
    order_qty: int
    price: int = 0
    stop_px: int = 0
    trail: int = 0
    trail_rate: int = 0
    reduce_only: bool = False
    time_in_force: str = "GTC"
    client_order_id: str = ""
    activation_px: int = 0
    limit_offset: int = 0
    expire_ts: int = 0
    close_position: bool = False
    hidden: bool = False
    display_qty: int = 0
    trigger_by: TriggerBy = TriggerBy.LAST
    self_trade: SelfTrade = SelfTrade.NONE
    position_side: int = 0
    attached: tuple[OrderRequest, ...] = ()
    linked: tuple[OrderRequest, ...] = ()

    def canonical(self) -> dict[str, Any]:
        """The fields that say something, as plain values, for a journal or an inbox.

        >>> OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, 5).canonical()
        {'symbol': 'BTC/USDT', 'side': 1, 'ord_type': 1, 'order_qty': 5}
        """
        plain = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != f.default}
        for name in ("side", "ord_type", "trigger_by", "self_trade"):
            if name in plain:
                plain[name] = int(plain[name])
        for name in ("attached", "linked"):
            if name in plain:
                plain[name] = [each.canonical() for each in plain[name]]
        return plain

    @classmethod
    def from_canonical(cls, plain: Mapping[str, Any]) -> OrderRequest:
        """The request that `canonical` described.

        >>> request = OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, 5)
        >>> OrderRequest.from_canonical(request.canonical()) == request
        True
        """
        words: dict[str, type] = {
            "side": Side,
            "ord_type": OrdType,
            "trigger_by": TriggerBy,
            "self_trade": SelfTrade,
        }
        made: dict[str, Any] = {
            name: words[name](value) if name in words else value for name, value in plain.items()
        }
        for name in ("attached", "linked"):
            made[name] = tuple(cls.from_canonical(each) for each in plain.get(name, ()))
        return cls(**made)

    def orders(self) -> Iterator[OrderRequest]:
        """This order and those that are sent with it, in the order of their ids."""
        yield self
        yield from self.attached
        yield from self.linked

    def same_as(self, other: OrderRequest) -> bool:
        """Whether both ask for the same order, whatever they are called."""
        return asdict(replace(self, client_order_id="")) == asdict(replace(other, client_order_id=""))


def is_open(engine: Engine, order_id: int) -> bool:
    """Whether the kernel holds an open order with this id."""
    return bool((engine.orders["order_id"][: int(engine.state["n_orders"][0])] == order_id).any())


def submit(engine: Engine, ts: int, request: OrderRequest, *, link_id: int = 0, parent_id: int = 0) -> int:
    """Hand one order to the kernel; returns its id. What was sent with it is not sent here."""
    tif = request.time_in_force
    plain = request.ord_type in (OrdType.MARKET, OrdType.LIMIT)
    return engine.submit(
        ts, engine.index_of(request.symbol), request.side, request.ord_type, request.order_qty, price=request.price,
        stop_px=request.stop_px, trail=request.trail, trail_rate=request.trail_rate, activation_px=request.activation_px,
        limit_offset=request.limit_offset, time_in_force=AT_ONCE[tif] if tif in AT_ONCE and plain else RESTS.get(tif, TimeInForce.GTC),
        expire_ts=request.expire_ts, post_only=tif == "PO", reduce_only=request.reduce_only,
        close_position=request.close_position, hidden=request.hidden, display_qty=request.display_qty, trigger_by=request.trigger_by,
        self_trade=request.self_trade, position_side=request.position_side, link_id=link_id, parent_id=parent_id,
    )  # fmt: skip


def submit_all(engine: Engine, ts: int, request: OrderRequest) -> tuple[int, ...]:
    """Hand an order and what goes with it to the kernel, all or none; returns their ids.

    When one is rejected, those before it are canceled; they have met nothing yet.
    """
    first = int(engine.state["next_order_id"][0])
    link = first if request.linked or len(request.attached) > 1 else 0
    ids: list[int] = []
    for number, each in enumerate(request.orders()):
        child = 0 < number <= len(request.attached)
        linked = link if child or request.linked else 0
        ids.append(submit(engine, ts, each, link_id=linked, parent_id=first if child else 0))
        if not is_open(engine, ids[-1]):
            for order_id in reversed(ids[:-1]):
                if is_open(engine, order_id):
                    engine.cancel(ts, order_id)
            break
    return tuple(ids)
