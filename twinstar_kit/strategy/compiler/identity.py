"""The hash of what a strategy does: one text for the class, its indicators and its helpers, the same everywhere."""

from __future__ import annotations

import ast
import hashlib
import textwrap
from collections.abc import Iterator

from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.strategy.compiler.analysis import Analysis, analyse, methods_of
from twinstar_kit.strategy.compiler.source import Function, find
from twinstar_kit.strategy.compiler.subset import is_simple
from twinstar_kit.strategy.component import Component
from twinstar_kit.strategy.errors import NotCompilable


def source_hash(cls: type[Component]) -> str:
    """SHA-256, in hex, over declarations, sources and the constants they use.

    Left out: paths, line numbers, defaults and ranges of parameters (a run records the values). A library that an
    interpreted strategy calls, or a model it holds, is not covered.
    """
    analysis = analyse(cls)
    if "source_hash" not in analysis.memo:
        analysis.memo["source_hash"] = _hash(cls, analysis)
    known: str = analysis.memo["source_hash"]
    return known


def _hash(cls: type[Component], analysis: Analysis) -> str:
    described: list[object] = []
    for part in sorted(_components(cls), key=lambda part: part.__name__):
        described.append([part.__name__, _declarations(part), sorted(_methods(part))])
    functions = [*analysis.reached.values(), *analysis.supers.values(), *analysis.helpers.values()]
    described.append(
        sorted(_text(function) for function in (*analysis.supers.values(), *analysis.helpers.values()))
    )
    described.append(sorted({constant for function in functions for constant in _constants(function)}))
    return hashlib.sha256(canonical_json(described)).hexdigest()


def _components(cls: type[Component]) -> set[type[Component]]:
    found = {cls}
    for part in cls.declared.parts.values():
        found |= _components(type(part))
    return found


def _declarations(cls: type[Component]) -> list[object]:
    declared = cls.declared
    return [
        [[name, spec.type.__name__] for name, spec in declared.params.items()],
        [[name, type_.__name__, repr(start)] for name, (type_, start) in declared.fields.items()],
        [[name, array.type.__name__, repr(array.size)] for name, array in declared.arrays.items()],
        [[name, type(part).__name__, repr(part), list(part.fed)] for name, part in declared.parts.items()],
    ]


def _methods(cls: type[Component]) -> Iterator[str]:
    for name, plain in methods_of(cls):
        try:
            yield f"{name}\n{_text(find(plain))}"
        except NotCompilable:
            # made by exec: the byte code stands in for the source
            code = plain.__code__
            yield f"{name}\n{code.co_code.hex()} {code.co_names!r} {[c for c in code.co_consts if is_simple(c)]!r}"


def _text(function: Function) -> str:
    return "\n".join(line.rstrip() for line in textwrap.dedent(function.text).splitlines())


def _constants(function: Function) -> Iterator[str]:
    for node in ast.walk(function.node):
        if (
            isinstance(node, ast.Name)
            and isinstance(node.ctx, ast.Load)
            and node.id not in function.local_names
        ):
            value = function.lookup(node.id)
            if is_simple(value):
                yield f"{node.id} = {value!r}"
