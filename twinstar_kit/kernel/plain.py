"""The kernel's record arrays for runs without numba: fields as attributes, values as Python numbers.

With `NUMBA_DISABLE_JIT=1` every kernel function runs as the Python it is written in. That is slow and has one
use: to show that compiling changes nothing.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


class Row:
    """One record: `row.field` reads and writes the array that it came from."""

    __slots__ = ("_array", "_at")

    def __init__(self, array: Any, at: Any) -> None:
        object.__setattr__(self, "_array", array)
        object.__setattr__(self, "_at", at)

    def __getattr__(self, name: str) -> Any:
        value = self._array[name][self._at]
        return value if isinstance(value, np.ndarray) else value.item()

    def __setattr__(self, name: str, value: Any) -> None:
        self._array[name][self._at] = value


class Rows:
    """A record array whose items are `Row`s."""

    __slots__ = ("array", "shape")

    def __init__(self, array: Any) -> None:
        self.array = array
        self.shape = array.shape

    def __getitem__(self, at: Any) -> Row:
        return Row(self.array, at)

    def __setitem__(self, at: Any, row: Row) -> None:
        self.array[at] = row._array[row._at]


def as_kernel_sees(array: Any) -> Any:
    """The array itself; without numba, its `Rows`."""
    return Rows(array) if numba.config.DISABLE_JIT and array.dtype.names else array  # type: ignore[attr-defined]


def as_rows(array: Any) -> Rows:
    """Records as `Rows`, whether or not they are already."""
    return array if isinstance(array, Rows) else Rows(array)
