"""What calls give back and what they take: built-ins, `math`, and the arguments of users' functions."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twinstar_kit.strategy.compiler.kinds import BOOL, FLOAT, INT, NUMERIC, UNKNOWN, Kind, join, of_value
from twinstar_kit.strategy.context import DEFAULT

EXACT_BUILTINS = frozenset({"abs", "bool", "float", "int", "len", "max", "min", "range", "round"})
"""Built-ins whose compiled results have the same bits."""

EXACT_MATH = frozenset(
    [
        "acos",
        "acosh",
        "asin",
        "asinh",
        "atan",
        "atan2",
        "atanh",
        "ceil",
        "copysign",
        "cos",
        "cosh",
        "degrees",
        "erf",
        "erfc",
        "exp",
        "expm1",
        "fabs",
        "floor",
        "isfinite",
        "isinf",
        "isnan",
        "log",
        "log10",
        "log1p",
        "log2",
        "pow",
        "radians",
        "sin",
        "sinh",
        "sqrt",
        "tan",
        "tanh",
        "trunc",
    ]
)
"""Functions of `math` that compiled code offers with the same bits and the same errors; see `exact`."""

_MATH_KINDS = dict.fromkeys(
    ("floor", "ceil", "trunc", "comb", "gcd", "factorial", "isqrt", "lcm", "perm"), INT
) | dict.fromkeys(("isnan", "isinf", "isfinite", "isclose"), BOOL)


def math_kind(function: Any, given: Sequence[Kind]) -> Kind:
    """The kind that a function of `math` returns."""
    return _MATH_KINDS.get(function.__name__, FLOAT)


def builtin_kind(function: Any, given: Sequence[Kind]) -> Kind:
    """The kind that a built-in function returns."""
    name = function.__name__
    if name == "len":
        return INT
    if name == "round":
        return INT if len(given) == 1 else FLOAT
    if name == "abs" and given:
        return given[0] if given[0] in NUMERIC else UNKNOWN
    if name in ("min", "max") and len(given) > 1:
        joined = given[0]
        for kind in given[1:]:
            joined = join(joined, kind)
        return joined
    return UNKNOWN


def check_arguments(
    function: Any,
    given: Sequence[Kind],
    named: Mapping[str | None, Kind],
    label: str,
    fail: Callable[[str], None],
) -> list[Kind] | None:
    """The kinds of all arguments in order, defaults filled in; calls `fail` when the call cannot be right.

    None when the function takes arguments in a way that is not followed (`*args`).
    """
    signature = inspect.signature(function)
    simple = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    if any(p.kind not in simple for p in signature.parameters.values()):
        return None
    try:
        bound = signature.bind(*given, **{str(name): kind for name, kind in named.items()})
    except TypeError as error:
        shown = [
            p if p.default is p.empty else f"{p.name}={'default' if p.default is DEFAULT else p.default}"
            for p in signature.parameters.values()
        ]
        takes = ", ".join(str(getattr(p, "name", p)) for p in shown if getattr(p, "name", p) != "self")
        fail(f"{label}({takes}): {error}")
        return None
    return [
        bound.arguments[p.name] if p.name in bound.arguments else of_value(p.default)
        for p in signature.parameters.values()
    ]
