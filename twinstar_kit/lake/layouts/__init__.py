"""How other programs and exchanges lay out their files: one module for each, and the question which one a file is of.

A layout is a module with `NAME`, `recognise(path, hints)`, which goes by the path and at most the first line, and
`read(path, clue)`, which yields the rows in parts, so that a month of trades never lies in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.layouts.base import Clue, Hints, Part

# The order is that of the questions: names that only one program gives come first, plain tables last.
NAMES = ("freqtrade", "binance", "okx", "bybit", "jesse", "tables")


class Layout(Protocol):
    """What a module of this package offers."""

    NAME: str

    def recognise(self, path: Path, hints: Hints) -> Clue | None:
        """What the path tells, or None when the file is of another layout."""

    def read(self, path: Path, clue: Clue) -> Iterator[Part]:
        """The rows in parts; DataError that names the row."""


def layout(name: str) -> Layout:
    """The layout called `name`; UsageError when there is none.

    >>> layout("freqtrade").NAME
    'freqtrade'
    """
    if name not in NAMES:
        raise UsageError(f"there is no layout {name!r}; there are {', '.join(NAMES)}")
    return cast(Layout, import_module(f"{__name__}.{name}"))


def recognise(path: Path, hints: Hints) -> tuple[Layout, Clue] | None:
    """The layout that `path` is of and what its name tells; None for a file that is no market data."""
    for each in (hints.layout,) if hints.layout else NAMES:
        found = layout(each)
        clue = found.recognise(path, hints)
        if clue is not None:
            return found, clue
    return None


__all__ = ["NAMES", "Clue", "Hints", "Layout", "Part", "layout", "recognise"]
