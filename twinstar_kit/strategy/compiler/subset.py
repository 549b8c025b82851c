"""Decides whether a function compiles to the same bits that Python would give, by a list of what is taken.

What is not on the list sends the strategy to interpreted mode, with the line and the reason; nothing is an error here.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterable, Sequence
from types import FunctionType
from typing import Any

from twinstar_kit.strategy.compiler.analysis import Analysis
from twinstar_kit.strategy.compiler.calls import EXACT_BUILTINS, EXACT_MATH
from twinstar_kit.strategy.compiler.inference import Body, super_call
from twinstar_kit.strategy.compiler.kinds import NUMERIC, STR, Kind
from twinstar_kit.strategy.compiler.source import LATER, MISSING, Function
from twinstar_kit.strategy.component import Component
from twinstar_kit.strategy.errors import NotCompilable

_STATEMENTS = (
    ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For, ast.While, ast.If, ast.Expr, ast.Return, ast.Pass, ast.Break,
    ast.Continue, ast.Assert, ast.Raise,
)  # fmt: skip
_EXPRESSIONS = (
    ast.Constant, ast.Name, ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.Compare, ast.BoolOp, ast.IfExp,
    ast.Call, ast.Tuple,
)  # fmt: skip
_WORDS: dict[type[ast.AST], str] = {
    ast.Try: "try", ast.With: "with", ast.Yield: "yield", ast.Await: "await", ast.Dict: "a dict", ast.Set: "a set",
    ast.List: "a list", ast.ListComp: "a list", ast.DictComp: "a dict", ast.SetComp: "a set", ast.GeneratorExp: "a generator",
    ast.JoinedStr: "an f-string", ast.Import: "import", ast.ImportFrom: "import", ast.Lambda: "a lambda", ast.ClassDef: "a class",
    ast.FunctionDef: "a function in a function", ast.Slice: "a slice", ast.NamedExpr: ":=", ast.Match: "match", ast.Delete: "del",
    ast.Starred: "*arguments",
}  # fmt: skip
_OPERATORS: dict[type[ast.AST], str] = {
    ast.Pow: "`**`, whose last bits differ; write x * x, math.sqrt(x) or math.pow(x, y)",
    ast.LShift: "`<<`, which may pass 64 bits",
    ast.MatMult: "`@`",
    ast.In: "`in`",
    ast.NotIn: "`not in`",
}
_SIMPLE = (bool, int, float, str)


def check(function: Function, analysis: Analysis, owner: type[Component] | None) -> None:
    """Raise NotCompilable at the first thing in `function` that the compiler does not take."""
    _Check(function, analysis, owner).run()


def is_simple(value: Any) -> bool:
    """Whether a constant can be written into the generated module."""
    if isinstance(value, tuple):
        return bool(value) and all(type(v) in (bool, int, float) for v in value)
    return type(value) in _SIMPLE and (type(value) is not int or -(2**63) <= value < 2**63)


class _Check:
    def __init__(self, function: Function, analysis: Analysis, owner: type[Component] | None) -> None:
        self.function, self.analysis, self.owner = function, analysis, owner

    def refuse(self, reason: str, node: ast.AST) -> NotCompilable:
        return NotCompilable(reason, self.function.place(node))

    def kind(self, node: ast.AST) -> Kind:
        return self.analysis.kinds.get(node, Kind("unknown"))

    def run(self) -> None:
        node = self.function.node
        arguments = node.args
        if arguments.vararg or arguments.kwarg or arguments.kwonlyargs:
            raise self.refuse("*arguments and keyword-only arguments are not compiled", node)
        if not all(is_simple(value) for value in self.function.function.__defaults__ or ()):
            raise self.refuse("only a plain constant can be a default", node)
        for statement in node.body:
            self.statement(statement)
        returned = [n for n in ast.walk(node) if isinstance(n, ast.Return) and n.value is not None]
        if returned and (
            not Body.ends(node.body)
            or any(isinstance(n, ast.Return) and n.value is None for n in ast.walk(node))
        ):
            raise self.refuse("on some ways through it nothing is returned", node)
        _Bound(self.function).check()

    def statement(self, node: ast.stmt) -> None:
        if not isinstance(node, _STATEMENTS):
            raise self.refuse(f"uses {_WORDS.get(type(node), type(node).__name__.lower())}", node)
        if isinstance(node, ast.Raise):
            self.raising(node)
            return
        if isinstance(node, ast.AugAssign):
            self.operators([node.op], node)
        if isinstance(node, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.For)):
            self.targets(node)
        if isinstance(node, ast.For) and self.kind(node.iter).word not in ("range", "array"):
            raise self.refuse("loops go over range() or an Array", node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                self.statement(child)
            elif isinstance(child, ast.expr) and not (
                isinstance(node, ast.AnnAssign) and child is node.annotation
            ):
                self.expression(child)

    def raising(self, node: ast.Raise) -> None:
        made = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        given = node.exc.args if isinstance(node.exc, ast.Call) else []
        known = isinstance(made, ast.Name) and isinstance(getattr(builtins, made.id, None), type)
        if not known or node.cause or not all(isinstance(a, ast.Constant) for a in given):
            raise self.refuse("raise takes a built-in exception and a plain text", node)

    def targets(self, node: Any) -> None:
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            if isinstance(target, ast.Name):
                continue
            if isinstance(target, ast.Attribute) and self.kind(target.value).word == "part":
                if len(targets) > 1 or isinstance(node, ast.For):
                    raise self.refuse("assign to one field at a time", node)
            elif isinstance(target, ast.Subscript) and self.kind(target.value).word == "array":
                if len(targets) > 1 or isinstance(node, ast.For):
                    raise self.refuse("assign to one element at a time", node)
            elif not (isinstance(target, ast.Tuple) and all(isinstance(e, ast.Name) for e in target.elts)):
                raise self.refuse("assign to names, to fields or to elements, one at a time", node)

    def expression(self, node: ast.expr) -> None:
        if not isinstance(node, _EXPRESSIONS):
            raise self.refuse(f"uses {_WORDS.get(type(node), type(node).__name__.lower())}", node)
        self.operators([*getattr(node, "ops", []), *([node.op] if isinstance(node, ast.BinOp) else [])], node)
        if isinstance(node, ast.Name):
            self.name(node)
        elif isinstance(node, ast.Attribute):
            self.attribute(node)
        elif isinstance(node, ast.Call):
            self.call(node)
        elif isinstance(node, ast.Constant):
            if node.value is not None and not is_simple(node.value):
                raise self.refuse(f"uses {node.value!r}", node)
        else:
            self.operands(node)

    def operators(self, operators: Sequence[ast.AST], node: ast.AST) -> None:
        for operator in operators:
            if type(operator) in _OPERATORS:
                raise self.refuse(f"uses {_OPERATORS[type(operator)]}", node)

    def operands(self, node: ast.expr) -> None:
        if isinstance(node, ast.Subscript) and self.kind(node.value).word not in ("array", "tuple"):
            raise self.refuse("what is indexed here cannot be told", node)
        if isinstance(node, ast.BinOp) and STR in (self.kind(node.left), self.kind(node.right)):
            raise self.refuse("uses text", node)
        if (
            isinstance(node, ast.UnaryOp)
            and isinstance(node.op, ast.Invert)
            and self.kind(node.operand).word != "int"
        ):
            raise self.refuse("uses `~`", node)
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.expr):
                self.expression(child)

    def name(self, node: ast.Name) -> None:
        if node.id in self.function.local_names:
            kinds = self.analysis.mixed.get((self.function, node.id))
            if kinds:
                raise self.refuse(f"{node.id!r} is now {kinds[0]}, now {kinds[1]}", node)
            return
        value = self.function.lookup(node.id)
        if value is MISSING or value is LATER:
            raise self.refuse(f"{node.id!r} has no value yet", node)
        if not is_simple(value):
            raise self.refuse(f"uses {node.id!r}, {_describe(value)}", node)

    def attribute(self, node: ast.Attribute) -> None:
        holder = self.kind(node.value)
        if holder.word == "module":
            if not is_simple(getattr(holder.of, node.attr)):
                raise self.refuse(
                    f"uses {ast.unparse(node)}, {_describe(getattr(holder.of, node.attr))}", node
                )
            return
        if holder.word not in ("part", "context", "bar"):
            raise self.refuse(f"what {ast.unparse(node.value)!r} is cannot be told", node)
        if (
            holder.word == "part"
            and node.attr not in holder.of.declared.names()
            and not is_simple(getattr(holder.of, node.attr))
        ):
            raise self.refuse(f"uses {ast.unparse(node)}, {_describe(getattr(holder.of, node.attr))}", node)
        self.expression(node.value)

    def call(self, node: ast.Call) -> None:
        if any(isinstance(a, ast.Starred) for a in node.args) or any(k.arg is None for k in node.keywords):
            raise self.refuse("uses *arguments", node)
        for argument in (*node.args, *(k.value for k in node.keywords)):
            self.expression(argument)
        if super_call(node, self.function, self.owner) is not None:
            return
        target = self.kind(node.func)
        if target.word == "call":
            assert isinstance(node.func, ast.Attribute), "methods are attributes"
            self.expression(node.func.value)
        elif target.word in ("function", "class"):
            self.known_function(node, target.of)
        else:
            value = self.named(node.func)
            if value is MISSING:
                raise self.refuse(f"what {ast.unparse(node.func)!r} calls cannot be told", node)
            raise self.refuse(f"calls {ast.unparse(node.func)}, {_describe(value)}", node)

    def named(self, node: ast.expr) -> Any:
        """The object behind a function's dotted name, or MISSING."""
        if isinstance(node, ast.Name):
            return MISSING if node.id in self.function.local_names else self.function.lookup(node.id)
        if isinstance(node, ast.Attribute) and self.kind(node.value).word == "module":
            return getattr(self.kind(node.value).of, node.attr)
        return MISSING

    def known_function(self, node: ast.Call, function: Any) -> None:
        name = getattr(function, "__name__", str(function))
        given = [self.kind(a) for a in node.args]
        plain = getattr(function, "py_func", function)
        if isinstance(plain, FunctionType) and plain in self.analysis.helpers:
            return
        if function is getattr(builtins, name, None) and name in EXACT_BUILTINS:
            wanted: Iterable[int] = {"min": range(2, 256), "max": range(2, 256), "range": range(1, 4)}.get(
                name, (1,)
            )
            if node.keywords or len(given) not in wanted:
                also = (
                    " with a number of digits, whose last bits differ" if name == "round" else " in this form"
                )
                raise self.refuse(f"uses {name}(){also}", node)
            sized = ("array", "tuple") if name == "len" else ()
            if any(k not in NUMERIC and k.word not in ("unknown", *sized) for k in given):
                raise self.refuse(f"uses {name}() of {given[0]}", node)
        elif getattr(function, "__module__", "") == "math" and name in EXACT_MATH:
            if len(given) != (2 if name in ("atan2", "copysign", "pow") else 1) or node.keywords:
                raise self.refuse(f"uses math.{name}() in this form", node)
        else:
            raise self.refuse(f"calls {ast.unparse(node.func)}, {_describe(function)}", node)


def _describe(value: Any) -> str:
    if value is print:
        return "which only Python can do"
    if value is sum:
        return "whose last bits differ between Python versions; write a loop"
    module = getattr(value, "__module__", None) or type(value).__module__
    if module.split(".")[0] == "numpy" or type(value).__module__ == "numpy":
        return "which is numpy's: its last bits differ from Python's"
    if module == "math":
        return "whose last bits differ"
    return f"which is {'a' if callable(value) else 'an object:'} {module}.{getattr(value, '__qualname__', type(value).__qualname__)}"


class _Bound:
    """Finds a local name that may be read before it has a value: Python raises there, compiled code would not."""

    def __init__(self, function: Function) -> None:
        self.function = function

    def check(self) -> None:
        node = self.function.node
        self.flow(node.body, frozenset(a.arg for a in (*node.args.posonlyargs, *node.args.args)))

    def flow(self, body: Sequence[ast.stmt], have: frozenset[str] | None) -> frozenset[str] | None:
        """The names bound after `body`; None when its end is not reached."""
        for node in body:
            if have is None:
                return None
            have = self.step(node, have)
        return have

    def step(self, node: ast.stmt, have: frozenset[str]) -> frozenset[str] | None:
        if isinstance(node, ast.If):
            self.reads(node.test, have)
            ways = [w for w in (self.flow(node.body, have), self.flow(node.orelse, have)) if w is not None]
            return frozenset.intersection(*ways) if ways else None
        if isinstance(node, (ast.For, ast.While)):
            self.reads(node.iter if isinstance(node, ast.For) else node.test, have)
            inside = have | _stored(node.target) if isinstance(node, ast.For) else have
            self.flow(node.body, inside)
            self.flow(node.orelse, have)
            return have
        if isinstance(node, (ast.Return, ast.Raise, ast.Break, ast.Continue)):
            self.reads(node, have)
            return None
        self.reads(node, have)
        return have | _stored(node)

    def reads(self, node: ast.AST, have: frozenset[str]) -> None:
        for inner in ast.walk(node):
            read = isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
            if isinstance(node, ast.AugAssign) and inner is node.target:
                read = isinstance(inner, ast.Name)
            if read and inner.id in self.function.local_names and inner.id not in have:  # type: ignore[attr-defined]
                raise NotCompilable(
                    f"{inner.id!r} may have no value here; give it one before the branch or the loop",  # type: ignore[attr-defined]
                    self.function.place(inner),
                )


def _stored(node: ast.AST) -> frozenset[str]:
    return frozenset(n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
