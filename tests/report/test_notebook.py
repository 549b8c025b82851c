"""Figures in a notebook: the same bytes on every run, drawn in a real browser without any network."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.report import notebook
from twinstar_kit.report.figures import price_figure

MAKE = """
import hashlib
from test_notebook import some_figure
from twinstar_kit.report import notebook
html = notebook.load()._repr_html_() + notebook.show(some_figure())._repr_html_()
print(hashlib.sha256(html.encode()).hexdigest())
"""


def some_figure() -> object:
    close = 100.0 + np.sin(np.arange(200) / 9)
    bars = Bars.from_floats(
        Instrument.from_sizes("BTC/USDT"),
        60_000,
        60_000 * np.arange(200),
        close,
        close + 1,
        close - 1,
        close,
        close,
    )
    return price_figure(bars)


def test_two_processes_store_the_same_bytes() -> None:
    def once(seed: str) -> str:
        code = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})" + MAKE
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": seed},
        )
        return done.stdout

    assert once("1") == once("2")


def test_nothing_in_a_figure_points_outside() -> None:
    html = notebook.load()._repr_html_() + notebook.show(some_figure())._repr_html_()
    assert "http" not in html
    assert repr(notebook.show(some_figure())) == "<figure: BTC/USDT · 1m candles>"


@pytest.mark.browser
def test_a_browser_draws_it(tmp_path: Path, chromium: Path) -> None:
    from playwright.sync_api import expect, sync_playwright

    page_file = tmp_path / "page.html"
    cells = (notebook.load(), notebook.show(some_figure()))
    page_file.write_text("<!doctype html><meta charset=utf-8>" + "".join(c._repr_html_() for c in cells))
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=str(chromium), args=["--no-sandbox"])
        page = browser.new_page()
        failures: list[str] = []
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(page_file.as_uri())
        expect(page.locator(".twinstar-figure .bk-Figure")).to_be_visible()
        page.wait_for_function("window.Bokeh.documents.length === 1 && window.Bokeh.documents[0].is_idle")
        assert failures == []
        browser.close()
