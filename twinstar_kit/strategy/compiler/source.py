"""Finds the source of a function: its syntax tree, its lines where they stand in the user's file, and its names."""

from __future__ import annotations

import ast
import builtins
import linecache
import sys
import sysconfig
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from types import FunctionType
from typing import Any

from twinstar_kit.strategy.errors import NotCompilable, Place

MISSING = object()
"""What `Function.lookup` gives for a name that nothing defines."""

LATER = object()
"""What `Function.lookup` gives for a name that its file defines further down, or a closure not filled yet."""

_KEPT = "_twinstar_source"

_STANDARD = tuple(
    str(Path(sysconfig.get_path(name)).resolve()) for name in ("stdlib", "platstdlib", "purelib", "platlib")
)


@dataclass(frozen=True)
class Function:
    """A function with its source; `node` is its definition, with line numbers of the whole file.

    Equal when the underlying function is the same object.
    """

    function: FunctionType
    node: ast.FunctionDef
    lines: tuple[str, ...]

    def __hash__(self) -> int:
        return id(self.function)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Function) and other.function is self.function

    @property
    def name(self) -> str:
        """The function's own name."""
        return self.function.__name__

    @property
    def file(self) -> str:
        """The file as Python knows it."""
        return self.function.__code__.co_filename

    @property
    def text(self) -> str:
        """The definition without decorators, as it stands in the file."""
        return "".join(self.lines[self.node.lineno - 1 : self.node.end_lineno])

    def place(self, node: ast.AST | int) -> Place:
        """Where a node (or a line of the file) is."""
        line = node if isinstance(node, int) else getattr(node, "lineno", self.node.lineno)
        text = self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""
        return Place(self.file, line, text)

    @cached_property
    def local_names(self) -> frozenset[str]:
        """Arguments and everything the body binds."""
        code = self.function.__code__
        return frozenset(code.co_varnames) | frozenset(code.co_cellvars)

    @property
    def arguments(self) -> list[str]:
        """Names of the positional arguments."""
        return [a.arg for a in (*self.node.args.posonlyargs, *self.node.args.args)]

    def lookup(self, name: str) -> Any:
        """The value of a name that is not local: closure, module, built-in; or MISSING, or LATER."""
        free = self.function.__code__.co_freevars
        if name in free and self.function.__closure__ is not None:
            try:
                return self.function.__closure__[free.index(name)].cell_contents
            except ValueError:
                return LATER
        scope = self.function.__globals__
        if name in scope:
            return scope[name]
        if hasattr(builtins, name):
            return getattr(builtins, name)
        return LATER if name in _bound_at_top(self.lines) else MISSING

    def known_names(self) -> Iterator[str]:
        """Names that `lookup` finds, for suggestions."""
        yield from self.local_names
        yield from (n for n in self.function.__globals__ if not n.startswith("__"))
        yield from (n for n in dir(builtins) if not n.startswith("_"))


def find(function: Callable[..., Any]) -> Function:
    """The source of a Python function, as it was when first asked for; NotCompilable when it cannot be had."""
    plain = getattr(function, "py_func", function)
    if not isinstance(plain, FunctionType):
        raise NotCompilable(f"{getattr(function, '__name__', function)!r} is not a Python function")
    # kept on the function itself: it lives as long, and an edit of the file after this does not confuse it
    known: Function | None = plain.__dict__.get(_KEPT)
    if known is None:
        known = plain.__dict__[_KEPT] = _read(plain)
    return known


def _read(plain: FunctionType) -> Function:
    code = plain.__code__
    module = plain.__globals__.get("__name__", "")
    linecache.checkcache(code.co_filename)
    lines = tuple(linecache.getlines(code.co_filename, plain.__globals__))
    node = _definitions(lines).get((code.co_firstlineno, plain.__name__)) if lines else None
    if node is None:
        made = (
            "a lambda; write it as a def"
            if plain.__name__ == "<lambda>"
            else "made by exec or at a bare prompt"
        )
        raise NotCompilable(
            f"the source of {plain.__qualname__} (module {module}) cannot be had: it is {made}"
        )
    return Function(plain, node, lines)


@lru_cache(64)
def _definitions(lines: tuple[str, ...]) -> dict[tuple[int, str], ast.FunctionDef]:
    """The definitions in a file by first line (of a decorator, if there is one) and name."""
    found: dict[tuple[int, str], ast.FunctionDef] = {}
    try:
        tree = ast.parse("".join(lines))
    except SyntaxError:
        return found
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
            found[first, node.name] = node
    return found


@lru_cache(64)
def _bound_at_top(lines: tuple[str, ...]) -> frozenset[str]:
    """Names that a file binds at its top level, wherever they stand."""
    names: set[str] = set()
    for statement in ast.parse("".join(lines)).body:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(statement.name)
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            names.update((a.asname or a.name).split(".")[0] for a in statement.names)
        else:
            names.update(
                n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            )
    return frozenset(names)


def is_users(function: FunctionType) -> bool:
    """Whether a function is the user's or ours, not the standard library's or an installed package's."""
    file = function.__code__.co_filename
    if not file.startswith("/") and ":" not in file:
        return True  # a cell, a doctest
    resolved = str(Path(file).resolve())
    module = sys.modules.get(function.__module__)
    if module is not None and module.__name__.split(".")[0] == "twinstar_kit":
        return True
    return not resolved.startswith(_STANDARD)
