"""Writes docs/cli.md, docs/metrics.md and docs/settings.md from the code itself, so that the two cannot disagree (`make docs`)."""

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

SETTINGS = """# Settings

Written by `make docs` from `twinstar_kit/settings.py`. The first that sets a key wins: an option of the command, the
environment, `twinstar.toml` in the working folder, `twinstar.toml` in the home. An unknown key is an error.

| key in twinstar.toml | environment | default | what it is |
|---|---|---|---|
"""


def pages() -> dict[str, str]:
    """The generated pages by file name.

    >>> sorted(pages())
    ['cli.md', 'metrics.md', 'settings.md']
    """
    from twinstar_kit.report.metrics import metrics_page

    return {"cli.md": commands_page(), "metrics.md": metrics_page(), "settings.md": settings_page()}


def settings_page() -> str:
    """Every setting in one table."""
    from twinstar_kit.settings import PREFIX, Settings

    rows = []
    for key, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        if key == "home":
            default = "the platform's data folder"
        elif isinstance(default, dict):
            default = ", ".join(f"{name} = {value}" for name, value in default.items())
        shown = "-" if default is None else default
        rows.append(f"| `{key}` | `{PREFIX}{key.upper()}` | {shown} | {field.description} |\n")
    return SETTINGS + "".join(rows)


def commands_page() -> str:
    """Every command as its own help describes it."""
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
    for name, text in pages().items():
        Path(sys.argv[1], name).write_text(text)
