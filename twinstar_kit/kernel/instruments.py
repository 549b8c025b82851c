"""What is traded: symbols, the units that prices, amounts and money are counted in, and the venue's filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, NamedTuple

from twinstar_kit.kernel.errors import InstrumentError, OrderError
from twinstar_kit.kernel.money import MAX_UNITS, RATE_SCALE, from_units, to_decimal, to_units
from twinstar_kit.kernel.tables import LADDER, MARGIN_TIERS

Number = str | int | float | Decimal


class Kind(IntEnum):
    """What is traded: the coin itself, a perpetual that settles in the quote, or one that settles in the base."""

    SPOT = 0
    LINEAR = 1
    INVERSE = 2


class Step(NamedTuple):
    """One rung of a tick ladder: from the price `price_from` (units) on, prices are multiples of `tick` (units)."""

    price_from: int
    tick: int


class MarginTier(NamedTuple):
    """Up to `cap` of notional (money units), the maintenance margin is `rate` of it less `amount` (money units).

    `rate` is in hundred-millionths; `leverage` is the highest one allowed in the tier.
    """

    cap: int
    rate: int
    amount: int
    leverage: int


@dataclass(frozen=True, slots=True)
class Instrument:
    """A market: spot, or a perpetual contract, with its units and the venue's filters.

    Units: prices count 10**-price_scale of the quote; amounts count 10**-amount_scale of the base (of an inverse contract:
    of a contract of `contract_size` quote), which is also the unit of base balances; money counts 10**-quote_scale of what it settles in. `tick` and
    `lot` are the grid of orders, in those units; with a `ladder` the tick depends on the price. `percent_up` and
    `percent_down` bound limit prices relative to the last (hundred-millionths; 0: no bound), `max_orders` and `max_position` (amount
    units) are 0 where there is no limit. `fee_maker` and `fee_taker` (hundred-millionths) of -1 leave the fee to the broker.
    Raises InstrumentError when a legal order could overflow 64 bits.

    >>> btc = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
    >>> btc.price_units("61659.79"), btc.amount_units("0.5"), btc.money_units("100")
    (6165979, 50000000, 10000000000)
    >>> Instrument.from_sizes("BTC/USDT:USDT", tick="0.1", lot="0.001").kind.name
    'LINEAR'
    """

    symbol: str
    base: str
    quote: str
    exchange: str = "virtual"
    price_scale: int = 8
    amount_scale: int = 8
    quote_scale: int = 8
    tick: int = 1
    lot: int = 1
    min_amount: int = 1
    max_amount: int = MAX_UNITS
    min_notional: int = 0
    kind: Kind = Kind.SPOT
    contract_size: int = 1
    ladder: tuple[Step, ...] = ()
    market_lot: int = 0
    market_max_amount: int = 0
    percent_up: int = 0
    percent_down: int = 0
    max_orders: int = 0
    max_position: int = 0
    margin_tiers: tuple[MarginTier, ...] = ()
    fee_maker: int = -1
    fee_taker: int = -1

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", Kind(self.kind))
        object.__setattr__(self, "ladder", tuple(Step(*rung) for rung in self.ladder))
        object.__setattr__(self, "margin_tiers", tuple(MarginTier(*tier) for tier in self.margin_tiers))
        for name in ("price_scale", "amount_scale", "quote_scale"):
            if not 0 <= getattr(self, name) <= 12:
                raise InstrumentError(f"{self.symbol}: {name} must be 0 to 12, not {getattr(self, name)}")
        if self.tick < 1 or self.lot < 1 or self.contract_size < 1:
            raise InstrumentError(f"{self.symbol}: tick, lot and contract size must be at least one unit")
        if self.kind is not Kind.INVERSE and self.price_scale + self.amount_scale < self.quote_scale:
            raise InstrumentError(
                f"{self.symbol}: money would be finer than price times amount; lower quote_scale"
            )
        if not 0 <= self.min_amount <= self.max_amount <= MAX_UNITS:
            raise InstrumentError(
                f"{self.symbol}: the smallest and largest amount must be ordered and below 2**62"
            )
        if not 1 <= self.money_divisor <= 2**50:
            raise InstrumentError(f"{self.symbol}: its money does not fit 64 bits; lower a scale")
        if len(self.ladder) > LADDER or [r.price_from for r in self.ladder] != sorted(
            {r.price_from for r in self.ladder}
        ):
            raise InstrumentError(f"{self.symbol}: a tick ladder ascends, in at most {LADDER} rungs")
        if any(rung.tick < 1 or rung.tick % self.tick for rung in self.ladder):
            raise InstrumentError(f"{self.symbol}: every tick of a ladder is a multiple of the smallest")
        if len(self.margin_tiers) > MARGIN_TIERS or [t.cap for t in self.margin_tiers] != sorted(
            {t.cap for t in self.margin_tiers}
        ):
            raise InstrumentError(f"{self.symbol}: margin tiers ascend, at most {MARGIN_TIERS} of them")

    @classmethod
    def from_sizes(
        cls,
        symbol: str,
        tick: Number = "0.01",
        lot: Number = "0.00001",
        *,
        min_amount: Number | None = None,
        max_amount: Number | None = None,
        min_notional: Number = 0,
        exchange: str = "virtual",
        price_scale: int | None = None,
        amount_scale: int | None = None,
        quote_scale: int | None = None,
        contract_size: int = 1,
        ladder: Sequence[tuple[Number, Number]] = (),
        margin_tiers: Sequence[tuple[Number, Number, int]] = (),
        market_lot: Number = 0,
        market_max_amount: Number = 0,
        max_position: Number = 0,
        max_orders: int = 0,
        percent_up: Number = 0,
        percent_down: Number = 0,
        fee_maker: Number | None = None,
        fee_taker: Number | None = None,
    ) -> Instrument:
        """Build an instrument from decimal sizes as a venue publishes them; `BASE/QUOTE:SETTLE` is a perpetual.

        `ladder` holds (price from, tick) rows, `margin_tiers` (notional up to, maintenance rate, highest leverage) rows; the amounts that make the
        maintenance margin continuous from tier to tier are worked out. `percent_up` of 0.05 allows limits 5 % above the last price.

        >>> Instrument.from_sizes("ETH/KRW", tick="1000", lot="0.0001", min_notional="5000").quote_scale
        2
        >>> Instrument.from_sizes("BTC/USD:BTC", tick="0.1", lot="1", contract_size=100).kind.name
        'INVERSE'
        """
        base, quote, settle = split_symbol(symbol)
        kind = Kind.SPOT if not settle else Kind.LINEAR if settle == quote else Kind.INVERSE
        try:
            tick, lot = to_decimal(tick), to_decimal(lot)
            if tick <= 0 or lot <= 0:
                raise InstrumentError(f"{symbol}: tick and lot must be above zero")
            ps = _decimals(tick) if price_scale is None else price_scale
            qs = default_scale(settle or quote) if quote_scale is None else quote_scale
            least = 0 if kind is Kind.INVERSE else max(qs - ps, 8 if lot < 1 else 0)
            am = max(_decimals(lot), least) if amount_scale is None else amount_scale
            return cls(
                symbol, base, quote, exchange, ps, am, qs,
                tick=to_units(tick, ps, what="tick"),
                lot=to_units(lot, am, what="lot"),
                min_amount=to_units(lot if min_amount is None else min_amount, am, what="smallest amount"),
                max_amount=MAX_UNITS if max_amount is None else to_units(max_amount, am, what="largest amount"),
                min_notional=to_units(min_notional, qs, what="smallest notional"),
                kind=kind, contract_size=contract_size,
                ladder=tuple(Step(to_units(a, ps, what="ladder"), to_units(b, ps, what="tick")) for a, b in ladder),
                margin_tiers=_tiers(margin_tiers, qs),
                market_lot=to_units(market_lot, am, what="market lot"),
                market_max_amount=to_units(market_max_amount, am, what="largest market amount"),
                max_position=to_units(max_position, am, what="largest position"),
                max_orders=max_orders,
                percent_up=to_units(percent_up, 8, what="percent up"),
                percent_down=to_units(percent_down, 8, what="percent down"),
                fee_maker=-1 if fee_maker is None else to_units(fee_maker, 8, what="maker fee"),
                fee_taker=-1 if fee_taker is None else to_units(fee_taker, 8, what="taker fee"),
            )  # fmt: skip
        except OrderError as error:
            raise InstrumentError(f"{symbol}: {error}") from None

    @classmethod
    def loose(
        cls, symbol: str, *, tick: Number | None = None, lot: Number | None = None, exchange: str = "virtual"
    ) -> Instrument:
        """The rules for data that comes without any: fixed defaults, never inferred from the rows.

        >>> Instrument.loose("BTC/USDT").price(6165979000000)
        61659.79
        """
        tick, lot = "1e-8" if tick is None else tick, "1e-8" if lot is None else lot
        inverse = symbol.partition(":")[2] not in ("", split_symbol(symbol)[1])
        return cls.from_sizes(symbol, tick, "1" if inverse else lot, exchange=exchange, price_scale=8,
                              amount_scale=0 if inverse else 8)  # fmt: skip

    @property
    def settle(self) -> str:
        """The asset that profit, fees and margin are counted in: the quote, or of an inverse contract the base."""
        return self.base if self.kind is Kind.INVERSE else self.quote

    @property
    def derivative(self) -> bool:
        """Whether positions are contracts with margin rather than coins."""
        return self.kind is not Kind.SPOT

    def tick_at(self, price_units: int) -> int:
        """The tick, in price units, that holds at a price."""
        tick = self.tick
        for rung in self.ladder:
            if price_units >= rung.price_from:
                tick = rung.tick
        return tick

    def value(self, price_units: int, amount_units: int) -> int:
        """What an amount is worth at a price, in money units, rounded down."""
        if self.kind is Kind.INVERSE:
            return amount_units * self.money_divisor // price_units
        return price_units * amount_units // self.money_divisor

    @property
    def money_divisor(self) -> int:
        """price units * amount units / this = money units; of an inverse contract amount units * this / price units."""
        if self.kind is Kind.INVERSE:
            return self.contract_size * 10 ** (self.price_scale + self.quote_scale - self.amount_scale)
        return 10 ** (self.price_scale + self.amount_scale - self.quote_scale) // self.contract_size

    def price_units(self, price: Number) -> int:
        """`price` in units; OrderError unless it is positive and on the tick."""
        units = to_units(price, self.price_scale, self.tick, f"{self.symbol} price")
        if units <= 0:
            raise OrderError(f"{self.symbol} price {price} must be above zero")
        return units

    def amount_units(self, amount: Number) -> int:
        """`amount` in units; OrderError unless it is positive and on the lot."""
        units = to_units(amount, self.amount_scale, self.lot, f"{self.symbol} amount")
        if units <= 0:
            raise OrderError(f"{self.symbol} amount {amount} must be above zero")
        return units

    def money_units(self, money: Number) -> int:
        """`money` of the quote in units."""
        return to_units(money, self.quote_scale, what=f"{self.quote} amount")

    def price(self, units: int) -> float:
        """Price units as a float in the quote."""
        return int(units) / 10**self.price_scale

    def amount(self, units: int) -> float:
        """Amount units as a float in the base."""
        return int(units) / 10**self.amount_scale

    def money(self, units: int) -> float:
        """Money units as a float in the quote."""
        return int(units) / 10**self.quote_scale

    def money_decimal(self, units: int) -> Decimal:
        """Money units as an exact Decimal in the quote."""
        return from_units(units, self.quote_scale)

    def canonical(self) -> dict[str, Any]:
        """The fields that a journal's header records."""
        plain = asdict(self) | {"kind": int(self.kind)}
        return plain | {
            "ladder": [list(r) for r in self.ladder],
            "margin_tiers": [list(t) for t in self.margin_tiers],
        }

    @classmethod
    def from_canonical(cls, fields: dict[str, Any]) -> Instrument:
        """The instrument that `canonical` described."""
        return cls(**fields)


def split_symbol(symbol: str) -> tuple[str, str, str]:
    """Base, quote and what it settles in (empty: spot) of a ccxt symbol; InstrumentError for anything else.

    >>> split_symbol("BTC/USDT"), split_symbol("BTC/USD:BTC")
    (('BTC', 'USDT', ''), ('BTC', 'USD', 'BTC'))
    """
    pair, colon, settle = symbol.partition(":")
    parts = pair.split("/")
    if len(parts) != 2 or not all(parts) or (colon and settle not in parts):
        raise InstrumentError(
            f"{symbol!r} is not a symbol of the form BASE/QUOTE, such as BTC/USDT, or BASE/QUOTE:SETTLE"
        )
    return parts[0], parts[1], settle


def _tiers(rows: Sequence[tuple[Number, Number, int]], scale: int) -> tuple[MarginTier, ...]:
    """Tiers with the amounts that make the maintenance margin continuous: each tier's rate counts above its floor only."""
    tiers: list[MarginTier] = []
    floor, rate_before, amount = 0, 0, 0
    for cap, rate, leverage in rows:
        rate_now = to_units(rate, 8, what="maintenance rate")
        amount += floor * (rate_now - rate_before) // RATE_SCALE
        floor = to_units(cap, scale, what="tier")
        tiers.append(MarginTier(floor, rate_now, amount, int(leverage)))
        rate_before = rate_now
    return tuple(tiers)


def default_scale(asset: str) -> int:
    """Decimals that balances of `asset` are kept in: fewer where a unit is worth little, so that 64 bits suffice."""
    return {"KRW": 2, "JPY": 2, "IDR": 2, "VND": 2}.get(asset, 8)


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
