"""The simulated market's random numbers: against published values, the C library, and the laws they follow."""

from __future__ import annotations

import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.feeds import noise

YEAR = 525_600
FACTOR = np.zeros(1, noise.factor_t)
FACTOR[0] = (12345, 16 * 777, 19, 1.0, math.sqrt(0.5), 0.72, 0.9, 1)
FLAT_SEASON = np.arange(2 * noise.CELLS + 1) * 1.0


@numba.njit(error_model="numpy")
def walk(factors, season, first, count):
    x, v = np.empty(count + 3), np.empty(count + 3)
    noise.path(factors[0], season, first, count, x, v)
    return x[: count + 1], v[:count]


@numba.njit
def each(values, what):
    out = np.empty(len(values))
    for i in range(len(values)):
        out[i] = noise.exp(values[i]) if what == 0 else noise.log(values[i])
    return out


@numba.njit
def drawn(count):
    out = np.empty(count, np.uint64)
    for i in range(count):
        out[i] = noise.draw(np.uint64(1234567), i)
    return out


@numba.njit
def bells(count):
    out = np.empty(count)
    for i in range(count):
        out[i] = noise.bell(noise.draw(np.uint64(7), i))
    return out


@numba.njit
def units(count):
    out = np.empty(count)
    for i in range(count):
        out[i] = noise.unit(noise.draw(np.uint64(7), i))
    return out


@pytest.fixture(scope="module")
def year():
    return walk(FACTOR, FLAT_SEASON, 100_000, YEAR)


def test_draws_are_the_published_splitmix64_sequence():
    """The first five outputs of SplitMix64 seeded with 1234567, as its reference program prints them."""
    published = [
        6457827717110365317,
        3203168211198807973,
        9817491932198370423,
        4593380528125082431,
        16408922859458223821,
    ]
    assert drawn(5).tolist() == published


def test_exp_and_log_agree_with_the_c_library():
    x = np.linspace(-40, 40, 200_001)
    assert np.max(np.abs(each(x, 0) / np.array([math.exp(v) for v in x]) - 1)) < 5e-16
    y = np.exp(x)
    assert np.max(np.abs(each(y, 1) - np.array([math.log(v) for v in y])) / np.maximum(1, np.abs(x))) < 5e-16


def test_bells_and_units_have_the_moments_of_their_laws():
    z, u = bells(1_000_000), units(1_000_000)
    assert abs(z.mean()) < 0.005
    assert abs(z.var() - 1) < 0.005
    assert abs(np.mean(z**4) - 2.7) < 0.02  # four uniform numbers: 3 - 1.2 / 4
    assert np.abs(z).max() < 3.47
    assert 0 < u.min() < u.max() <= 1
    # Kolmogorov-Smirnov against the uniform law, 0.1 % level
    assert np.max(np.abs(np.sort(u) - np.arange(1, len(u) + 1) / len(u))) < 1.95 / math.sqrt(len(u))


@settings(deadline=None)
@given(st.integers(0, YEAR - 1), st.integers(1, 3_000))
def test_any_stretch_of_a_path_has_the_bits_of_the_whole(year, first, count):
    count = min(count, YEAR - first)
    x, v = walk(FACTOR, FLAT_SEASON, 100_000 + first, count)
    assert x.tobytes() == year[0][first : first + count + 1].tobytes()
    assert v.tobytes() == year[1][first : first + count].tobytes()


def test_moves_divided_by_their_own_volatility_are_normal(year):
    """Brownian motion in multifractal time: what is not normal about returns is their variance."""
    x, v = year
    moves = np.diff(x)
    scaled = moves / np.sqrt(v)
    assert abs(scaled.var() - 1) < 0.02
    assert 2.6 < np.mean(scaled**4) / scaled.var() ** 2 < 3.2
    assert np.mean(moves**4) / moves.var() ** 2 > 6


def test_a_year_of_a_path_has_the_variance_it_is_given():
    """Over many cells the mean variance is the factor's mass; a cell of 2**19 minutes has 1 in the mean."""
    total = np.mean([walk(FACTOR, FLAT_SEASON, k << 19, 64)[1].sum() for k in range(2_000)])
    assert total * 2**19 / 64 == pytest.approx(1.0, rel=0.25)


def test_a_path_stays_bounded_for_ever():
    ends = np.array([walk(FACTOR, FLAT_SEASON, k * 10_007, 1)[0][0] for k in range(20_000)])  # four centuries
    assert np.abs(ends).max() < 4.0
    assert 0.3 < ends.std() < 1.2
