"""From a strategy class to its compiled loop, with a word to the user before the one slow time."""

from __future__ import annotations

import logging
import pickle
import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.errors import NumbaError

from twinstar_kit.kernel import door
from twinstar_kit.kernel.context import context_t
from twinstar_kit.kernel.gate import array_of
from twinstar_kit.strategy.compiler import modules
from twinstar_kit.strategy.compiler.analysis import analyse
from twinstar_kit.strategy.compiler.generate import Generated, generate
from twinstar_kit.strategy.component import Component
from twinstar_kit.strategy.errors import NotCompilable, Place, StrategyError

log = logging.getLogger("twinstar.strategy")

Announce = Callable[[str], None]
"""Is told, in a sentence, that something slow begins."""

_lock = threading.Lock()


@dataclass(frozen=True)
class Compiled:
    """A compiled strategy class: `run` takes the arrays unchecked, `name` is its module, `cached` whether it was on disk."""

    run: Callable[..., int]
    name: str
    cached: bool
    seconds: float


def build(cls: type[Component], announce: Announce | None = None) -> Compiled:
    """Compile a strategy class, or load it from the cache; NotCompilable when it must run interpreted.

    `announce` is called once, with a sentence, when it has to be compiled; without it the sentence is logged.
    """
    if numba.config.DISABLE_JIT:  # type: ignore[attr-defined]
        raise NotCompilable("compiling is switched off by NUMBA_DISABLE_JIT")
    memo = analyse(cls).memo
    if "compiled" not in memo:
        memo["compiled"] = _build(cls, announce)
    known: Compiled = memo["compiled"]
    return known


def _build(cls: type[Component], announce: Announce | None) -> Compiled:
    began = time.perf_counter()
    generated = generate(cls)
    name = modules.module_name(cls.__name__, generated.text)
    with _lock:
        module = modules.load(name, generated.text)
        cached = True
        if not module.run.signatures:
            cached = modules.is_compiled(name)
            if not cached:
                what = cls.__name__ if modules.kernel_is_compiled() else f"the kernel and {cls.__name__}"
                (announce or log.info)(
                    f"compiling {what}, once, about {'3' if what == cls.__name__ else '30'} s"
                )
                door.address()
            try:
                cached = _compile(module.run, name) if cached else _compile_anew(module.run)
            except NumbaError as error:
                raise _explained(error, generated, name) from None
        entry = module.run.overloads[module.run.signatures[0]].entry_point
    return Compiled(entry, name, cached, time.perf_counter() - began)


def _compile(run: Any, name: str) -> bool:
    """Load the machine code; make it anew if what is on disk cannot be read. Returns whether it was there."""
    try:
        run.compile(_signature())
    except (EOFError, pickle.UnpicklingError, AttributeError, ValueError, IndexError, KeyError) as damaged:
        log.warning("the compiled code of %s cannot be read (%s); making it anew", name, damaged)
        modules.discard(name)
        return _compile_anew(run)
    return True


def _compile_anew(run: Any) -> bool:
    run.compile(_signature())
    return False


def _signature() -> Any:
    """The types of `run`'s arguments, given outright so that nothing is ever compiled twice."""

    words = array_of(np.int64)
    return types.int64(
        array_of(np.int64, 2, readonly=True),
        types.int64,
        types.int64,
        words,
        array_of(context_t),
        types.int64,
        words,
    )


def _explained(error: NumbaError, generated: Generated, name: str) -> Exception:
    """numba's error as one line about the user's source.

    A store of the wrong type and an attribute that does not exist are errors; the rest is beyond the compiler.
    """
    message = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = [line.strip() for line in message.splitlines() if line.strip()]
    place = _place(message, generated, name)
    wrong = [line for line in lines if "cannot store" in line or "Unknown attribute" in line]
    if wrong:
        return StrategyError(re.sub(r"@[0-9a-f]+", "", wrong[0]), place)
    telling = r"Cannot unify|Cannot determine|not supported|unsupported|No implementation|Invalid use|No match|not defined"
    found = [line for line in lines if re.search(telling, line)]
    return NotCompilable(f"numba: {re.sub(r'@[0-9a-f]+', '', (found or lines)[0])}", place)


def _place(message: str, generated: Generated, name: str) -> Place | None:
    for line in re.findall(re.escape(name) + r"\.py(?:\", line |:| \()(\d+)", message):
        origin = generated.origin(int(line))
        if origin is not None:
            return origin[0].place(origin[1])
    return None
