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
def _widen(data: Any, at: Any, width: Any, out: Any) -> None:
    """The values of a miniblock, `width` bits each."""
    mask: Any = (np.uint64(1) << np.uint64(width)) - np.uint64(1) if width < 64 else ~np.uint64(0)
    if width <= 56:
        for i in range(len(out)):
            bit = i * width
            out[i] = np.int64((_word(data, at + (bit >> 3)) >> np.uint64(bit & 7)) & mask)
    else:
        for i in range(len(out)):
            bit = i * width
            off = np.uint64(bit & 7)
            low = _word(data, at + (bit >> 3)) >> off
            high = np.uint64(data[at + (bit >> 3) + 8]) << (np.uint64(64) - off) if off > 0 else np.uint64(0)
            out[i] = np.int64((low | high) & mask)


@compiled
def unpack(data: Any, at: Any, out: Any) -> Any:
    """Decode the page that begins at byte `at` into `out`, which has its length; returns where the page ends.

    `data` is uint8 and goes on for `ROOM` bytes after the page; its checksum was verified. -1 when the page does not
    hold as many values as `out`.
    """
    per: Any  # what numba makes of these is what counts
    count: Any
    step: Any
    width: Any
    block, at = _number(data, at)
    minis, at = _number(data, at)
    total, at = _number(data, at)
    first, at = _number(data, at)
    if np.int64(total) != len(out) or len(out) == 0:
        return -1
    per = np.int64(block) // np.int64(minis)
    count = np.int64(minis)
    deltas = np.empty(per, np.int64)
    value = _signed(first)
    out[0] = value
    done = 1
    while done < len(out):
        least, at = _number(data, at)
        step = _signed(least)
        widths = at
        at += count
        for mini in range(count):
            if done >= len(out):
                break
            width = np.int64(data[widths + mini])
            n = min(per, len(out) - done)
            if width == 0:
                for i in range(n):
                    value += step
                    out[done + i] = value
            else:
                _widen(data, at, width, deltas)
                for i in range(n):
                    value += step + deltas[i]
                    out[done + i] = value
            done += n
            at += per * width // 8
    return at


@compiled
def spread(column: Any, factor: int, rows: Any, at: int) -> None:
    """Put a column, times its factor, into a column of rows."""
    for i in range(len(column)):
        rows[i, at] = column[i] * factor
