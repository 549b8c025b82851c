"""The page on testing names every fault, and its code runs."""

from __future__ import annotations

import re
from pathlib import Path

from twinstar_kit.testing.local_venue import faults, stream_faults

# what the others are made of
PARTS = {"Fault", "RowsFault", "OneRow", "Garbled", "StreamFault"}


def test_the_page_names_every_fault(repository: Path):
    page = (repository / "docs" / "testing.md").read_text(encoding="utf-8")
    for module in (faults, stream_faults):
        for name, value in vars(module).items():
            if isinstance(value, type) and issubclass(value, faults.Fault) and name not in PARTS:
                assert f"`{name}`" in page, f"{name} is not on the page"


def test_the_code_on_the_page_runs(repository: Path):
    page = (repository / "docs" / "testing.md").read_text(encoding="utf-8")
    found = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert len(found) == 2
    for code in found:
        exec(compile(code, "testing.md", "exec"), {})  # noqa: S102
