"""The way from small compiled functions to the whole kernel: one compiled function, called through its address.

numba copies what a function calls into it and lets LLVM optimise both together. The kernel's rare work is large; each strategy that
contained it would take long to compile. So it is compiled once (`door.act`), and strategies call it where it lies in memory.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from twinstar_kit.jit import inlined
from twinstar_kit.kernel.context import context_t

INT = types.int64
SCALARS = 7


class Op(IntEnum):
    """What `door.act` can be asked for; the meaning of its numbers stands there."""

    PLACE = 0
    AMEND = 1
    CANCEL = 2
    MOVE_MONEY = 3
    CONFIGURE = 4
    CLOSE_OUT = 5
    BAR = 6
    TRADE = 7
    QUOTE = 8
    BOOK = 9
    LEVELS = 10
    MARK = 11
    FUNDING = 12
    CLOCK = 13
    LAST = 14
    STREAM = 15
    DELAY = 16
    MARKET_STEP = 20
    ORDER_STEP = 21
    WALK = 22
    IS_SAFE = 23
    PROPOSALS = 24
    SHOW = 25


@intrinsic
def _call_act(
    typingctx: Any, code: Any, d: Any, op: Any, j: Any, ts: Any, a: Any, b: Any, c: Any, e: Any, rows: Any, ctx: Any
) -> Any:  # fmt: skip
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        code, *values = args
        convention = context.call_conv
        callee_type = convention.get_function_type(INT, act_types())
        callee = builder.inttoptr(code, callee_type.as_pointer())
        status, result = convention.call_function(builder, callee, INT, act_types(), values)
        with cgutils.if_unlikely(builder, status.is_error):
            convention.return_status_propagate(builder, status)
        return result

    return INT(INT, d, *[INT] * SCALARS, rows, ctx), generate


@inlined
def _call(d: Any, op: int, j: int, ts: int, a: int, b: int, c: int, e: int, rows: Any, ctx: Any) -> int:
    return _call_act(d.code, d, op, j, ts, a, b, c, e, rows, ctx)  # type: ignore[no-any-return, call-arg]


def _call_plainly(d: Any, *numbers: Any) -> int:
    from twinstar_kit.kernel.door import act

    return act(d, *numbers)


call: Any = _call_plainly if numba.config.DISABLE_JIT else _call  # type: ignore[attr-defined]
"""Let the kernel do `op` to the desk `d`: `call(d, op, j, ts, a, b, c, e, rows, ctx)`, see `door.act`."""


@inlined
def through(d: Any, op: int, j: int, i: int, rows: Any, ctx: Any) -> int:
    """The same for what a strategy's loop asks for: something about row `i` of `rows`."""
    return call(d, op, j, i, 0, 0, 0, 0, rows, ctx)  # type: ignore[no-any-return]


def array_of(dtype: Any, dimensions: int = 1, *, readonly: bool = False) -> Any:
    """numba's type of a contiguous array of records or numbers."""
    return types.Array(numba.from_dtype(np.dtype(dtype)), dimensions, "C", readonly=readonly)


def act_types() -> tuple[Any, ...]:
    """numba's types of the arguments of `door.act`, given outright so that it is compiled once."""
    return (*[INT] * (SCALARS + 1), array_of(np.int64, 2, readonly=True), array_of(context_t))
