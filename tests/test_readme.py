"""The README does what it says: its Python runs, its commands exist, its links lead somewhere."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.main import get_command

from twinstar_kit.cli.app import app


@pytest.fixture(scope="module")
def readme(repository: Path) -> str:
    return (repository / "README.md").read_text()


def blocks(text: str, language: str = "") -> list[str]:
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [content for name, content in fenced if name == language]


def test_its_python_runs(readme: str, tmp_path: Path):
    (example,) = blocks(readme, "python")
    script = tmp_path / "example.py"
    script.write_text(example + "\nprint(result.journal_digest, len(result.trades))\n")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    digest, trades = done.stdout.split()
    assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert int(trades) > 0


def test_its_commands_exist_with_their_options(readme: str):
    root = get_command(app)
    lines = [line for block in blocks(readme) for line in block.splitlines() if line.startswith("twinstar ")]
    assert lines
    for line in lines:
        command, words = root, shlex.split(line, comments=True)[1:]
        while hasattr(command, "commands"):
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("-")} <= known, line


def test_its_make_targets_exist(readme: str, repository: Path):
    makefile = (repository / "Makefile").read_text()
    for target in {*re.findall(r"\bmake ([a-z]+)\b", readme)} - {"and"}:
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


DOCUMENTS = sorted(Path(__file__).parent.parent.glob("docs/*.md"))


@pytest.mark.parametrize(
    "document", [Path(__file__).parent.parent / "README.md", *DOCUMENTS], ids=lambda path: path.name
)
def test_links_lead_to_files(document: Path):
    for link in re.findall(r"\]\(([^)#]+)\)", document.read_text()):
        assert link.startswith("https://") or (document.parent / link).exists(), link


def test_the_index_leads_to_every_page(repository: Path):
    words = (repository / "docs" / "index.md").read_text()
    assert not [page.name for page in DOCUMENTS if page.name != "index.md" and f"({page.name})" not in words]


def test_the_index_names_every_package(repository: Path):
    words = (repository / "docs" / "index.md").read_text()
    packages = [
        place.name for place in (repository / "twinstar_kit").iterdir() if (place / "__init__.py").exists()
    ]
    assert not [name for name in packages if f"| `{name}` |" not in words]
