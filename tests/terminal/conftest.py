"""A terminal in a real browser: Debian's Chromium, a server on a free port, a seeded market, a clock that is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from terminal.venue_backend import HeldClock, VenueBackend

from twinstar_kit.feeds.base import Feed, open_feed
from twinstar_kit.terminal import TerminalServer

NOON_MS = 1_763_812_830_000  # 2025-11-22 12:00:30 UTC
BALANCES = {"USDT": "10000", "KRW": "10000000"}
PATIENCE_MS = 60_000  # compiled code may be cold, and the machine busy

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium: Path) -> dict[str, Any]:
    """Playwright ships no browser of its own here."""
    return {**browser_type_launch_args, "executable_path": str(chromium), "args": ["--no-sandbox"]}


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    return {**browser_context_args, "viewport": {"width": 1440, "height": 900}, "timezone_id": "UTC"}


@pytest.fixture(scope="session")
def market() -> Feed:
    """The simulated market of one seed, its compiled code warm."""
    feed = open_feed("simulated:7")
    feed.tickers(NOON_MS)
    return feed


@pytest.fixture
def clock() -> HeldClock:
    return HeldClock(NOON_MS)


@pytest.fixture
def backend(market: Feed, clock: HeldClock) -> VenueBackend:
    return VenueBackend(market, clock, BALANCES, strategies={"trend": "breakout"})


@pytest.fixture
def serve() -> Iterator[Callable[..., TerminalServer]]:
    """Starts terminals, and stops them at the end of the test."""
    running: list[TerminalServer] = []

    def start(backend: VenueBackend, port: int = 0) -> TerminalServer:
        running.append(TerminalServer(backend, port).start())
        return running[-1]

    yield start
    for server in running:
        server.stop()


@pytest.fixture
def terminal(serve: Callable[[VenueBackend], TerminalServer], backend: VenueBackend) -> TerminalServer:
    return serve(backend)


@pytest.fixture
def open_page(page: Page, terminal: TerminalServer) -> Page:
    """The terminal in one window, its chart painted with the year, its account known."""
    return visit(page, terminal)


def visit(page: Page, server: TerminalServer) -> Page:
    """Open the terminal and wait until it is whole."""
    page.set_default_timeout(PATIENCE_MS)
    page.goto(server.url)
    expect(page.get_by_test_id("chart")).to_have_attribute("data-history", "year")
    expect(page.get_by_test_id("link")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("balance-USDT")).to_have_text("10,000.00")
    return page
