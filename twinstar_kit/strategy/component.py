"""What strategies and indicators share: a class declares parameters, fields, arrays and parts; an object holds their values."""

from __future__ import annotations

import inspect
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

from twinstar_kit.strategy.errors import ParamError, StrategyError
from twinstar_kit.strategy.params import Number, ParamSpec, Symbolic, evaluate, suggestion

BAR_FIELDS: dict[str, type] = {
    "open": float, "high": float, "low": float, "close": float, "volume": float, "ts": int, "index": int, "doubt": int,
}  # fmt: skip
"""What a bar holds: prices in quote, volume in base, `ts` its close in UTC ms, `index` counted from zero, `doubt` 0 for the venue's own word."""

TYPES: dict[Any, type] = {float: float, int: int, bool: bool, "float": float, "int": int, "bool": bool}
ARRAY_CODES = {float: "d", int: "q"}
INT64_MAX = 2**63 - 1

C = TypeVar("C", bound="Component")


class Array:
    """Declare a fixed-size array of floats (or ints) as state; its length may depend on parameters.

    In methods it takes an index, `len()` and a loop. It starts at zero.

    >>> from twinstar_kit.strategy import Param
    >>> class Last(Indicator):
    ...     n: int = Param(3, 1)
    ...     seen = Array(n)
    >>> list(Last(2).seen)
    [0.0, 0.0]
    """

    def __init__(self, size: int | Symbolic, type: type = float) -> None:
        if type not in ARRAY_CODES:
            raise StrategyError(f"Array(..., {type!r}): an array holds float or int")
        self.size, self.type = size, type

    def make(self, values: Mapping[str, Number], label: str) -> array[Any]:
        """A zeroed array of the size that the parameters give."""
        size = evaluate(self.size, values)
        if not isinstance(size, int) or size < 0:
            raise ParamError(
                f"{label}: an array's size must be a whole number, not {size!r} (from {self.size!r})"
            )
        return array(ARRAY_CODES[self.type], bytes(8 * size))

    def __getitem__(self, at: int) -> Any:  # what the attribute of an object answers to
        raise TypeError("an Array has values in an object, not in its declaration")

    def __setitem__(self, at: int, value: float) -> None:
        raise TypeError("an Array has values in an object, not in its declaration")

    def __len__(self) -> int:
        raise TypeError("an Array has a length in an object, not in its declaration")

    def __iter__(self) -> Iterator[Any]:
        raise TypeError("an Array has values in an object, not in its declaration")


@dataclass(frozen=True)
class Declaration:
    """What a class declares, by name and in order, inherited declarations first."""

    params: dict[str, ParamSpec] = field(default_factory=dict)
    fields: dict[str, tuple[type, Number]] = field(default_factory=dict)
    arrays: dict[str, Array] = field(default_factory=dict)
    parts: dict[str, Indicator] = field(default_factory=dict)

    def names(self) -> list[str]:
        """Every declared name."""
        return [*self.params, *self.fields, *self.arrays, *self.parts]


class Component:
    """Base of `Strategy` and `Indicator`; not meant to be subclassed by users directly."""

    declared: ClassVar[Declaration] = Declaration()
    _stores: ClassVar[dict[str, Any]] = {}
    _layout: ClassVar[Any] = None
    _analysis: ClassVar[Any] = None

    def __init_subclass__(cls, *, base: bool = False, **options: Any) -> None:
        super().__init_subclass__(**options)
        if base:
            return
        cls.declared = _declare(cls)
        cls._stores = {name: type_ for name, (type_, _) in cls.declared.fields.items()}
        from twinstar_kit.strategy.compiler.analysis import check_class

        check_class(cls)

    def __init__(self, *args: Any, **given: Any) -> None:
        names = list(self.declared.params)
        if len(args) > len(names):
            takes = ", ".join(names) or "none"
            raise ParamError(
                f"{type(self).__name__} takes {len(names)} parameters ({takes}), {len(args)} were given"
            )
        for name, value in zip(names, args, strict=False):
            if name in given:
                raise ParamError(f"{type(self).__name__}: {name} is given twice")
            given[name] = value
        for name in given:
            if name not in names:
                has = f" It has {', '.join(names)}." if names else " It has none."
                raise ParamError(
                    f"{type(self).__name__} has no parameter {name!r}{suggestion(name, names) or '.'}{has}"
                )
        vars(self)["_given"] = given
        if not any(isinstance(value, Symbolic) for value in given.values()):
            self._bind({})

    def _bind(self, values: Mapping[str, Number]) -> None:
        """Make it real: numbers for parameters, start values for fields, zeroed arrays, fresh parts."""
        own: dict[str, Number] = {}
        for name, spec in self.declared.params.items():
            given = vars(self)["_given"].get(name, spec.default)
            shown = repr(given) if isinstance(given, Symbolic) else ""
            own[name] = spec.checked(evaluate(given, values), f"{type(self).__name__}.{name}", shown)
        state = vars(self)
        state.update(own)
        state.update((name, start) for name, (_, start) in self.declared.fields.items())
        for name, declared in self.declared.arrays.items():
            state[name] = declared.make(own, f"{type(self).__name__}.{name}")
        for name, part in self.declared.parts.items():
            state[name] = part._fresh(own)

    def _fresh(self, values: Mapping[str, Number]) -> Self:
        made = type(self).__new__(type(self))
        vars(made).update(self._recipe())
        made._bind(values)
        return made

    def _recipe(self) -> dict[str, Any]:
        return {"_given": dict(vars(self)["_given"])}

    def __setattr__(self, name: str, value: Any) -> None:
        type_ = self._stores.get(name)
        if type(value) is type_:
            if type_ is int and abs(value) > INT64_MAX:
                raise OverflowError(f"{type(self).__name__}.{name} = {value} does not fit 64 bits")
            self.__dict__[name] = value
        elif type_ is None:
            raise StrategyError(refused_store(type(self), name))
        else:
            self.__dict__[name] = _coerced(value, type_, type(self), name)

    def __delattr__(self, name: str) -> None:
        raise StrategyError(f"{type(self).__name__}.{name} cannot be deleted")

    def params(self) -> dict[str, Number]:
        """The values of the parameters, by name."""
        return {name: vars(self)[name] for name in self.declared.params}

    def __repr__(self) -> str:
        shown = (
            vars(self) if all(name in vars(self) for name in self.declared.params) else vars(self)["_given"]
        )
        return f"{type(self).__name__}({', '.join(f'{n}={shown[n]!r}' for n in self.declared.params if n in shown)})"


class Indicator(Component, base=True):
    """Base of indicators: state machines that see one bar at a time, through `update`.

    `inputs` names what `update` is given on every bar (of `open high low close volume ts index`); `of=` chooses
    other inputs for one indicator, and `of=()` leaves it to the strategy, which calls `update` itself.
    What strategies read are plain fields, by custom `value` and `ready`.

    >>> class Range(Indicator):
    ...     inputs = ("high", "low")
    ...     value: float = 0.0
    ...     def update(self, high: float, low: float) -> None:
    ...         self.value = high - low
    >>> span = Range(); span.update(101.0, 99.0); span.value
    2.0
    """

    inputs: ClassVar[tuple[str, ...]] = ("close",)

    def __init__(self, *args: Any, of: str | tuple[str, ...] | None = None, **given: Any) -> None:
        inputs = type(self).inputs if of is None else (of,) if isinstance(of, str) else tuple(of)
        for name in inputs:
            if name not in BAR_FIELDS:
                known = ", ".join(BAR_FIELDS)
                raise ParamError(
                    f"{type(self).__name__}: a bar has no {name!r}{suggestion(name, BAR_FIELDS)} It has {known}."
                )
        if of is not None and inputs and len(inputs) != len(type(self).inputs):
            raise ParamError(
                f"{type(self).__name__} takes {len(type(self).inputs)} inputs, of= names {len(inputs)}"
            )
        vars(self)["_inputs"] = inputs
        super().__init__(*args, **given)

    def _recipe(self) -> dict[str, Any]:
        return super()._recipe() | {"_inputs": self.fed}

    @property
    def fed(self) -> tuple[str, ...]:
        """The fields of the bar that reach `update` on every bar; none when the strategy feeds it."""
        inputs: tuple[str, ...] = vars(self)["_inputs"]
        return inputs


def refused_store(cls: type[Component], name: str) -> str:
    """Why `self.name = ...` is no declared field, in words."""
    declared = cls.declared
    if name in declared.params:
        return f"{name!r} is a parameter of {cls.__name__}: it cannot change while the strategy runs"
    if name in declared.parts or name in declared.arrays:
        return f"{name!r} of {cls.__name__} is declared once and cannot be replaced"
    hint = suggestion(name, declared.fields) or f"; declare it in the class, such as `{name}: float = 0.0`"
    return f"{cls.__name__} declares no {name!r}{hint}"


def _coerced(value: Any, type_: type, cls: type[Component], name: str) -> Number:
    """A number of another kind as the field's own type: ints and numpy's scalars, where nothing is lost."""
    kind = type(value).__name__
    if type_ is bool and kind == "bool_":
        return bool(value)
    is_bool = kind in ("bool", "bool_")
    if type_ is float and not is_bool and hasattr(value, "__float__"):
        return float(value)
    if type_ is int and not is_bool and hasattr(value, "__index__"):
        return int(value)
    raise TypeError(f"cannot store a {kind} in {cls.__name__}.{name}, which is declared {type_.__name__}")


def _declare(cls: type[Component]) -> Declaration:
    """Collect what `cls` and its bases declare; a later class may declare a name anew."""
    merged = Declaration()
    for base in reversed(cls.__mro__[1:]):
        if issubclass(base, Component):
            for kind in ("params", "fields", "arrays", "parts"):
                getattr(merged, kind).update(getattr(base.declared, kind))
    annotations = inspect.get_annotations(cls)
    for name, value in list(vars(cls).items()):
        kind, declared = _declared(cls, name, value, annotations.get(name))
        if not kind:
            continue
        if hasattr(Component, name) or name in ("inputs", "fed", "overlays"):
            raise StrategyError(
                f"{cls.__name__}.{name}: the name {name!r} is taken by the base class; choose another"
            )
        for other in ("params", "fields", "arrays", "parts"):
            if other != kind:
                getattr(merged, other).pop(name, None)
        getattr(merged, kind)[name] = declared
    for name, annotation in annotations.items():
        if name not in vars(cls) and annotation in TYPES:
            raise StrategyError(
                f"{cls.__name__}.{name} needs a start value, such as `{name}: {_shown(annotation)} = {TYPES[annotation]()}`"
            )
    return merged


def _declared(cls: type[Component], name: str, value: Any, annotation: Any) -> tuple[str, Any]:
    """Which kind of declaration a class attribute is, and what is kept of it; kind "" for plain attributes."""
    if isinstance(value, ParamSpec):
        if annotation is not None and annotation not in TYPES:
            raise StrategyError(
                f"{cls.__name__}.{name}: a parameter is an int, a float or a bool, not {_shown(annotation)}"
            )
        return "params", value.typed(TYPES.get(annotation), f"{cls.__name__}.{name}")
    if isinstance(value, Array):
        return "arrays", value
    if isinstance(value, Indicator):
        return "parts", value
    if isinstance(value, Symbolic):
        raise StrategyError(
            f"{cls.__name__}.{name} = {value!r} has no value here; compute it in on_bar from self's parameters"
        )
    if type(value) not in (int, float, bool) or (annotation is None and name.startswith("_")):
        return "", None
    if annotation is not None and annotation not in TYPES:
        return "", None  # ClassVar and the like: a constant
    type_ = TYPES.get(annotation, type(value))
    try:
        return "fields", (type_, value if type(value) is type_ else _coerced(value, type_, cls, name))
    except TypeError as error:
        raise StrategyError(f"{error}; give it a start value of that type") from None


def _shown(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
