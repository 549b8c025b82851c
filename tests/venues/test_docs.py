"""The page on the virtual exchange names every option and every error class, and its code runs."""

from __future__ import annotations

import re

import ccxt

import twinstar_kit
from twinstar_kit.venues.opening import OPTIONS
from twinstar_kit.venues.refusals import CLASSES
from twinstar_kit.venues.watch_face import WatchFace


def test_the_page_names_every_option_and_error(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for name in OPTIONS:
        assert f"`{name}`" in page, f"the option {name} is not on the page"
    for error in {*CLASSES.values(), ccxt.InvalidOrder}:
        assert f"`{error.__name__}`" in page
    for name in re.findall(r"`([A-Z][a-z]+[A-Z]\w+|Bad\w+)`", page):
        assert hasattr(ccxt, name) or name in twinstar_kit.__all__, f"ccxt has no {name}"


def test_the_page_names_every_stream(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for name in vars(WatchFace):
        assert not name.startswith("watch_") or f"`{name}`" in page, f"{name} is not on the page"


def test_the_code_on_the_page_runs(repository):
    page = (repository / "docs" / "virtual-exchange.md").read_text(encoding="utf-8")
    for code in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(code, "virtual-exchange.md", "exec"), {})  # noqa: S102
