"""Chance without a generator: the n-th number of a seed is computed, so a run that goes on draws what it would have drawn."""

from __future__ import annotations

from typing import Any

import numpy as np

from twinstar_kit.jit import inlined, outlined

# the published constants of SplitMix64 (Steele, Lea, Flood 2014)
GOLDEN, MIX_A, MIX_B = (
    np.uint64(0x9E3779B97F4A7C15),
    np.uint64(0xBF58476D1CE4E5B9),
    np.uint64(0x94D049BB133111EB),
)
S27, S30, S31, S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
SUM_OF = 12
ONE = 1 << 32


@inlined
def draw(seed: int, n: int) -> int:
    """Number `n` of the stream `seed`: a whole number in [0, 2**32)."""
    z = np.uint64(seed) * MIX_A + (np.uint64(n) + np.uint64(1)) * GOLDEN
    z = (z ^ (z >> S30)) * MIX_A
    z = (z ^ (z >> S27)) * MIX_B
    return int((z ^ (z >> S31)) >> S32)


@outlined
def normal(d: Any, mean: int, spread: int) -> int:
    """A whole number, about normal with this mean and standard deviation: the account's next draw.

    Twelve uniform numbers less six (Irwin and Hall 1927), in integers, so that compiled and interpreted runs draw
    the same. It never strays further than six deviations.
    """
    s = d.state[0]
    total = 0
    for i in range(SUM_OF):
        total += draw(s.seed, s.draws + i)
    s.draws += SUM_OF
    return mean + (total - SUM_OF // 2 * ONE) * spread // ONE
