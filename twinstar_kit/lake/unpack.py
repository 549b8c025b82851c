"""The one encoding of the lake's files, decoded: Parquet's DELTA_BINARY_PACKED, several values a nanosecond.

A page begins with four variable-length numbers: values of a block, miniblocks of a block, values of the page, the first
value. Each block has its smallest delta, one bit width for each miniblock, and the deltas above the smallest, packed
(Apache Parquet, "Encodings", DELTA_BINARY_PACKED = 5).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

from twinstar_kit.jit import borrowed, compiled, hot, inlined

U: Any = np.uint64
ROOM = 16
"""Bytes that must follow a page, since values are read eight bytes at a time; the end of a Parquet file is longer."""


def _word_at(typing: Any, data: Any, at: Any) -> Any:
    """The eight bytes at any place of `data`, as a little-endian number."""

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = make_array(signature.args[0])(context, builder, args[0])  # type: ignore[no-untyped-call]
        place = builder.bitcast(builder.gep(array.data, [args[1]]), ir.PointerType(ir.IntType(64)))
        word = builder.load(place)
        word.align = 1
        return word

    return types.uint64(data, at), generate


_word: Any = intrinsic(_word_at)
_lent: Any = borrowed


@hot
def _number(data: Any, at: Any) -> Any:
    """A number of seven bits a byte, and where it ends."""
    value, shift = U(0), U(0)
    while True:
        byte = U(data[at])
        at += U(1)
        value |= (byte & U(127)) << shift
        shift += U(7)
        if byte < U(128):
            return value, at


@hot
def _signed(value: Any) -> Any:
    return np.int64(value >> U(1)) ^ -np.int64(value & U(1))


@inlined
def _wide(data: Any, at: Any, bit: Any, width: Any) -> Any:
    """57 to 64 bits that begin `bit` bits after byte `at`: they may lie in nine bytes."""
    at += bit >> U(3)
    off = bit & U(7)
    value: Any = _word(data, at) >> off
    if off > U(0):
        value |= U(data[at + U(8)]) << (U(64) - off)
    return value if width == U(64) else value & ((U(1) << width) - U(1))


@compiled
def unpack(data: Any, start: Any, out: Any) -> Any:
    """Decode the page that begins at byte `start` into `out`, which has its length; returns where the page ends.

    `data` is uint8 and goes on for `ROOM` bytes after the page; its checksum was verified. -1 when the page does not
    hold as many values as `out`. One word of eight bytes holds four deltas of up to 14 bits, or two of up to 28,
    wherever in a byte they begin. Places are unsigned: signed ones would be looked at for a count from the end.
    """
    data, out, n = _lent(data), _lent(out), U(len(out))
    at: Any = U(start)
    block, at = _number(data, at)
    minis, at = _number(data, at)
    total, at = _number(data, at)
    first, at = _number(data, at)
    if total != n or n == U(0):
        return -1
    value, k, per = _signed(first), U(1), block // minis
    out[U(0)] = value
    while k < n:
        least, at = _number(data, at)
        step, widths = _signed(least), at
        at += minis
        for mini in range(minis):
            if k >= n:
                break
            width, bit, end = U(data[widths + U(mini)]), U(0), min(k + per, n)
            mask, two, three = (U(1) << width) - U(1), width + width, width + width + width
            while width == U(0) and k < end:
                value += step
                out[k] = value
                k += U(1)
            while width <= U(14) and k + U(4) <= end:
                word = _word(data, at + (bit >> U(3))) >> (bit & U(7))
                a = value + step + np.int64(word & mask)
                b = a + step + np.int64((word >> width) & mask)
                c = b + step + np.int64((word >> two) & mask)
                value = c + step + np.int64((word >> three) & mask)
                out[k], out[k + U(1)], out[k + U(2)], out[k + U(3)] = a, b, c, value
                k, bit = k + U(4), bit + two + two
            while width <= U(28) and k + U(2) <= end:
                word = _word(data, at + (bit >> U(3))) >> (bit & U(7))
                a = value + step + np.int64(word & mask)
                value = a + step + np.int64((word >> width) & mask)
                out[k], out[k + U(1)] = a, value
                k, bit = k + U(2), bit + two
            while width <= U(56) and k < end:
                word = _word(data, at + (bit >> U(3))) >> (bit & U(7))
                value += step + np.int64(word & mask)
                out[k] = value
                k, bit = k + U(1), bit + width
            while k < end:
                value += step + np.int64(_wide(data, at, bit, width))
                out[k] = value
                k, bit = k + U(1), bit + width
            at += per * width // U(8)
    return np.int64(at)


@compiled
def spread(column: Any, factor: int, rows: Any, at: Any) -> None:
    """Put a column, times its factor, into a column of rows."""
    column, rows, n, k = _lent(column), _lent(rows), U(len(column)), U(at)
    i = U(0)
    while i < n:
        rows[i, k] = column[i] * factor
        i += U(1)
