"""Compiles numba functions so that another process finds them: the cache is keyed by the sources that matter.

numba notices when the file of a cached function changes, but not when a function that it calls in another
file does. So the cache of a function lies in a folder named by a hash of every source of its package, of the
kernel and of this file: an edit anywhere in there leads to a new folder, never to stale machine code.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import platformdirs
from numba._dynfunc import make_function
from numba.core import cgutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import PassManager, register_pass
from numba.core.typed_passes import (
    AnnotateTypes,
    IRLegalization,
    NativeLowering,
    NoPythonBackend,
    NoPythonSupportedFeatureValidation,
)
from numba.core.types import unliteral
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).resolve().parent
_NO = ctypes.cast(ctypes.pythonapi.PyErr_NoMemory, ctypes.c_void_p).value
"""What runs when Python calls a part: it raises."""
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
"""Divisors are checked when an instrument loads, so no compiled function needs to test them again."""


def cache_dir() -> Path:
    """The folder of compiled code: `TWINSTAR_CACHE`, else the platform's cache folder."""
    return Path(os.environ.get("TWINSTAR_CACHE") or platformdirs.user_cache_dir("twinstar"))


@functools.cache
def source_hash(*folders: str) -> str:
    """First 16 hex digits of SHA-256 over all Python sources of `folders` of this package, and numba's version."""
    digest = hashlib.sha256(numba.__version__.encode())
    digest.update(Path(__file__).read_bytes())
    for folder in sorted(set(folders)):
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def compiled(function: F) -> F:
    """Compile `function` on its first call and keep the machine code for later processes.

    The function must stand in a module of `twinstar_kit` and be importable by name. Callees need no decorator
    of their own beyond `inlined`.
    """
    module = function.__module__.split(".")
    folders = {"kernel", module[1]} if len(module) > 2 else {"kernel"}
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_dir() / "numba" / source_hash(*sorted(folders)))
    try:
        return numba.njit(cache=True, **OPTIONS)(function)  # type: ignore[no-any-return]
    finally:
        numba.config.CACHE_DIR = before


def hot(function: F) -> F:
    """Like `inlined`, and copied into the caller: for what runs on every bar and is small.

    It is copied before types are inferred, so each caller infers and lowers it anew: keep it for what is small.
    """
    return numba.njit(inline="always", **OPTIONS)(function)  # type: ignore[no-any-return]


class PartLibrary(JITCodeLibrary):
    """The code of a part: linked into libraries that need it, neither optimised nor loaded by itself."""

    def _optimize_final_module(self) -> None:
        return

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True


class LargePartLibrary(PartLibrary):
    """The code of a part that callers call rather than copy."""

    def add_ir_module(self, ir_module: Any) -> None:
        """Mark the functions of `ir_module` before they are taken in."""
        for function in ir_module.functions:
            if not function.is_declaration and not function.attributes.__contains__("alwaysinline"):
                function.attributes.add("noinline")
        super().add_ir_module(ir_module)


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Lowers a function to LLVM's language, and leaves it at that."""

    _name = "part_lowering"
    _library = PartLibrary

    def run_pass(self, state: Any) -> bool:
        """See `numba.core.typed_passes.NativeLowering`."""
        state.flags.no_compile = True
        state.library = self._library(state.targetctx.codegen(), state.func_id.func_qualname)
        super().run_pass(state)
        lowered = state["cr"]
        # numba finds a function by its Python face; this one only says no
        face = make_function(
            lowered.fndesc.lookup_module(), lowered.fndesc.qualname, "", _NO, lowered.env, (state.library,)
        )
        state.targetctx.insert_user_function(face, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=face)
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class LargePartLowering(PartLowering):
    """The same for a part that is not copied into its callers."""

    _name = "large_part_lowering"
    _library = LargePartLibrary


class Part(CompilerBase):
    """Compiles a function that only other compiled functions call, without passing it through LLVM.

    numba optimises a function together with everything that it calls, and does so again for each caller: what lies
    ten calls deep is optimised ten times and more. A part is handed on as it is, so that each compiled function
    optimises everything once.
    """

    lowering = PartLowering

    def define_pipelines(self) -> list[Any]:
        """numba's own passes with another end."""
        builder, pipeline = DefaultPassBuilder, PassManager("part")
        for stage in (builder.define_untyped_pipeline(self.state), builder.define_typed_pipeline(self.state)):
            pipeline.passes.extend(stage.passes)
        pipeline.add_pass(
            NoPythonSupportedFeatureValidation, "ensure features that are in use are in a valid form"
        )
        pipeline.add_pass(IRLegalization, "ensure IR is legal prior to lowering")
        pipeline.add_pass(AnnotateTypes, "annotate types")
        pipeline.add_pass(self.lowering, "part lowering")
        pipeline.add_pass(NoPythonBackend, "nopython mode backend")
        pipeline.finalize()
        return [pipeline]


class LargePart(Part):
    """A `Part` that its callers call rather than copy."""

    lowering = LargePartLowering


def inlined(function: F) -> F:
    """Compile `function` as a part of the compiled functions that call it; Python cannot call it by itself.

    LLVM sees it only inside them: see `Part`.
    """
    return _part(function, Part)


def outlined(function: F) -> F:
    """Like `inlined`, but never copied into its callers: for what is large and called from many places."""
    return _part(function, LargePart)


def _part(function: F, pipeline: type[Part]) -> F:
    # nobody calls a part from outside, so it needs no wrappers
    options: dict[str, Any] = {**OPTIONS, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    part: Any = numba.njit(pipeline_class=pipeline, **options)(function)
    if numba.config.DISABLE_JIT:
        return part  # type: ignore[no-any-return]
    template = part.get_call_template

    def one_for_all(args: Any, kws: Any) -> Any:
        # a constant is a number like any other: without this each call with other constants is compiled anew
        return template(tuple(map(unliteral, args)), {name: unliteral(kind) for name, kind in kws.items()})

    part.get_call_template = one_for_all
    return part  # type: ignore[no-any-return]


@intrinsic
def borrowed(typing: Any, array: Any) -> Any:
    """The same array without its reference count: a loop over it then counts no references.

    Sound only while somebody else holds the array, as a Python caller does for the length of the call.
    """

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        value = make_array(signature.args[0])(context, builder, args[0])
        value.meminfo = cgutils.get_null_value(value.meminfo.type)
        value.parent = cgutils.get_null_value(value.parent.type)
        return value._getvalue()

    return array(array), generate
