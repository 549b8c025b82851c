"""What an account has ordered and what became of it, folded from the kernel's events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.positions import AT, ContractBook
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.ledger import N_ACCOUNTS, OWN, Account, Wallet
from twinstar_kit.kernel.loading import assets_of
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdType, Reason, Side
from twinstar_kit.kernel.records import event_t
from twinstar_kit.kernel.tables import FillFlag
from twinstar_kit.venues.requests import OrderRequest

__all__ = ["Blotter", "Funding", "OrderRequest", "Posting", "Refusal", "VenueFill", "VenueOrder"]

ACCEPTED, REJECTED, REPLACED = int(EventKind.ACCEPTED), int(EventKind.REJECTED), int(EventKind.REPLACED)
TRIGGERED, FILLED, CANCELED = int(EventKind.TRIGGERED), int(EventKind.FILLED), int(EventKind.CANCELED)
ARMED, POSTED, FUNDED, CONFIGURE, TERMS = (
    int(k) for k in (EventKind.ARMED, EventKind.POSTED, EventKind.FUNDED, EventKind.CONFIGURE, EventKind.TERMS)
)  # fmt: skip
CHANGES = frozenset((ACCEPTED, ARMED, REPLACED, TRIGGERED, FILLED, CANCELED))
_KIND, _TS, _ORDER_ID, _SEQ, _REASON, _INSTRUMENT, _SIDE, _TYPE, _FLAGS = (
    AT[n] for n in ("kind", "ts_event", "order_id", "seq", "reason", "instrument", "side", "ord_type", "flags")
)  # fmt: skip
_PRICE, _STOP_PX, _QTY, _AMOUNT, _LAST_PX, _LAST_QTY, _LEAVES = (
    AT[n] for n in ("price", "stop_px", "order_qty", "amount", "last_px", "last_qty", "leaves_qty")
)  # fmt: skip
_ASSET, _DEBIT, _CREDIT, _REF_PX, _LINK = (AT[n] for n in ("asset", "debit", "credit", "ref_px", "link_id"))


@dataclass(frozen=True, slots=True)
class VenueFill:
    """One execution: `fee` in units of `fee_asset`, `last_px` and `last_qty` in the instrument's units.

    `slot` is 1 for the short position of hedge mode, else 0.
    """

    fill_id: int
    order_id: int
    instrument: Instrument
    side: Side
    ts: int
    last_px: int
    last_qty: int
    fee: int
    fee_asset: str
    maker: bool
    reason: Reason = Reason.NONE
    closes: bool = False
    liquidation: bool = False
    slot: int = 0

    @property
    def value(self) -> Fraction:
        """What it was worth, exact, in the asset that the instrument settles in."""
        m = self.instrument
        if m.kind is Kind.INVERSE:
            return Fraction(self.last_qty * m.money_divisor, self.last_px * 10**m.quote_scale)
        return Fraction(
            self.last_px * self.last_qty * m.contract_size, 10 ** (m.price_scale + m.amount_scale)
        )


@dataclass(slots=True)
class VenueOrder:
    """An order that the venue accepted. `status` is open, closed or canceled; `reason` says why it was canceled.

    `request` is what was asked, where that is known; the fields beside it are what the order has become.
    """

    order_id: int
    instrument: Instrument
    side: Side
    ord_type: OrdType
    ts: int
    order_qty: int
    price: int = 0
    stop_px: int = 0
    flags: OrdFlag = OrdFlag.NONE
    status: str = "open"
    reason: Reason = Reason.NONE
    updated: int = 0
    triggered: int = 0
    asked_qty: int = 0
    trail: int = 0
    trail_rate: int = 0
    parent_id: int = 0
    dormant: bool = False
    request: OrderRequest | None = None
    fills: list[VenueFill] = field(default_factory=list)

    @property
    def cum_qty(self) -> int:
        """What has been filled, in amount units."""
        return sum(f.last_qty for f in self.fills)

    @property
    def reduce_only(self) -> bool:
        """Whether it only reduces a position."""
        return bool(self.flags & OrdFlag.REDUCE_ONLY)

    @property
    def time_in_force(self) -> str:
        """As it was asked for."""
        return (
            self.request.time_in_force
            if self.request
            else "IOC"
            if self.ord_type is OrdType.MARKET
            else "GTC"
        )

    @property
    def client_order_id(self) -> str:
        """The name that the client gave it, or nothing."""
        return self.request.client_order_id if self.request else ""

    def fees(self) -> dict[str, int]:
        """Fees paid by asset, in its units."""
        paid: dict[str, int] = {}
        for fill in self.fills:
            paid[fill.fee_asset] = paid.get(fill.fee_asset, 0) + fill.fee
        return paid


@dataclass(frozen=True, slots=True)
class Posting:
    """What came into a wallet, or left it (`amount` below zero), in units of `asset`; `after` is what there is then.

    `counterpart` is who it came from or went to; `order_id` is 0 where no order made it, `symbol` where no instrument did.
    """

    seq: int
    ts: int
    asset: str
    amount: int
    after: int
    counterpart: Account
    order_id: int
    wallet: Wallet = Wallet.SPOT
    funding: bool = False


@dataclass(frozen=True, slots=True)
class Funding:
    """Funding that was received (`amount` below zero: paid) on a position, in money units; `rate` in hundred-millionths."""

    seq: int
    ts: int
    instrument: Instrument
    amount: int
    rate: int
    mark: int
    qty: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """A command that the venue rejected, and the rule it broke; `order_id` is 0 where it was not about an order."""

    order_id: int
    reason: Reason


class Blotter:
    """Orders, fills, positions and balances of one account, kept by folding its events in journal order.

    `wallets[wallet][asset]` are units by `kernel.ledger.Account`, `ledger` those of the spot wallet; what is not in the
    journal yet does not show here. `log` names an order each time that something happened to it. `leverage` is the broker's.
    """

    def __init__(self, instruments: Sequence[Instrument], leverage: int = 1) -> None:
        self.instruments = tuple(instruments)
        self.scales = assets_of(self.instruments)
        swap = any(m.derivative for m in self.instruments)
        wallets = (Wallet.SPOT, Wallet.SWAP) if swap else (Wallet.SPOT,)
        self.wallets = {wallet: {asset: [0] * N_ACCOUNTS for asset in self.scales} for wallet in wallets}
        self._rows = [
            (wallet, asset, row) for wallet, rows in self.wallets.items() for asset, row in rows.items()
        ]
        self.contracts = ContractBook(self.instruments, leverage)
        self.postings: list[Posting] = []
        self.fundings: list[Funding] = []
        self.orders: dict[int, VenueOrder] = {}
        self.open: dict[int, VenueOrder] = {}
        self.fills: list[VenueFill] = []
        self.log: list[int] = []
        self.by_client_id: dict[str, VenueOrder] = {}
        self._told: list[npt.NDArray[np.void]] = []
        self._funding, self._parent = False, 0

    @property
    def ledger(self) -> dict[str, list[int]]:
        """The spot wallet: units by `kernel.ledger.Account`, by asset."""
        return self.wallets[Wallet.SPOT]

    def fold(
        self, events: npt.NDArray[np.void], requests: Mapping[int, OrderRequest] | None = None
    ) -> list[Refusal]:
        """Take in events; `requests` maps new order ids to what was asked. Returns what was refused."""
        refused = []
        self._told.append(events[events["kind"] != POSTED])
        for e in events.tolist():
            kind = e[_KIND]
            if kind == POSTED:
                self._post(e)
                continue
            self._funding = kind == FUNDED
            if kind in (FILLED, FUNDED, CONFIGURE, REJECTED):
                self.contracts.fold(e)
            if kind == ACCEPTED:
                self._accept(e, (requests or {}).get(e[_ORDER_ID]))
            elif kind == TERMS:
                self._parent = e[_LINK]
            elif kind == FILLED:
                self._fill(e)
            elif kind == CANCELED:
                order = self.open.pop(e[_ORDER_ID])
                order.status, order.reason, order.updated = "canceled", Reason(e[_REASON]), e[_TS]
            elif kind in CHANGES:
                self._change(e)
            elif kind == FUNDED:
                m = self.instruments[e[_INSTRUMENT]]
                self.fundings.append(
                    Funding(e[_SEQ], e[_TS], m, e[_AMOUNT], e[_REF_PX], e[_LAST_PX], e[_LAST_QTY] * e[_SIDE])
                )
            elif kind == REJECTED:
                self._parent = 0
                refused.append(Refusal(e[_ORDER_ID], Reason(e[_REASON])))
            if kind in CHANGES:
                self.log.append(e[_ORDER_ID])
        self.contracts.settle()
        return refused

    def _post(self, e: tuple[int, ...]) -> None:
        wallet, asset, row = self._rows[e[_ASSET]]
        debit, credit, amount = e[_DEBIT], e[_CREDIT], e[_AMOUNT]
        row[debit] -= amount
        row[credit] += amount
        if (debit in OWN) != (credit in OWN):
            signed, other = (-amount, credit) if debit in OWN else (amount, debit)
            self.postings.append(
                Posting(
                    e[_SEQ],
                    e[_TS],
                    asset,
                    signed,
                    sum(row[a] for a in OWN),
                    Account(other),
                    e[_ORDER_ID],
                    wallet,
                    self._funding,
                )
            )

    def _change(self, e: tuple[int, ...]) -> None:
        order = self.open[e[_ORDER_ID]]
        order.price, order.stop_px, order.order_qty = e[_PRICE], e[_STOP_PX], e[_QTY]
        order.updated, order.flags, order.dormant = e[_TS], OrdFlag(e[_FLAGS]), False
        if e[_KIND] == TRIGGERED:
            order.triggered = e[_TS]

    def _accept(self, e: tuple[int, ...], request: OrderRequest | None) -> None:
        order = VenueOrder(
            e[_ORDER_ID], self.instruments[e[_INSTRUMENT]], Side(e[_SIDE]), OrdType(e[_TYPE]), e[_TS], e[_QTY],
            price=e[_PRICE], stop_px=e[_STOP_PX], flags=OrdFlag(e[_FLAGS]), updated=e[_TS], asked_qty=e[_QTY], request=request,
            parent_id=self._parent, dormant=self._parent != 0,
        )  # fmt: skip
        self._parent = 0
        if request is not None:
            order.trail, order.trail_rate = request.trail, request.trail_rate
        self.orders[order.order_id] = self.open[order.order_id] = order
        if order.client_order_id:
            self.by_client_id[order.client_order_id] = order

    def _fill(self, e: tuple[int, ...]) -> None:
        order = self.orders[e[_ORDER_ID]]
        flags = e[_FLAGS]
        closes = bool(flags & FillFlag.CLOSES)
        fill = VenueFill(
            e[_SEQ], order.order_id, order.instrument, order.side, e[_TS], e[_LAST_PX], e[_LAST_QTY], e[_AMOUNT],
            self._rows[e[_ASSET]][1], maker=bool(flags & FillFlag.MAKER), reason=Reason(e[_REASON]),
            closes=closes, liquidation=bool(flags & FillFlag.LIQUIDATION), slot=int(self.contracts.hedge and (order.side > 0) == closes),
        )  # fmt: skip
        order.fills.append(fill)
        self.fills.append(fill)
        # an order that only reduces is cut to the position that was left
        order.order_qty, order.updated = e[_QTY], e[_TS]
        if e[_LEAVES] == 0:
            order.status = "closed"
            self.open.pop(order.order_id, None)

    def events_of(self, order_id: int) -> npt.NDArray[np.void]:
        """What the journal holds about one order, postings left out."""
        self._told = [np.concatenate(self._told)] if len(self._told) > 1 else self._told
        return self._told[0][self._told[0]["order_id"] == order_id] if self._told else np.empty(0, event_t)

    # -- what there is ------------------------------------------------------------------------------------

    def balance(self, asset: str, wallet: Wallet = Wallet.SPOT) -> tuple[Decimal, Decimal]:
        """Free and used amounts of `asset`, exact; used is what stands behind orders and positions."""
        row, scale = self.wallets[wallet][asset], self.scales[asset]
        return from_units(row[Account.FREE], scale), from_units(
            row[Account.HELD] + row[Account.MARGIN], scale
        )

    def balances(self, wallet: Wallet = Wallet.SPOT) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and used amounts of every asset, exact."""
        return {asset: self.balance(asset, wallet) for asset in self.scales}

    def own(self, wallet: Wallet) -> dict[str, int]:
        """Units of every asset in a wallet."""
        return {asset: sum(row[a] for a in OWN) for asset, row in self.wallets[wallet].items()}


def requests_of(command: Mapping[str, object] | None) -> dict[int, OrderRequest]:
    """What a recorded command asked for, by the ids that its orders got."""
    if not command or "request" not in command:
        return {}
    request = OrderRequest.from_canonical(command["request"])  # type: ignore[arg-type]
    return dict(zip(command["order_ids"], request.orders(), strict=False))  # type: ignore[call-overload]
