"""What the terminal shows and how it is moved about: chart, symbols, layers, timeframes, panes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect
from terminal.conftest import NOON_MS, visit
from terminal.venue_backend import HeldClock, VenueBackend

from twinstar_kit.feeds.base import Feed
from twinstar_kit.terminal import TerminalServer

pytestmark = pytest.mark.browser
MINUTE_MS = 60_000
IDS = (
    "buy", "sell", "balance-USDT", "equity", "last-price", "symbol", "order-amount", "order-price", "orders-open",
    "fills", "chart", "mode",
)  # fmt: skip


def shown_bars(page: Page) -> Any:
    """What the chart holds: symbol, timeframe, start, count and the last bar."""
    return page.evaluate("""() => {
        const { symbol, timeframe, start, levels } = twinstar.chart.pyramid;
        const bars = levels[timeframe], k = bars.n - 1;
        return { symbol, timeframe, start, n: bars.n,
                 last: [bars.open[k], bars.high[k], bars.low[k], bars.close[k], bars.volume[k]] };
    }""")


def pixels_like(page: Page, colour: str) -> int:
    """How many pixels of the chart's canvases have about this colour (#rrggbb)."""
    return int(page.evaluate("""(colour) => {
        const want = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16));
        let found = 0;
        for (const canvas of document.querySelectorAll("#chart canvas")) {
            if (!canvas.width || !canvas.height) continue;
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            for (let i = 0; i < data.length; i += 4)
                if (data[i + 3] > 200 && want.every((c, j) => Math.abs(data[i + j] - c) < 10)) found++;
        }
        return found;
    }""", colour))  # fmt: skip


def test_it_paints_and_says_what_it_is(open_page: Page):
    for name in IDS:
        expect(open_page.get_by_test_id(name)).to_have_count(1)
    expect(open_page.get_by_test_id("chart")).to_have_attribute("data-painted", "BTC/USDT 1m")
    expect(open_page.get_by_test_id("mode")).to_have_text("PAPER")
    expect(open_page.get_by_test_id("simulated")).to_be_visible()
    expect(open_page.get_by_test_id("symbol")).to_have_text("BTC/USDT")
    expect(open_page.get_by_test_id("watchlist").get_by_role("option")).to_have_count(120)
    assert pixels_like(open_page, "#2ebd85") > 300
    assert pixels_like(open_page, "#f6465d") > 300


def test_it_asks_nobody_but_its_own_server(page: Page, terminal: TerminalServer):
    asked: list[str] = []
    wrong: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    visit(page, terminal)
    addresses = [url for url in asked if not url.startswith(("data:", "blob:"))]
    assert addresses
    assert [url for url in addresses if not url.startswith(terminal.url)] == []
    assert wrong == []


def test_the_chart_holds_the_feeds_own_bars(open_page: Page, market: Feed):
    bars = market.bars("BTC/USDT", NOON_MS - 2 * MINUTE_MS, NOON_MS // MINUTE_MS * MINUTE_MS)
    chart = shown_bars(open_page)
    # the last complete bar, or the one after it that is forming
    end = chart["start"] + chart["n"]
    assert end in (NOON_MS // MINUTE_MS, NOON_MS // MINUTE_MS + 1)
    assert chart["n"] > 525_600
    k = NOON_MS // MINUTE_MS - 1 - chart["start"]
    held = open_page.evaluate(
        "(k) => { const b = twinstar.chart.pyramid.levels[1]; return [b.open[k], b.high[k], b.low[k], b.close[k]] }",
        k,
    )
    expected = [bars.open[-1], bars.high[-1], bars.low[-1], bars.close[-1]]
    assert np.allclose(held, expected, rtol=1e-7)


def test_new_bars_are_appended_live(open_page: Page, market: Feed, clock: HeldClock):
    open_page.wait_for_function(
        f"twinstar.chart.pyramid.start + twinstar.chart.pyramid.levels[1].n === {NOON_MS // MINUTE_MS + 1}"
    )
    before = shown_bars(open_page)
    view = open_page.evaluate("twinstar.chart.window.view")
    clock.advance(3 * MINUTE_MS)
    open_page.wait_for_function(f"twinstar.chart.pyramid.levels[1].n === {before['n'] + 3}")
    now = clock.now_ms // MINUTE_MS
    bars = market.bars("BTC/USDT", NOON_MS // MINUTE_MS * MINUTE_MS, now * MINUTE_MS)
    held = open_page.evaluate(
        "(n) => { const b = twinstar.chart.pyramid.levels[1]; return Array.from(b.close.subarray(b.n - 1 - n, b.n - 1)) }",
        len(bars),
    )
    assert np.allclose(held, bars.close, rtol=1e-7)
    forming = market.forming_bar("BTC/USDT", clock.now_ms)
    assert forming is not None
    instrument = market.instruments[0]
    assert np.allclose(
        shown_bars(open_page)["last"][:4], [instrument.price(p) for p in forming[1:5]], rtol=1e-7
    )
    # the view followed by three bars, and coarser levels took them in as well
    assert open_page.evaluate("twinstar.chart.window.view") == pytest.approx([view[0] + 3, view[1] + 3])
    assert open_page.evaluate("twinstar.chart.pyramid.levels[5].n") == -(-(before["n"] + 3) // 5)


def test_a_long_gap_makes_the_chart_load_anew(open_page: Page, clock: HeldClock):
    clock.advance(3 * 86_400_000)
    end = clock.now_ms // MINUTE_MS
    open_page.wait_for_function(
        f"(() => {{ const p = twinstar.chart.pyramid, n = p.levels[1].n;"
        f" return !p.partial && p.start + n >= {end} && p.start + n <= {end + 1} }})()"
    )


def test_switching_the_symbol(open_page: Page, market: Feed):
    open_page.get_by_test_id("watchlist").get_by_text("ETH/KRW").click()
    expect(open_page.get_by_test_id("symbol")).to_have_text("ETH/KRW")
    expect(open_page.get_by_test_id("chart")).to_have_attribute("data-painted", "ETH/KRW 1m")
    expect(open_page.get_by_test_id("chart")).to_have_attribute("data-history", "year")
    instrument = next(m for m in market.instruments if m.symbol == "ETH/KRW")
    last = instrument.price(market.last("ETH/KRW", NOON_MS))
    expect(open_page.get_by_test_id("last-price")).to_have_text(f"{last:,.0f}")
    expect(open_page.get_by_test_id("buy")).to_have_text("Buy ETH")
    expect(open_page.get_by_test_id("available-quote")).to_have_text("10,000,000 KRW")


def test_the_address_names_the_symbol(page: Page, terminal: TerminalServer):
    page.goto(f"{terminal.url}#XRP/USDT")
    expect(page.get_by_test_id("symbol")).to_have_text("XRP/USDT")
    page.goto(f"{terminal.url}#NONE/SUCH")
    page.reload()
    expect(page.get_by_test_id("symbol")).to_have_text("BTC/USDT")


def test_the_page_comes_back_when_the_server_does(
    page: Page, backend: VenueBackend, serve: Callable[..., TerminalServer]
):
    first = serve(backend)
    visit(page, first)
    page.locator("#watch-SOL-USDT").click()
    expect(page.get_by_test_id("chart")).to_have_attribute("data-symbol", "SOL/USDT")
    expect(page.get_by_test_id("chart")).to_have_attribute("data-history", "year")
    first.stop()
    expect(page.get_by_test_id("link")).to_have_attribute("data-state", "stale")
    expect(page.get_by_test_id("toast-error")).to_contain_text(
        "The connection to the terminal's server was lost"
    )
    serve(backend, first.port)
    expect(page.get_by_test_id("link")).to_have_attribute("data-state", "live")
    expect(page.get_by_test_id("chart")).to_have_attribute("data-painted", "SOL/USDT 1m")


def test_the_list_is_searched_filtered_and_sorted(open_page: Page, market: Feed):
    rows = open_page.get_by_test_id("watchlist").locator("[role=option]:not([hidden])")
    open_page.get_by_test_id("symbol-search").fill("doge")
    expect(rows).to_have_count(sum(m.base == "DOGE" for m in market.instruments))
    open_page.get_by_test_id("symbol-search").press("Escape")
    open_page.get_by_test_id("quote-KRW").click()
    expect(rows).to_have_count(sum(m.quote == "KRW" for m in market.instruments))
    open_page.get_by_test_id("quote-All").click()
    open_page.get_by_test_id("sort-change").click()
    day = market.tickers(NOON_MS)
    best = market.instruments[int(np.argmax(day["percentage"]))].symbol
    expect(rows.first).to_have_attribute("data-symbol", best)


def test_a_layer_toggles_on_the_chart(open_page: Page):
    chip = open_page.get_by_test_id("layer-sma50")
    expect(chip).to_have_attribute("aria-pressed", "false")
    assert pixels_like(open_page, "#c77dff") == 0
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    open_page.wait_for_function("twinstar.chart.state.shown.has('sma50')")
    expect(chip.locator("b")).not_to_be_empty()
    wait_for_pixels(open_page, "#c77dff", at_least=20)
    open_page.get_by_test_id("layers-menu").click()
    open_page.get_by_test_id("menu-sma50").uncheck()
    expect(chip).to_have_attribute("aria-pressed", "false")
    wait_for_pixels(open_page, "#c77dff", at_most=0)


def wait_for_pixels(page: Page, colour: str, at_least: int = 0, at_most: int = 10**9) -> None:
    """Paint happens in the next frame: look until it did."""
    for _ in range(100):
        if at_least <= pixels_like(page, colour) <= at_most:
            return
        page.evaluate("new Promise((resolve) => requestAnimationFrame(resolve))")
    raise AssertionError(f"{colour}: {pixels_like(page, colour)} pixels")


def test_timeframes(open_page: Page, market: Feed):
    for button, minutes in (("5m", 5), ("15m", 15), ("1h", 60), ("4h", 240), ("1D", 1440)):
        open_page.get_by_test_id(f"timeframe-{button}").click()
        expect(open_page.get_by_test_id("chart")).to_have_attribute("data-painted", f"BTC/USDT {button}")
        assert shown_bars(open_page)["timeframe"] == minutes
        step = minutes * MINUTE_MS
        bars = market.bars("BTC/USDT", NOON_MS - 3 * step, NOON_MS // step * step, step)
        held = open_page.evaluate(
            """([minute, step]) => {
                const p = twinstar.chart.pyramid, b = p.levels[step], k = (minute - p.start) / step;
                return [b.open[k], b.high[k], b.low[k], b.close[k], b.volume[k]];
            }""",
            [int(bars.timestamp[-1]) // MINUTE_MS, minutes],
        )
        expected = [getattr(bars, name)[-1] for name in ("open", "high", "low", "close", "volume")]
        assert held[:4] == expected[:4], button
        assert held[4] == pytest.approx(expected[4], rel=1e-4), button


def test_the_crosshair_reads_the_bar_under_it(open_page: Page):
    box = open_page.get_by_test_id("chart").bounding_box()
    assert box is not None
    open_page.mouse.move(box["x"] + 200, box["y"] + 200)
    open_page.wait_for_function("twinstar.chart.hover !== undefined")
    expected = open_page.evaluate("""() => {
        const w = twinstar.chart.window.shown, k = w.k0 + twinstar.chart.hover;
        return [w.bars.open[k], w.bars.high[k], w.bars.low[k], w.bars.close[k]].map((x) => x.toFixed(2));
    }""")
    for name, value in zip(("open", "high", "low", "close"), expected, strict=True):
        expect(open_page.get_by_test_id(f"readout-{name}")).to_have_text(f"{float(value):,.2f}")


def test_zooming_out_shows_a_year_in_coarser_bars_and_never_asks_the_server(open_page: Page):
    asked: list[str] = []
    open_page.on("request", lambda request: asked.append(request.url))
    box = open_page.get_by_test_id("chart").bounding_box()
    assert box is not None
    open_page.mouse.move(box["x"] + 400, box["y"] + 200)
    while open_page.evaluate("twinstar.chart.window.shown.step") < 240:
        open_page.mouse.wheel(0, 400)
    width = open_page.evaluate("twinstar.chart.window.plotWidth()")
    spacing = open_page.evaluate("""() => { const { view, shown } = twinstar.chart.window;
        return (view[1] - view[0]) / shown.step }""")
    assert spacing <= width * 1.1
    assert [url for url in asked if "bars" in url] == []
    expect(open_page.get_by_test_id("chart")).to_have_attribute("data-painted", "BTC/USDT 1m")


def test_equity_is_drawn_in_bokeh(open_page: Page):
    open_page.get_by_role("tab", name="Equity").click()
    expect(open_page.get_by_test_id("equity-chart").locator("canvas").first).to_be_visible()
    open_page.wait_for_function("""() => Bokeh.documents.some((document) => [...document._all_models.values()]
        .some((model) => model.type === "ColumnDataSource" && model.data.equity?.length > 0))""")


def test_tabs_follow_the_arrow_keys(open_page: Page):
    first = open_page.get_by_role("tab", name="Open orders")
    first.focus()
    open_page.keyboard.press("ArrowRight")
    expect(open_page.get_by_role("tab", name="Positions")).to_be_focused()
    expect(open_page.get_by_test_id("positions")).to_be_visible()
    expect(open_page.get_by_test_id("orders-open")).to_be_hidden()


def test_everything_has_a_name_for_those_who_do_not_see_it(open_page: Page):
    nameless = open_page.evaluate("""() => [...document.querySelectorAll("button, input, [role=tabpanel], section")]
        .filter((element) => !element.closest(".bk-root, .bridge"))
        .filter((element) => !(element.getAttribute("aria-label") || element.getAttribute("aria-labelledby")
            || element.textContent.trim() || element.labels?.length))
        .map((element) => element.outerHTML.slice(0, 80))""")
    assert nameless == []


def test_nothing_is_cut_off(open_page: Page):
    ids = ("buy", "sell", "chart", "orders-open", "fills", "mode", "clock", "order-amount", "order-price")
    for width, height in ((1280, 720), (1440, 900), (1920, 1080)):
        open_page.set_viewport_size({"width": width, "height": height})
        open_page.wait_for_function(f"innerWidth === {width}")
        for name in ids:
            box = open_page.get_by_test_id(name).bounding_box()
            assert box is not None, name
            assert box["x"] >= 0, name
            assert box["x"] + box["width"] <= width, name
            assert box["y"] + box["height"] <= height, name
        squeezed = open_page.evaluate(
            """() => [...document.querySelectorAll(".topbar > *, .topbar-right > *, .acts > *")]
                .filter((element) => !element.hidden && element.scrollWidth > element.clientWidth + 1)
                .map((element) => element.className)"""
        )
        assert squeezed == [], width
