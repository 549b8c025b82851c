"""Imports point down only, and the package stays light to import."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import twinstar_kit

HEAVY = (
    "numba",
    "pandas",
    "polars",
    "pyarrow",
    "bokeh",
    "panel",
    "ccxt",
    "vectorbt",
    "IPython",
    "rich",
    "pydantic",
)


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("lint-imports")
    return subprocess.run([program, "--no-cache"], cwd=folder, capture_output=True, text=True)


def test_every_import_keeps_the_contracts(repository: Path):
    done = lint(repository)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("kernel/matching.py", "import twinstar_kit.strategy", "imports point down only"),
        ("kernel/matching.py", "import random", "the kernel knows no clock"),
        ("strategy/library/breakout.py", "import time", "strategies know no clock"),
        ("report/metrics.py", "import ccxt", "only feeds, venues and testing import ccxt"),
    ],
)
def test_a_forbidden_import_is_caught(tmp_path: Path, repository: Path, file: str, line: str, contract: str):
    python_only = shutil.ignore_patterns("node_modules", "dist", "web", "__pycache__")
    shutil.copytree(repository / "twinstar_kit", tmp_path / "twinstar_kit", ignore=python_only)
    shutil.copy(repository / "pyproject.toml", tmp_path)
    guilty = tmp_path / "twinstar_kit" / file
    guilty.write_text(guilty.read_text() + f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode != 0
    broken = [row for row in done.stdout.splitlines() if "BROKEN" in row]
    assert any(contract in row for row in broken), done.stdout + done.stderr


def loaded_by(code: str) -> set[str]:
    """The top-level modules that a fresh process holds after `code`."""
    after = "; import sys; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code + after], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_package_loads_nothing_heavy():
    assert not loaded_by("import twinstar_kit") & {*HEAVY, "numpy", "typer"}


def test_the_command_line_starts_without_what_its_commands_need():
    assert not loaded_by("import twinstar_kit.cli.app") & {*HEAVY, "numpy"}


def test_the_public_names_are_few_and_all_there():
    assert len(twinstar_kit.__all__) <= 20
    for name in twinstar_kit.__all__:
        assert getattr(twinstar_kit, name) is not None
    assert set(twinstar_kit.__all__) <= set(dir(twinstar_kit))


def test_public_names_are_documented(repository: Path):
    words = (repository / "docs" / "index.md").read_text()
    for name in twinstar_kit.__all__:
        value = getattr(twinstar_kit, name)
        assert isinstance(value, str) or value.__doc__, f"{name} has no docstring"
        assert f"`{name}" in words or name.startswith("__"), f"docs/index.md does not mention {name}"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'twinstar_kit' has no attribute 'backtset'"):
        twinstar_kit.backtset  # noqa: B018
