"""Finds strategies: by name in the starter kit, or in a user's file as `path/to/file.py:ClassName`."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import linecache
import pkgutil
import sys
from pathlib import Path
from types import ModuleType

from twinstar_kit.strategy import library
from twinstar_kit.strategy.base import Strategy
from twinstar_kit.strategy.errors import Place, StrategyError, UnknownStrategy
from twinstar_kit.strategy.params import suggestion


def available() -> dict[str, type[Strategy]]:
    """The strategies of the starter kit by name.

    >>> sorted(available())
    ['breakout', 'sma_cross']
    """
    return {name: _only_class(importlib.import_module(f"{library.__name__}.{name}")) for name in _names()}


def load(name: str) -> type[Strategy]:
    """The strategy class for a name of the starter kit or `path/to/file.py:ClassName`.

    The class may be left out when the file holds one strategy only. A file is read anew on every call. Raises
    UnknownStrategy, in one line, for what cannot be found or loaded, StrategyError for a class that cannot be right.

    >>> load("breakout").__name__
    'Breakout'
    >>> load("brekout")
    Traceback (most recent call last):
    ...
    twinstar_kit.strategy.errors.UnknownStrategy: there is no strategy 'brekout'; did you mean 'breakout'? The starter kit
    has breakout, sma_cross; name your own as path/to/file.py:ClassName
    """
    if name in _names():
        return _only_class(importlib.import_module(f"{library.__name__}.{name}"))
    path, _, class_name = name.rpartition(":") if not name.endswith(".py") else (name, "", "")
    if not path.endswith(".py"):
        known = _names()
        raise UnknownStrategy(
            f"there is no strategy {name!r}{suggestion(name, known) or '.'} The starter kit has {', '.join(known)}; "
            "name your own as path/to/file.py:ClassName"
        )
    module = _module_of(Path(path).expanduser())
    found = _classes(module)
    if not found:
        raise UnknownStrategy(f"{path} defines no subclass of Strategy")
    if class_name in found:
        return found[class_name]
    if class_name:
        what = "is no strategy (no subclass of Strategy)" if hasattr(module, class_name) else "is not defined"
        raise UnknownStrategy(
            f"{path}: {class_name!r} {what}{suggestion(class_name, found) or '.'} It has {', '.join(found)}"
        )
    if len(found) > 1:
        raise UnknownStrategy(f"{path} defines {', '.join(found)}; say which, as {path}:{next(iter(found))}")
    return next(iter(found.values()))


def _names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules(library.__path__))


def _classes(module: ModuleType) -> dict[str, type[Strategy]]:
    """Strategies that a module itself defines, by name."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, Strategy) and value.__module__ == module.__name__
    }


def _only_class(module: ModuleType) -> type[Strategy]:
    (cls,) = _classes(module).values()
    return cls


def _module_of(path: Path) -> ModuleType:
    """Execute a user's file as a module of its own; files beside it can be imported by it."""
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "does not exist"
        raise UnknownStrategy(f"{path} {what}; name a strategy as path/to/file.py:ClassName")
    path = path.resolve()
    linecache.checkcache(str(path))
    name = f"twinstar_user_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None, "a .py file has a loader"
    assert spec.loader is not None, "a .py file has a loader"
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except StrategyError as error:
        if error.place is not None:
            raise
        raise StrategyError(error.rule, _line_of(path, error)) from None
    except SyntaxError as error:
        raise UnknownStrategy(
            f"{error.filename or path}, line {error.lineno or 1}: {error.msg}  [{(error.text or '').strip()}]"
        ) from None
    except (Exception, SystemExit) as error:
        raise UnknownStrategy(_cannot_run(path, error)) from error
    finally:
        sys.path.remove(str(path.parent))
    return module


def _line_of(path: Path, error: BaseException) -> Place:
    """The line of the user's file at which it failed."""
    trace, line = error.__traceback__, 0
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            line = trace.tb_lineno
        trace = trace.tb_next
    return Place(str(path), line, linecache.getline(str(path), line).strip())


def _cannot_run(path: Path, error: BaseException) -> str:
    place = _line_of(path, error)
    shown = str(error).splitlines()[0] if str(error) else "no message"
    return f"{place}: {type(error).__name__}: {shown}  [{place.text}]"
