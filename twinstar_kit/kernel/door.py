"""The whole kernel behind one compiled function, which Python and the compiled strategies call.

One function rather than many, because each compiled function contains, and lets LLVM optimise, all that it calls.
"""

from __future__ import annotations

import functools
from typing import Any

import numba
import numpy as np

from twinstar_kit.jit import compiled, outlined
from twinstar_kit.kernel import commands, flow, liquidation, margin, market, matching, step, stream
from twinstar_kit.kernel.context import context_t
from twinstar_kit.kernel.desk import Desk, as_desk
from twinstar_kit.kernel.gate import Op, act_types
from twinstar_kit.kernel.plain import as_kernel_sees

PLACE, AMEND, CANCEL, MOVE_MONEY = int(Op.PLACE), int(Op.AMEND), int(Op.CANCEL), int(Op.MOVE_MONEY)
CONFIGURE, CLOSE_OUT, BAR, TRADE = int(Op.CONFIGURE), int(Op.CLOSE_OUT), int(Op.BAR), int(Op.TRADE)
QUOTE, BOOK, LEVELS, MARK = int(Op.QUOTE), int(Op.BOOK), int(Op.LEVELS), int(Op.MARK)
FUNDING, CLOCK, WALK, IS_SAFE = int(Op.FUNDING), int(Op.CLOCK), int(Op.WALK), int(Op.IS_SAFE)
LAST, STREAM, DELAY = int(Op.LAST), int(Op.STREAM), int(Op.DELAY)
PROPOSALS, SHOW = int(Op.PROPOSALS), int(Op.SHOW)
MARKET_STEP, ORDER_STEP = int(Op.MARKET_STEP), int(Op.ORDER_STEP)

NO_ROWS = np.zeros((0, 6), np.int64)
NO_CONTEXT = np.zeros(1, context_t)
"""What is handed over where no rows or no strategy's context belong to a call."""


@outlined
def command(d: Any, op: int, j: int, ts: int, a: int, b: int, c: int, e: int, rows: Any) -> int:
    """Orders, money and settings. AMEND takes its numbers from `rows`: quantity, price, trigger, trail, trail's rate."""
    if op == PLACE:
        return commands.admit(d, ts)
    if op == CANCEL:
        return 1 if commands.withdraw_order(d, ts, a) else 0
    if op == AMEND:
        return commands.amend_order(d, ts, a, rows[0, 0], rows[0, 1], rows[0, 2], rows[0, 3], rows[0, 4])
    if op == MOVE_MONEY:
        return commands.move_money(d, ts, a, b, c)
    if op == CONFIGURE:
        return commands.configure(d, ts, a, j, b, c)
    step.close_out(d, j)
    return 0


@outlined
def meet(d: Any, op: int, j: int, ts: int, a: int, b: int, c: int, e: int, rows: Any) -> None:
    """Market data. TRADE: price, quantity, side. QUOTE: bid, ask and their quantities. FUNDING: rate, mark. LAST: the last price, which meets nothing."""
    if op == TRADE:
        flow.on_trade(d, j, ts, a, b, c)
    elif op == QUOTE:
        market.on_quote(d, j, ts, a, b, c, e)
    elif op == LEVELS:
        market.on_levels(d, j, ts, rows)
    elif op == BOOK:
        market.on_snapshot(d, j, ts, rows)
    elif op == MARK:
        flow.on_mark(d, j, ts, a)
    elif op == FUNDING:
        margin.pay_funding(d, j, ts, a, b)
        liquidation.check_positions(d, j)
    elif op == LAST:
        d.inst[j].last = a
    else:
        flow.on_time(d, ts)


@compiled
def act(handle: Any, op: int, j: int, ts: int, a: int, b: int, c: int, e: int, rows: Any, ctx: Any) -> int:
    """Do `op` (see `gate.Op`) to the desk of this handle, for instrument `j` at `ts` with the numbers that `op` takes.

    Of what a strategy's loop and STREAM ask for, `ts` is the number of the first row in `rows`.
    """
    d = as_desk(handle)
    if op == MARKET_STEP:
        step.market_step(d, rows, ts, ctx)
    elif op == ORDER_STEP:
        return step.order_step(d, rows, ts, ctx)
    elif op == WALK:
        matching.walk(d, j, rows, ts)
    elif op == IS_SAFE:
        return 1 if matching.is_safe(d, j, rows[ts, 2], rows[ts, 3]) else 0
    elif op == PROPOSALS:
        step.take_proposals(d, ctx)
    elif op == SHOW:
        step.show_account(d, ctx)
    elif op == DELAY:
        d.state[0].now = ts
        return commands.latency(d, a)
    elif op == STREAM:
        return stream.run(d, rows, ts, ctx)
    elif op == BAR:
        matching.on_bar(d, j, rows, ts, ctx)
    elif op <= CLOSE_OUT:
        return command(d, op, j, ts, a, b, c, e, rows)
    else:
        meet(d, op, j, ts, a, b, c, e, rows)
    return 0


@functools.cache
def address() -> int:
    """Where the machine code of `act` lies; it is compiled, or loaded, if need be. Without numba 0."""
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        return 0
    kernel: Any = act
    kernel.compile(act_types())
    # arrays that may be written to are taken as well, without compiling anew
    kernel.disable_compile()
    made = kernel.overloads[act_types()]
    return int(made.library.get_pointer_to_function(made.fndesc.llvm_func_name))


def face(desk: Desk) -> Any:
    """`act` for one desk: a function of the operation and its numbers."""
    handle, no_context = desk.handle, as_kernel_sees(NO_CONTEXT)

    def ask_kernel(
        op: int, j: int = 0, ts: int = 0, a: int = 0, b: int = 0, c: int = 0, e: int = 0, rows: Any = NO_ROWS, ctx: Any = no_context
    ) -> int:  # fmt: skip
        return act(handle, int(op), j, ts, a, b, c, e, rows, ctx)

    return ask_kernel
