"""Evaluates one function on kinds: what every expression may be, and what cannot be right about it."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Sequence
from functools import partial
from types import FunctionType
from typing import TYPE_CHECKING, Any

from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.compiler import kinds
from twinstar_kit.strategy.compiler.calls import builtin_kind, check_arguments, math_kind
from twinstar_kit.strategy.compiler.kinds import (
    BAR,
    BOOL,
    CONTEXT,
    FLOAT,
    INT,
    NONE,
    NUMERIC,
    OF_TYPE,
    RANGE,
    THINGS,
    UNKNOWN,
    Kind,
    arithmetic,
    fits,
    join,
    of_value,
)
from twinstar_kit.strategy.compiler.source import LATER, MISSING, Function, find, is_users
from twinstar_kit.strategy.component import BAR_FIELDS, Component, Indicator, refused_store
from twinstar_kit.strategy.context import CALLS, READABLE, Context
from twinstar_kit.strategy.errors import NotCompilable, StrategyError
from twinstar_kit.strategy.params import suggestion

if TYPE_CHECKING:
    from twinstar_kit.strategy.compiler.analysis import Analysis


class Body:
    """One function on one set of argument kinds. Locals are joined over the whole body, until nothing changes."""

    def __init__(
        self, analysis: Analysis, function: Function, given: Sequence[Kind], owner: type[Component] | None
    ) -> None:
        self.analysis, self.function, self.owner = analysis, function, owner
        self.locals: dict[str, Kind] = dict(zip(function.arguments, given, strict=False))
        self.returns: Kind | None = None
        self.certain = False

    def evaluate(self) -> Kind:
        body = self.function.node.body
        for _ in range(5):
            before, self.returns = dict(self.locals), None
            self.statements(body)
            if before == self.locals:
                break
        self.certain, self.returns = True, None
        self.statements(body)
        if not self.ends(body):
            self.returns = NONE if self.returns is None else join(self.returns, NONE)
        return self.returns or NONE

    @staticmethod
    def ends(body: Sequence[ast.stmt]) -> bool:
        """Whether a body always leaves by return or raise."""
        last = body[-1]
        if isinstance(last, ast.If):
            return bool(last.orelse) and Body.ends(last.body) and Body.ends(last.orelse)
        return isinstance(last, (ast.Return, ast.Raise))

    def fail(self, message: str, node: ast.AST) -> None:
        """An error, once the kinds of the locals are settled."""
        if self.certain:
            raise StrategyError(message, self.function.place(node))

    # ---- statements

    def statements(self, body: Sequence[ast.stmt]) -> None:
        for statement in body:
            handler = getattr(self, f"do_{type(statement).__name__}", None)
            if handler is not None:
                handler(statement)
            else:
                self.other(statement)

    def other(self, node: ast.AST) -> None:
        """A statement of no special meaning: look into its expressions and its body."""
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.kind(child)
            elif isinstance(child, ast.stmt):
                self.statements([child])
            elif isinstance(child, (ast.withitem, ast.ExceptHandler, ast.match_case)):
                self.other(child)
        for name in (
            n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        ):
            self.bind(name, UNKNOWN)

    def do_FunctionDef(self, node: ast.FunctionDef) -> None:
        self.bind(node.name, UNKNOWN)

    def do_ClassDef(self, node: ast.ClassDef) -> None:
        self.bind(node.name, UNKNOWN)

    def do_Return(self, node: ast.Return) -> None:
        kind = self.kind(node.value) if node.value is not None else NONE
        self.returns = kind if self.returns is None else join(self.returns, kind)

    def do_Assign(self, node: ast.Assign) -> None:
        kind = self.kind(node.value)
        for target in node.targets:
            self.store(target, kind, node.value)

    def do_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.store(node.target, self.kind(node.value), node.value)

    def do_AugAssign(self, node: ast.AugAssign) -> None:
        left = self.kind(_as_load(node.target))
        right = self.kind(node.value)
        self.refuse_things(left, node.target)
        self.refuse_things(right, node.value)
        result = arithmetic(node.op, left, right)
        self.store(node.target, result, node)
        self.analysis.kinds.setdefault(node, result)
        if self.certain:
            self.analysis.kinds[node] = join(self.analysis.kinds[node], result)

    def do_For(self, node: ast.For) -> None:
        over = self.kind(node.iter)
        item = {"range": INT, "array": OF_TYPE.get(over.of, UNKNOWN)}.get(over.word, UNKNOWN)
        if over.word == "tuple":
            item = _all_joined(over.of)
        self.store(node.target, item, node.iter)
        self.statements(node.body)
        self.statements(node.orelse)

    def bind(self, name: str, kind: Kind) -> None:
        before = self.locals.get(name, kind)
        after = join(before, kind)
        if after == UNKNOWN and before != UNKNOWN != kind:
            self.analysis.mixed.setdefault((self.function, name), (before, kind))
        self.locals[name] = after

    def store(self, target: ast.expr, kind: Kind, value: ast.AST) -> None:
        if isinstance(target, ast.Name):
            self.bind(target.id, kind)
        elif isinstance(target, (ast.Tuple, ast.List)):
            parts = (
                kind.of
                if kind.word == "tuple" and len(kind.of) == len(target.elts)
                else [UNKNOWN] * len(target.elts)
            )
            for element, part in zip(target.elts, parts, strict=True):
                self.store(element, part, value)
        elif isinstance(target, ast.Attribute):
            self.store_attribute(target, kind)
        elif isinstance(target, ast.Subscript):
            self.kind(_as_load(target))
            holder = self.kind(target.value)
            if holder.word == "array" and not fits(kind, holder.of):
                self.fail(f"cannot store {kind} in an Array of {holder.of.__name__}", target)

    def store_attribute(self, target: ast.Attribute, kind: Kind) -> None:
        holder = self.kind(target.value)
        if holder.word in ("context", "bar"):
            self.fail(f"{holder} is read-only; declare a field in the class and write to self", target)
        if holder.word != "part":
            return
        self.analysis.kinds[target] = holder
        declared = holder.of.declared.fields.get(target.attr)
        if declared is None:
            self.fail(refused_store(holder.of, target.attr), target)
        elif not fits(kind, declared[0]):
            self.fail(
                f"cannot store {kind} in {holder.of.__name__}.{target.attr}, which is declared {declared[0].__name__}",
                target,
            )

    # ---- expressions

    def kind(self, node: ast.expr) -> Kind:
        handler = getattr(self, f"of_{type(node).__name__}", None)
        if handler is not None:
            found: Kind = handler(node)
        else:
            found = UNKNOWN
            for child in ast.iter_child_nodes(node):
                if isinstance(child, ast.expr):
                    self.kind(child)
        if self.certain:
            known = self.analysis.kinds.get(node)
            self.analysis.kinds[node] = found if known is None else join(known, found)
        return found

    def of_Constant(self, node: ast.Constant) -> Kind:
        return of_value(node.value)

    def of_Name(self, node: ast.Name) -> Kind:
        if node.id in self.function.local_names:
            return self.locals.get(node.id, UNKNOWN)
        value = self.analysis.outside(self.function.lookup, node.id)
        if value is MISSING:
            owner = self.owner
            if owner is not None and (node.id in owner.declared.names() or hasattr(owner, node.id)):
                self.fail(f"name {node.id!r} is not defined; did you mean self.{node.id}?", node)
            self.fail(
                f"name {node.id!r} is not defined{suggestion(node.id, self.function.known_names())}", node
            )
        return UNKNOWN if value is MISSING or value is LATER else of_value(value)

    def of_Attribute(self, node: ast.Attribute) -> Kind:
        holder = self.kind(node.value)
        resolve = getattr(self, f"in_{holder.word}", None)
        if resolve is not None:
            found: Kind = resolve(holder, node)
            return found
        if holder in kinds.CERTAIN and not hasattr(
            {FLOAT: float, INT: int, BOOL: bool, NONE: None}.get(holder, str), node.attr
        ):
            self.fail(f"{holder} has no {node.attr!r}", node)
        return UNKNOWN

    def in_part(self, holder: Kind, node: ast.Attribute) -> Kind:
        cls: type[Component] = holder.of
        declared, name = cls.declared, node.attr
        if name in declared.params:
            return OF_TYPE[declared.params[name].type]
        if name in declared.fields:
            return OF_TYPE[declared.fields[name][0]]
        if name in declared.arrays:
            return Kind("array", declared.arrays[name].type)
        if name in declared.parts:
            return Kind("part", type(declared.parts[name]))
        value = self.analysis.outside(partial(_attribute_of, cls), name)
        if value is MISSING:
            known = [n for n in [*declared.names(), *dir(cls)] if not n.startswith("_")]
            self.fail(f"{cls.__name__} declares no {name!r}{suggestion(name, known)}", node)
        return Kind("call", (holder, name)) if isinstance(value, FunctionType) else of_value(value)

    def in_context(self, holder: Kind, node: ast.Attribute) -> Kind:
        if node.attr == "bar":
            return BAR
        if node.attr in READABLE:
            return OF_TYPE[READABLE[node.attr]]
        if node.attr in CALLS:
            return Kind("call", (holder, node.attr))
        near = f"; did you mean ctx.bar.{node.attr}?" if node.attr in BAR_FIELDS else ""
        self.fail(
            f"the context has no {node.attr!r}{near or suggestion(node.attr, ['bar', *READABLE, *CALLS])}",
            node,
        )
        return UNKNOWN

    def in_bar(self, holder: Kind, node: ast.Attribute) -> Kind:
        if node.attr not in BAR_FIELDS:
            self.fail(f"a bar has no {node.attr!r}{suggestion(node.attr, BAR_FIELDS)}", node)
            return UNKNOWN
        return OF_TYPE[BAR_FIELDS[node.attr]]

    def in_array(self, holder: Kind, node: ast.Attribute) -> Kind:
        self.fail(f"an Array has no {node.attr!r}; it takes an index, len() and a loop", node)
        return UNKNOWN

    def in_call(self, holder: Kind, node: ast.Attribute) -> Kind:
        self.fail(f"{_call_name(holder)} is a method; call it", node)
        return UNKNOWN

    def in_module(self, holder: Kind, node: ast.Attribute) -> Kind:
        if not hasattr(holder.of, node.attr):
            self.fail(
                f"module {holder.of.__name__!r} has no {node.attr!r}{suggestion(node.attr, dir(holder.of))}",
                node,
            )
            return UNKNOWN
        return of_value(self.analysis.outside(partial(getattr, holder.of), node.attr))

    def of_Subscript(self, node: ast.Subscript) -> Kind:
        holder, at = self.kind(node.value), self.kind(node.slice)
        if holder.word == "array":
            if isinstance(node.slice, ast.Slice):
                return UNKNOWN
            if at not in (INT, BOOL, UNKNOWN):
                self.fail(f"an Array's index must be a whole number, not {at}", node)
            return OF_TYPE[holder.of]
        if holder in NUMERIC or holder.word in ("part", "context", "bar"):
            self.fail(f"{holder} takes no index", node)
        if holder.word != "tuple":
            return UNKNOWN
        place = node.slice.value if isinstance(node.slice, ast.Constant) else None
        members: tuple[Kind, ...] = holder.of
        if isinstance(place, int) and -len(members) <= place < len(members):
            return members[place]
        return _all_joined(members)

    def of_Tuple(self, node: ast.Tuple) -> Kind:
        return Kind("tuple", tuple(self.kind(e) for e in node.elts))

    def of_BinOp(self, node: ast.BinOp) -> Kind:
        left, right = self.kind(node.left), self.kind(node.right)
        self.refuse_things(left, node.left)
        self.refuse_things(right, node.right)
        return arithmetic(node.op, left, right)

    def of_UnaryOp(self, node: ast.UnaryOp) -> Kind:
        operand = self.kind(node.operand)
        if isinstance(node.op, ast.Not):
            return BOOL
        self.refuse_things(operand, node.operand)
        return INT if operand == BOOL else operand if operand in NUMERIC else UNKNOWN

    def of_Compare(self, node: ast.Compare) -> Kind:
        for side in (node.left, *node.comparators):
            kind = self.kind(side)
            if not any(isinstance(op, (ast.Is, ast.IsNot, ast.In, ast.NotIn)) for op in node.ops):
                self.refuse_things(kind, side)
        return BOOL

    def of_BoolOp(self, node: ast.BoolOp) -> Kind:
        return _all_joined([self.kind(v) for v in node.values])

    def of_IfExp(self, node: ast.IfExp) -> Kind:
        self.kind(node.test)
        return join(self.kind(node.body), self.kind(node.orelse))

    def of_NamedExpr(self, node: ast.NamedExpr) -> Kind:
        kind = self.kind(node.value)
        self.bind(node.target.id, kind)
        return kind

    def of_Lambda(self, node: ast.Lambda) -> Kind:
        return UNKNOWN

    def _comprehension(self, node: Any) -> Kind:
        for generator in node.generators:
            self.kind(generator.iter)
        return UNKNOWN

    of_ListComp = of_SetComp = of_DictComp = of_GeneratorExp = _comprehension

    def of_Call(self, node: ast.Call) -> Kind:
        given = [self.kind(a.value if isinstance(a, ast.Starred) else a) for a in node.args]
        named = {k.arg: self.kind(k.value) for k in node.keywords}
        plain = not any(isinstance(a, ast.Starred) for a in node.args) and None not in named
        above = super_call(node, self.function, self.owner)
        if above is not None:
            return self.super_method_call(node, *above, given, named)
        target = self.kind(node.func)
        if target.word == "call" and plain:
            return self.method_call(node, target, given, named)
        if target.word == "function":
            return self.function_call(node, target.of, given, named, plain)
        if target.word == "class":
            if target.of in (int, float, bool, str, range):
                return RANGE if target.of is range else OF_TYPE[target.of]
            return UNKNOWN
        if target in NUMERIC or target.word in ("part", "bar", "context", "array", "str", "module"):
            self.fail(f"{target} cannot be called", node)
        return UNKNOWN

    def method_call(
        self, node: ast.Call, target: Kind, given: list[Kind], named: dict[str | None, Kind]
    ) -> Kind:
        holder, name = target.of
        owner: Any = Context if holder == CONTEXT else holder.of
        plain = getattr(owner, name)
        label = f"ctx.{name}" if holder == CONTEXT else f"{owner.__name__}.{name}"
        bound = check_arguments(
            plain, [holder, *given], named, label, lambda message: self.fail(message, node)
        )
        if holder == CONTEXT:
            for argument, kind in (
                *zip(node.args, given, strict=False),
                *((k.value, named[k.arg]) for k in node.keywords),
            ):
                if kind not in NUMERIC and kind.word != "unknown":
                    self.fail(f"{label} takes a number, not {kind}", argument)
            return NONE
        if name == "update":
            self.refuse_second_feed(node)
        function = self.analysis.method(owner, name)
        return UNKNOWN if function is None or bound is None else self.analysis.run(function, bound, owner)

    def refuse_second_feed(self, node: ast.Call) -> None:
        """An indicator of a strategy is fed by the loop; calling `update` as well would feed it twice."""
        part = node.func.value if isinstance(node.func, ast.Attribute) else None
        holder = self.kind(part.value) if isinstance(part, ast.Attribute) else UNKNOWN
        if isinstance(part, ast.Attribute) and holder.word == "part" and issubclass(holder.of, Strategy):
            declared = holder.of.declared.parts.get(part.attr)
            if declared is not None and declared.fed:
                self.fail(
                    f"{part.attr!r} is fed on every bar already; to feed it yourself declare it with of=()",
                    node,
                )

    def super_method_call(
        self,
        node: ast.Call,
        above: type[Component],
        name: str,
        given: list[Kind],
        named: dict[str | None, Kind],
    ) -> Kind:
        assert self.owner is not None, "super_call answers only inside a class"
        function = self.analysis.super_method(self.owner, above, name)
        me = Kind("part", self.owner)
        bound = check_arguments(
            vars(above)[name], [me, *given], named, f"{above.__name__}.{name}", lambda m: self.fail(m, node)
        )
        return (
            UNKNOWN if function is None or bound is None else self.analysis.run(function, bound, self.owner)
        )

    def function_call(
        self, node: ast.Call, plain: Any, given: list[Kind], named: dict[str | None, Kind], simple: bool
    ) -> Kind:
        if getattr(plain, "__module__", None) == "math":
            for argument, kind in zip(node.args, given, strict=False):
                self.refuse_things(kind, argument)
            return math_kind(plain, given)
        if getattr(plain, "__module__", None) == "builtins":
            return builtin_kind(plain, given)
        plain = getattr(plain, "py_func", plain)
        if not isinstance(plain, FunctionType) or not is_users(plain):
            return UNKNOWN
        bound = (
            check_arguments(plain, given, named, plain.__name__, lambda message: self.fail(message, node))
            if simple
            else None
        )
        try:
            function = self.analysis.helpers.setdefault(plain, find(plain))
        except NotCompilable:
            return UNKNOWN
        return UNKNOWN if bound is None else self.analysis.run(function, bound, None)

    def refuse_things(self, kind: Kind, node: ast.expr) -> None:
        """Refuse what is no number where a number is needed."""
        if kind.word not in THINGS:
            return
        if kind.word == "call":
            name = _call_name(kind)
            near = (
                f" or did you mean ctx.bar.{kind.of[1]}?"
                if kind.of[0] == CONTEXT and kind.of[1] in BAR_FIELDS
                else ""
            )
            self.fail(f"{name} is a method, not a number; call it{near}", node)
        fields = (
            []
            if kind.word != "part"
            else [n for n in ("value", *kind.of.declared.fields) if n in kind.of.declared.fields]
        )
        near = f"; did you mean its {fields[0]!r}?" if fields else ""
        self.fail(f"{ast.unparse(node)} is {kind}, no number{near}", node)


def super_call(
    node: ast.Call, function: Function, owner: type[Component] | None
) -> tuple[type[Component], str] | None:
    """The class and the method that `super().name(...)` leads to, or None for any other call."""
    func = node.func
    if owner is None or not isinstance(func, ast.Attribute) or not isinstance(func.value, ast.Call):
        return None
    inner = func.value
    if not (isinstance(inner.func, ast.Name) and inner.func.id == "super" and not inner.args):
        return None
    defined = next(
        (base for base in owner.__mro__ if vars(base).get(function.name) is function.function), owner
    )
    after = owner.__mro__[owner.__mro__.index(defined) + 1 :]
    above = next((base for base in after if isinstance(vars(base).get(func.attr), FunctionType)), None)
    if above is None or above in (Strategy, Indicator, Component):
        raise StrategyError(
            f"no class above {defined.__name__} has a method {func.attr!r}", function.place(node)
        )
    return above, func.attr


def _attribute_of(cls: type, name: str) -> Any:
    return inspect.getattr_static(cls, name, MISSING)


def _call_name(kind: Kind) -> str:
    holder, name = kind.of
    return f"ctx.{name}" if holder == CONTEXT else f"{holder.of.__name__}.{name}"


def _all_joined(found: Sequence[Kind]) -> Kind:
    joined: Kind | None = None
    for kind in found:
        joined = kind if joined is None else join(joined, kind)
    return joined or UNKNOWN


def _as_load(node: ast.expr) -> ast.expr:
    """The same expression, read instead of written."""
    if isinstance(node, ast.Name):
        return ast.copy_location(ast.Name(node.id, ast.Load()), node)
    if isinstance(node, ast.Attribute):
        return ast.copy_location(ast.Attribute(node.value, node.attr, ast.Load()), node)
    if isinstance(node, ast.Subscript):
        return ast.copy_location(ast.Subscript(node.value, node.slice, ast.Load()), node)
    return node
