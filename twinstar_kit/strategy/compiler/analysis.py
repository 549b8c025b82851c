"""Checks a class when it is made: every name, attribute, call and store that cannot be right is an error with its line.

The methods are evaluated on kinds instead of values (see `inference`), starting from `on_bar` and `update` with what
they will be given, so a wrong attribute is found behind an alias and inside a helper, and a kind that is not known
is never an error. What was learnt (`Analysis.kinds`, `.reached`) is what the generator works from.
"""

from __future__ import annotations

import ast
import linecache
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from inspect import CO_ASYNC_GENERATOR, CO_COROUTINE, CO_GENERATOR
from types import FunctionType
from typing import Any

from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.compiler import bans
from twinstar_kit.strategy.compiler.inference import Body
from twinstar_kit.strategy.compiler.kinds import CONTEXT, OF_TYPE, UNKNOWN, Kind
from twinstar_kit.strategy.compiler.source import Function, find
from twinstar_kit.strategy.component import BAR_FIELDS, Component, Indicator
from twinstar_kit.strategy.errors import NotCompilable, Place, StrategyError
from twinstar_kit.strategy.params import suggestion

MAX_DEPTH = 24


def check_class(cls: type[Component]) -> None:
    """Raise StrategyError, naming the user's line, for what cannot be right in a class that was just made."""
    for name, value in vars(cls).items():
        if isinstance(value, FunctionType):
            _check_method(cls, name, value)
    if issubclass(cls, Strategy):
        _check_overlays(cls)
    analyse(cls)


def analyse(cls: type[Component]) -> Analysis:
    """Check a class and return what was learnt about it.

    The answer is kept with the class until something outside that the methods use is no longer the same.
    """
    known: Analysis | None = vars(cls).get("_analysis")
    if known is None or not known.current():
        known = cls._analysis = _analyse(cls)
    return known


def _analyse(cls: type[Component]) -> Analysis:
    analysis = Analysis(cls)
    entry = "on_bar" if issubclass(cls, Strategy) else "update"
    function = getattr(cls, entry, None)
    base = {"on_bar": Strategy.on_bar}.get(entry)
    if isinstance(function, FunctionType) and function is not base:
        analysis.enter(cls, entry)
    for name, part in cls.declared.parts.items():
        analysis.enter_part(name, part)
    analysis.rest()
    return analysis


def methods_of(cls: type[Component]) -> Iterator[tuple[str, FunctionType]]:
    """The methods that users wrote, nearest definition first."""
    seen = set()
    for base in cls.__mro__:
        if base in (Component, Indicator, Strategy, object):
            continue
        for name, value in vars(base).items():
            if isinstance(value, FunctionType) and name not in seen:
                seen.add(name)
                yield name, value


def _check_method(cls: type[Component], name: str, function: FunctionType) -> None:
    """What no method of a strategy or an indicator can be."""
    code = function.__code__
    place = Place(
        code.co_filename,
        code.co_firstlineno,
        linecache.getline(code.co_filename, code.co_firstlineno).strip(),
    )
    if name.startswith("on_") and name != "on_bar" and issubclass(cls, Strategy):
        near = suggestion(name, ["on_bar"])
        raise StrategyError(
            f"{cls.__name__}.{name} would never be called; a strategy has on_bar{near}", place
        )
    if name in ("__init__", "__new__", "__setattr__", "__getattr__", "__getattribute__"):
        raise StrategyError(
            f"{cls.__name__} has a {name}; declare its fields in the class instead, such as `level: float = 0.0`",
            place,
        )
    if name in ("on_bar", "update") and code.co_flags & (CO_GENERATOR | CO_COROUTINE | CO_ASYNC_GENERATOR):
        raise StrategyError(f"{cls.__name__}.{name} must be a plain method, without async and yield", place)


def _check_overlays(cls: type[Strategy]) -> None:
    for path in cls.overlays:
        part, _, name = path.partition(".")
        holder: type[Component] | None = cls
        if name:
            holder = type(cls.declared.parts[part]) if part in cls.declared.parts else None
        if holder is None or (name or part) not in holder.declared.fields:
            raise StrategyError(
                f"{cls.__name__}.overlays names {path!r}, which is no field of the strategy or of one of its indicators"
            )


class Analysis:
    """Evaluates the methods of one class on kinds.

    `kinds` maps expression nodes to what they may be. `reached` holds every method that a bar can lead to, `supers`
    those it leads to through `super()` (class of the object, class of the method, name), `helpers` every other
    function; `memo` keeps what others derive from all this; `opaque` tells of methods without source, `mixed` of names that are now of one kind, now of another.
    """

    def __init__(self, cls: type[Component]) -> None:
        self.cls = cls
        self.kinds: dict[ast.AST, Kind] = {}
        self.reached: dict[tuple[type[Component], str], Function] = {}
        self.supers: dict[tuple[type[Component], type[Component], str], Function] = {}
        self.helpers: dict[FunctionType, Function] = {}
        self.opaque: list[NotCompilable] = []
        self.mixed: dict[tuple[Function, str], tuple[Kind, Kind]] = {}
        self.memo: dict[str, Any] = {}
        self._outside: list[tuple[Callable[[str], Any], str, Any]] = []
        self._results: dict[Any, Kind | None] = {}
        self._depth = 0

    def outside(self, look: Callable[[str], Any], name: str) -> Any:
        """The value of a name from outside the methods, noted as something that what was learnt depends on."""
        value = look(name)
        self._outside.append((look, name, value))
        return value

    def current(self) -> bool:
        """Whether everything outside is still what it was."""
        return all(look(name) is value for look, name, value in self._outside)

    def enter(self, cls: type[Component], name: str, inputs: tuple[str, ...] = ()) -> None:
        """Evaluate the method that the loop calls, with what the loop gives it."""
        function = self.method(cls, name)
        if function is None:
            return
        given: list[Kind] = [CONTEXT]
        wanted = f"{name}(self, ctx)"
        if issubclass(cls, Indicator):
            inputs = inputs or cls.inputs
            given = [OF_TYPE[BAR_FIELDS[i]] if i in BAR_FIELDS else UNKNOWN for i in inputs]
            wanted = f"{name}(self, {', '.join(inputs)})"
        if len(function.arguments) != len(given) + 1:
            raise StrategyError(
                f"{cls.__name__}.{name} must be written {wanted}", function.place(function.node)
            )
        self.run(function, [Kind("part", cls), *given], cls)

    def enter_part(self, name: str, part: Indicator) -> None:
        """Evaluate the `update` of a declared indicator."""
        cls = type(part)
        if not isinstance(getattr(cls, "update", None), FunctionType):
            raise StrategyError(
                f"{self.cls.__name__}.{name}: {cls.__name__} has no update method, so it could never be fed"
            )
        if part.fed:
            self.enter(cls, "update", part.fed)
        for inner, below in cls.declared.parts.items():
            self.enter_part(inner, below)

    def rest(self) -> None:
        """Check the methods that no bar leads to, knowing nothing of their arguments."""
        reached = dict(self.reached), dict(self.supers), dict(self.helpers), list(self.opaque)
        for name, plain in methods_of(self.cls):
            if (self.cls, name) not in self.reached and not name.startswith("__"):
                function = self.method(self.cls, name)
                if function is not None and function.arguments and "self" in function.arguments[:1]:
                    self.run(
                        function,
                        [Kind("part", self.cls), *[UNKNOWN] * (plain.__code__.co_argcount - 1)],
                        self.cls,
                    )
        self.reached, self.supers, self.helpers, self.opaque = reached

    def method(self, cls: type[Component], name: str) -> Function | None:
        """The source of a method, noted as reached; None when there is no source."""
        self.outside(partial(getattr, cls), name)
        if (cls, name) not in self.reached:
            try:
                self.reached[cls, name] = find(getattr(cls, name))
            except NotCompilable as why:
                self.opaque.append(why)
                return None
        return self.reached[cls, name]

    def super_method(self, cls: type[Component], above: type[Component], name: str) -> Function | None:
        """The source of a method that an object of `cls` reaches through `super()`; None when there is no source."""
        try:
            return self.supers.setdefault((cls, above, name), find(vars(above)[name]))
        except NotCompilable as why:
            self.opaque.append(why)
            return None

    def run(self, function: Function, given: Sequence[Kind], owner: type[Component] | None) -> Kind:
        """The kind that a function returns for arguments of given kinds."""
        key = (function, tuple(given), owner)
        if key in self._results:
            return self._results[key] or UNKNOWN
        if self._depth >= MAX_DEPTH:
            return UNKNOWN
        self._results[key] = None
        self._depth += 1
        try:
            bans.check(function)
            result = Body(self, function, given, owner).evaluate()
        finally:
            self._depth -= 1
        self._results[key] = result
        return result
