"""What an account has ordered and what became of it, folded from the kernel's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import N_ACCOUNTS, Account
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdType, Reason, Side
from twinstar_kit.kernel.records import event_t

ACCEPTED, REJECTED, REPLACED = int(EventKind.ACCEPTED), int(EventKind.REJECTED), int(EventKind.REPLACED)
TRIGGERED, FILLED, CANCELED = int(EventKind.TRIGGERED), int(EventKind.FILLED), int(EventKind.CANCELED)
POSTED = int(EventKind.POSTED)
OWN = (int(Account.FREE), int(Account.HELD))
CHANGES = frozenset((ACCEPTED, REPLACED, TRIGGERED, FILLED, CANCELED))
_AT = {name: i for i, name in enumerate(event_t.names or ())}
_KIND, _TS, _ORDER_ID, _SEQ = (_AT[n] for n in ("kind", "ts_event", "order_id", "seq"))
_REASON, _INSTRUMENT, _SIDE, _TYPE, _FLAGS = (
    _AT[n] for n in ("reason", "instrument", "side", "ord_type", "flags")
)
_PRICE, _STOP_PX, _QTY, _AMOUNT = (_AT[n] for n in ("price", "stop_px", "order_qty", "amount"))
_LAST_PX, _LAST_QTY, _LEAVES = (_AT[n] for n in ("last_px", "last_qty", "leaves_qty"))
_ASSET, _DEBIT, _CREDIT = (_AT[n] for n in ("asset", "debit", "credit"))

TIME_IN_FORCE = ("GTC", "IOC", "FOK", "PO")
"""Good till canceled; immediate or cancel; fill or kill; post only. Fills are whole, so IOC and FOK act alike."""


@dataclass(frozen=True, slots=True)
class OrderRequest:
    """An order as a client asks for it, in the instrument's units.

    `trail` is a distance in price units, `trail_rate` one in hundred-millionths of the best price since the
    order began. `client_order_id` names the order: the same name twice is one order.
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

    def canonical(self) -> dict[str, Any]:
        """The fields as plain values, for a journal or an inbox."""
        return asdict(self) | {"side": int(self.side), "ord_type": int(self.ord_type)}

    @classmethod
    def from_canonical(cls, fields: Mapping[str, Any]) -> OrderRequest:
        """The request that `canonical` described.

        >>> request = OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, 5)
        >>> OrderRequest.from_canonical(request.canonical()) == request
        True
        """
        return cls(**{**fields, "side": Side(fields["side"]), "ord_type": OrdType(fields["ord_type"])})


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution: `fee` in money units of the quote, `last_px` and `last_qty` in the instrument's units."""

    fill_id: int
    order_id: int
    instrument: Instrument
    side: Side
    ts: int
    last_px: int
    last_qty: int
    fee: int
    maker: bool


@dataclass(slots=True)
class VenueOrder:
    """An order that the venue accepted. `status` is open, closed or canceled; `reason` says why it was canceled."""

    order_id: int
    instrument: Instrument
    side: Side
    ord_type: OrdType
    ts: int
    order_qty: int
    price: int = 0
    stop_px: int = 0
    trail: int = 0
    trail_rate: int = 0
    reduce_only: bool = False
    time_in_force: str = "GTC"
    client_order_id: str = ""
    status: str = "open"
    reason: Reason = Reason.NONE
    updated: int = 0
    triggered: int = 0
    asked_qty: int = 0
    fills: list[VenueFill] = field(default_factory=list)

    @property
    def cum_qty(self) -> int:
        """What has been filled, in amount units."""
        return sum(f.last_qty for f in self.fills)

    @property
    def fee(self) -> int:
        """Fees paid, in money units of the quote."""
        return sum(f.fee for f in self.fills)


@dataclass(frozen=True, slots=True)
class Posting:
    """What came into the account, or left it (`amount` below zero), in units of `asset`; `after` is what there is then.

    `counterpart` is who it came from or went to; `order_id` is 0 where no order made it.
    """

    seq: int
    ts: int
    asset: str
    amount: int
    after: int
    counterpart: Account
    order_id: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that the venue rejected, and the rule it broke."""

    order_id: int
    reason: Reason


class Blotter:
    """Orders, fills and balances of one account, kept by folding its events in journal order.

    `ledger[asset]` are units by `kernel.ledger.Account`; what is not in the journal yet does not show here. `log`
    names an order each time that something happened to it.
    """

    def __init__(self, instruments: Sequence[Instrument]) -> None:
        self.instruments = tuple(instruments)
        self.scales: dict[str, int] = {}
        for m in self.instruments:
            self.scales.setdefault(m.base, m.amount_scale)
            self.scales.setdefault(m.quote, m.quote_scale)
        self.ledger = {asset: [0] * N_ACCOUNTS for asset in self.scales}
        self._assets, self._rows = list(self.ledger), list(self.ledger.values())
        self.postings: list[Posting] = []
        self.orders: dict[int, VenueOrder] = {}
        self.open: dict[int, VenueOrder] = {}
        self.fills: list[VenueFill] = []
        self.log: list[int] = []
        self.by_client_id: dict[str, VenueOrder] = {}

    def fold(
        self, events: npt.NDArray[np.void], requests: Mapping[int, OrderRequest] | None = None
    ) -> list[Refusal]:
        """Take in events; `requests` maps new order ids to what was asked. Returns what was refused."""
        refused = []
        for e in events.tolist():
            kind = e[_KIND]
            if kind == POSTED:
                self._post(e)
            elif kind == ACCEPTED:
                self._accept(e, (requests or {}).get(e[_ORDER_ID]))
            elif kind == FILLED:
                self._fill(e)
            elif kind == CANCELED:
                order = self.open.pop(e[_ORDER_ID])
                order.status, order.reason, order.updated = "canceled", Reason(e[_REASON]), e[_TS]
            elif kind == TRIGGERED:
                order = self.open[e[_ORDER_ID]]
                order.triggered = order.updated = e[_TS]
                order.stop_px = e[_STOP_PX]
            elif kind == REPLACED:
                order = self.open[e[_ORDER_ID]]
                order.price, order.stop_px, order.order_qty = e[_PRICE], e[_STOP_PX], e[_QTY]
                order.updated = e[_TS]
            elif kind == REJECTED:
                refused.append(Refusal(e[_ORDER_ID], Reason(e[_REASON])))
            if kind in CHANGES:
                self.log.append(e[_ORDER_ID])
        return refused

    def _post(self, e: tuple[int, ...]) -> None:
        row, debit, credit, amount = self._rows[e[_ASSET]], e[_DEBIT], e[_CREDIT], e[_AMOUNT]
        row[debit] -= amount
        row[credit] += amount
        if (debit in OWN) != (credit in OWN):
            signed, other = (-amount, credit) if debit in OWN else (amount, debit)
            after = row[Account.FREE] + row[Account.HELD]
            asset = self._assets[e[_ASSET]]
            self.postings.append(Posting(e[_SEQ], e[_TS], asset, signed, after, Account(other), e[_ORDER_ID]))

    def balance(self, asset: str) -> tuple[Decimal, Decimal]:
        """Free and held amounts of `asset`, exact."""
        row, scale = self.ledger[asset], self.scales[asset]
        return from_units(row[Account.FREE], scale), from_units(row[Account.HELD], scale)

    def _accept(self, e: tuple[int, ...], request: OrderRequest | None) -> None:
        order = VenueOrder(
            e[_ORDER_ID], self.instruments[e[_INSTRUMENT]], Side(e[_SIDE]), OrdType(e[_TYPE]), e[_TS], e[_QTY],
            price=e[_PRICE], stop_px=e[_STOP_PX], reduce_only=bool(e[_FLAGS] & OrdFlag.REDUCE_ONLY),
            updated=e[_TS], asked_qty=e[_QTY],
        )  # fmt: skip
        if request is not None:
            order.trail, order.trail_rate = request.trail, request.trail_rate
            order.time_in_force, order.client_order_id = request.time_in_force, request.client_order_id
        self.orders[order.order_id] = self.open[order.order_id] = order
        if order.client_order_id:
            self.by_client_id[order.client_order_id] = order

    def _fill(self, e: tuple[int, ...]) -> None:
        order = self.orders[e[_ORDER_ID]]
        fill = VenueFill(
            e[_SEQ], order.order_id, order.instrument, order.side, e[_TS], e[_LAST_PX], e[_LAST_QTY], e[_AMOUNT],
            maker=bool(e[_FLAGS] & 1),
        )  # fmt: skip
        order.fills.append(fill)
        self.fills.append(fill)
        # an order that only reduces is cut to the position that was left
        order.order_qty, order.updated = e[_QTY], e[_TS]
        if e[_LEAVES] == 0:
            order.status = "closed"
            self.open.pop(order.order_id, None)
