"""Keeps generated modules in the cache folder, where numba finds the machine code that another process compiled.

A module is importable by name, as part of the package `twinstar_kit.strategy.compiled`, whose path is the cache
folder; its name holds a hash of its text, of the kernel's and the compiler's sources and of numba's version. It is
written aside and renamed, so that two processes never see half of it.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

import numba

from twinstar_kit import jit

PACKAGE = "twinstar_kit.strategy.compiled"
KEPT = 400
"""At most about this many modules stay in the folder; the oldest go first."""

_log = logging.getLogger("twinstar.strategy")


def compiled(function: Callable[..., Any]) -> Any:
    """The decorator of a generated module's `run`: as `jit.compiled`, for a module in the cache folder."""
    config: Any = numba.config
    before = config.CACHE_DIR
    config.CACHE_DIR = str(machine_code())
    try:
        return numba.njit(cache=True, **jit.OPTIONS)(function)
    finally:
        config.CACHE_DIR = before


def machine_code() -> Path:
    """The folder of numba's cache for what kernel and compiler are now."""
    return folder() / "numba" / jit.source_hash("kernel", "strategy")


def folder() -> Path:
    """The folder of generated modules, made if need be; a temporary one when the cache cannot be written."""
    global _temporary
    wanted = jit.cache_dir() / "strategies"
    try:
        wanted.mkdir(parents=True, exist_ok=True, mode=0o700)
        if os.access(wanted, os.W_OK):
            return wanted
        raise PermissionError(f"{wanted} cannot be written")
    except OSError as error:
        if _temporary is None:
            _temporary = tempfile.TemporaryDirectory(prefix="twinstar-")
            _log.warning(
                "compiled strategies are not kept: %s; set TWINSTAR_CACHE to a folder that can be written",
                error,
            )
        return Path(_temporary.name)


_temporary: tempfile.TemporaryDirectory[str] | None = None


def module_name(title: str, text: str) -> str:
    """The name of the module that holds `text`."""
    digest = hashlib.sha256(
        f"{jit.source_hash('kernel', 'strategy')}\n{numba.__version__}\n{text}".encode()
    ).hexdigest()
    return f"{title.lower()}_{digest[:16]}"


def is_compiled(name: str) -> bool:
    """Whether machine code of the module's `run` is kept on disk."""
    return any(machine_code().glob(f"**/{name}.run-*.nbi"))


def kernel_is_compiled() -> bool:
    """Whether the kernel's one large function, which every strategy's loop calls, is kept on disk."""
    return any((jit.cache_dir() / "numba" / jit.source_hash("kernel")).glob("**/door.act-*.nbi"))


def load(name: str, text: str) -> ModuleType:
    """Import the module `name`, written to the cache folder first if it is not there."""
    here = folder()
    path = here / f"{name}.py"
    if not _holds(path, text):
        _write(path, text)
        _prune(here)
    package = sys.modules.get(PACKAGE)
    if package is None:
        package = sys.modules[PACKAGE] = ModuleType(
            PACKAGE, "Generated modules; they lie in the cache folder."
        )
    if getattr(package, "__path__", None) != [str(here)]:
        package.__path__ = [str(here)]
    importlib.invalidate_caches()
    return importlib.import_module(f"{PACKAGE}.{name}")


def discard(name: str) -> None:
    """Forget the machine code of a module: what a power cut left of it cannot be read."""
    for path in machine_code().glob(f"**/{name}.run-*"):
        with suppress(OSError):
            path.unlink()


def _holds(path: Path, text: str) -> bool:
    try:
        if path.read_text(encoding="utf-8") == text:
            return True
        path.unlink()
    except (OSError, UnicodeDecodeError):
        return False
    return False


def _write(path: Path, text: str) -> None:
    handle, aside = tempfile.mkstemp(prefix=path.stem, suffix=".new", dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    # whoever comes second must not touch the file: numba's cache is keyed by its time of writing
    try:
        os.link(aside, path)
    except FileExistsError:
        pass
    except OSError:
        os.replace(aside, path)
        return
    os.unlink(aside)


def _prune(here: Path) -> None:
    kept = sorted(here.glob("*_*.py"), key=lambda p: p.stat().st_mtime)
    for path in kept[:-KEPT]:
        for stale in (path, *(here / "numba").glob(f"**/{path.stem}.run-*")):
            with suppress(OSError):
                stale.unlink()
