"""Exact integer arithmetic for prices, amounts and money: one multiply-divide, and conversions at the edges."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

from numba.extending import overload

from twinstar_kit.kernel.errors import OrderError

SNAP = 1e-9
"""A float counts as lying on a grid when it is within this relative distance of it."""

MAX_UNITS = 2**62
"""Every product that is divided back into units must stay below this, so that int64 never wraps."""

RATE_SCALE = 10**8
"""Fees, slippage and ratios are integers in hundred-millionths."""


def mul_div(a: int, b: int, divisor: int) -> int:
    """`a * b // divisor` exactly, for non-negative factors, with a product of up to 126 bits.

    Units: any. The quotient must be below 2**62 and the divisor at most 2**50; `values.value_fits` tells beforehand.

    >>> mul_div(9_223_372_036_854_775_807, 10**8, 10**10)
    92233720368547758
    """
    return int(a) * int(b) // int(divisor)


def mul_div_up(a: int, b: int, divisor: int) -> int:
    """`a * b / divisor` rounded up, with the bounds of `mul_div`.

    >>> mul_div_up(10, 10, 3)
    34
    """
    return -(-int(a) * int(b) // int(divisor))


@overload(mul_div, jit_options={"error_model": "python"})
def _mul_div_compiled(a: int, b: int, divisor: int) -> Any:
    def floor(a: int, b: int, divisor: int) -> Any:
        # The float quotient is off by at most 2**11; the remainder of that guess is small, so it
        # comes out right although both products wrap, and it corrects the guess exactly.
        guess = int(float(a) * float(b) / float(divisor))
        remainder = a * b - guess * divisor
        # nearly always the guess is right, and a division of integers is slow
        return guess if 0 <= remainder < divisor else guess + remainder // divisor

    return floor


@overload(mul_div_up, jit_options={"error_model": "python"})
def _mul_div_up_compiled(a: int, b: int, divisor: int) -> Any:
    def ceiling(a: int, b: int, divisor: int) -> Any:
        guess = int(float(a) * float(b) / float(divisor))
        remainder = a * b - guess * divisor
        return guess if -divisor < remainder <= 0 else guess - (-remainder) // divisor

    return ceiling


def to_decimal(value: str | float | Decimal) -> Decimal:
    """`value` as a finite Decimal; a float is taken by its shortest decimal form.

    >>> to_decimal(0.1)
    Decimal('0.1')
    """
    try:
        number = value if isinstance(value, Decimal) else Decimal(str(value))
    except InvalidOperation:
        raise OrderError(f"{value!r} is not a number") from None
    if not number.is_finite():
        raise OrderError(f"{value!r} is not a finite number")
    return number


def to_units(value: str | float | Decimal, scale: int, step: int = 1, what: str = "value") -> int:
    """`value` as a count of 10**-scale units, which must lie on a multiple of `step` units.

    A value within 1e-9 (relative) of the grid is taken to lie on it; anything else raises OrderError.

    >>> to_units("0.05", 2), to_units(61659.79, 2)
    (5, 6165979)
    """
    number = to_decimal(value)
    exact = number.scaleb(scale) / step
    nearest = int(exact.to_integral_value())
    if exact != nearest and abs(exact - nearest) > abs(exact) * Decimal(SNAP):
        grid = Decimal(step).scaleb(-scale)
        low = Decimal(int(exact) * step).scaleb(-scale)
        raise OrderError(
            f"{what} {number.normalize():f} is not a multiple of {grid.normalize():f}; "
            f"the nearest are {low.normalize():f} and {(low + grid).normalize():f}"
        )
    if abs(nearest * step) >= MAX_UNITS:
        raise OrderError(f"{what} {number:f} is too large for the kernel's integers")
    return nearest * step


def from_units(units: int, scale: int) -> Decimal:
    """A count of 10**-scale units as an exact Decimal.

    >>> from_units(-150, 2)
    Decimal('-1.50')
    """
    return Decimal(int(units)).scaleb(-scale)
