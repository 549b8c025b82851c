"""Writes docs/cli.md from the commands themselves, so that the two cannot disagree (`make docs`)."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

WIDTH = 100
TITLE = """# The `twinstar` command

Written by `make docs` from the commands; `twinstar COMMAND --help` prints the same. Every command ends with 0 on
success, 1 when what it checks does not hold, and 2 on bad input, which it answers with one line on standard error.
What reports takes `--json` and then prints one JSON object on standard output.
"""


def reference() -> str:
    """The whole of docs/cli.md.

    >>> reference().splitlines()[0]
    '# The `twinstar` command'
    """
    from typer.main import get_command

    from twinstar_kit.cli.app import app

    parts = [TITLE]
    for path, help_ in _commands(get_command(app), "twinstar", None):
        parts.append(f"## `{path}`\n\n```text\n{help_}\n```\n")
    return "\n".join(parts)


def _commands(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.make_context(name, [], parent=parent, resilient_parsing=True, terminal_width=WIDTH)
    yield context.command_path, command.get_help(context)
    for child_name, child in getattr(command, "commands", {}).items():
        yield from _commands(child, child_name, context)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(reference())
