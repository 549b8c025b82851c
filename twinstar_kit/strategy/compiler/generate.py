"""Writes the module that numba compiles: the user's methods on their own lines, bound to pointers into the buffer.

What changes in a method is little: names from outside get names of their own, stores name their field, products
of whole numbers are checked, `super().method` becomes a method. The rest is copied.
"""

from __future__ import annotations

import ast
import math
from types import FunctionType
from typing import Any

from twinstar_kit.kernel.context import context_t
from twinstar_kit.strategy.compiler import subset
from twinstar_kit.strategy.compiler.analysis import Analysis, analyse
from twinstar_kit.strategy.compiler.edits import Edits, end_of
from twinstar_kit.strategy.compiler.inference import super_call
from twinstar_kit.strategy.compiler.kinds import FLOAT, Kind
from twinstar_kit.strategy.compiler.source import Function, find
from twinstar_kit.strategy.component import BAR_FIELDS, Component
from twinstar_kit.strategy.context import CALLS, READABLE, Context
from twinstar_kit.strategy.errors import NotCompilable
from twinstar_kit.strategy.layout import layout_of

SMALL = 2**31
"""Adding less than this to a whole number cannot reach 64 bits within any history."""

CHECKED: dict[type[ast.operator], str] = {
    ast.Add: "checked_add",
    ast.Sub: "checked_sub",
    ast.Mult: "checked_mul",
}

_HEAD = '''"""{title}, as numba compiles it. Made by twinstar; made anew when its source, the kernel or numba changes."""

from __future__ import annotations

from numba import njit

from twinstar_kit.jit import borrowed
from twinstar_kit.kernel.desk import as_desk
from twinstar_kit.kernel.step import has_room, market_step, order_step
from twinstar_kit.strategy.compiler import exact as ts_exact
from twinstar_kit.strategy.compiler import pointers as ts_pointers
from twinstar_kit.strategy.compiler.modules import compiled
from twinstar_kit.strategy.compiler.pointers import OPTIONS, bind, component, pointer
'''

_LOOP = """
ts_strategy_at, ts_context_at = pointer({strategy}), pointer({context})


@njit(**OPTIONS)
def ts_feed(me, ctx):
{feed}


@compiled
def run(bars, first, last, buffer, ctx, handle, equity):
    # the caller holds the arrays for as long as this runs
    bars, ctx, equity = borrowed(bars), borrowed(ctx), borrowed(equity)
    desk = as_desk(handle)
    me = ts_strategy_at(buffer)
    seen = ts_context_at(ctx)
    for i in range(first, last):
        if not has_room(desk):
            return i
        market_step(desk, bars, i, ctx)
        ts_feed(me, seen)
        me.on_bar(seen)
        equity[i] = order_step(desk, bars, i, ctx)
    return last
"""


class Generated:
    """A module's `text`, and `spans`: for a line of it, the function of the user's that it came from."""

    def __init__(self, text: str, spans: list[tuple[int, int, Function]]) -> None:
        self.text = text
        self._spans = spans

    def origin(self, line: int) -> tuple[Function, int] | None:
        """The user's function and line behind a line of the module, or None."""
        for first, count, function in self._spans:
            if first <= line < first + count:
                return function, function.node.lineno + line - first
        return None


def generate(cls: type[Component]) -> Generated:
    """The module of a strategy class; NotCompilable, with the line and the reason, when it is beyond the compiler."""
    analysis = analyse(cls)
    if analysis.opaque:
        raise analysis.opaque[0]
    return _Writer(cls, analysis).write()


class _Writer:
    def __init__(self, cls: type[Component], analysis: Analysis) -> None:
        self.cls, self.analysis = cls, analysis
        self.lines = _HEAD.format(title=cls.__name__).splitlines()
        self.spans: list[tuple[int, int, Function]] = []
        self.constants: dict[str, tuple[str, Any]] = {}
        self.helpers: dict[FunctionType, str] = {}
        self.types: dict[type[Component], str] = {}

    def write(self) -> Generated:
        for plain, function in list(self.analysis.helpers.items()):
            self.helpers[plain] = f"ts_helper{len(self.helpers)}_{function.name}"
        for plain, function in list(self.analysis.helpers.items()):
            self.function(function, self.helpers[plain], None, "@njit(**OPTIONS)")
        strategy = self.component(self.cls)
        context = self.context()
        feed = [
            f"    me.{name}.update({', '.join(f'ctx.bar.{field}' for field in part.fed)})"
            for name, part in self.cls.declared.parts.items()
            if part.fed
        ]
        self.lines += _LOOP.format(
            strategy=strategy, context=context, feed="\n".join(feed) or "    pass"
        ).splitlines()
        constants = [f"{name} = {_literal(value)}" for name, value in self.constants.values()]
        # constants go where the head ends; spans move down by as many lines
        at = len(_HEAD.splitlines())
        moved = [(first + len(constants), count, function) for first, count, function in self.spans]
        return Generated("\n".join([*self.lines[:at], *constants, *self.lines[at:]]) + "\n", moved)

    # ---- components

    def component(self, cls: type[Component]) -> str:
        """Write the type of a class and its methods, parts first; returns the type's name."""
        if cls in self.types:
            return self.types[cls]
        slots = []
        for name, slot in layout_of(cls).slots.items():
            if slot.kind == "part":
                slots.append(f"{name!r}: ('part', {slot.offset}, {self.component(slot.of)})")
            elif slot.kind == "array":
                slots.append(f"{name!r}: ('array', {slot.offset}, {slot.of.__name__!r})")
            else:
                slots.append(f"{name!r}: ({slot.kind.__name__!r}, {slot.offset}, None)")
        made = f"ts_{cls.__name__}{len(self.types)}"
        self.types[cls] = made
        self.lines += ["", "", f"{made} = component({cls.__name__!r}, {{{', '.join(slots)}}})"]
        for (owner, name), function in list(self.analysis.reached.items()):
            if owner is cls:
                self.method(function, cls, made, name)
        for (owner, above, name), function in list(self.analysis.supers.items()):
            if owner is cls:
                self.method(function, cls, made, _super_name(above, name))
        return made

    def method(self, function: Function, owner: type[Component], type_name: str, name: str) -> None:
        written = f"{type_name}_{name}"
        self.function(function, written, owner, "")
        self.lines.append(f"bind({type_name}, {name!r}, {written})")

    def context(self) -> str:
        """Write the type of the context: fields of the kernel's record, methods of `Context`."""
        fields = context_t.fields
        assert fields is not None, "the context is a record"
        at = {name: int(entry[1]) for name, entry in fields.items()}
        bar = ", ".join(f"{n!r}: ({t.__name__!r}, {at[n]}, None)" for n, t in BAR_FIELDS.items())
        slots = ["'bar': ('part', 0, ts_bar)"]
        slots += [
            f"{n!r}: ({t.__name__!r}, {at[n]}, None)"
            for n, t in {**READABLE, "denied": int, "n_proposals": int}.items()
        ]
        length = context_t["p_kind"].shape[0]
        slots += [
            f"{n!r}: ('inline', {at[n]}, ({t!r}, {length}))"
            for n, t in (("p_kind", "int"), ("p_amount", "float"), ("p_price", "float"))
        ]
        self.lines += [
            "",
            "",
            f"ts_bar = component('Bar', {{{bar}}})",
            f"ts_context = component('Context', {{{', '.join(slots)}}})",
        ]
        for name in ("_propose", *CALLS):
            self.function(find(getattr(Context, name)), f"ts_context_{name}", None, "", trusted=True)
            self.lines.append(f"bind(ts_context, {name!r}, ts_context_{name})")
        return "ts_context"

    # ---- functions

    def function(
        self,
        function: Function,
        name: str,
        owner: type[Component] | None,
        decorator: str,
        *,
        trusted: bool = False,
    ) -> None:
        """Copy a function under another name."""
        node = function.node
        edits = Edits(function.lines)
        for default, value in zip(node.args.defaults, function.function.__defaults__ or (), strict=True):
            edits.node(default, self.constant(value))
        if trusted:
            self.outside_names(function, edits)
        else:
            subset.check(function, self.analysis, owner)
            _Rewrite(self, function, owner, edits).run()
        column = node.col_offset
        line = function.lines[node.lineno - 1]
        at = len(line.encode()[:column].decode()) + line[column:].index(node.name, 3)
        start = len(line[:at].encode())
        edits.replace((node.lineno, start), (node.lineno, start + len(node.name.encode())), name)
        text = edits.text(node.lineno, node.end_lineno or node.lineno).splitlines()
        self.lines += ["", ""]
        if column:
            self.lines.append("if True:")
        if decorator:
            self.lines.append(" " * column + decorator)
        self.spans.append((len(self.lines) + 1, len(text), function))
        self.lines += text

    def outside_names(self, function: Function, edits: Edits) -> None:
        """Give every name from outside a function its name in the module."""
        for node in (inner for statement in function.node.body for inner in ast.walk(statement)):
            if (
                isinstance(node, ast.Name)
                and isinstance(node.ctx, ast.Load)
                and node.id not in function.local_names
            ):
                value = function.lookup(node.id)
                if subset.is_simple(value):
                    edits.node(node, self.constant(value))

    def constant(self, value: Any) -> str:
        """The module's name for a constant."""
        # the text tells 1 from 1.0 and True, and finds NaN again
        key = f"{type(value).__name__} {value!r}"
        return self.constants.setdefault(key, (f"ts_constant{len(self.constants)}", value))[0]


class _Rewrite:
    """The edits of one function, found on a walk through its body."""

    def __init__(
        self, writer: _Writer, function: Function, owner: type[Component] | None, edits: Edits
    ) -> None:
        self.writer, self.function, self.owner, self.edits = writer, function, owner, edits
        self.kinds = writer.analysis.kinds

    def run(self) -> None:
        for statement in self.function.node.body:
            self.visit(statement, 0)

    def kind(self, node: ast.AST) -> Kind:
        return self.kinds.get(node, Kind("unknown"))

    def visit(self, node: ast.AST, depth: int) -> None:
        if isinstance(node, ast.AnnAssign):
            if node.value is not None:
                self.assignment(node.target, node.value)
                self.visit(node.target, depth + 1)
                self.visit(node.value, depth + 1)
            return
        if isinstance(node, ast.Assign):
            self.assignment(node.targets[0], node.value)
        elif isinstance(node, ast.AugAssign):
            self.augmented(node)
        elif isinstance(node, ast.BinOp):
            self.arithmetic(node, depth)
        elif isinstance(node, ast.Name):
            self.name(node)
        elif isinstance(node, ast.Attribute) and self.attribute(node):
            return
        elif isinstance(node, ast.Call):
            above = super_call(node, self.function, self.owner)
            if above is not None:
                me = self.function.arguments[0]
                self.edits.node(node.func, f"{me}.{_super_name(*above)}")
                for argument in (*node.args, *node.keywords):
                    self.visit(argument, depth + 1)
                return
        elif isinstance(node, ast.Raise):
            return
        for child in ast.iter_child_nodes(node):
            self.visit(child, depth + 1)

    def assignment(self, target: ast.expr, value: ast.expr) -> None:
        store = self.store_of(target)
        if store:
            self.edits.wrap(value, f"{store[0]}(", f", {store[1]!r})", depth=-1)

    def store_of(self, target: ast.expr) -> tuple[str, str] | None:
        """The checked store for a field or an element, and what errors call it."""
        if isinstance(target, ast.Attribute):
            cls = self.kind(target.value).of
            return (
                f"ts_pointers.as_{cls.declared.fields[target.attr][0].__name__}",
                f"{cls.__name__}.{target.attr}",
            )
        if isinstance(target, ast.Subscript):
            return f"ts_pointers.as_{self.kind(target.value).of.__name__}", "an Array"
        return None

    def augmented(self, node: ast.AugAssign) -> None:
        """`self.n += x` of whole numbers: spelled out, so that it is checked like any other sum."""
        whole = isinstance(node.op, (ast.Add, ast.Sub, ast.Mult))
        kind = self.kind(node)
        store = self.store_of(node.target)
        if (store and store[0] == "ts_pointers.as_float") or (kind == FLOAT and not store):
            return
        if (
            whole
            and _is_small(node.value)
            and not isinstance(node.op, ast.Mult)
            and (not store or store[0] == "ts_pointers.as_int")
        ):
            return
        if isinstance(node.target, ast.Subscript):
            raise NotCompilable("write x[i] = x[i] + y for whole numbers", self.function.place(node))
        target = ast.unparse(node.target)
        at = self.edits.skip(end_of(node.target))
        line = self.function.lines[at[0] - 1].encode()
        sign = line[at[1] : line.index(b"=", at[1])].decode()
        before = f"ts_exact.{CHECKED[type(node.op)]}({target}, (" if whole else f"({target} {sign} ("
        self.edits.replace(
            at, (at[0], at[1] + len(sign) + 1), f"= {store[0]}({before}" if store else f"= {before}"
        )
        self.edits.replace(end_of(node), end_of(node), f")), {store[1]!r})" if store else "))")

    def arithmetic(self, node: ast.BinOp, depth: int) -> None:
        name = CHECKED.get(type(node.op))
        if name is None or FLOAT in (self.kind(node.left), self.kind(node.right)):
            return
        if name != "checked_mul" and (_is_small(node.left) or _is_small(node.right)):
            return
        self.edits.wrap(node, f"ts_exact.{name}(", ")", depth)
        self.edits.operator(node, ",")

    def name(self, node: ast.Name) -> None:
        if node.id in self.function.local_names or not isinstance(node.ctx, ast.Load):
            return
        self.edits.node(node, self.outside(self.function.lookup(node.id), node.id))

    def attribute(self, node: ast.Attribute) -> bool:
        """Replace a module's or a class's constant or function; False when the attribute stays as it is."""
        holder = self.kind(node.value)
        if holder.word == "module":
            self.edits.node(node, self.outside(getattr(holder.of, node.attr), node.attr))
            return True
        if holder.word == "part" and node.attr not in holder.of.declared.names():
            value = getattr(holder.of, node.attr)
            if subset.is_simple(value):
                self.edits.node(node, self.writer.constant(value))
                return True
        return False

    def outside(self, value: Any, name: str) -> str:
        """How the module spells something from outside the function."""
        plain = getattr(value, "py_func", value)
        if isinstance(plain, FunctionType) and plain in self.writer.helpers:
            return self.writer.helpers[plain]
        if subset.is_simple(value):
            return self.writer.constant(value)
        if getattr(value, "__module__", "") == "math":
            return f"ts_exact.{value.__name__}"
        known: str = value.__name__
        return {"int": "ts_exact.to_int", "round": "ts_exact.to_round"}.get(known, known)


def _is_small(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int) and abs(node.value) < SMALL


def _super_name(above: type[Component], name: str) -> str:
    return f"super_{above.__name__}_{name}"


def _literal(value: Any) -> str:
    if isinstance(value, tuple):
        return f"({', '.join(_literal(v) for v in value)},)"
    if isinstance(value, float) and not math.isfinite(value):
        return f"float('{value!r}')"
    return repr(value)
