"""Compiled arithmetic against Python's own: the same bits, the same errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numba import njit

from twinstar_kit.strategy.compiler import exact
from twinstar_kit.strategy.compiler.calls import EXACT_MATH

OPTIONS = {"error_model": "python"}
TWO = {"atan2", "copysign", "pow"}
EDGES = [
    0.0, -0.0, 0.5, 1.5, 2.5, -0.5, -1.5, 1.0, -1.0, 2.0, 1e308, -1e308, 5e-324, 1e19, 2.0**53, 2.0**62, -(2.0**63), 709.8, 710.5,
    math.inf, -math.inf, math.nan,
]  # fmt: skip


def samples(seed: int) -> list[float]:
    g = np.random.default_rng(seed)
    wide = np.exp(g.normal(0, 12, 2_000)) * g.choice([-1, 1], 2_000)
    found: list[float] = np.concatenate(
        [g.normal(0, 1, 4_000), g.normal(0, 100, 2_000), wide, EDGES]
    ).tolist()
    return found


def outcome(function: Callable[..., Any], *given: Any) -> Any:
    """A value with its type and sign, or the class of what was raised."""
    try:
        value = function(*given)
    except (ValueError, OverflowError, ZeroDivisionError) as error:
        return type(error)
    if isinstance(value, float) and math.isnan(value):
        return "nan"
    if type(value) is int and not -(2**63) <= value < 2**63:
        return OverflowError  # where Python has no limit, compiled code has one, and says so
    return type(value), value, math.copysign(1.0, value)


@pytest.mark.parametrize("name", sorted(EXACT_MATH))
def test_math_gives_pythons_bits_and_errors(name: str):
    plain, ours = getattr(math, name), getattr(exact, name)
    if name in TWO:
        compiled = njit(**OPTIONS)(lambda x, y: ours(x, y))
        x, y = samples(1), samples(2)
        given = [
            *zip(x, y, strict=True),
            *((v, 2.0) for v in x),
            *((v, 0.5) for v in x),
            *((2.0, v) for v in x),
            *((v, 3.0) for v in EDGES),
        ]
    else:
        compiled = njit(**OPTIONS)(lambda x: ours(x))
        given = [(v,) for v in samples(1)]
    wrong = [
        (g, outcome(plain, *g), outcome(compiled, *g))
        for g in given
        if outcome(plain, *g) != outcome(compiled, *g)
    ]
    assert not wrong, wrong[:3]


def test_a_constant_exponent_is_not_turned_into_a_product():
    values = [v for v in samples(3) if 0 < abs(v) < 1e100]
    ours = njit(**OPTIONS)(lambda x: exact.pow(x, 2.0))
    numbas = njit(**OPTIONS)(lambda x: math.pow(x, 2.0))
    assert [ours(v) for v in values] == [math.pow(v, 2.0) for v in values]
    assert any(numbas(v) != math.pow(v, 2.0) for v in values), "if numba is exact now, `exact.pow` can go"


@pytest.mark.parametrize(("ours", "plain"), [(exact.to_int, int), (exact.to_round, round)])
def test_conversions_to_whole_numbers(ours: Any, plain: Any):
    compiled = njit(**OPTIONS)(lambda x: ours(x))
    halves = [n / 2 for n in range(-40, 41)]
    for value in [*samples(4), *halves, 7, True]:
        # compiled code keeps no difference between a bool and a whole number here
        assert outcome(compiled, value) == outcome(plain, value), value


def test_why_round_with_digits_is_left_to_python():
    compiled = njit(**OPTIONS)(lambda x: round(x, 2))
    assert any(compiled(n / 200) != round(n / 200, 2) for n in range(1, 2_000, 2)), (
        "if numba is exact now, the compiler can take it"
    )


@pytest.mark.parametrize(("ours", "plain"), [
    (exact.checked_add, lambda a, b: a + b), (exact.checked_sub, lambda a, b: a - b), (exact.checked_mul, lambda a, b: a * b),
])  # fmt: skip
def test_whole_numbers_do_not_wrap(ours: Any, plain: Any):
    compiled = njit(**OPTIONS)(lambda a, b: ours(a, b))
    whole = [0, 1, -1, 3, 2**31, -(2**31), 2**62, -(2**62), 2**63 - 1, -(2**63)]
    for a in whole:
        for b in whole:
            assert outcome(compiled, a, b) == outcome(plain, a, b), (a, b)
    assert compiled(2, 0.5) == plain(2, 0.5)


def test_float_remainders_and_quotients():
    floor, rest = njit(**OPTIONS)(lambda x, y: x // y), njit(**OPTIONS)(lambda x, y: x % y)
    for x, y in zip(samples(5), samples(6), strict=True):
        if math.isfinite(x) and math.isfinite(y):
            assert outcome(floor, x, y) == outcome(lambda a, b: a // b, x, y), (x, y)
            assert outcome(rest, x, y) == outcome(lambda a, b: a % b, x, y), (x, y)
