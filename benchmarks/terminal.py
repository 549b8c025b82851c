"""The terminal in headless Chromium: load, pan, zoom, symbol switch, crosshair and live updates.

CPU time is the browser's own account. The peers are the figures of the prototypes that led to this data path,
measured on the same kind of machine.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from benchmarks.measure import Row

VIEWPORT = {"width": 1940, "height": 900}  # leaves the chart about 1,400 pixels, as the prototypes had
BARS_IN_VIEW = 1_400
LOADS, SWITCHES, EVENTS = 5, 8, 120
NOTE = "terminal: 525,600 bars, 1,400 in view, volume and five lines, Chromium without a GPU"


def run() -> list[Row]:
    """Measure everything on one server over one session."""
    from playwright.sync_api import sync_playwright

    with _terminal() as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_chromium(), args=["--no-sandbox"])
        try:
            rows = _loads(browser, url)
            page = _open(browser, url)
            rows += _switches(page)
            rows += [_live(page)]
            _hold_still(page)
            rows += [*_pan(page), *_wheel(page), _crosshair(page)]
        finally:
            browser.close()
    for row in rows:
        row.notes = [NOTE]
    return rows


def _chromium() -> str:
    names = (os.environ.get("TWINSTAR_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome")
    found = next((path for name in names if name and (path := shutil.which(name))), None)
    if found is None:
        raise RuntimeError("no Chromium here; install it or set TWINSTAR_CHROMIUM")
    return found


@contextmanager
def _terminal() -> Iterator[str]:
    """A terminal on a session of its own, in a home that is thrown away."""
    from twinstar_kit.session import start_session
    from twinstar_kit.terminal import TerminalServer
    from twinstar_kit.terminal.session_backend import SessionBackend

    with tempfile.TemporaryDirectory(prefix="twinstar-bench-") as home:
        session = start_session("bench", feed="simulated:7", home=home)
        try:
            server = TerminalServer(SessionBackend(session)).start()
            try:
                session.feed.tickers(session.now_ms())
                session.feed.bars("BTC/USDT", session.now_ms() - 366 * 86_400_000, session.now_ms())
                yield server.url
            finally:
                server.stop()
        finally:
            session.stop()


def _open(browser: Any, url: str) -> Any:
    page = browser.new_page(viewport=VIEWPORT)
    page.set_default_timeout(60_000)
    page.goto(url)
    page.wait_for_selector("[data-testid=chart][data-history=year]")
    page.wait_for_selector("[data-testid=link][data-state=live]")
    page.wait_for_function("twinstar.store.account !== null")
    return page


def _loads(browser: Any, url: str) -> list[Row]:
    """From the navigation's begin to the first painted bars, and to the whole year and a live account."""
    painted, whole = [], []
    for _ in range(LOADS):
        page = _open(browser, url)
        painted.append(page.evaluate("twinstar.chart.timings.started_ms + twinstar.chart.timings.painted_ms"))
        whole.append(page.evaluate("performance.now()"))
        page.close()
    return [
        _row("load to painted", painted, "ms", 1_300, "prototype 1.2-1.4 s", "below 2,000"),
        _row("load to the year, account live", whole, "ms"),
    ]


def _switches(page: Any) -> list[Row]:
    """From the choice of a symbol to its painted bars, for one never seen and for one in the cache."""
    symbols = page.evaluate("[...twinstar.store.instruments.keys()]")[1 : SWITCHES + 1]
    new = [_switch(page, symbol, "year") for symbol in symbols]
    known = page.evaluate("[...twinstar.chart.source.years.keys()]")[:-1]
    seen = [_switch(page, symbol, "year") for symbol in known]
    _switch(page, "BTC/USDT", "year")
    return [
        _row("symbol switch, new", new, "ms", 44, "prototype 41-46 ms"),
        _row("symbol switch, seen", seen, "ms", 20, "prototype 20 ms"),
    ]


def _switch(page: Any, symbol: str, history: str) -> float:
    page.evaluate("(symbol) => twinstar.store.select(symbol)", symbol)
    page.wait_for_selector(f'[data-testid=chart][data-symbol="{symbol}"][data-history={history}]')
    return float(page.evaluate("twinstar.chart.timings.painted_ms"))


def _live(page: Any) -> Row:
    """Main thread of the whole page per second, with prices, book, tape and account coming in as they do."""
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    spent = []
    for _ in range(5):
        before, begun = _cpu(client), page.evaluate("performance.now()")
        seq = page.evaluate("twinstar.link.seen")
        page.wait_for_function(f"twinstar.link.seen >= {seq + 10}")
        elapsed = page.evaluate("performance.now()") - begun
        spent.append((_cpu(client) - before) / elapsed * 1000)
    return _row("live page, main thread per second", spent, "ms/s", 110, "prototype, chart alone: 110 ms/s")


def _hold_still(page: Any) -> None:
    """No more updates, and the view that the prototypes were measured with."""
    page.evaluate("""(bars) => {
        twinstar.link.channel.send = () => {};
        const { chart } = twinstar;
        for (const id of ["sma50", "ema200"]) if (!chart.state.shown.has(id)) chart.toggleLayer(id);
        const end = chart.window.view[1];
        chart.window.look([end - bars - 200_000, end - 200_000]);
    }""", BARS_IN_VIEW)  # fmt: skip
    _rest(page)


def _rest(page: Any) -> None:
    page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 200)))")


def _cpu(client: Any) -> float:
    metrics = client.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration")) * 1000


def _box(page: Any) -> Any:
    return page.get_by_test_id("chart").bounding_box()


def _pan(page: Any) -> list[Row]:
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    page.evaluate("""() => { window.frames = []; let last = performance.now();
        const tick = (now) => { frames.push(now - last); last = now; if (window.frames) requestAnimationFrame(tick); };
        requestAnimationFrame(tick); }""")
    box = _box(page)
    y = box["y"] + box["height"] / 2
    per_event = []
    for way in (1, -1, 1):
        x = box["x"] + (200 if way > 0 else 1_000)
        page.mouse.move(x, y)
        page.mouse.down()
        page.mouse.move(x + way * 8, y)
        before = _cpu(client)
        for k in range(EVENTS):
            page.mouse.move(x + way * (8 + 6 * k), y)
        per_event.append((_cpu(client) - before) / EVENTS)
        page.mouse.up()
        _rest(page)
    frames = sorted(
        page.evaluate("(() => { const all = window.frames; window.frames = null; return all })()")
    )
    return [
        _row("pan, CPU per event", per_event, "ms", 10.8, "prototype 9.7-12 ms", "below 16"),
        _row("pan, frame p95", [frames[int(0.95 * len(frames))]], "ms", 18, "prototype 18 ms"),
    ]


def _wheel(page: Any) -> list[Row]:
    """From the wheel's event to the end of the frame that shows its effect, in and out over five levels."""
    page.evaluate("""() => { window.repaints = [];
        document.getElementById("chart").addEventListener("wheel", (event) => {
            const begun = event.timeStamp;
            requestAnimationFrame(() => setTimeout(() => repaints.push(performance.now() - begun)));
        }, { capture: true, passive: true }); }""")
    box = _box(page)
    page.mouse.move(box["x"] + 700, box["y"] + box["height"] / 2)
    for k in range(EVENTS):
        page.mouse.wheel(0, 300 if k < EVENTS // 2 else -300)
        page.wait_for_function(f"repaints.length > {k}")
    times = sorted(page.evaluate("repaints"))
    _rest(page)
    return [
        _row("wheel to repaint, p50", [times[len(times) // 2]], "ms", 33, "prototype 33 ms"),
        _row("wheel to repaint, p95", [times[int(0.95 * len(times))]], "ms", 57, "prototype 57 ms"),
    ]


def _crosshair(page: Any) -> Row:
    client = page.context.new_cdp_session(page)
    client.send("Performance.enable")
    box = _box(page)
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + 100, y)
    _rest(page)
    spent = []
    for _ in range(3):
        before = _cpu(client)
        for k in range(EVENTS):
            page.mouse.move(box["x"] + 100 + 8 * k, y + k % 7)
        spent.append((_cpu(client) - before) / EVENTS)
    return _row("crosshair, CPU per move", spent, "ms", 5.2, "prototype 5.2 ms")


def _row(
    name: str,
    values: list[float],
    unit: str,
    peer: float | None = None,
    peer_name: str = "",
    target: str = "",
) -> Row:
    ours = statistics.median(values)
    limit = float(target.removeprefix("below ").replace(",", "")) if target else None
    return Row(
        f"terminal: {name}", ours, unit, peer, peer_name, peer / ours if peer else None, target,
        ours < limit if limit else None,
    )  # fmt: skip
