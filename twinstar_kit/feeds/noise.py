"""Counter-based random numbers, and the random paths that the simulated market is made of.

Nothing here keeps a state: a number is a hash of (key, counter), so any part of a path can be computed alone and
in any order, with the same bits. Only integer arithmetic and + - * / sqrt are used, which IEEE 754 rounds the
same way everywhere; the C library's exp and log, which differ between platforms, are not.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from twinstar_kit.jit import inlined

# The published constants of SplitMix64 (Steele, Lea, Flood 2014).
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MIX_A, MIX_B = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
S30, S27, S31 = np.uint64(30), np.uint64(27), np.uint64(31)
S11, S16, S32, S48 = np.uint64(11), np.uint64(16), np.uint64(32), np.uint64(48)
LOW16 = np.uint64(0xFFFF)

BELL_SCALE = math.sqrt((65536.0**2 - 1.0) / 3.0)  # standard deviation of the sum of four 16-bit integers
LOG2_E = 1.4426950408889634
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
SQRT_HALF = 0.7071067811865476
EXP_TERMS = tuple(1.0 / math.factorial(n) for n in range(13, -1, -1))
LOG_TERMS = tuple(1.0 / n for n in range(21, 0, -2))

# Counters of a symbol's own streams, far above any minute.
SLOW, SPREADS, SIZES, PLACES = 1 << 40, 1 << 41, 1 << 42, 1 << 43

CELL_MINUTES, CELL_SHIFT, CELLS = 16, 4, 630  # the seasonal tables hold one value for 16 minutes of a week

factor_t = np.dtype(
    [
        ("key", "<u8"),
        ("offset", "<i8"),  # minutes, a multiple of CELL_MINUTES: cells of two factors end at other times
        ("top", "<i8"),  # the longest cell lasts 2**top minutes
        ("mass", "<f8"),  # mean variance of one such cell
        ("spread", "<f8"),  # standard deviation of the path at the ends of such cells
        ("roughness", "<f8"),  # how unevenly a cell's variance falls on its halves, 0 to 1
        ("fine_roughness", "<f8"),  # the same for cells of 64 minutes and less
        ("seasonal", "<i8"),  # 1: the variance follows the seasonal table
    ]
)
"""One source of price moves; see `path`."""


@inlined
def mix(x: Any) -> Any:
    """SplitMix64's output function: every input bit changes every output bit with probability one half."""
    x = (x ^ (x >> S30)) * MIX_A
    x = (x ^ (x >> S27)) * MIX_B
    return x ^ (x >> S31)


@inlined
def draw(key: Any, counter: Any) -> Any:
    """64 random bits: number `counter` of the stream `key`."""
    return mix(key + (np.uint64(counter) + np.uint64(1)) * GOLDEN)


@inlined
def unit(bits: Any) -> Any:
    """A float in (0, 1] from 64 random bits."""
    return (float(bits >> S11) + 1.0) * (1.0 / 9007199254740992.0)


@inlined
def bell(bits: Any) -> Any:
    """A number of mean 0 and variance 1 from 64 random bits: nearly normal, and never beyond 3.47."""
    total = (bits & LOW16) + ((bits >> S16) & LOW16) + ((bits >> S32) & LOW16) + (bits >> S48)
    return (float(total) - 131070.0) / BELL_SCALE


@inlined
def exp(x: Any) -> Any:
    """e**x by argument reduction and a polynomial, to about one unit in the last place."""
    k = math.floor(x * LOG2_E + 0.5)
    r = (x - k * LN2_HIGH) - k * LN2_LOW
    p = EXP_TERMS[0]
    for term in EXP_TERMS[1:]:
        p = p * r + term
    return math.ldexp(p, int(k))


@inlined
def log(x: Any) -> Any:
    """The natural logarithm of a positive number, to a few units in the last place."""
    m, k = math.frexp(x)
    if m < SQRT_HALF:
        m *= 2.0
        k -= 1
    s = (m - 1.0) / (m + 1.0)
    q = s * s
    p = LOG_TERMS[0]
    for term in LOG_TERMS[1:]:
        p = p * q + term
    return k * LN2_HIGH + (2.0 * s * p + k * LN2_LOW)


@inlined
def smooth(key: Any, level: Any, minute: Any) -> Any:
    """Slow noise of variance below 1: hashed values 2**level minutes apart, joined by straight lines."""
    stream = draw(key, SLOW + level)
    k = minute >> level
    left = bell(draw(stream, k))
    if level == 0:
        return left
    return left + (bell(draw(stream, k + 1)) - left) * (float(minute - (k << level)) / float(1 << level))


@inlined
def path(factor: Any, season: Any, first: Any, count: Any, x: Any, v: Any) -> Any:
    """Fill x[0:count+1] with a path at minutes first..first+count, v[0:count] with the variance of each minute.

    The path is Brownian motion in multifractal time (Mandelbrot, Fisher, Calvet 1997). The variance of a cell of
    2**top minutes falls unevenly on its halves, theirs on their halves, and so on down to single minutes, which
    makes volatility cluster on every scale; `season` (cumulated over two weeks in cells of 16 minutes) weighs the
    halves too. Given its ends and the variances of its halves, the middle of a cell is drawn as that of a
    Brownian bridge, so returns are uncorrelated. Every random number is a hash of (factor, level, cell), so one
    minute costs `top` steps and a long stretch about one step a minute. At the ends of the longest cells the
    path is redrawn around zero, which bounds it for ever. `x` and `v` need room for count + 3 values.
    """
    start = first + factor["offset"]
    stop = start + count
    top = factor["top"]
    at, end = start >> top, ((stop - 1) >> top) + 1
    nodes, masses = draw(factor["key"], 64), draw(factor["key"], 65)
    for k in range(at, end + 1):
        x[k - at] = factor["spread"] * bell(draw(nodes, k))
    for k in range(at, end):
        v[k - at] = factor["mass"] * (0.5 + unit(draw(masses, k)))
    for level in range(top, 0, -1):  # split cells of 2**level minutes, from the last to the first, in place
        moves, shares = draw(factor["key"], level), draw(factor["key"], 128 + level)
        roughness = factor["roughness"] if level > 6 else factor["fine_roughness"]
        seasonal = factor["seasonal"] != 0 and 5 <= level <= 13
        child, child_end = start >> (level - 1), ((stop - 1) >> (level - 1)) + 1
        for k in range(end - 1, at - 1, -1):
            i = k - at
            bits = draw(shares, k)
            # triangular on (-1, 1)
            tilt = (float(bits & LOW16) + float(bits >> S48) - 65535.0) * (1.0 / 65536.0)
            share = 0.5 + 0.5 * roughness * tilt
            if seasonal:
                cell = (((k << level) - factor["offset"]) >> CELL_SHIFT) % CELLS
                half = 1 << (level - 1 - CELL_SHIFT)
                a = share * (season[cell + half] - season[cell])
                b = (1.0 - share) * (season[cell + 2 * half] - season[cell + half])
                share = a / (a + b)
            left, right, mass = x[i], x[i + 1], v[i]
            width = math.sqrt(mass * share * (1.0 - share))
            middle = left + share * (right - left) + width * bell(draw(moves, k))
            j = 2 * k - child  # where the left half goes; -1 where it lies before `start`
            if 2 * k + 1 < child_end:
                v[j + 1] = mass * (1.0 - share)
                x[j + 2] = right
            x[j + 1] = middle
            if j >= 0:
                v[j] = mass * share
                x[j] = left
        at, end = child, child_end
