"""Orders from the ticket, as a person places them, and what every window then shows."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect
from terminal.conftest import visit
from terminal.venue_backend import HeldClock, VenueBackend

from twinstar_kit.feeds.base import Feed
from twinstar_kit.terminal import TerminalServer

pytestmark = pytest.mark.browser
CENT = Decimal("0.01")


def number(locator: Locator) -> Decimal:
    return Decimal((locator.text_content() or "").replace(",", "").strip())


def cells(row: Locator) -> list[str]:
    return [text.strip() for text in row.locator("td").all_inner_texts()]


def test_a_click_on_buy_takes_cost_and_fee_to_the_cent(open_page: Page):
    before = number(open_page.get_by_test_id("balance-USDT"))
    open_page.get_by_test_id("order-amount").fill("0.02345")
    open_page.get_by_test_id("buy").click()
    row = open_page.get_by_test_id("fills").locator("tbody tr")
    expect(row).to_have_count(1)
    _, symbol, side, price, amount, _, account = cells(row)
    assert (symbol, side, amount, account) == ("BTC/USDT", "Buy", "0.02345", "manual")
    cost = Decimal(price.replace(",", "")) * Decimal("0.02345")
    after = before - cost - cost * Decimal("0.001")
    expect(open_page.get_by_test_id("balance-USDT")).to_have_text(f"{after.quantize(CENT):,}")
    expect(open_page.get_by_test_id("positions").locator("tbody tr")).to_have_count(1)
    expect(open_page.get_by_test_id("toast-fill")).to_contain_text("Bought 0.02345 BTC/USDT at")


def test_selling_all_of_it_leaves_two_fees_and_the_spread(open_page: Page):
    open_page.get_by_test_id("order-amount").fill("0.02")
    open_page.get_by_test_id("buy").click()
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)
    open_page.get_by_test_id("sell-100").click()
    expect(open_page.get_by_test_id("order-amount")).to_have_value("0.02000")
    open_page.get_by_test_id("sell").click()
    fills = open_page.get_by_test_id("fills").locator("tbody tr")
    expect(fills).to_have_count(2)
    sold, bought = (Decimal(cells(fills.nth(i))[3].replace(",", "")) * Decimal("0.02") for i in (0, 1))
    after = Decimal(10_000) - bought * Decimal("1.001") + sold * Decimal("0.999")
    expect(open_page.get_by_test_id("balance-USDT")).to_have_text(f"{after.quantize(CENT):,}")
    expect(open_page.get_by_test_id("positions").locator("tbody tr")).to_have_count(0)


def test_a_share_of_the_balance_is_bought_and_the_free_balance_shows_it(open_page: Page):
    expect(open_page.get_by_test_id("available-quote")).to_have_text("10,000.00 USDT")
    open_page.get_by_test_id("buy-50").click()
    amount = Decimal(open_page.get_by_test_id("order-amount").input_value())
    last = number(open_page.get_by_test_id("last-price"))
    assert Decimal("0.499") < amount * last * Decimal("1.001") / 10_000 <= Decimal("0.5001")
    open_page.get_by_test_id("buy-100").click()
    open_page.get_by_test_id("buy").click()
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)


REFUSED = (
    ("9", "", "BTC/USDT: the free balance does not cover the order and its fee"),
    ("0.000001", "", "BTC/USDT amount 0.000001 is not a multiple of 0.00001; the nearest are 0 and 0.00001"),
    ("0.00001", "", "BTC/USDT: price times amount is below the smallest value allowed"),
    ("", "", "BTC/USDT amount is missing; enter how much BTC"),
    ("0.01", "100000.001", "BTC/USDT price 100000.001 is not a multiple of 0.01"),
    ("lots", "", "'lots' is not a number"),
)


def test_a_refused_order_names_the_rule(open_page: Page):
    toast = open_page.get_by_test_id("toast-error")
    for amount, price, rule in REFUSED:
        open_page.get_by_test_id("type-market").click()
        open_page.get_by_test_id("order-amount").fill(amount)
        if price:
            open_page.get_by_test_id("order-price").fill(price)
        open_page.get_by_test_id("buy").click()
        expect(toast).to_have_count(1)
        expect(toast).to_contain_text(rule)
        assert "\n" not in toast.locator("span").inner_text()
        toast.get_by_role("button", name="Dismiss").click()
        expect(toast).to_have_count(0)
    expect(open_page.get_by_test_id("balance-USDT")).to_have_text("10,000.00")
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_have_count(0)


def test_a_stop_that_the_market_has_passed_is_refused_with_the_way_out(open_page: Page):
    open_page.get_by_test_id("type-stop").click()
    open_page.get_by_test_id("order-price").fill("200000")
    open_page.get_by_test_id("sell").click()
    expect(open_page.get_by_test_id("toast-error")).to_contain_text(
        "a sell stop must lie below the last price"
    )


def test_a_limit_order_holds_its_cost_until_it_is_canceled(open_page: Page):
    open_page.get_by_test_id("order-amount").fill("0.05")
    open_page.get_by_test_id("order-price").fill("50000")
    expect(open_page.get_by_test_id("type-limit")).to_have_attribute("aria-pressed", "true")
    open_page.get_by_test_id("buy").click()
    orders = open_page.get_by_test_id("orders-open").locator("tbody tr")
    expect(orders).to_have_count(1)
    expect(orders).to_contain_text("50,000.00")
    # what is held includes the fee that it may cost
    expect(open_page.get_by_test_id("available-quote")).to_have_text("7,497.50 USDT")
    expect(open_page.get_by_test_id("balance-USDT")).to_have_text("10,000.00")
    assert open_page.evaluate("[...twinstar.chart.orderLines.lines.keys()].length") == 1
    orders.get_by_test_id("cancel").click()
    expect(orders).to_have_count(0)
    expect(open_page.get_by_test_id("available-quote")).to_have_text("10,000.00 USDT")
    open_page.wait_for_function("twinstar.chart.orderLines.lines.size === 0")


def test_an_order_fills_when_the_market_reaches_it(
    open_page: Page, market: Feed, clock: HeldClock, backend: VenueBackend
):
    btc = market.instruments[0]
    ahead = market.bars("BTC/USDT", clock.now_ms, clock.now_ms + 3_600_000)
    lowest = btc.price(int(ahead.rows[:, 3].min()))
    limit = f"{lowest + 20:.2f}"
    open_page.get_by_test_id("order-amount").fill("0.01")
    open_page.get_by_test_id("order-price").fill(limit)
    open_page.get_by_test_id("buy").click()
    expect(open_page.get_by_test_id("orders-open").locator("tbody tr")).to_have_count(1)
    clock.advance(3_600_000)
    fill = open_page.get_by_test_id("fills").locator("tbody tr")
    expect(fill).to_have_count(1)
    assert cells(fill)[3] == f"{Decimal(limit):,}"
    expect(open_page.get_by_test_id("orders-open").locator("tbody tr")).to_have_count(0)


def test_two_windows_agree(context: BrowserContext, terminal: TerminalServer):
    one, two = (visit(context.new_page(), terminal) for _ in range(2))
    one.get_by_test_id("order-amount").fill("0.01")
    one.get_by_test_id("buy").click()
    expect(one.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)
    expect(two.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)
    for name in ("balance-USDT", "fills", "equity", "last-price"):
        expect(two.get_by_test_id(name)).to_have_text(
            one.get_by_test_id(name).text_content() or "", use_inner_text=False
        )
    two.get_by_test_id("sell-100").click()
    two.get_by_test_id("sell").click()
    expect(one.get_by_test_id("fills").locator("tbody tr")).to_have_count(2)
    expect(one.get_by_test_id("positions").locator("tbody tr")).to_have_count(0)


def test_a_window_that_sleeps_delays_neither_the_other_nor_an_order(
    context: BrowserContext, terminal: TerminalServer, clock: HeldClock
):
    awake, asleep = (visit(context.new_page(), terminal) for _ in range(2))
    # this page takes in nothing more: it never acknowledges again
    asleep.evaluate("twinstar.link.channel.send = () => {}")
    sleeping = next(tab for tab in terminal.hub.tabs if tab.symbol == "BTC/USDT")
    sent_before = {tab: tab.sequence for tab in terminal.hub.tabs}
    for _ in range(5):
        clock.advance(60_000)
        expect(awake.get_by_test_id("clock")).to_have_text(
            awake.evaluate("(ms) => new Date(ms).toISOString().slice(11, 19)", clock.now_ms)
        )
    awake.get_by_test_id("order-amount").fill("0.01")
    awake.get_by_test_id("buy").click()
    expect(awake.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)
    told = sorted(tab.sequence - before for tab, before in sent_before.items())
    assert told[0] <= 1
    assert told[1] >= 5
    assert sleeping in terminal.hub.tabs


def test_the_keyboard_is_enough_to_buy(open_page: Page):
    open_page.keyboard.press("/")
    open_page.keyboard.type("ETHUSDT")
    open_page.keyboard.press("Enter")
    expect(open_page.get_by_test_id("symbol")).to_have_text("ETH/USDT")
    open_page.get_by_test_id("order-amount").focus()
    open_page.keyboard.press("Control+a")
    open_page.keyboard.type("0.5")
    for _ in range(20):
        open_page.keyboard.press("Tab")
        if open_page.evaluate("document.activeElement.dataset.testid") == "buy":
            break
    open_page.keyboard.press("Enter")
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_contain_text("ETH/USDT")


def test_a_strategys_fills_and_stop_are_drawn_as_they_happen(
    open_page: Page, backend: VenueBackend, market: Feed
):
    from twinstar_kit.kernel.orders import OrdType, Side
    from twinstar_kit.venues.blotter import OrderRequest

    btc = market.instruments[0]
    assert open_page.get_by_test_id("strategy").text_content() == "breakout"
    backend.place(OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, btc.amount_units("0.02")), "e", "trend")
    stop = market.last("BTC/USDT", backend.now_ms()) * 99 // 100
    backend.place(
        OrderRequest("BTC/USDT", Side.SELL, OrdType.STOP, btc.amount_units("0.02"), stop_px=stop, reduce_only=True),
        "s", "trend",
    )  # fmt: skip
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_contain_text("breakout")
    open_page.wait_for_function("twinstar.chart.markers.fills.some((fill) => fill.note === 'Entry')")
    for title in ("breakout STOP", "breakout 0.02"):
        open_page.wait_for_function(
            "(title) => [...twinstar.chart.orderLines.lines.values()].some(({ line }) => line.options().title === title)",
            arg=title,
        )
    # a person cannot cancel what belongs to a strategy
    expect(open_page.get_by_test_id("orders-open").get_by_test_id("cancel")).to_have_count(0)


def test_the_price_of_a_level_in_the_book_goes_into_the_ticket(open_page: Page):
    level = open_page.get_by_test_id("book").locator(".book-bid .book-row").nth(2)
    level.click()
    expect(open_page.get_by_test_id("type-limit")).to_have_attribute("aria-pressed", "true")
    assert float(open_page.get_by_test_id("order-price").input_value()) == float(
        level.get_attribute("data-price") or 0
    )


def test_a_second_server_on_the_same_port_is_refused_in_one_line(
    terminal: TerminalServer, serve: Callable[[VenueBackend], TerminalServer], backend: VenueBackend
):
    from twinstar_kit.kernel.errors import UsageError

    with pytest.raises(UsageError, match=f"port {terminal.port} is in use; choose another with --port"):
        TerminalServer(backend, terminal.port).start()
