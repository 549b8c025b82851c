"""Compiles numba functions so that another process finds them: the cache is keyed by the sources that matter.

numba notices when the file of a cached function changes, but not when a function that it calls in another
file does. So the cache of a function lies in a folder named by a hash of every source of its package, of the
kernel and of this file: an edit anywhere in there leads to a new folder, never to stale machine code.
"""

from __future__ import annotations

import functools
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba
import platformdirs
from numba.core import cgutils
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

F = TypeVar("F", bound=Callable[..., Any])
ROOT = Path(__file__).resolve().parent
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


def inlined(function: F) -> F:
    """Compile `function` as a part of its callers; it has no cache of its own."""
    return numba.njit(**OPTIONS)(function)  # type: ignore[no-any-return]


def hot(function: F) -> F:
    """Like `inlined`, and copied into the caller: for what runs on every bar and is small.

    A call that passes the kernel's arrays copies sixty words, which costs more than such a function does. It is
    copied before types are inferred, so that nothing is optimised twice: a caller that hangs on large `compiled`
    functions through several levels of these would take them through LLVM once a level.
    """
    return numba.njit(inline="always", **OPTIONS)(function)  # type: ignore[no-any-return]


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
