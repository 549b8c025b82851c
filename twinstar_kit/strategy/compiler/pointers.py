"""numba's view of a component: a pointer into the strategy's buffer, whose attributes are loads and stores.

Attribute access compiles to one address and one load. A part is a pointer further on, an array a view of the heap,
a method a function bound by `bind`. Written against numba's extension API, which is why numba is pinned.
"""

# numba's extension API is typed in part only
# mypy: disable-error-code="attr-defined, no-untyped-call, no-untyped-def, call-arg, arg-type, override, operator, misc, untyped-decorator, unreachable, no-any-return"
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar

from llvmlite import ir
from numba.core import cgutils, errors, types
from numba.core.datamodel import register_default
from numba.core.imputils import lower_getattr_generic, lower_setattr_generic
from numba.core.typing.templates import AttributeTemplate
from numba.extending import infer_getattr, intrinsic, models, overload_method
from numba.np.arrayobj import make_array, populate_array

OPTIONS: dict[str, Any] = {"error_model": "python", "boundscheck": True}
"""How users' code is compiled: division by zero and a wrong index raise, as in Python."""

SCALARS = {"float": types.float64, "int": types.int64, "bool": types.boolean}
_I8P, _I64 = ir.IntType(8).as_pointer(), ir.IntType(64)
_WORD = 8


class ComponentType(types.Type):
    """A component's type. `slots` maps names to (kind, byte offset, extra).

    Kinds: "float", "int", "bool" (a word each); "part" (extra: its type); "array" (two words that hold the distance
    in bytes and the length; extra: kind of the elements); "inline" (extra: kind of the elements and their count).
    """

    slots: ClassVar[dict[str, tuple[str, int, Any]]] = {}

    def __init__(self) -> None:
        super().__init__(name=f"{type(self).__name__}@{id(type(self)):x}")


class _PointerModel(models.PrimitiveModel):
    def __init__(self, manager: Any, frontend: Any) -> None:
        super().__init__(manager, frontend, _I8P)


def component(name: str, slots: dict[str, tuple[str, int, Any]]) -> ComponentType:
    """A new type for the components of one class."""
    made = type(name, (ComponentType,), {"slots": slots})
    register_default(made)(_PointerModel)
    return made()


def pointer(of: ComponentType) -> Any:
    """A compiled function that takes an array and gives the component at its start."""

    @intrinsic
    def at(typing_context: Any, array: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            held = make_array(signature.args[0])(context, builder, args[0])
            return builder.bitcast(held.data, _I8P)

        return of(array), generate

    return at


def bind(to: ComponentType, name: str, function: Callable[..., Any]) -> None:
    """Make `function(self, ...)` the method `name` of a component."""
    scope: dict[str, Any] = {"function": function}
    arguments = []
    for i, p in enumerate(inspect.signature(function).parameters.values()):
        scope[f"default{i}"] = p.default
        arguments.append(p.name if p.default is p.empty else f"{p.name}=default{i}")
    # numba wants the overload to have the very arguments of what it stands for, annotations included
    function.__annotations__.clear()
    exec(f"def overload({', '.join(arguments)}): return function", scope)  # noqa: S102 - our own text, names only
    overload_method(type(to), name, jit_options=OPTIONS)(scope["overload"])


@infer_getattr
class _Attributes(AttributeTemplate):
    key = ComponentType

    def generic_resolve(self, typ: ComponentType, name: str) -> Any:
        if name not in typ.slots:
            return None
        kind, _, extra = typ.slots[name]
        if kind in SCALARS:
            return SCALARS[kind]
        if kind == "part":
            return extra
        return types.Array(SCALARS[extra if kind == "array" else extra[0]], 1, "C")


def _offset(builder: Any, pointer: Any, distance: int) -> Any:
    return builder.gep(pointer, [ir.Constant(_I64, distance)])


def _load(builder: Any, pointer: Any, kind: str) -> Any:
    word = ir.DoubleType() if kind == "float" else _I64
    value = builder.load(builder.bitcast(pointer, word.as_pointer()))
    return builder.icmp_signed("!=", value, ir.Constant(_I64, 0)) if kind == "bool" else value


@lower_getattr_generic(ComponentType)
def _get(context: Any, builder: Any, typ: ComponentType, value: Any, name: str) -> Any:
    kind, distance, extra = typ.slots[name]
    here = _offset(builder, value, distance)
    if kind in SCALARS:
        return _load(builder, here, kind)
    if kind == "part":
        return here
    if kind == "array":
        element = SCALARS[extra]
        start = builder.gep(value, [_load(builder, here, "int")])
        length = _load(builder, _offset(builder, here, _WORD), "int")
    else:
        element, start, length = SCALARS[extra[0]], here, ir.Constant(_I64, extra[1])
    view = make_array(types.Array(element, 1, "C"))(context, builder)
    populate_array(
        view,
        data=builder.bitcast(start, view.data.type),
        shape=cgutils.pack_array(builder, [length]),
        strides=cgutils.pack_array(builder, [ir.Constant(_I64, _WORD)]),
        itemsize=ir.Constant(context.get_value_type(types.intp), _WORD),
        meminfo=None,
    )
    return view._getvalue()


@lower_setattr_generic(ComponentType)
def _set(context: Any, builder: Any, signature: Any, args: Any, name: str) -> None:
    typ, given = signature.args
    kind, distance, _ = typ.slots[name]
    value = context.cast(builder, args[1], given, SCALARS[kind])
    if kind == "bool":
        value = builder.zext(value, _I64)
    builder.store(value, builder.bitcast(_offset(builder, args[0], distance), value.type.as_pointer()))


def _checked_store(word: str, accepted: tuple[type, ...]) -> Any:
    @intrinsic(prefer_literal=True)
    def check(typing_context: Any, value: Any, name: Any) -> Any:
        plain = types.unliteral(value)
        if not isinstance(plain, accepted) or (word != "bool" and isinstance(plain, types.Boolean)):
            where = getattr(name, "literal_value", "a field")
            raise errors.TypingError(f"cannot store {plain} in {where}, which is declared {word}")

        def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return context.cast(builder, args[0], signature.args[0], plain)

        return plain(value, name), generate

    return check


as_float = _checked_store("float", (types.Float, types.Integer))
as_int = _checked_store("int", (types.Integer,))
as_bool = _checked_store("bool", (types.Boolean,))
"""Stores name their field and take nothing that would be truncated on the way."""
