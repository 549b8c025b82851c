"""Runs one strategy over bars through the kernel, compiled or interpreted, with the same results.

The history loop, the live loop and the sweep use a `Runner` and nothing else; a live step is `run` over one bar.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.context import context_t
from twinstar_kit.kernel.desk import Desk
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.compiler.build import Announce, build
from twinstar_kit.strategy.errors import NotCompilable, StrategyError
from twinstar_kit.strategy.failure import failed
from twinstar_kit.strategy.interpreter import Interpreter
from twinstar_kit.strategy.layout import Packer

Mode = Literal["auto", "compiled", "interpreted"]
_INT64 = np.dtype(np.int64)

CHUNK = 65_536
"""Bars between the copies that a compiled run keeps, so that a failure can be repeated with its line."""


def make_runner(strategy: Strategy, mode: Mode = "auto", *, announce: Announce | None = None) -> Runner:
    """A runner for one strategy object, whose parameters and state it starts from.

    "auto" compiles if the compiler takes the strategy and interprets it otherwise, saying why in `.reason`;
    "compiled" raises StrategyError with that reason instead. `announce` is told before the first, slow compilation;
    without it the sentence is logged.
    """
    given: Any = strategy
    if not isinstance(given, Strategy):
        made = " (a class; make an object of it first)" if isinstance(strategy, type) else ""
        raise UsageError(f"{strategy!r} is no strategy{made}")
    if mode not in ("auto", "compiled", "interpreted"):
        raise UsageError(f"mode = {mode!r} must be one of auto, compiled, interpreted")
    if mode == "interpreted":
        return InterpretedRunner(strategy, "interpreted on request")
    try:
        return CompiledRunner(strategy, announce)
    except NotCompilable as why:
        if mode == "compiled":
            raise StrategyError(f"{type(strategy).__name__} cannot be compiled: {why.reason}") from None
        return InterpretedRunner(strategy, why.reason)


class Runner:
    """One strategy and its state. `mode` is "compiled" or "interpreted", `reason` says why it is interpreted."""

    mode: Literal["compiled", "interpreted"]
    reason: str = ""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self._packer = Packer(strategy)

    @property
    def strategy(self) -> Strategy:
        """The strategy, with the state it has now."""
        raise NotImplementedError

    def run(
        self, rows: npt.NDArray[np.int64], i0: int, i1: int, ctx: npt.NDArray[np.void], desk: Desk, equity: npt.NDArray[np.int64]
    ) -> int:  # fmt: skip
        """Take bars `i0` to `i1` (excluded) through the market, the indicators, `on_bar` and the orders.

        `rows` is as `Bars.rows`; `ctx` a context of shape (1,); `equity[i]` is set to the equity
        in money units after bar i. Returns the index of the next bar: less than `i1` when the event buffer must be
        drained before going on. Raises StrategyFailed, with bar and line, when the strategy raises.
        """
        raise NotImplementedError

    def snapshot(self) -> bytes:
        """The strategy's state; `restore` of a runner in either mode takes it back."""
        raise NotImplementedError

    def restore(self, snapshot: bytes) -> None:
        """Go back to a snapshot; StrategyError when it belongs to other fields or other parameters."""
        raise NotImplementedError


class CompiledRunner(Runner):
    """Runs the generated module; the state lives in a buffer of words.

    `module` is the generated module's name, `cached` says whether its machine code was on disk already.
    """

    mode = "compiled"

    def __init__(self, strategy: Strategy, announce: Announce | None = None) -> None:
        built = build(type(strategy), announce)
        super().__init__(strategy)
        self.cached, self.module = built.cached, built.name
        self._run = built.run
        self._buffer = self._packer.pack()
        self._before = self._buffer.copy()
        self._context: Any = None
        self._desk: Any = None
        self._rows: Any = None

    @property
    def strategy(self) -> Strategy:
        """The strategy, with the state it has now."""
        self._packer.unpack(self._buffer)
        return self._strategy

    def run(
        self, rows: npt.NDArray[np.int64], i0: int, i1: int, ctx: npt.NDArray[np.void], desk: Desk, equity: npt.NDArray[np.int64]
    ) -> int:  # fmt: skip
        """See `Runner.run`."""
        if ctx is not self._context or desk is not self._desk:
            _check_desk(ctx, desk)
            self._context, self._desk = ctx, desk
            self._index = ctx["index"]
        if rows is not self._rows:
            _check_rows(rows)
            self._rows = rows
        _check_span(rows, i0, i1, equity)
        if i1 - i0 == 1:
            return self._step(rows, i0, ctx, desk, equity)
        while i0 < i1:
            end = min(i0 + CHUNK, i1)
            done = self._chunk(rows, i0, end, ctx, desk, equity)
            if done < end:
                return done
            i0 = done
        return i1

    def _step(self, rows: Any, i: int, ctx: Any, desk: Desk, equity: Any) -> int:
        """One bar. The copy of the state costs 0.2 microseconds and pays for the line of a failure."""
        self._before[:] = self._buffer
        index = self._index[0]
        try:
            return self._run(rows, i, i + 1, self._buffer, ctx, desk.handle, equity)
        except Exception as error:
            # the market step is done, `on_bar` is not: repeat the latter
            if self._index[0] != index + 1:
                raise
            self._packer.unpack(self._before)
            Interpreter(self._strategy).repeat(ctx, error)
            raise failed(self._strategy, int(ctx["index"][0]), error) from error

    def _chunk(self, rows: Any, i0: int, i1: int, ctx: Any, desk: Desk, equity: Any) -> int:
        changing = (self._buffer, ctx, desk.state, desk.inst, desk.orders, desk.ledger, desk.depth)
        kept = [array.copy() for array in changing]
        first = int(ctx["index"][0])
        try:
            return self._run(rows, i0, i1, self._buffer, ctx, desk.handle, equity)
        except Exception:  # noqa: BLE001 - whatever the strategy raised is raised again, with its line
            # compiled code knows no line: go back, run up to the bar that failed, and repeat that one step by step
            bad = i0 + int(ctx["index"][0]) - first - 1
            for array, copy in zip(changing, kept, strict=True):
                array[...] = copy
            if bad > i0:
                self._run(rows, i0, bad, self._buffer, ctx, desk.handle, equity)
            return self._step(rows, bad, ctx, desk, equity)

    def snapshot(self) -> bytes:
        """See `Runner.snapshot`."""
        return self._packer.to_bytes(self._buffer)

    def restore(self, snapshot: bytes) -> None:
        """See `Runner.restore`."""
        self._buffer[:] = self._packer.from_bytes(snapshot)


class InterpretedRunner(Runner):
    """Runs the strategy's own methods on plain Python numbers; the kernel is the same compiled code."""

    mode = "interpreted"

    def __init__(self, strategy: Strategy, reason: str) -> None:
        super().__init__(strategy)
        self.reason = reason
        self._interpreter = Interpreter(strategy)

    @property
    def strategy(self) -> Strategy:
        """The strategy, with the state it has now."""
        return self._strategy

    def run(
        self, rows: npt.NDArray[np.int64], i0: int, i1: int, ctx: npt.NDArray[np.void], desk: Desk, equity: npt.NDArray[np.int64]
    ) -> int:  # fmt: skip
        """See `Runner.run`."""
        _check_desk(ctx, desk)
        _check_rows(rows)
        _check_span(rows, i0, i1, equity)
        return self._interpreter.run(rows, i0, i1, ctx, desk, equity)

    def snapshot(self) -> bytes:
        """See `Runner.snapshot`."""
        return self._packer.to_bytes(self._packer.pack())

    def restore(self, snapshot: bytes) -> None:
        """See `Runner.restore`."""
        self._packer.unpack(self._packer.from_bytes(snapshot))


def _check_rows(rows: Any) -> None:
    """Compiled code reads memory as it is told to, so what it is told is checked here."""
    if rows.dtype != np.int64 or rows.ndim != 2 or rows.shape[1] not in (6, 7) or not rows.flags.c_contiguous:
        raise UsageError("rows must be int64 of shape (n, 6) or (n, 7), C-contiguous, as Bars.rows is")


def _check_span(rows: Any, i0: int, i1: int, equity: Any) -> None:
    if not 0 <= i0 <= i1 <= len(rows):
        raise UsageError(f"bars {i0} to {i1} are not within the {len(rows)} rows")
    if len(equity) < i1 or (equity.dtype is not _INT64 and equity.dtype != _INT64) or equity.strides != (8,):
        raise UsageError(f"equity must be int64, contiguous, with room for {i1} bars")


def _check_desk(ctx: Any, desk: Desk) -> None:
    if not isinstance(desk, Desk):
        raise UsageError(
            f"the arrays of an account come as a Desk, as Engine.desk is, not {type(desk).__name__}"
        )
    if ctx.dtype != context_t or ctx.shape != (1,) or not ctx.flags.c_contiguous:
        raise UsageError("ctx must be a contiguous array of the kernel's ctx records")
