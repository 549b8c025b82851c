"""The page on the virtual exchange names every option and every error class, and its code runs."""

from __future__ import annotations

import re

import ccxt

from twinstar_kit.venues.opening import OPTIONS
from twinstar_kit.venues.refusals import CLASSES


def test_the_page_names_every_option_and_error(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for name in OPTIONS:
        assert f"`{name}`" in page, f"the option {name} is not on the page"
    for error in {*CLASSES.values(), ccxt.InvalidOrder}:
        assert f"`{error.__name__}`" in page
    for name in re.findall(r"`([A-Z][a-z]+[A-Z]\w+|Bad\w+)`", page):
        assert hasattr(ccxt, name) or name == "VirtualExchange", f"ccxt has no {name}"


def test_the_code_on_the_page_runs(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(code, "virtual-exchange.md", "exec"), {})  # noqa: S102
