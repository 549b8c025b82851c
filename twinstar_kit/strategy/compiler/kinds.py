"""The kinds of values that the checks tell apart, and how they combine."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any


@dataclass(frozen=True)
class Kind:
    """What is known of a value: a word, and what it belongs to (`of`).

    Words: float int bool str none; part (of=class), context, bar, array (of=float or int), call (of=(receiver kind,
    name)), function (of=function), class (of=class), module (of=module), constant (of=value), tuple (of=kinds), range, unknown.
    """

    word: str
    of: Any = None

    def __str__(self) -> str:
        if self.word == "part":
            return f"an object of {self.of.__name__}"
        shown = {
            "none": "None",
            "context": "the context",
            "bar": "a bar",
            "array": "an Array",
            "call": "a method",
        }
        return shown.get(self.word) or f"{'an' if self.word[0] in 'aeiou' else 'a'} {self.word}"


FLOAT, INT, BOOL, STR, NONE = (Kind(w) for w in ("float", "int", "bool", "str", "none"))
CONTEXT, BAR, RANGE, UNKNOWN = (Kind(w) for w in ("context", "bar", "range", "unknown"))
NUMERIC = frozenset({FLOAT, INT, BOOL})
CERTAIN = NUMERIC | {STR, NONE}
OF_TYPE: dict[Any, Kind] = {float: FLOAT, int: INT, bool: BOOL, str: STR, type(None): NONE}
THINGS = frozenset({"part", "context", "bar", "array", "call", "function", "module"})
"""Words of kinds that no arithmetic and no comparison takes."""


def of_value(value: Any) -> Kind:
    """The kind of a module's or a class's constant."""
    if type(value) in OF_TYPE:
        return OF_TYPE[type(value)]
    if isinstance(value, ModuleType):
        return Kind("module", value)
    if isinstance(value, type):
        return Kind("class", value)
    if isinstance(value, (FunctionType, BuiltinFunctionType)) or hasattr(value, "py_func"):
        return Kind("function", value)
    if isinstance(value, tuple):
        return Kind("tuple", tuple(of_value(v) for v in value))
    return UNKNOWN


def join(a: Kind | None, b: Kind | None) -> Kind:
    """The kind of a value that is either of two."""
    if a is None or b is None:
        return (a or b) or UNKNOWN
    if a == b:
        return a
    if a in NUMERIC and b in NUMERIC:
        return FLOAT if FLOAT in (a, b) else INT
    if a.word == b.word == "tuple" and len(a.of) == len(b.of):
        return Kind("tuple", tuple(join(x, y) for x, y in zip(a.of, b.of, strict=True)))
    return UNKNOWN


def arithmetic(operator: ast.operator, left: Kind, right: Kind) -> Kind:
    """The kind of `left operator right`."""
    if left not in NUMERIC or right not in NUMERIC:
        return STR if left == right == STR and isinstance(operator, ast.Add) else UNKNOWN
    if isinstance(operator, ast.Div):
        return FLOAT
    if isinstance(operator, ast.Pow):
        return FLOAT if FLOAT in (left, right) else UNKNOWN
    if isinstance(operator, (ast.BitAnd, ast.BitOr, ast.BitXor)) and left == right == BOOL:
        return BOOL
    return FLOAT if FLOAT in (left, right) else INT


def fits(kind: Kind, declared: type) -> bool:
    """Whether a value may be stored in a field of a declared type; unknown kinds may."""
    if kind.word == "unknown":
        return True
    return kind in {float: (FLOAT, INT), int: (INT,), bool: (BOOL,)}[declared]
