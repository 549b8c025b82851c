"""The book: levels of resting liquidity, changed one by one or replaced whole, and what this account has eaten of each.

Each side is a sorted array with the best level last. What was taken from a level stays taken until the book says another quantity
for it. A side keeps the best levels that fit; what does not is forgotten from the far end.
"""

from __future__ import annotations

from typing import Any

import numba
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from twinstar_kit.jit import hot, inlined, outlined

BIDS, ASKS = 0, 1


@intrinsic
def _move_levels(typingctx: Any, depth: Any, j: Any, side: Any, source: Any, target: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        levels, j, side, source, target, count = args
        array = context.make_array(depth)(context, builder, levels)
        shape = cgutils.unpack_tuple(builder, array.shape)
        row = builder.mul(builder.add(builder.mul(j, shape[1]), side), shape[2])
        old, new = (builder.gep(array.data, [builder.add(row, at)]) for at in (source, target))
        cgutils.raw_memmove(builder, new, old, count, context.get_abi_sizeof(context.get_data_type(depth.dtype)))
        return context.get_dummy_value()

    return types.void(depth, *[types.int64] * 5), generate


@inlined
def move_levels(depth: Any, j: int, side: int, source: int, target: int, count: int) -> None:
    """Copy `count` levels of a side from place `source` on to place `target` on; the two may overlap."""
    _move_levels(depth, j, side, source, target, count)


if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]

    def move_levels(depth: Any, j: int, side: int, source: int, target: int, count: int) -> None:
        """The same without numba."""
        depth.array[j, side, target : target + count] = depth.array[j, side, source : source + count].copy()


@hot
def best_px(d: Any, j: int, side: int) -> int:
    """The best price of a side (0 bids, 1 asks) of instrument `j`, or 0 when it is empty."""
    n = d.inst[j].n_levels[side]
    return d.depth[j, side, n - 1].price if n > 0 else 0


@outlined
def place_of(d: Any, j: int, side: int, price: int) -> int:
    """Where `price` stands, or would be put, in a side's levels: found from the best on, as most changes are near it."""
    sign = 1 if side == BIDS else -1
    at = d.inst[j].n_levels[side]
    for _ in range(8):
        if at == 0 or (d.depth[j, side, at - 1].price - price) * sign < 0:
            return at  # type: ignore[no-any-return]
        at -= 1
    low, high = 0, at
    while low < high:
        middle = (low + high) // 2
        if (d.depth[j, side, middle].price - price) * sign < 0:
            low = middle + 1
        else:
            high = middle
    return low


@outlined
def level_qty(d: Any, j: int, side: int, price: int) -> int:
    """What rests at `price`, 0 if nothing does."""
    at = place_of(d, j, side, price)
    if at < d.inst[j].n_levels[side] and d.depth[j, side, at].price == price:
        return d.depth[j, side, at].qty  # type: ignore[no-any-return]
    return 0


@outlined
def set_level(d: Any, j: int, side: int, price: int, qty: int) -> int:
    """Set what rests at `price` (0: nothing any more); returns what rested there before."""
    m = d.inst[j]
    n = m.n_levels[side]
    at = place_of(d, j, side, price)
    if at < n and d.depth[j, side, at].price == price:
        level = d.depth[j, side, at]
        before = level.qty
        if qty == 0:
            move_levels(d.depth, j, side, at + 1, at, n - at - 1)
            m.n_levels[side] = n - 1
        elif qty != before:
            level.qty = qty
            level.taken = 0
        return before  # type: ignore[no-any-return]
    if qty == 0:
        return 0
    if n == d.depth.shape[2]:
        if at == 0:
            return 0
        move_levels(d.depth, j, side, 1, 0, at - 1)
        at -= 1
    else:
        move_levels(d.depth, j, side, at, at + 1, n - at)
        m.n_levels[side] = n + 1
    level = d.depth[j, side, at]
    level.price = price
    level.qty = qty
    level.taken = 0
    return 0


@inlined
def top_qty(d: Any, j: int, side: int) -> int:
    """What is left at the best price of a side, after what was taken."""
    n = d.inst[j].n_levels[side]
    if n == 0:
        return 0
    level = d.depth[j, side, n - 1]
    return max(0, level.qty - level.taken)  # type: ignore[no-any-return]
