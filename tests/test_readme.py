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


@pytest.mark.parametrize("document", ["README.md", "docs/index.md", "docs/kernel.md"])
def test_links_lead_to_files(repository: Path, document: str):
    place = repository / document
    for link in re.findall(r"\]\(([^)#]+)\)", place.read_text()):
        assert (place.parent / link).exists(), f"{document} links to {link}"
