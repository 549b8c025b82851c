"""The interpreted loop: the strategy's methods as Python runs them, between the kernel's two compiled steps."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from twinstar_kit.kernel.context import context_t
from twinstar_kit.kernel.desk import Desk
from twinstar_kit.kernel.door import face
from twinstar_kit.kernel.gate import Op
from twinstar_kit.kernel.plain import as_kernel_sees, as_rows
from twinstar_kit.kernel.step import has_room
from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.component import BAR_FIELDS
from twinstar_kit.strategy.context import READABLE, InterpretedContext
from twinstar_kit.strategy.failure import failed

_READ = [*BAR_FIELDS, *READABLE]
_MARKET_STEP, _ORDER_STEP = int(Op.MARKET_STEP), int(Op.ORDER_STEP)
_has_room: Callable[[Any], bool] = getattr(has_room, "py_func", has_room)
assert list(context_t.names or ())[: len(_READ)] == _READ, (
    "the context's record begins with what a strategy reads"
)


class Interpreter:
    """Feeds one strategy object: `run` over bars, or `repeat` of the bar that the kernel has just published."""

    def __init__(self, strategy: Strategy) -> None:
        self._strategy = strategy
        self._ctx = InterpretedContext()
        self._feeds: list[tuple[Callable[..., None], tuple[str, ...]]] = [
            (getattr(strategy, name).update, part.fed)
            for name, part in type(strategy).declared.parts.items()
            if part.fed
        ]

    def run(self, rows: Any, i0: int, i1: int, ctx: Any, desk: Desk, equity: Any) -> int:
        """See `Runner.run`."""
        record = as_kernel_sees(ctx)
        act = face(desk)
        level = SimpleNamespace(state=as_rows(desk.state), out=desk.out)
        for i in range(i0, i1):
            if not _has_room(level):
                return i
            act(_MARKET_STEP, 0, i, rows=rows, ctx=record)
            try:
                self._on_bar(ctx)
            except Exception as error:
                raise failed(self._strategy, int(ctx["index"][0]), error) from error
            self._publish(ctx)
            equity[i] = act(_ORDER_STEP, 0, i, rows=rows, ctx=record)
        return i1

    def repeat(self, ctx: Any, original: Exception) -> None:
        """Run the bar in `ctx` once more, to raise with the line what compiled code raised without."""
        try:
            self._on_bar(ctx)
        except Exception as error:
            raise failed(self._strategy, int(ctx["index"][0]), error) from error

    def _on_bar(self, ctx: Any) -> None:
        seen, bar = self._ctx, self._ctx.bar
        values = ctx[0].item()
        bar.open, bar.high, bar.low, bar.close, bar.volume, bar.ts, bar.index, bar.doubt = values[:8]
        seen.position, seen.cash, seen.equity, seen.entry = values[8:12]
        seen.n_proposals = seen.denied = 0
        for update, inputs in self._feeds:
            update(*[getattr(bar, name) for name in inputs])
        self._strategy.on_bar(seen)

    def _publish(self, ctx: Any) -> None:
        """Hand the proposals to the kernel's record."""
        seen = self._ctx
        n = seen.n_proposals
        if n or seen.denied:
            ctx["p_kind"][0, :n] = seen.p_kind[:n]
            ctx["p_amount"][0, :n] = seen.p_amount[:n]
            ctx["p_price"][0, :n] = seen.p_price[:n]
            ctx["n_proposals"] = n
            ctx["denied"] = seen.denied
