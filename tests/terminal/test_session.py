"""The terminal over a real session process: started, attached to, traded on, ended; and under `panel serve`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from terminal.conftest import PATIENCE_MS, visit

from twinstar_kit.journal.client import AccountClient
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.session import Session, list_sessions, start_session, stop_session
from twinstar_kit.settings import load_settings
from twinstar_kit.terminal import TerminalServer
from twinstar_kit.terminal.session_backend import SessionBackend, open_backend

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
DAY_MS = 86_400_000


@pytest.fixture
def session(home: Path) -> Iterator[Session]:
    """A session on a seeded market that stands almost still: a million times slower than the wall."""
    started = start_session("t", feed="simulated:7", home=home, speed="0.000001", start="2025-11-22T12:00:30")
    yield started
    if started.running:
        started.stop()
    started.close()


def test_a_buy_in_the_browser_is_in_the_journal(
    page: Page, home: Path, session: Session, serve: Callable[[SessionBackend], TerminalServer]
):
    visit(page, serve(SessionBackend(session)))
    page.get_by_test_id("order-amount").fill("0.02")
    page.get_by_test_id("buy").click()
    row = page.get_by_test_id("fills").locator("tbody tr")
    expect(row).to_have_count(1)
    with AccountClient(home, "manual") as client:
        (free, held), fills = client.replica.balances()["USDT"], client.replica.fills()
    assert held == 0
    cost = Decimal(int(fills["last_px"][0])) / 100 * Decimal("0.02")
    assert free == Decimal(10_000) - cost * Decimal("1.001")
    expect(page.get_by_test_id("balance-USDT")).to_have_text(f"{free:,.2f}")
    # and an order that a program places shows in the browser
    with AccountClient(home, "manual") as client:
        btc = client.replica.instruments[0]
        client.place({"symbol": "BTC/USDT", "side": -1, "ord_type": 1, "order_qty": btc.amount_units("0.02")})
    expect(row).to_have_count(2)


def test_a_refusal_of_the_session_reaches_the_page(
    page: Page, session: Session, serve: Callable[[SessionBackend], TerminalServer]
):
    visit(page, serve(SessionBackend(session)))
    page.get_by_test_id("order-amount").fill("50")
    page.get_by_test_id("buy").click()
    expect(page.get_by_test_id("toast-error")).to_contain_text(
        "BTC/USDT: the free balance does not cover the order and its fee"
    )


def test_a_strategy_of_the_session_is_drawn(
    page: Page, session: Session, serve: Callable[[SessionBackend], TerminalServer]
):
    visit(page, serve(SessionBackend(session)))
    expect(page.get_by_test_id("strategy")).to_be_hidden()
    client = session.run("breakout", since=session.now_ms() - 2 * DAY_MS)
    expect(page.get_by_test_id("strategy")).to_have_text("breakout")
    while client.replica.bars < 2 * 1440 - 1:  # all minutes since then
        assert client.wait(60.0)
    fills = client.replica.fills()
    assert len(fills) > 4
    expect(page.locator("#count-fills")).to_have_text(str(len(fills)))
    notes = page.evaluate("[...new Set(twinstar.chart.markers.fills.map((fill) => fill.note))].sort()")
    assert {"Entry", "Stop"} <= set(notes) <= {"Entry", "Exit", "Stop"}
    marks = page.evaluate("twinstar.chart.markers.fills.map((fill) => [fill.minute * 60000, fill.price])")
    newest = [[int(f["ts_event"]), int(f["last_px"]) / 100] for f in fills[-3:]]
    assert marks[-3:] == newest
    if client.replica.open_orders:
        titles = page.evaluate(
            "[...twinstar.chart.orderLines.lines.values()].map(({ line }) => line.options().title)"
        )
        assert "breakout STOP" in titles
        assert "breakout TRAIL" in titles


def test_the_end_of_the_session_is_told(
    page: Page, session: Session, serve: Callable[[SessionBackend], TerminalServer]
):
    visit(page, serve(SessionBackend(session)))
    session.stop()
    expect(page.get_by_test_id("link")).to_have_attribute("data-state", "ended")
    expect(page.get_by_test_id("toast-error")).to_contain_text("The session has ended")
    page.get_by_test_id("buy").click()
    expect(page.get_by_test_id("toast-error").last).to_contain_text("no session runs account manual")


def test_another_feed_than_the_sessions_is_refused(home: Path, session: Session):
    settings = load_settings(home=home, session="t")
    with pytest.raises(UsageError, match="session t runs on simulated:7, not simulated:8; stop it with"):
        open_backend(settings, feed="simulated:8")
    backend = open_backend(settings, feed="simulated:7")
    assert backend.session == "t"
    backend.close()


def test_panel_serve_carries_the_same_page(page: Page, home: Path):
    command = [
        sys.executable, "-m", "panel", "serve", "twinstar_kit/terminal/app.py", "--plugins",
        "twinstar_kit.terminal.plugin", "--port", "0", "--address", "127.0.0.1",
    ]  # fmt: skip
    environment = {
        **os.environ,
        "TWINSTAR_HOME": str(home),
        "TWINSTAR_FEED": "simulated:7",
        "BOKEH_LOG_LEVEL": "info",
    }
    server = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr is not None
        address = next(line.split("at: ")[1].strip() for line in server.stderr if "app running at" in line)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(address)
        expect(page.get_by_test_id("chart")).to_have_attribute("data-history", "year")
        expect(page.get_by_test_id("link")).to_have_attribute("data-state", "live")
        page.get_by_test_id("order-amount").fill("0.01")
        page.get_by_test_id("buy").click()
        expect(page.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)
    finally:
        server.terminate()
        server.communicate(timeout=30)
        stop_session(home=home)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--feed", "nowhere"], "unknown feed 'nowhere'"),
        (["--feed", "replay:none.parquet"], "none.parquet"),
        (["--strategy", "brekout"], "did you mean 'breakout'"),
        (["--port", "{taken}"], "is in use; choose another with --port"),
    ],
)
def test_a_bad_start_is_one_line_and_leaves_nothing_running(home: Path, arguments: list[str], words: str):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "twinstar_kit", "terminal", "--no-browser", "--port", "0"]
        command += [argument.replace("{taken}", port) for argument in arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list_sessions(home) == []
