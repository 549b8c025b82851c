"""The desk: the arrays of one account, which every kernel function takes as one thing.

Compiled code is given the address of a table that says where the arrays lie; `d.orders` makes the array where it is used. An array
passed to a function is seven words or more, and a call that passes all of them costs more than most functions do.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, lower_getattr, models, register_model
from numba.np.arrayobj import make_array, populate_array

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.ledger import N_ACCOUNTS
from twinstar_kit.kernel.orders import order_t
from twinstar_kit.kernel.plain import as_kernel_sees
from twinstar_kit.kernel.records import event_t
from twinstar_kit.kernel.tables import instrument_t, level_t, state_t

SHAPES: dict[str, tuple[Any, int]] = {
    "state": (state_t, 1),
    "inst": (instrument_t, 1),
    "orders": (order_t, 1),
    "ask": (order_t, 1),
    "ledger": (np.dtype(np.int64), 2),
    "depth": (level_t, 3),
    "delays": (np.dtype(np.int64), 2),
    "out": (event_t, 1),
}
"""The arrays, with what they hold and how many dimensions they have. A place in the table: address, then the lengths."""

WIDTH = 4
CODE = len(SHAPES) * WIDTH
"""Where in the table the address of `door.act` stands."""


class Desk:
    """The arrays of one account.

    `state` (1,), `inst` (instruments,), `orders` (capacity,), `ask` (1,) the request under way, `ledger` (rows, accounts) int64,
    `depth` (instruments, 2, levels) best last, `delays` measured latencies, `out` the event buffer. `handle` is what compiled functions take. UsageError
    for arrays that are not the kernel's.
    """

    state: Any
    inst: Any
    orders: Any
    ask: Any
    ledger: Any
    depth: Any
    delays: Any
    out: Any
    __slots__ = ("_table", "ask", "delays", "depth", "handle", "inst", "ledger", "orders", "out", "state")

    def __init__(self, code: int = 0, **arrays: Any) -> None:
        self._table = np.zeros(CODE + 1, np.int64)
        for name in SHAPES:
            self.place(name, arrays[name])
        if arrays["ledger"].shape[1] != N_ACCOUNTS:
            raise UsageError(f"ledger must be int64 of shape (rows, {N_ACCOUNTS})")
        self._table[CODE] = code
        self.handle: Any = self if numba.config.DISABLE_JIT else int(self._table.ctypes.data)  # type: ignore[attr-defined]

    def place(self, name: str, array: Any) -> None:
        """Put `array` where the desk's `name` is; never while compiled code runs on this desk."""
        dtype, dimensions = SHAPES[name]
        if (
            array.dtype != dtype
            or array.ndim != dimensions
            or not array.flags.c_contiguous
            or not (array.size or name == "delays")
        ):
            raise UsageError(f"{name} must be a contiguous array of the kernel's {name} records")
        at = list(SHAPES).index(name) * WIDTH
        self._table[at] = array.ctypes.data
        self._table[at + 1 : at + 1 + dimensions] = array.shape
        setattr(self, name, as_kernel_sees(array))


class DeskType(types.Type):  # type: ignore[misc]
    """numba's type of a desk."""

    def __init__(self) -> None:
        super().__init__(name="Desk")


desk_type = DeskType()


@register_model(DeskType)
class DeskModel(models.PrimitiveModel):  # type: ignore[misc]
    """A desk is the address of its table."""

    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, ir.IntType(64))


def array_type(name: str) -> Any:
    """numba's type of one of the desk's arrays."""
    dtype, dimensions = SHAPES[name]
    return types.Array(numba.from_dtype(dtype), dimensions, "C")


@infer_getattr
class DeskAttributes(AttributeTemplate):  # type: ignore[misc]
    """What a desk has: its arrays, and `code`, the address of `door.act`."""

    key = DeskType

    def generic_resolve(self, value: Any, attr: str) -> Any:  # type: ignore[override]
        """The type of an attribute."""
        return types.int64 if attr == "code" else array_type(attr) if attr in SHAPES else None


def _word(context: Any, builder: Any, desk: Any, place: int) -> Any:
    """A word of the table. It never changes while a desk is in use, so LLVM may read it once."""
    table = builder.inttoptr(desk, ir.IntType(64).as_pointer())
    word = builder.load(builder.gep(table, [ir.Constant(ir.IntType(64), place)]))
    word.set_metadata("invariant.load", builder.module.add_metadata([]))
    return word


def _lower(name: str, at: int) -> None:
    kind = array_type(name)

    @lower_getattr(DeskType, name)  # type: ignore[untyped-decorator]
    def lower(context: Any, builder: Any, desk_kind: Any, desk: Any) -> Any:
        array = make_array(kind)(context, builder)
        shape = [_word(context, builder, desk, at + 1 + i) for i in range(kind.ndim)]
        size = context.get_constant(types.intp, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        strides = [size]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        data = builder.inttoptr(
            _word(context, builder, desk, at), context.get_data_type(kind.dtype).as_pointer()
        )
        populate_array(array, data=data, shape=shape, strides=strides, itemsize=size, meminfo=None)
        return array._getvalue()


for _place, _name in enumerate(SHAPES):
    _lower(_name, _place * WIDTH)


@lower_getattr(DeskType, "code")  # type: ignore[untyped-decorator]
def _lower_code(context: Any, builder: Any, kind: Any, desk: Any) -> Any:
    return _word(context, builder, desk, CODE)


@intrinsic
def _as_desk(typingctx: Any, handle: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return args[0]

    return desk_type(types.int64), generate


def _same(handle: Any) -> Any:
    return handle


as_desk: Any = _same if numba.config.DISABLE_JIT else _as_desk  # type: ignore[attr-defined]
"""The desk of a handle, inside a compiled function; without numba the handle is the desk."""
