"""Holds the habits of this repository: small files and functions, first lines that say why, nothing left unfinished."""

from __future__ import annotations

import ast
import json
import re
import subprocess
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILE_LINES = 510
FUNCTION_LINES = 70
# Longer ones that exist for a reason. Numbers may only go down; an entry that is no longer needed must go.
LONG_FILES: dict[str, int] = {}
LONG_FUNCTIONS: dict[str, int] = {}
UNFINISHED = ("TODO", "FIXME", "XXX", "HACK", "pragma: no cover")
SOURCES = (
    ".py",
    ".js",
    ".mjs",
    ".ts",
    ".css",
    ".html",
    ".md",
    ".toml",
    ".yml",
    ".cfg",
    ".ipynb",
    ".lock",
    "",
)


@cache
def tracked(*suffixes: str) -> tuple[Path, ...]:
    """The files of the working copy that git knows or would take, of these kinds."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    paths = sorted({ROOT / name for name in names if name})
    return tuple(path for path in paths if path.suffix in (suffixes or SOURCES) and path.is_file())


def short(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def ratchet(found: dict[str, int], allowed: dict[str, int], limit: int, what: str) -> None:
    """`found` may exceed `limit` only as far as `allowed` says, and `allowed` may not lag behind."""
    grown = {name: size for name, size in found.items() if size > allowed.get(name, limit)}
    assert not grown, f"{what} past {limit} lines (split them along their seams): {grown}"
    stale = {name: size for name, size in allowed.items() if found.get(name, 0) < size}
    assert not stale, f"{what} that became shorter: lower or drop their entries {stale}"


def test_files_stay_short():
    code = tracked(".py", ".js", ".mjs", ".ts", ".css")
    found = {short(path): len(path.read_text().splitlines()) for path in code}
    ratchet(
        {name: size for name, size in found.items() if size > FILE_LINES}, LONG_FILES, FILE_LINES, "files"
    )


def functions(path: Path) -> dict[str, int]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]
    return {f"{short(path)}:{node.name}": node.end_lineno - node.lineno + 1 for node in nodes}


def test_functions_stay_short():
    found: dict[str, int] = {}
    for path in tracked(".py"):
        found |= functions(path)
    long = {name: size for name, size in found.items() if size > FUNCTION_LINES}
    ratchet(long, LONG_FUNCTIONS, FUNCTION_LINES, "functions")


@pytest.mark.parametrize("path", tracked(".py"), ids=short)
def test_the_first_line_says_why_the_file_exists(path: Path):
    words = ast.get_docstring(ast.parse(path.read_text()))
    assert words, "a file begins with a docstring that says why it exists"
    first = words.splitlines()[0]
    assert len(first.split()) >= 3, f"{first!r} says too little"
    assert first.endswith((".", ":", "?")), f"{first!r} is no sentence"


def test_nothing_is_left_unfinished():
    marks = re.compile("|".join(rf"\b{re.escape(mark)}\b" for mark in UNFINISHED))
    this = Path(__file__)
    found = [
        f"{short(path)}:{number}: {line.strip()}"
        for path in tracked(".py", ".js", ".ts", ".md", ".toml")
        if path != this
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if marks.search(line)
    ]
    assert not found, found


def test_no_error_is_swallowed():
    """`except: pass` hides faults; `contextlib.suppress` names what may be missing."""
    found = []
    for path in tracked(".py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                wide = node.type is None or (
                    isinstance(node.type, ast.Name) and node.type.id.endswith("Exception")
                )
                if wide and all(isinstance(line, ast.Pass) for line in node.body):
                    found.append(f"{short(path)}:{node.lineno}")
    assert not found, found


def test_no_file_names_a_machine():
    """Paths of one machine and addresses of package registries belong in nobody's repository."""
    slash = "/"
    folders = slash + "(root|home" + slash + r"\w+|work|opt|Users)" + slash
    hosts = "|".join(["pypi" + r"\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs"])
    pattern = re.compile(rf"(?<![\w.\-/}}]){folders}|{hosts}")
    found = [
        f"{short(path)}:{number}: {line.strip()[:100]}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, found


def test_tests_wait_on_conditions_and_never_sleep():
    found = []
    for path in tracked(".py"):
        if path.is_relative_to(ROOT / "tests"):
            for node in ast.walk(ast.parse(path.read_text())):
                called = node.func if isinstance(node, ast.Call) else None
                name = getattr(called, "attr", getattr(called, "id", ""))
                if name in {"sleep", "wait_for_timeout"}:
                    found.append(f"{short(path)}:{node.lineno}")
    assert not found, found


def test_no_large_file_is_committed():
    large = {
        short(path): path.stat().st_size for path in tracked(*SOURCES, ".png", ".svg", ".parquet", ".csv")
    }
    assert not {name: size for name, size in large.items() if size > 1_000_000}


# --- notebooks ---

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
TEMPLATES = sorted((ROOT / "templates").glob("*.ipynb"))


def code_cells(path: Path) -> list[dict]:
    cells = json.loads(path.read_text())["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()]


def hollow(cells: list[dict]) -> list[str]:
    """What is wrong with stored outputs: without them a comparison of outputs passes and proves nothing."""
    faults = []
    counts = [cell["execution_count"] for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        faults.append(f"execution counts are {counts}, not 1 to {len(cells)}: restart and run all")
    for number, cell in enumerate(cells, 1):
        if not cell["outputs"] and shows("".join(cell["source"])):
            faults.append(f"cell {number} shows something and holds no output")
    if not any(cell["outputs"] for cell in cells):
        faults.append("no cell holds an output")
    return faults


def shows(source: str) -> bool:
    """Whether a cell prints, or ends in a value that Jupyter displays."""
    plain = "\n".join(line for line in source.splitlines() if not line.lstrip().startswith(("%", "!")))
    tree = ast.parse(plain)
    calls = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    if any(getattr(call, "id", "") in {"print", "display"} for call in calls):
        return True
    last = tree.body[-1] if tree.body else None
    return (
        isinstance(last, ast.Expr)
        and not isinstance(last.value, (ast.Call, ast.Await))
        and not plain.rstrip().endswith(";")
    )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=short)
def test_notebooks_hold_their_outputs(path: Path):
    assert not hollow(code_cells(path))


@pytest.mark.parametrize("path", TEMPLATES, ids=short)
def test_templates_hold_none(path: Path):
    kept = [cell for cell in code_cells(path) if cell["outputs"] or cell["execution_count"]]
    assert not kept, "templates are stripped; their runs go to runs/"


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([{"execution_count": None, "outputs": [], "source": ["print(1)"]}], "execution counts"),
        ([{"execution_count": 2, "outputs": [{}], "source": ["print(1)"]}], "execution counts"),
        ([{"execution_count": 1, "outputs": [], "source": ["result.metrics"]}], "holds no output"),
    ],
)
def test_the_guard_sees_a_hollow_notebook(cells: list[dict], fault: str):
    assert any(fault in line for line in hollow(cells))
