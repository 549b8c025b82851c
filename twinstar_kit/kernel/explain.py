"""Receipts: why an order filled at that price, what still stands between it and a fill, or which rule ended it; in numbers.

Two sources say the same: a running account (`Engine`), which also knows the place in the queue, and a stored journal's
events with the instruments that its header names, which know what was recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.loading import assets_of
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import (
    NEVER,
    EventKind,
    OrdFlag,
    OrdStatus,
    OrdType,
    Reason,
    Side,
    TriggerBy,
    next_status,
)
from twinstar_kit.kernel.tables import FillFlag
from twinstar_kit.kernel.values import UNBOUNDED

Events = npt.NDArray[np.void]
Number = Decimal | int | str

K = EventKind
_LIFE = (
    K.ACCEPTED, K.REJECTED, K.DENIED, K.ARMED, K.REPLACED, K.TRIGGERED, K.FILLED, K.CANCELED,
)  # fmt: skip
_LIMITS = (OrdType.LIMIT, OrdType.STOP_LIMIT, OrdType.LIMIT_IF_TOUCHED, OrdType.TRAILING_STOP_LIMIT)
_TOUCHED = (OrdType.MARKET_IF_TOUCHED, OrdType.LIMIT_IF_TOUCHED)
_TRAILING = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
_LOOKS_AT = {
    TriggerBy.LAST: "the last trade",
    TriggerBy.MARK: "the mark price",
    TriggerBy.BID_ASK: "the quote",
}


@dataclass(frozen=True)
class Explanation:
    """What became of an order: `sentence` in words, `numbers` by name, `history` one line per event.

    Prices are in the quote, amounts in the base (contracts of an inverse one), times in the journal's unit.
    """

    order_id: int
    status: OrdStatus
    sentence: str
    numbers: dict[str, Number] = field(default_factory=dict)
    history: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.sentence

    def to_dict(self) -> dict[str, Any]:
        """For JSON: numbers as text, so that none loses a digit."""
        numbers = {k: str(v) if isinstance(v, Decimal) else v for k, v in self.numbers.items()}
        return {
            "order_id": self.order_id,
            "status": self.status.name.lower(),
            "sentence": self.sentence,
            "numbers": numbers,
            "history": list(self.history),
        }

    def __rich__(self) -> Any:
        from rich.table import Table

        table = Table(title=f"order {self.order_id}: {self.status.name.lower()}", caption=self.sentence)
        table.add_column("what")
        table.add_column("value", justify="right")
        for name, value in self.numbers.items():
            table.add_row(name.replace("_", " "), _plain(value))
        for line in self.history:
            table.add_row("event", line)
        return table


def explain(
    source: Engine | Sequence[Instrument],
    events: Events,
    order_id: int,
    market: Mapping[str, int] | None = None,
) -> Explanation:
    """Say why an order filled as it did, what it still waits for, or which rule ended it.

    `source` is the account, or the instruments of a stored journal; `events` (`event_t`) are the journal's records, all or
    those since the order was sent. `market` may give what is known of the order's market now, in price units: `last`, `bid`,
    `ask`, `mark`; without it, and without an account, the latest price in the events counts. UsageError when
    the events do not know the order.

    >>> from twinstar_kit.kernel.models import Broker
    >>> btc = Instrument.from_sizes("BTC/USDT", tick="0.1", lot="0.001")
    >>> engine = Engine([btc], Broker(), {"USDT": 100_000})
    >>> engine.on_trade(0, 1, btc.price_units("61659.8"))
    >>> order = engine.submit(2, 0, Side.BUY, OrdType.LIMIT, btc.amount_units("0.5"), price=btc.price_units("61600"))
    >>> print(explain(engine, engine.drain(), order))
    Open: buys 0.5 BTC at 61,600 or better; the last trade was at 61,659.8, 59.8 away; a trade through 61,600 fills it.
    """
    instruments = source.instruments if isinstance(source, Engine) else tuple(source)
    mine = events[events["order_id"] == order_id]
    life = mine[np.isin(mine["kind"], _LIFE)]
    order = _Order.of(source if isinstance(source, Engine) else None, life, events, order_id)
    if order is None:
        raise UsageError(f"the journal knows no order {order_id}")
    known = 0 <= order.instrument < len(instruments)
    if not known:
        reason = Reason(int(life[-1]["reason"]))
        return Explanation(order_id, OrdStatus.REJECTED, f"Refused: {reason.text}.", {"rule": reason.name})
    teller = _Teller(instruments, order, _market(source, events, order.instrument, market))
    teller.failed = next(iter(mine[mine["kind"] == K.LIQUIDATED]), None)
    history = tuple(teller.line(e) for e in life)
    fills = life[life["kind"] == K.FILLED]
    if order.status in (OrdStatus.REJECTED, OrdStatus.CANCELED):
        sentence = teller.ended(life, fills)
    elif order.status is OrdStatus.FILLED:
        sentence = teller.filled(fills)
    else:
        sentence = teller.waits(fills)
    return Explanation(order_id, order.status, sentence, teller.numbers, history)


@dataclass
class _Order:
    """What is known of an order: its row where it is open in an account, else what its records say."""

    instrument: int
    side: Side
    ord_type: OrdType
    status: OrdStatus
    price: int
    stop_px: int
    order_qty: int
    cum_qty: int
    fired: bool
    flags: int = 0
    trigger_by: TriggerBy = TriggerBy.LAST
    activation_px: int = 0
    parent_id: int = 0
    arrive_ts: int = 0
    cancel_ts: int = 0
    expire_ts: int = 0
    ahead: int | None = None
    now: int = 0

    @classmethod
    def of(cls, engine: Engine | None, life: Events, events: Events, order_id: int) -> _Order | None:
        if engine is not None:
            rows = engine.open_orders()
            rows = rows[rows["order_id"] == order_id]
            if len(rows):
                return cls._open(rows[0], int(engine.state["now"][0]))
        if not len(life):
            return None
        return cls._recorded(life, events, order_id)

    @classmethod
    def _open(cls, o: Any, now: int) -> _Order:
        """From the account's own table."""
        names = (
            "instrument", "price", "stop_px", "order_qty", "cum_qty", "flags", "activation_px", "parent_id", "arrive_ts", "cancel_ts", "expire_ts",
            "ahead",
        )  # fmt: skip
        status = OrdStatus(int(o["status"]))
        if status is OrdStatus.WORKING and o["cum_qty"] > 0:
            status = OrdStatus.PARTIAL
        return cls(
            side=Side(int(o["side"])), ord_type=OrdType(int(o["ord_type"])), status=status,
            fired=bool(o["works_as"]), trigger_by=TriggerBy(int(o["trigger_by"])), now=now, **{n: int(o[n]) for n in names},
        )  # fmt: skip

    @classmethod
    def _recorded(cls, life: Events, events: Events, order_id: int) -> _Order:
        """From the journal alone: the latest record, and the terms that came with the command."""
        first, latest = life[0], life[-1]
        status, fired, arrives = OrdStatus.NONE, False, 0
        for e in life:
            kind = EventKind(int(e["kind"]))
            if kind is K.REJECTED and status is not OrdStatus.NONE:
                continue  # a change that was refused, not the order
            comes = int(e["amount"]) if kind is K.ACCEPTED else 0
            arrives = comes if comes > 0 else 0 if kind is K.ARMED else arrives
            status = next_status(
                status, kind, dormant=comes < 0, leaves_qty=int(e["leaves_qty"]), in_flight=comes > 0
            )
            fired = fired or kind is K.TRIGGERED
            latest = e
        if status is OrdStatus.WORKING and int(latest["cum_qty"]) > 0:
            status = OrdStatus.PARTIAL
        ord_type = int(first["ord_type"])
        made = cls(
            instrument=int(first["instrument"]), side=Side.SELL if first["side"] < 0 else Side.BUY,
            ord_type=OrdType(ord_type) if 1 <= ord_type <= 8 else OrdType.MARKET, status=status,
            price=int(latest["price"]), stop_px=int(latest["stop_px"]), order_qty=int(latest["order_qty"]),
            cum_qty=int(latest["cum_qty"]), flags=int(first["flags"]), arrive_ts=arrives,
            fired=fired or ord_type in (OrdType.MARKET, OrdType.LIMIT), now=int(events[-1]["ts_event"]),
        )  # fmt: skip
        at = int(np.flatnonzero(events["seq"] == first["seq"])[0])
        if at > 0 and events[at - 1]["kind"] == K.TERMS:
            terms = events[at - 1]
            packed = int(terms["flags"])
            made.trigger_by = TriggerBy(packed // 8 % 4) if packed // 8 % 4 < 3 else TriggerBy.LAST
            made.activation_px, made.expire_ts = int(terms["stop_px"]), int(terms["amount"])
            made.parent_id = int(terms["link_id"])
        return made


def _market(
    source: Engine | Sequence[Instrument], events: Events, j: int, given: Mapping[str, int] | None
) -> dict[str, int]:
    """What is known of a market: last, bid, ask and mark in price units, 0 where unknown."""
    known = dict.fromkeys(("last", "bid", "ask", "mark"), 0)
    if isinstance(source, Engine):
        known.update({name: int(source.inst[name][j]) for name in known})
    else:
        here = events[events["instrument"] == j]
        for e in here[::-1]:
            price = e["last_px"] if e["kind"] in (K.FILLED, K.LIQUIDATED) else 0
            price = e["ref_px"] if e["kind"] == K.TRIGGERED else price
            if price > 0:
                known["last"] = int(price)
                break
    return known | {name: int(value) for name, value in (given or {}).items()}


class _Teller:
    """Puts an order's records into words, and keeps the numbers that it uses."""

    def __init__(self, instruments: Sequence[Instrument], order: _Order, market: dict[str, int]) -> None:
        self.m, self.o, self.market = instruments[order.instrument], order, market
        self.assets = tuple(assets_of(instruments).items())
        self.failed: Any = None
        """The record of the liquidation that an order carries out."""
        self.numbers: dict[str, Number] = {}
        self.what = "contracts" if self.m.kind is Kind.INVERSE else self.m.base

    def price(self, units: Any) -> Decimal:
        return from_units(int(units), self.m.price_scale)

    def amount(self, units: Any) -> Decimal:
        return from_units(int(units), self.m.amount_scale)

    def size(self, units: Any) -> str:
        return f"{_plain(self.amount(units))} {self.what}"

    def note(self, **numbers: Number) -> None:
        self.numbers.update(numbers)

    # -- what happened -------------------------------------------------------------------------------------

    def line(self, e: Any) -> str:
        """One event as a line."""
        kind, reason = EventKind(int(e["kind"])), Reason(int(e["reason"]))
        words = f"{int(e['ts_event'])} {kind.name.lower()}"
        if kind is K.FILLED:
            words += f" {self.size(e['last_qty'])} at {_plain(self.price(e['last_px']))}"
        if kind is K.TRIGGERED and e["ref_px"]:
            words += f" at {_plain(self.price(e['ref_px']))}"
        return f"{words}: {reason.text}" if reason is not Reason.NONE else words

    def fee(self, e: Any) -> tuple[Decimal, str]:
        """The fee of a fill and its asset."""
        asset, scale = self.assets[int(e["asset"]) % len(self.assets)]
        return from_units(int(e["amount"]), scale), asset

    def filled(self, fills: Events) -> str:
        """Why an order filled at that price; of several fills the last in full, all in sum."""
        e = fills[-1]
        quantity = int(fills["last_qty"].sum())
        value = sum(int(f["last_px"]) * int(f["last_qty"]) for f in fills)
        fees: dict[str, Decimal] = {}
        for f in fills:
            fee, asset = self.fee(f)
            fees[asset] = fees.get(asset, Decimal(0)) + fee
        average = Decimal(value) / quantity / 10**self.m.price_scale
        self.note(filled=self.amount(quantity), average_price=average, fills=len(fills))
        self.note(**{f"fee_{asset}": fee for asset, fee in fees.items()})
        verb = "Bought" if self.o.side > 0 else "Sold"
        paid = " and ".join(f"{_plain(fee)} {asset}" for asset, fee in fees.items())
        words = self.one_fill(e, verb)
        if len(fills) > 1:
            whole = f"{verb} {self.size(quantity)} in {len(fills)} fills at {_plain(_rounded(average, self.m))} on average"
            words = f"{whole}; the last: {words[0].lower()}{words[1:]}"
        return f"{words}; the fee was {paid}." if any(fees.values()) else f"{words}; no fee."

    def one_fill(self, e: Any, verb: str) -> str:
        """One fill: what it met, what slippage added, how much was there, maker or taker."""
        price, met = self.price(e["last_px"]), self.price(e["ref_px"])
        maker = bool(e["flags"] & FillFlag.MAKER)
        reason = Reason(int(e["reason"]))
        self.note(price=price, met_price=met, role="maker" if maker else "taker", rule=reason.name)
        words = f"{verb} {self.size(e['last_qty'])} at {_plain(price)} as a {'maker' if maker else 'taker'}: {reason.text}"
        if self.failed is not None:
            words += self.below_maintenance(self.failed)
        slipped = (price - met) * self.o.side
        if slipped > 0:
            self.note(slippage=slipped)
            words += f"; the market was at {_plain(met)}, slippage made it {_plain(slipped)} worse"
        limit = self.price(self.o.price)
        if self.o.ord_type in _LIMITS and self.o.price and (limit - price) * self.o.side > 0:
            self.note(limit=limit)
            words += f"; that is {_plain(abs(limit - price))} better than its limit of {_plain(limit)}"
        if e["ref_qty"]:
            self.note(available=self.amount(e["ref_qty"]))
            words += f"; {self.size(e['ref_qty'])} could be had there"
        if e["flags"] & FillFlag.FEE_FELL_BACK:
            words += "; there was not enough of the fee asset"
        return words

    def below_maintenance(self, e: Any) -> str:
        """What stood behind a position that was liquidated, and what had to."""
        backing, profit, needed = (
            from_units(int(e[name]), self.m.quote_scale) for name in ("amount", "ref_qty", "ref_px")
        )
        self.note(mark=self.price(e["last_px"]), backing=backing, profit=profit, maintenance_margin=needed)
        return (
            f": {_plain(backing)} {self.m.settle} stood behind it, its profit at {_plain(self.price(e['last_px']))} was "
            f"{_plain(profit)}: in all less than its maintenance margin of {_plain(needed)}"
        )

    def ended(self, life: Events, fills: Events) -> str:
        """Which rule refused or canceled an order, with the numbers of that rule."""
        e = life[np.isin(life["kind"], (K.REJECTED, K.DENIED, K.CANCELED))][-1]
        reason = Reason(int(e["reason"]))
        self.note(rule=reason.name)
        refused = self.o.status is OrdStatus.REJECTED
        words = f"{'Refused' if refused else 'Canceled'}: {reason.text}{self.rule(reason)}"
        if len(fills):
            done = int(fills["last_qty"].sum())
            self.note(filled=self.amount(done))
            words += f"; {self.size(done)} had filled before"
        return f"{words}."

    def rule(self, reason: Reason) -> str:
        """The numbers of a rule, where the instrument holds them."""
        m, o = self.m, self.o
        price = o.price or o.stop_px or self.market["last"]
        if reason is Reason.OFF_TICK:
            tick = self.price(m.tick_at(price))
            self.note(tick=tick)
            return f"; {_plain(self.price(price))} is not, the tick there is {_plain(tick)}"
        if reason is Reason.OFF_LOT:
            lot = m.market_lot if o.ord_type is OrdType.MARKET and m.market_lot else m.lot
            self.note(lot=self.amount(lot))
            return f"; {_plain(self.amount(o.order_qty))} is not, the lot is {_plain(self.amount(lot))}"
        bounds = {
            Reason.BELOW_MIN_AMOUNT: m.min_amount,
            Reason.ABOVE_MAX_AMOUNT: m.max_amount,
            Reason.ABOVE_MAX_POSITION: m.max_position,
        }
        if reason in bounds:
            self.note(bound=self.amount(bounds[reason]), amount=self.amount(o.order_qty))
            return f"; {self.size(o.order_qty)} against {self.size(bounds[reason])}"
        if reason is Reason.BELOW_MIN_NOTIONAL and price:
            value, least = m.money_decimal(m.value(price, o.order_qty)), m.money_decimal(m.min_notional)
            self.note(value=value, bound=least)
            return f"; {_plain(value)} against {_plain(least)} {m.settle}"
        if reason is Reason.INSUFFICIENT_BALANCE and price:
            value = m.money_decimal(m.value(price, o.order_qty))
            self.note(value=value)
            return f"; {self.size(o.order_qty)} are worth {_plain(value)} {m.settle}"
        return ""

    # -- what it waits for ---------------------------------------------------------------------------------

    def waits(self, fills: Events) -> str:
        """What stands between an open order and a fill."""
        o = self.o
        left = o.order_qty - o.cum_qty
        self.note(left=self.amount(left))
        whole = bool(o.flags & OrdFlag.CLOSE_POSITION)
        verb = "buys" if o.side > 0 else "sells"
        words = f"Open: {verb} {'what closes the position' if whole else self.size(left)}"
        if len(fills):
            self.note(filled=self.amount(o.cum_qty))
            words += f" ({self.size(o.cum_qty)} filled)"
        if o.status is OrdStatus.DORMANT:
            waits_for = f"order {o.parent_id} to fill" if o.parent_id else "a position to protect"
            return f"{words}; it waits for {waits_for}."
        if o.status is OrdStatus.IN_FLIGHT:
            self.note(arrives=o.arrive_ts)
            return (
                f"{words}; it is on its way to the venue until {o.arrive_ts}, {o.arrive_ts - o.now} from now."
            )
        words += self.resting(left) if o.fired else self.triggering()
        for name, ts in (("its cancel arrives", o.cancel_ts), ("it expires", o.expire_ts)):
            if 0 < ts < NEVER:
                words += f"; {name} at {ts}"
        return f"{words}."

    def resting(self, left: int) -> str:
        """A market order that has met nothing yet, or a limit: its queue, and how far the market is."""
        o = self.o
        if o.ord_type not in _LIMITS:
            return " at market; it fills with the next market data"
        limit, last = self.price(o.price), self.market["last"]
        self.note(limit=limit)
        words = f" at {_plain(limit)} or better"
        if o.ahead is not None and o.ahead >= 0:
            if o.ahead < UNBOUNDED:
                self.note(ahead=self.amount(o.ahead))
                words += f"; {self.size(o.ahead)} ahead in the queue"
            else:
                words += "; how much is ahead in the queue is not known"
        if last:
            away = (self.price(last) - limit) * o.side
            self.note(last=self.price(last), distance=away)
            words += f"; the last trade was at {_plain(self.price(last))}"
            words += f", {_plain(away)} away" if away > 0 else ", at its price" if away == 0 else ""
        best = self.market["ask" if o.side > 0 else "bid"]
        if best:
            self.note(best=self.price(best))
            words += f"; the best {'ask' if o.side > 0 else 'bid'} is {_plain(self.price(best))}"
        return f"{words}; a trade through {_plain(limit)} fills it"

    def triggering(self) -> str:
        """A trigger: which price it looks at, and how far that is."""
        o = self.o
        by = o.trigger_by
        seen = {
            TriggerBy.LAST: self.market["last"],
            TriggerBy.MARK: self.market["mark"],
            TriggerBy.BID_ASK: self.market["ask" if o.side > 0 else "bid"],
        }[by] or self.market["last"]
        if o.ord_type in _TRAILING and o.activation_px and not o.flags & OrdFlag.ACTIVE:
            self.note(activation=self.price(o.activation_px))
            return f"; its trail begins when {_LOOKS_AT[by]} reaches {_plain(self.price(o.activation_px))}{self.far(seen, o.activation_px)}"
        if not o.stop_px:
            return "; its trigger is not known from the journal"
        self.note(trigger=self.price(o.stop_px))
        rises = (o.side > 0) != (o.ord_type in _TOUCHED)
        what = "trails and now fires" if o.ord_type in _TRAILING else "fires"
        return (
            f"; it {what} when {_LOOKS_AT[by]} {'rises' if rises else 'falls'} to {_plain(self.price(o.stop_px))}"
            f"{self.far(seen, o.stop_px)}"
        )

    def far(self, seen: int, goal: int) -> str:
        """How far a price is from a goal."""
        if not seen:
            return ""
        away = abs(self.price(seen) - self.price(goal))
        share = away / self.price(seen) * 100
        self.note(seen=self.price(seen), distance=away)
        return f"; it is at {_plain(self.price(seen))}, {_plain(away)} ({share:.2f} %) away"


def _plain(value: Number) -> str:
    """A number for people: thousands apart, no trailing zeros.

    >>> _plain(Decimal("61659.80")), _plain(Decimal("0.50000000")), _plain(3)
    ('61,659.8', '0.5', '3')
    """
    if not isinstance(value, Decimal):
        return str(value)
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _rounded(price: Decimal, m: Instrument) -> Decimal:
    """An average price with two digits more than the instrument's."""
    return price.quantize(Decimal(1).scaleb(-min(m.price_scale + 2, 12)))
