"""Parameters: declared once with type, range and help, symbolic in the class body, plain numbers afterwards."""

from __future__ import annotations

import difflib
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from twinstar_kit.strategy.errors import ParamError

Number = int | float | bool

_SYMBOLS: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "add": ("+", operator.add),
    "sub": ("-", operator.sub),
    "mul": ("*", operator.mul),
    "truediv": ("/", operator.truediv),
    "floordiv": ("//", operator.floordiv),
    "mod": ("%", operator.mod),
}


class Symbolic:
    """Something that stands for a number until an object is made: a parameter, or arithmetic on parameters.

    >>> lookback = Param(55, 5, 500); lookback.name = "lookback"
    >>> half = lookback // 2 + 1
    >>> half, half.evaluate({"lookback": 20})
    ((lookback // 2) + 1, 11)
    """

    def evaluate(self, values: Mapping[str, Number]) -> Number:
        """The number, given the values of the parameters."""
        raise NotImplementedError

    def __bool__(self) -> bool:
        raise ParamError(
            f"{self!r} has no value in the class body; decide with it in on_bar, as self.{self!r}"
        )

    def __add__(self, other: Any) -> Expression:
        return Expression("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return Expression("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return Expression("sub", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return Expression("sub", other, self)

    def __mul__(self, other: Any) -> Expression:
        return Expression("mul", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return Expression("mul", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return Expression("truediv", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression("truediv", other, self)

    def __floordiv__(self, other: Any) -> Expression:
        return Expression("floordiv", self, other)

    def __rfloordiv__(self, other: Any) -> Expression:
        return Expression("floordiv", other, self)

    def __mod__(self, other: Any) -> Expression:
        return Expression("mod", self, other)

    def __rmod__(self, other: Any) -> Expression:
        return Expression("mod", other, self)


class Expression(Symbolic):
    """Arithmetic on parameters, such as `slow * 2`."""

    def __init__(self, name: str, left: Any, right: Any) -> None:
        self._name, self._left, self._right = name, left, right

    def evaluate(self, values: Mapping[str, Number]) -> Number:
        """The number, given the values of the parameters."""
        left, right = (evaluate(side, values) for side in (self._left, self._right))
        try:
            return cast(Number, _SYMBOLS[self._name][1](left, right))
        except (TypeError, ZeroDivisionError) as error:
            raise ParamError(f"{self!r}: {error}") from None

    def __repr__(self) -> str:
        left, right = (
            f"({side!r})" if isinstance(side, Expression) else repr(side)
            for side in (self._left, self._right)
        )
        return f"{left} {_SYMBOLS[self._name][0]} {right}"


def evaluate(value: Any, values: Mapping[str, Number]) -> Any:
    """`value` itself, or its number if it is symbolic."""
    return value.evaluate(values) if isinstance(value, Symbolic) else value


class ParamSpec(Symbolic):
    """What is known of a parameter: `name`, `type` (int, float or bool), `default`, `low`, `high`, `step`, `help`."""

    def __init__(
        self, default: Number, low: float | None, high: float | None, step: float | None, help: str
    ) -> None:
        self.name = ""
        self.type: type = type(default)
        self.default, self.low, self.high, self.step, self.help = default, low, high, step, help

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = self.name or name

    def __repr__(self) -> str:
        return self.name or f"Param({self.default!r})"

    def evaluate(self, values: Mapping[str, Number]) -> Number:
        """The value that was given for this parameter."""
        return values[self.name]

    def typed(self, type_: type | None, label: str) -> ParamSpec:
        """The same parameter with the type that the class annotates, its default checked."""
        self.type = type_ or self.type
        self.default = self.checked(self.default, f"the default of {label}")
        return self

    def checked(self, value: Any, label: str, shown: str = "") -> Number:
        """`value` in the parameter's own type, or ParamError if it is of another kind or out of range."""
        origin = f" (from {shown})" if shown else ""
        number = self._convert(value, label, origin)
        if self.type is not bool and not self._within(number):
            about = f" ({self.help})" if self.help else ""
            raise ParamError(f"{label} = {number!r}{origin} is outside {self._range()}{about}")
        return number

    def _convert(self, value: Any, label: str, origin: str) -> Number:
        kind = type(value)
        if self.type is bool:
            if kind is bool or kind.__name__ in ("bool", "bool_"):
                return bool(value)
        elif kind is not bool and kind.__name__ != "bool_" and not isinstance(value, str):
            try:
                if self.type is int:
                    whole = int(value)
                    if whole == value and abs(whole) < 2**63:
                        return whole
                else:
                    number = float(value)
                    if math.isfinite(number):
                        return number
            except (TypeError, ValueError, OverflowError):
                pass
        wanted = {int: "a whole number", float: "a finite number", bool: "true or false"}[self.type]
        raise ParamError(f"{label} = {value!r}{origin} must be {wanted}")

    def _within(self, number: Number) -> bool:
        return (self.low is None or number >= self.low) and (self.high is None or number <= self.high)

    def _range(self) -> str:
        if self.low is None or self.high is None:
            return f"..{self.high}" if self.low is None else f"{self.low}.."
        return f"{self.low}..{self.high}"

    def parse(self, text: str, label: str) -> Number:
        """The value that a command line spells: `55`, `1e-3`, `true`."""
        word = text.strip()
        value: Any = word
        if self.type is bool:
            value = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}.get(
                word.lower(), word
            )
        else:
            for read in (int, float):
                try:
                    value = read(word)
                    break
                except ValueError:
                    continue
        return self.checked(value, label)


def Param(
    default: Number,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    *,
    help: str = "",
) -> Any:
    """Declare a parameter of a strategy or an indicator.

    `default` gives the type unless the class annotates one (int, float or bool); `low` and `high` are the
    smallest and largest value allowed, `step` a sensible step for a search. A strategy cannot change its
    parameters while it runs. The default is checked like any other value, when the class is made.

    >>> Param(55, 5, 500, help="bars in the channel").checked(900, "breakout: lookback")
    Traceback (most recent call last):
    ...
    twinstar_kit.strategy.errors.ParamError: breakout: lookback = 900 is outside 5..500 (bars in the channel)
    """
    if type(default) not in (int, float, bool):
        raise ParamError(f"Param({default!r}): a parameter is an int, a float or a bool")
    if low is not None and high is not None and low > high:
        raise ParamError(f"Param({default!r}, {low}, {high}): the range is empty")
    return ParamSpec(default, low, high, step, help)


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` when a known name is close to `name`, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1)
    return f"; did you mean {close[0]!r}?" if close else ""
