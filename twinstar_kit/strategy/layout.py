"""Where each value of a strategy lies in its one buffer of 64-bit words, and how values get in and out of it.

The buffer is a record (fixed by the class: a word for each parameter and field, two for each array, parts
inline) followed by a heap (the elements of the arrays, sized by the parameters). An array's two words are the
distance in bytes from its component's start to its elements, and its length, so a copy of the buffer is a
copy of the state.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.strategy.component import ARRAY_CODES, Component
from twinstar_kit.strategy.errors import StrategyError

WORD = 8
_CODES = {float: "d", int: "q", bool: "q"}


@dataclass(frozen=True)
class Slot:
    """One declared name in a record: `kind` is float, int or bool, "array" or "part"; `offset` is in bytes."""

    kind: Any
    offset: int
    of: Any = None


@dataclass(frozen=True)
class Layout:
    """The record of one class: a slot for each declared name, and its length in words."""

    slots: dict[str, Slot]
    words: int


def layout_of(cls: type[Component]) -> Layout:
    """The record of a class; the same for all parameters."""
    known: Layout | None = vars(cls).get("_layout")
    if known is None:
        known = cls._layout = _lay_out(cls)
    return known


def _lay_out(cls: type[Component]) -> Layout:
    slots: dict[str, Slot] = {}
    at = 0
    declared = cls.declared
    for name, type_ in [
        *((n, s.type) for n, s in declared.params.items()),
        *((n, t) for n, (t, _) in declared.fields.items()),
    ]:
        slots[name] = Slot(type_, at)
        at += WORD
    for name, spec in declared.arrays.items():
        slots[name] = Slot("array", at, spec.type)
        at += 2 * WORD
    for name, part in declared.parts.items():
        slots[name] = Slot("part", at, type(part))
        at += layout_of(type(part)).words * WORD
    return Layout(slots, at // WORD)


def _walk(
    component: Component, base: int = 0, path: str = ""
) -> Iterator[tuple[Component, str, Slot, int, str]]:
    """Every slot of a component and its parts: owner, name, slot, offset of the owner, dotted path."""
    for name, slot in layout_of(type(component)).slots.items():
        yield component, name, slot, base, path + name
        if slot.kind == "part":
            yield from _walk(vars(component)[name], base + slot.offset, f"{path}{name}.")


class Packer:
    """Moves the state of one strategy between its objects and a buffer.

    `words` is the buffer's length; `layout_hash` names everything that must agree before bytes may be read.

    >>> from twinstar_kit.strategy.indicators import SMA
    >>> average = SMA(2); average.update(1.0); average.update(2.0)
    >>> twin = SMA(2); Packer(twin).unpack(Packer(average).pack()); twin.value
    1.5
    """

    def __init__(self, component: Component) -> None:
        self._scalars: list[tuple[dict[str, Any], str, Any]] = []
        self._arrays: list[tuple[Any, int]] = []
        self._params: list[tuple[str, int]] = []
        codes: list[str] = []
        heap = layout_of(type(component)).words
        described = []
        for owner, name, slot, base, path in _walk(component):
            if slot.kind in _CODES:
                self._scalars.append((vars(owner), name, slot.kind))
                if name in owner.declared.params:
                    self._params.append((path, len(codes)))
                codes.append(_CODES[slot.kind])
                described.append(f"{path} {slot.kind.__name__}")
            elif slot.kind == "array":
                values = vars(owner)[name]
                self._scalars.append(({name: heap * WORD - base}, name, int))
                self._scalars.append(({name: len(values)}, name, int))
                codes += ["q", "q"]
                self._arrays.append((values, heap))
                heap += len(values)
                described.append(f"{path} {slot.of.__name__}[{len(values)}]")
        self.words = max(heap, 1)
        self._record = struct.Struct("=" + "".join(codes))
        self.layout_hash = hashlib.sha256("\n".join(described).encode()).hexdigest()[:16]

    def pack(self, buffer: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.int64]:
        """The state as words; written into `buffer` when one is given."""
        if buffer is None:
            buffer = np.zeros(self.words, np.int64)
        self._record.pack_into(buffer.data, 0, *[values[name] for values, name, _ in self._scalars])
        for values, at in self._arrays:
            buffer[at : at + len(values)] = np.frombuffer(values, np.int64)
        return buffer

    def unpack(self, buffer: npt.NDArray[np.int64]) -> None:
        """Set the objects to the state in `buffer`, which must have this layout and these parameters."""
        numbers = self._record.unpack_from(buffer.data, 0)
        self.check_params(buffer)
        for (values, name, kind), number in zip(self._scalars, numbers, strict=True):
            values[name] = bool(number) if kind is bool else number
        for values, at in self._arrays:
            np.frombuffer(values, np.int64)[:] = buffer[at : at + len(values)]

    def check_params(self, buffer: npt.NDArray[np.int64]) -> None:
        """Refuse a state that was made with other parameters than these objects have."""
        numbers = self._record.unpack_from(buffer.data, 0)
        for path, at in self._params:
            values, name, kind = self._scalars[at]
            if values[name] != numbers[at]:
                raise StrategyError(
                    f"the snapshot was taken with {path} = {kind(numbers[at])!r}, this strategy has {values[name]!r}"
                )

    def to_bytes(self, buffer: npt.NDArray[np.int64]) -> bytes:
        """A snapshot: the layout's hash, then the words."""
        return self.layout_hash.encode() + buffer.tobytes()

    def from_bytes(self, snapshot: bytes) -> npt.NDArray[np.int64]:
        """The words of a snapshot, or StrategyError if it belongs to another layout or other parameters."""
        head = len(self.layout_hash)
        if snapshot[:head] != self.layout_hash.encode() or len(snapshot) != head + self.words * WORD:
            raise StrategyError(
                "the snapshot was taken with other fields, indicators or array lengths than this strategy has"
            )
        buffer = np.frombuffer(snapshot[head:], np.int64).copy()
        self.check_params(buffer)
        return buffer


assert set(ARRAY_CODES.values()) <= {"d", "q"}, "array elements are one word each"
