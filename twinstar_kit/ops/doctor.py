"""Examines the machine that TwinStar runs on; every check that fails names its cure."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from twinstar_kit.settings import load_settings

PYTHONS = ((3, 11), (3, 14))
ROOM_MB = 500


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it is well, what was found, and what to do if not."""

    name: str
    ok: bool
    detail: str
    cure: str = ""


def examine() -> list[Check]:
    """All checks of this machine, in the order in which one depends on the other.

    >>> [check.name for check in examine()][:2]
    ['python', 'packages']
    """
    checks: list[Callable[[], Check]] = [python, packages, home, room, compiled_code, browser, bundle]
    return [check() for check in checks]


def python() -> Check:
    """The interpreter is one that the project supports."""
    found = ".".join(map(str, sys.version_info[:3]))
    ok = PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]
    return Check(
        "python", ok, found, "" if ok else "install Python 3.11, 3.12 or 3.13 and run `make setup` again"
    )


def packages() -> Check:
    """Every package that the project asks for is installed at a version that suits it."""
    wrong = []
    wanted = [Requirement(line) for line in requires("twinstar-kit") or []]
    plain = [need for need in wanted if need.marker is None or need.marker.evaluate({"extra": ""})]
    for need in plain:
        try:
            found = version(need.name)
        except PackageNotFoundError:
            wrong.append(f"{need.name} is missing")
            continue
        if found not in need.specifier:
            wrong.append(f"{need.name} {found} does not suit {need.specifier}")
    detail = "; ".join(wrong) or f"{len(plain)} found"
    return Check("packages", not wrong, detail, "run `make setup`" if wrong else "")


def home() -> Check:
    """The folder of accounts can be written to."""
    folder = load_settings().home
    return _writable(
        "home", folder, "choose another folder with --home or TWINSTAR_HOME, or give it write permission"
    )


def room() -> Check:
    """The disk of the home has room for journals."""
    folder = _nearest(load_settings().home)
    free_mb = shutil.disk_usage(folder).free // 1_000_000
    ok = free_mb >= ROOM_MB
    cure = "" if ok else f"free {ROOM_MB - free_mb} MB, or move the home with TWINSTAR_HOME"
    return Check("room", ok, f"{free_mb:,} MB free at {folder}", cure)


def compiled_code() -> Check:
    """Compiled code can be kept, so that later starts do not compile again."""
    from twinstar_kit.jit import cache_dir

    return _writable("compiled code", cache_dir(), "set TWINSTAR_CACHE to a folder that can be written to")


def browser() -> Check:
    """There is a browser to show the terminal in."""
    import webbrowser

    names = ("chromium", "chromium-browser", "google-chrome", "firefox", "safari")
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        try:
            found = webbrowser.get().__class__.__name__
        except webbrowser.Error:
            cure = "install one, or run `twinstar terminal --no-browser` and open its address elsewhere"
            return Check("browser", False, "none found", cure)
    return Check("browser", True, found)


def bundle() -> Check:
    """The terminal's JavaScript was built."""
    import twinstar_kit

    folder = Path(twinstar_kit.__file__).parent / "terminal" / "dist"
    built = sorted(path.name for path in folder.glob("*.js"))
    return Check("bundle", bool(built), ", ".join(built) or "not built", "" if built else "run `make setup`")


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _writable(name: str, folder: Path, cure: str) -> Check:
    """Whether a file can be made in the folder, or in the nearest one that exists and would hold it."""
    place = _nearest(folder)
    try:
        with tempfile.TemporaryFile(dir=place):
            return Check(name, True, str(folder))
    except OSError as error:
        return Check(name, False, f"{place}: {error.strerror}", cure)
