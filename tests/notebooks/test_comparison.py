"""The comparison of notebooks has teeth: a changed figure of any kind fails, and what is forgiven is named."""

from __future__ import annotations

import configparser
import itertools
import json
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SANITIZE = ROOT / "notebooks" / "sanitize.cfg"


def outputs(path: Path) -> str:
    cells = json.loads(path.read_text())["cells"]
    return json.dumps([cell.get("outputs", []) for cell in cells])


def nbval(path: Path) -> subprocess.CompletedProcess[str]:
    command = [
        "-m",
        "pytest",
        str(path),
        "--nbval",
        "--nbval-cell-timeout=60",
        f"--nbval-sanitize-with={SANITIZE}",
    ]
    more = ["-q", "-p", "no:cacheprovider", "-c", "/dev/null", "--rootdir", str(path.parent)]
    return subprocess.run([sys.executable, *command, *more], capture_output=True, text=True, check=False)


def write(path: Path, stored: str) -> Path:
    out = nbformat.v4.new_output("stream", name="stdout", text=stored)
    cell = nbformat.v4.new_code_cell("print('end', 40 + 2)", execution_count=1, outputs=[out])
    spec = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=spec), path)
    return path


@pytest.mark.parametrize(("stored", "passes"), [("end 42\n", True), ("end 43\n", False)])
def test_a_stored_number_that_is_wrong_fails(tmp_path: Path, stored: str, passes: bool) -> None:
    done = nbval(write(tmp_path / "book.ipynb", stored))
    assert (done.returncode == 0) is passes, done.stdout


def test_every_pair_that_forgives_is_whole_and_forgives_something() -> None:
    lines = [line for line in SANITIZE.read_text().splitlines() if line and not line.startswith("#")]
    for first, second in itertools.pairwise(lines):
        if first.startswith("regex:"):
            assert second.startswith("replace:"), f"`replace:` must follow directly on {first}"
    parser = configparser.RawConfigParser()
    parser.read(SANITIZE)
    stored = "".join(
        text if isinstance(text, str) else "".join(text)
        for path in NOTEBOOKS
        for cell in json.loads(path.read_text())["cells"]
        for output in cell.get("outputs", [])
        for text in [output.get("text", ""), *output.get("data", {}).values()]
        if not isinstance(text, dict)
    )
    for name in parser.sections():
        assert re.search(parser[name]["regex"], stored), f"[{name}] forgives nothing any more: remove it"


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_outputs_hold_no_paths_warnings_or_errors(path: Path) -> None:
    text = outputs(path)
    assert not re.findall(r"/(?:home|root|tmp|work)/\w+", text)
    assert '"output_type": "error"' not in text
    assert '"name": "stderr"' not in text


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.name)
def test_figures_have_numbers_beside_them(path: Path) -> None:
    """A cell that only draws must follow or precede one that prints, as pictures are not compared."""
    cells = [c for c in json.loads(path.read_text())["cells"] if c["cell_type"] == "code"]
    printing = [
        "".join(c["source"]).count("print(") > 0 or "text/html" in json.dumps(c["outputs"]) for c in cells
    ]
    drawing = [k for k, c in enumerate(cells) if "notebook.show" in "".join(c["source"])]
    assert drawing
    assert all(any(printing[max(k - 1, 0) : k]) or any(printing[k + 1 : k + 2]) for k in drawing)
