"""How the market is modelled: price path, slippage, queue, latency, fees; each model is an object that says what it does."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from decimal import ROUND_CEILING, Decimal
from enum import IntEnum
from typing import Any

from twinstar_kit.kernel.errors import OrderError, UsageError
from twinstar_kit.kernel.money import RATE_SCALE, to_decimal


class PricePath(IntEnum):
    """The order in which a bar's extremes are visited between its open and its close.

    ADVERSE_FIRST visits first the extreme that hurts: the low for a long position or, while flat, for resting
    sells; the high for a short position or, while flat, for resting buys (the entry comes late and the way back
    goes against it). No bar knows its true path; this one never flatters.
    """

    ADVERSE_FIRST = 0
    OPEN_HIGH_LOW_CLOSE = 1
    OPEN_LOW_HIGH_CLOSE = 2


class Slippage(IntEnum):
    """By how much a taker's price is moved against it.

    BPS: `slippage_bps` basis points of the price. TICKS: `slippage` ticks. VOLUME_SHARE: price * slippage * (share of the bar's or
    trade's volume)**2, the share at most 1 (as zipline models it). SQUARE_ROOT: price * slippage * sqrt(share), the impact law of Torre and Ferrari
    (1997) with one constant. Unrealistic: none of them knows the book; where there is one, it is walked, and these come on top.
    """

    BPS = 0
    TICKS = 1
    VOLUME_SHARE = 2
    SQUARE_ROOT = 3


class Queue(IntEnum):
    """What a resting order must see before it fills at its own price, on trades and books.

    NONE: only a trade *through* the price fills it, a touch never does. RISK_AVERSE: everything that rested at the price
    when the order came stands before it; only trades take that away, cancels happen behind it. PROBABILITY_LOG and
    PROBABILITY_POWER: of what is canceled at the price, a part was before it, with the probability
    f(before) / (f(before) + f(behind)), f being log(1 + x) or x**power. A trade through the price fills in all four.
    Unrealistic: real queues are not known from public data, and nobody reacts to the order.
    """

    NONE = 0
    RISK_AVERSE = 1
    PROBABILITY_LOG = 2
    PROBABILITY_POWER = 3


class Latency(IntEnum):
    """How long an order takes to the venue, an answer back, and market data to us.

    NONE: no time. FIXED: always the mean. NORMAL: about normal with mean and spread, never below zero, drawn from the
    broker's seed. MEASURED: what a table of (time, order, response, feed) says at that time, linear between its rows, and outside them as at the
    nearest. An order meets market data from its arrival on, never what came before. A change of an order takes no time, which is
    unrealistic; a new order and a cancel take the order leg, and a strategy acts on what it saw the feed leg later.
    """

    NONE = 0
    FIXED = 1
    NORMAL = 2
    MEASURED = 3


FILLS = ("next_open", "close")
PATHS = tuple(path.name.lower() for path in PricePath)
SLIPPAGES = tuple(model.name.lower() for model in Slippage)
QUEUES = tuple(model.name.lower() for model in Queue)
LATENCIES = tuple(model.name.lower() for model in Latency)
LIQUIDITIES = ("unlimited", "bounded")


@dataclass(frozen=True, slots=True)
class Broker:
    """What the simulated broker charges and how it fills; numbers may be given as str, int, float or Decimal.

    `fee_maker` and `fee_taker` are rates of the notional (0.001 is 0.1 %), taken in the asset that the instrument settles in, or in
    `fee_asset` at its last price where there is enough of it. `fee_tiers` lower them: (volume of 30 days, maker, taker) rows in
    units of `fee_tier_asset`. `slippage_model` moves every taker's price against it, by `slippage_bps` or, in the
    other models, by `slippage`; `protection_bps` ends a market order where the price is further than that from where it began.
    `fill="close"` fills market orders on the bar that gave the signal: it is optimistic, exists for comparison with other
    tools, and reports say so. `liquidity="bounded"` fills no more than what traded or rested, on bars `volume_share` of
    their volume; "unlimited" fills whole. `amount` replaces the default size (95 % of equity). Latencies are in ms.
    UsageError for a value out of range.

    >>> Broker(fee_taker=0.0005).fee_taker
    Decimal('0.0005')
    """

    fee_maker: Decimal = Decimal("0.001")
    fee_taker: Decimal = Decimal("0.001")
    slippage_bps: Decimal = Decimal(0)
    fill: str = "next_open"
    path: str = "adverse_first"
    start_balance: Decimal = Decimal(10_000)
    amount: Decimal | None = None
    close_at_end: bool = False
    slippage_model: str = "bps"
    slippage: Decimal = Decimal(0)
    protection_bps: Decimal = Decimal(0)
    liquidity: str = "unlimited"
    volume_share: Decimal = Decimal("0.1")
    queue: str = "none"
    queue_power: Decimal = Decimal(3)
    latency: str = "none"
    latency_order_ms: Decimal = Decimal(0)
    latency_response_ms: Decimal = Decimal(0)
    latency_feed_ms: Decimal = Decimal(0)
    latency_spread_ms: Decimal = Decimal(0)
    seed: int = 0
    leverage: int = 1
    fee_asset: str = ""
    fee_tiers: tuple[tuple[Decimal, Decimal, Decimal], ...] = ()
    fee_tier_asset: str = "USDT"

    def __post_init__(self) -> None:
        limits = {
            "fee_maker": (-1, 1), "fee_taker": (0, 1), "slippage_bps": (0, 10_000), "slippage": (0, 100_000), "start_balance": (0, None), "amount": (0, None),
            "protection_bps": (0, 10_000), "volume_share": (0, Decimal("1.000000001")), "queue_power": (0, 100),
            "latency_order_ms": (0, 3_600_000), "latency_response_ms": (0, 3_600_000), "latency_feed_ms": (0, 3_600_000),
            "latency_spread_ms": (0, 3_600_000),
        }  # fmt: skip
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _within(name, value, low, high))
        words = {
            "fill": FILLS, "path": PATHS, "slippage_model": SLIPPAGES, "liquidity": LIQUIDITIES, "queue": QUEUES, "latency": LATENCIES,
        }  # fmt: skip
        for name, allowed in words.items():
            if getattr(self, name) not in allowed:
                raise UsageError(f"{name} = {getattr(self, name)!r} must be one of {', '.join(allowed)}")
        if not isinstance(self.close_at_end, bool):
            raise UsageError(f"close_at_end = {self.close_at_end!r} must be true or false")
        for name, least in (("seed", 0), ("leverage", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 2**31:
                raise UsageError(f"{name} = {value!r} must be a whole number, at least {least}")
        object.__setattr__(self, "fee_tiers", _tiers(self.fee_tiers))

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """The settings that `--set` accepts for the broker."""
        return tuple(f.name for f in fields(cls))

    @property
    def optimistic(self) -> bool:
        """Whether reports must warn that fills happened on the bar of the signal."""
        return self.fill == "close"

    def canonical(self) -> dict[str, Any]:
        """The fields that a journal's header records; numbers in one spelling."""
        plain = {k: f"{v.normalize():f}" if isinstance(v, Decimal) else v for k, v in asdict(self).items()}
        return plain | {"fee_tiers": [[f"{v.normalize():f}" for v in row] for row in self.fee_tiers]}


def _within(name: str, value: Any, low: Any, high: Any) -> Decimal:
    """`value` as a Decimal within [low, high); the reason in words otherwise."""
    try:
        number = to_decimal(value)
    except OrderError as error:
        raise UsageError(f"{name}: {error}") from None
    if number < low or (high is not None and number >= high) or (name == "amount" and number == 0):
        limit = f"above zero or {low}" if high is None else f"at least {low} and below {high}"
        raise UsageError(f"{name} = {value} must be {limit}")
    return number


def _tiers(rows: Any) -> tuple[tuple[Decimal, Decimal, Decimal], ...]:
    """Fee tiers as ascending rows of Decimals."""
    try:
        tiers = tuple((to_decimal(a), to_decimal(b), to_decimal(c)) for a, b, c in rows)
    except (TypeError, ValueError, OrderError):
        raise UsageError(f"fee_tiers = {rows!r} must be rows of (volume of 30 days, maker, taker)") from None
    volumes = [row[0] for row in tiers]
    if len(tiers) > 8 or sorted(volumes) != volumes or len(set(volumes)) != len(volumes):
        raise UsageError("fee_tiers must ascend in volume, at most 8 of them")
    return tiers


def rate_units(rate: Decimal) -> int:
    """A rate in hundred-millionths, rounded up: against the account.

    >>> rate_units(Decimal("0.001"))
    100000
    """
    scaled = rate * RATE_SCALE
    return int(scaled.to_integral_value(ROUND_CEILING))
