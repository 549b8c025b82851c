"""The book: levels of resting liquidity, changed one by one or replaced whole, and what this account has eaten of each.

Each side is a sorted array with the best level last. What was taken from a level stays taken until the book says another quantity
for it. A side keeps the best levels that fit; what does not is forgotten from the far end.
"""

from __future__ import annotations

from typing import Any

from twinstar_kit.jit import hot, inlined, outlined

BIDS, ASKS = 0, 1


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
            for i in range(at, n - 1):
                move_level(d, j, side, i + 1, i)
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
        for i in range(at - 1):
            move_level(d, j, side, i + 1, i)
        at -= 1
    else:
        for i in range(n, at, -1):
            move_level(d, j, side, i - 1, i)
        m.n_levels[side] = n + 1
    level = d.depth[j, side, at]
    level.price = price
    level.qty = qty
    level.taken = 0
    return 0


@inlined
def move_level(d: Any, j: int, side: int, source: int, target: int) -> None:
    """Copy a level to another place of its side."""
    a, b = d.depth[j, side, source], d.depth[j, side, target]
    b.price = a.price
    b.qty = a.qty
    b.taken = a.taken


@inlined
def top_qty(d: Any, j: int, side: int) -> int:
    """What is left at the best price of a side, after what was taken."""
    n = d.inst[j].n_levels[side]
    if n == 0:
        return 0
    level = d.depth[j, side, n - 1]
    return max(0, level.qty - level.taken)  # type: ignore[no-any-return]
