"""What is traded: symbols, the units that prices, amounts and money are counted in, and the venue's filters."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from twinstar_kit.kernel.errors import InstrumentError, OrderError
from twinstar_kit.kernel.money import MAX_UNITS, from_units, to_decimal, to_units

Number = str | int | float | Decimal


@dataclass(frozen=True, slots=True)
class Instrument:
    """A spot market.

    Units: prices count 10**-price_scale of the quote; amounts count 10**-amount_scale of the base, which is
    also the unit of base balances; money counts 10**-quote_scale of the quote. `tick` and `lot` are the grid of
    orders, in those units. Raises InstrumentError when a legal order could overflow 64 bits.

    >>> btc = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")
    >>> btc.price_units("61659.79"), btc.amount_units("0.5"), btc.money_units("100")
    (6165979, 50000000, 10000000000)
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

    def __post_init__(self) -> None:
        for name in ("price_scale", "amount_scale", "quote_scale"):
            if not 0 <= getattr(self, name) <= 12:
                raise InstrumentError(f"{self.symbol}: {name} must be 0 to 12, not {getattr(self, name)}")
        if self.tick < 1 or self.lot < 1:
            raise InstrumentError(f"{self.symbol}: tick and lot must be at least one unit")
        if self.price_scale + self.amount_scale < self.quote_scale:
            raise InstrumentError(
                f"{self.symbol}: money would be finer than price times amount; lower quote_scale"
            )
        if not 0 <= self.min_amount <= self.max_amount <= MAX_UNITS:
            raise InstrumentError(
                f"{self.symbol}: the smallest and largest amount must be ordered and below 2**62"
            )

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
    ) -> Instrument:
        """Build an instrument from decimal sizes as a venue publishes them.

        >>> Instrument.from_sizes("ETH/KRW", tick="1000", lot="0.0001", min_notional="5000").quote_scale
        2
        """
        base, quote = split_symbol(symbol)
        try:
            tick, lot = to_decimal(tick), to_decimal(lot)
            if tick <= 0 or lot <= 0:
                raise InstrumentError(f"{symbol}: tick and lot must be above zero")
            ps = _decimals(tick) if price_scale is None else price_scale
            qs = default_scale(quote) if quote_scale is None else quote_scale
            am = max(_decimals(lot), qs - ps, 8 if lot < 1 else 0) if amount_scale is None else amount_scale
            return cls(
                symbol, base, quote, exchange, ps, am, qs,
                tick=to_units(tick, ps, what="tick"),
                lot=to_units(lot, am, what="lot"),
                min_amount=to_units(lot if min_amount is None else min_amount, am, what="smallest amount"),
                max_amount=MAX_UNITS if max_amount is None else to_units(max_amount, am, what="largest amount"),
                min_notional=to_units(min_notional, qs, what="smallest notional"),
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
        return cls.from_sizes(symbol, tick, lot, exchange=exchange, price_scale=8, amount_scale=8)

    @property
    def money_divisor(self) -> int:
        """price units * amount units / this = money units."""
        return 10 ** (self.price_scale + self.amount_scale - self.quote_scale)

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
        return asdict(self)

    @classmethod
    def from_canonical(cls, fields: dict[str, Any]) -> Instrument:
        """The instrument that `canonical` described."""
        return cls(**fields)


def split_symbol(symbol: str) -> tuple[str, str]:
    """Base and quote of a ccxt spot symbol; InstrumentError for anything else.

    >>> split_symbol("BTC/USDT")
    ('BTC', 'USDT')
    """
    parts = symbol.split("/")
    if len(parts) != 2 or not all(parts):
        raise InstrumentError(f"{symbol!r} is not a symbol of the form BASE/QUOTE, such as BTC/USDT")
    return parts[0], parts[1].split(":")[0]


def default_scale(asset: str) -> int:
    """Decimals that balances of `asset` are kept in: fewer where a unit is worth little, so that 64 bits suffice."""
    return {"KRW": 2, "JPY": 2, "IDR": 2, "VND": 2}.get(asset, 8)


def _decimals(step: Decimal) -> int:
    exponent = step.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0
