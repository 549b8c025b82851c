"""What a strategy may not touch, because its result would depend on it: clocks, randomness, files, the network."""

from __future__ import annotations

import ast
import builtins
from types import ModuleType
from typing import Any

from twinstar_kit.strategy.compiler.source import LATER, MISSING, Function
from twinstar_kit.strategy.errors import StrategyError

_CLOCK = "the clock; use ctx.bar.ts, the close of the bar"
_RANDOM = "randomness; the same bars must give the same orders"
_STORAGE = "files or the machine; load what you need outside the class and keep it as a class constant"
_NETWORK = "the network or a venue; propose orders through ctx"
_THREADS = "threads or processes; a bar is handled at once"

_MODULES = {
    **dict.fromkeys(("time", "sched", "timeit"), _CLOCK),
    **dict.fromkeys(("random", "secrets", "uuid", "numpy.random", "scipy.stats"), _RANDOM),
    **dict.fromkeys(
        (
            "os",
            "sys",
            "io",
            "pathlib",
            "posix",
            "shutil",
            "tempfile",
            "glob",
            "sqlite3",
            "apsw",
            "shelve",
            "dbm",
        ),
        _STORAGE,
    ),
    **dict.fromkeys(
        ("socket", "ssl", "http", "urllib", "requests", "httpx", "aiohttp", "websockets", "ccxt"), _NETWORK
    ),
    **dict.fromkeys(("threading", "multiprocessing", "asyncio", "concurrent", "subprocess"), _THREADS),
}
_BUILTINS = {
    **dict.fromkeys(("open", "input"), _STORAGE),
    **dict.fromkeys(
        ("eval", "exec", "compile", "__import__", "globals", "locals", "vars", "setattr", "delattr"),
        "code that cannot be checked",
    ),
    **dict.fromkeys(("hash", "id"), "values that differ between processes"),
}
_NOW = ("now", "utcnow", "today")


def check(function: Function) -> None:
    """Raise StrategyError at the first thing in `function` that a strategy may not use."""
    for node in ast.walk(function.node):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else [node.module or ""]
            for name in names:
                _refuse(_of_module(name), name, function, node)
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            raise StrategyError(
                "state lives in declared fields, not in names outside the class", function.place(node)
            )
        elif isinstance(node, ast.Attribute):
            _check_value(_resolve(node, function), ast.unparse(node), function, node)
        elif (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.id not in function.local_names
        ):
            _check_value(function.lookup(node.id), node.id, function, node)


def _resolve(node: ast.expr, function: Function) -> Any:
    """The object that a dotted name outside the function stands for, or MISSING."""
    if isinstance(node, ast.Name):
        return MISSING if node.id in function.local_names else function.lookup(node.id)
    if not isinstance(node, ast.Attribute):
        return MISSING
    holder = _resolve(node.value, function)
    if holder is MISSING or holder is LATER or not isinstance(holder, (ModuleType, type)):
        return MISSING
    if (
        isinstance(holder, type)
        and node.attr in _NOW
        and holder.__module__.split(".")[0] in ("datetime", "pandas")
    ):
        _refuse(_CLOCK, ast.unparse(node), function, node)
    return getattr(holder, node.attr, MISSING)


def _check_value(value: Any, shown: str, function: Function, node: ast.AST) -> None:
    if value is MISSING or value is LATER:
        return
    if shown in _BUILTINS and value is getattr(builtins, shown, MISSING):
        _refuse(_BUILTINS[shown], shown, function, node)
    if isinstance(value, ModuleType):
        _refuse(_of_module(value.__name__), shown, function, node)
        return
    # `from random import random` is a method of a hidden Random, `default_rng()` an object of numpy.random
    origin = getattr(value, "__module__", None) or type(getattr(value, "__self__", value)).__module__
    _refuse(_of_module(str(origin)), shown, function, node)
    _refuse(_of_module(type(getattr(value, "__self__", value)).__module__), shown, function, node)


def _of_module(name: str) -> str:
    for depth in range(1, name.count(".") + 2):
        why = _MODULES.get(".".join(name.split(".")[:depth]))
        if why:
            return why
    return ""


def _refuse(why: str, shown: str, function: Function, node: ast.AST) -> None:
    if why:
        raise StrategyError(f"a strategy may not use {shown!r}: it is {why}", function.place(node))
