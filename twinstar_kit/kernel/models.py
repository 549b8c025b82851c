"""How fills are modelled: fees, slippage, when a signal is filled and which way price runs inside a bar."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from decimal import Decimal
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


FILLS = ("next_open", "close")
PATHS = tuple(path.name.lower() for path in PricePath)


@dataclass(frozen=True, slots=True)
class Broker:
    """What the simulated broker charges and how it fills; numbers may be given as str, int, float or Decimal.

    `fee_maker` and `fee_taker` are rates of the notional (0.001 is 0.1 %), taken in quote. `slippage_bps` moves
    every taker's price against it. `fill="close"` fills market orders on the bar that gave the signal: it is
    optimistic, exists for comparison with other tools, and reports say so. `amount` replaces the default size
    (95 % of equity). UsageError for a value out of range.

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

    def __post_init__(self) -> None:
        limits = {
            "fee_maker": (0, 1),
            "fee_taker": (0, 1),
            "slippage_bps": (0, 10_000),
            "start_balance": (0, None),
            "amount": (0, None),
        }
        for name, (low, high) in limits.items():
            value = getattr(self, name)
            if value is None:
                continue
            try:
                number = to_decimal(value)
            except OrderError as error:
                raise UsageError(f"{name}: {error}") from None
            if number < low or (high is not None and number >= high) or (name == "amount" and number == 0):
                limit = f"above zero or {low}" if high is None else f"at least {low} and below {high}"
                raise UsageError(f"{name} = {value} must be {limit}")
            object.__setattr__(self, name, number)
        if self.fill not in FILLS:
            raise UsageError(f"fill = {self.fill!r} must be one of {', '.join(FILLS)}")
        if self.path not in PATHS:
            raise UsageError(f"path = {self.path!r} must be one of {', '.join(PATHS)}")
        if not isinstance(self.close_at_end, bool):
            raise UsageError(f"close_at_end = {self.close_at_end!r} must be true or false")

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
        return {k: f"{v.normalize():f}" if isinstance(v, Decimal) else v for k, v in asdict(self).items()}


def rate_units(rate: Decimal) -> int:
    """A rate in hundred-millionths, rounded up: against the account.

    >>> rate_units(Decimal("0.001"))
    100000
    """
    scaled = rate * RATE_SCALE
    return int(scaled) + (scaled != int(scaled))
