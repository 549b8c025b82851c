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

from twinstar_kit.jit import compiled, inlined

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


@inlined
def _number(data: Any, at: Any) -> Any:
    """A number of seven bits a byte, and where it ends."""
    value, shift = np.uint64(0), np.uint64(0)
    while True:
        byte = np.uint64(data[at])
        at += 1
        value |= (byte & np.uint64(127)) << shift
        shift += np.uint64(7)
        if byte < np.uint64(128):
            return value, at


@inlined
def _signed(value: Any) -> Any:
    return np.int64(value >> np.uint64(1)) ^ -np.int64(value & np.uint64(1))


@inlined
def _wide(data: Any, at: Any, bit: Any, width: Any) -> Any:
    """57 to 64 bits that begin `bit` bits after byte `at`: they may lie in nine bytes."""
    at += bit >> 3
    off = np.uint64(bit & 7)
    value: Any = _word(data, at) >> off
    if off > 0:
        value |= np.uint64(data[at + 8]) << (np.uint64(64) - off)
    return value if width == 64 else value & ((np.uint64(1) << np.uint64(width)) - np.uint64(1))


@compiled
def unpack(data: Any, start: int, out: Any) -> Any:
    """Decode the page that begins at byte `start` into `out`, which has its length; returns where the page ends.

    `data` is uint8 and goes on for `ROOM` bytes after the page; its checksum was verified. -1 when the page does not
    hold as many values as `out`. One word of eight bytes holds four deltas of up to 14 bits, or two of up to 28,
    wherever in a byte they begin.
    """
    at: Any = start
    block, at = _number(data, at)
    minis, at = _number(data, at)
    total, at = _number(data, at)
    first, at = _number(data, at)
    if np.int64(total) != len(out) or len(out) == 0:
        return -1
    per: Any = np.int64(block) // np.int64(minis)
    value = _signed(first)
    out[0] = value
    k = 1
    while k < len(out):
        least, at = _number(data, at)
        step = _signed(least)
        widths = at
        at += np.int64(minis)
        for mini in range(np.int64(minis)):
            if k >= len(out):
                break
            width: Any = np.int64(data[widths + mini])
            by = np.uint64(width)
            mask = (np.uint64(1) << by) - np.uint64(1)
            begin, end = k, min(k + per, len(out))
            if width == 0:
                for i in range(begin, end):
                    out[i] = value + step * (i - begin + 1)
                value += step * (end - begin)
                k = end
            elif width <= 14:
                while k + 4 <= end:
                    bit = (k - begin) * width
                    word = _word(data, at + (bit >> 3)) >> np.uint64(bit & 7)
                    one = value + step + np.int64(word & mask)
                    two = one + step + np.int64((word >> by) & mask)
                    three = two + step + np.int64((word >> (by + by)) & mask)
                    value = three + step + np.int64((word >> (by + by + by)) & mask)
                    out[k], out[k + 1], out[k + 2], out[k + 3] = one, two, three, value
                    k += 4
            elif width <= 28:
                while k + 2 <= end:
                    bit = (k - begin) * width
                    word = _word(data, at + (bit >> 3)) >> np.uint64(bit & 7)
                    one = value + step + np.int64(word & mask)
                    value = one + step + np.int64((word >> by) & mask)
                    out[k], out[k + 1] = one, value
                    k += 2
            while k < end and width <= 56:
                bit = (k - begin) * width
                value += step + np.int64((_word(data, at + (bit >> 3)) >> np.uint64(bit & 7)) & mask)
                out[k] = value
                k += 1
            while k < end:
                value += step + np.int64(_wide(data, at, (k - begin) * width, width))
                out[k] = value
                k += 1
            at += per * width // 8
    return at


@compiled
def spread(column: Any, factor: int, rows: Any, at: int) -> None:
    """Put a column, times its factor, into a column of rows."""
    for i in range(len(column)):
        rows[i, at] = column[i] * factor
