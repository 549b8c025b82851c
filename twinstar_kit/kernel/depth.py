"""The book: levels of resting liquidity, changed one by one or replaced whole, and what this account has eaten of each.

Each side is a sorted array with the best level last. What was taken from a level stays taken until the book says another quantity
for it. A level that is gone leaves an empty place, with a quantity of 0, for the next one near it, except at the best: the last level is
never empty. A side keeps the best levels that fit; what does not is forgotten from the far end.
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
        cgutils.raw_memmove(
            builder, new, old, count, context.get_abi_sizeof(context.get_data_type(depth.dtype))
        )
        return context.get_dummy_value()

    return types.void(depth, *[types.int64] * 5), generate


def _move_plainly(depth: Any, j: int, side: int, source: int, target: int, count: int) -> None:
    levels = depth.array[j, side]
    levels[target : target + count] = levels[source : source + count].copy()


move_levels: Any = _move_plainly if numba.config.DISABLE_JIT else _move_levels  # type: ignore[attr-defined]
"""Copy levels of a side, `move_levels(depth, j, side, source, target, count)`, from place `source` to `target`; they may overlap."""


@hot
def best_px(d: Any, j: int, side: int) -> int:
    """The best price of a side (0 bids, 1 asks) of instrument `j`, or 0 when it is empty."""
    n = d.inst[j].n_levels[side]
    return d.depth[j, side, n - 1].price if n > 0 else 0


@hot
def better(d: Any, j: int, side: int, at: int, price: int) -> bool:
    """Whether `price` is better than that of the level in place `at`."""
    other = d.depth[j, side, at].price
    return price > other if side == BIDS else price < other  # type: ignore[no-any-return]


@inlined
def place_of(d: Any, j: int, side: int, price: int) -> int:
    """Where `price` stands, or would be put, in a side's levels.

    The search begins where the last change was, in steps that double: the changes of an update come sorted by price.
    """
    low, high, step = 0, d.inst[j].n_levels[side], 1
    at = min(d.inst[j].near[side], high)
    if at < high and better(d, j, side, at, price):
        low = at + 1
        while low + step <= high and better(d, j, side, low + step - 1, price):
            low += step
            step += step
        high = min(high, low + step - 1)
    else:
        high = at
        while high - step >= low and not better(d, j, side, high - step, price):
            high -= step
            step += step
        low = max(low, high - step + 1)
    while low < high:
        middle = (low + high) // 2
        if better(d, j, side, middle, price):
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
    m.near[side] = at
    if at < n and d.depth[j, side, at].price == price:
        level = d.depth[j, side, at]
        before = level.qty
        if qty == 0 and at == n - 1:
            m.n_levels[side] = at
            drop_empty_top(d, j, side)
        elif qty != before:
            level.qty = qty
            level.taken = 0
        return before  # type: ignore[no-any-return]
    if qty == 0:
        return 0
    if at < n and d.depth[j, side, at].qty == 0:
        return put_level(d, j, side, at, price, qty)
    if at > 0 and d.depth[j, side, at - 1].qty == 0:
        return put_level(d, j, side, at - 1, price, qty)
    if n == d.depth.shape[2]:
        close_ranks(d, j, side)
        n = m.n_levels[side]
        at = place_of(d, j, side, price)
    if n == d.depth.shape[2]:
        if at == 0:
            return 0
        move_levels(d.depth, j, side, 1, 0, at - 1)
        return put_level(d, j, side, at - 1, price, qty)
    move_levels(d.depth, j, side, at, at + 1, n - at)
    m.n_levels[side] = n + 1
    return put_level(d, j, side, at, price, qty)


@inlined
def put_level(d: Any, j: int, side: int, at: int, price: int, qty: int) -> int:
    """Write a new level to a place; nothing rested at its price before."""
    level = d.depth[j, side, at]
    level.price = price
    level.qty = qty
    level.taken = 0
    return 0


@inlined
def drop_empty_top(d: Any, j: int, side: int) -> None:
    """The best level is gone: the next that is not empty is the best."""
    m = d.inst[j]
    while m.n_levels[side] > 0 and d.depth[j, side, m.n_levels[side] - 1].qty == 0:
        m.n_levels[side] -= 1


@outlined
def close_ranks(d: Any, j: int, side: int) -> None:
    """Take the empty places out of a side that has no room left."""
    n = 0
    for i in range(d.inst[j].n_levels[side]):
        if d.depth[j, side, i].qty != 0:
            move_levels(d.depth, j, side, i, n, 1)
            n += 1
    d.inst[j].n_levels[side] = n


@inlined
def top_qty(d: Any, j: int, side: int) -> int:
    """What is left at the best price of a side, after what was taken."""
    n = d.inst[j].n_levels[side]
    if n == 0:
        return 0
    level = d.depth[j, side, n - 1]
    return max(0, level.qty - level.taken)  # type: ignore[no-any-return]
