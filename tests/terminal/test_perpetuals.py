"""Perpetuals in the terminal: margin, leverage, shorts, inverse contracts, and what a position is worth, to the cent."""

from __future__ import annotations

from decimal import Decimal

import pytest
from playwright.sync_api import Locator, Page, expect
from terminal.venue_backend import HeldClock, VenueBackend

from twinstar_kit.feeds.base import Feed
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.orders import OrdType, Side
from twinstar_kit.venues.blotter import OrderRequest

pytestmark = pytest.mark.browser
LINEAR, INVERSE = "BTC/USDT:USDT", "BTC/USD:BTC"
CENT = Decimal("0.01")
HOUR_MS = 3_600_000


def number(locator: Locator) -> Decimal:
    return Decimal((locator.text_content() or "").replace(",", "").split()[0])


def cells(row: Locator) -> list[str]:
    return [(text or "").strip() for text in row.locator("td").all_text_contents()]


def show(page: Page, symbol: str) -> None:
    page.get_by_test_id("watchlist").locator(f"[data-symbol='{symbol}']").click()
    expect(page.get_by_test_id("symbol")).to_have_text(symbol)


def move(page: Page, asset: str, amount: str) -> None:
    """From the spot wallet to the swap wallet, through the dialog."""
    page.get_by_role("tab", name="Balances").click()
    page.get_by_test_id(f"transfer-spot-{asset}").click()
    page.get_by_test_id("transfer-amount").fill(amount)
    page.get_by_test_id("transfer-move").click()
    expect(page.get_by_test_id("transfer-dialog")).to_be_hidden()


def position_row(page: Page, symbol: str) -> Locator:
    page.get_by_role("tab", name="Positions").click()
    return page.get_by_test_id("positions").locator(f"tbody tr[data-symbol='{symbol}']")


def test_a_perpetual_is_listed_by_its_kind_and_shows_mark_and_funding(open_page: Page, market: Feed):
    rows = open_page.get_by_test_id("watchlist").locator("[role=option]:not([hidden])")
    open_page.get_by_test_id("quote-Perp").click()
    expect(rows).to_have_count(sum(m.derivative for m in market.instruments))
    open_page.get_by_test_id("quote-USDT").click()
    expect(rows).to_have_count(sum(m.quote == "USDT" and not m.derivative for m in market.instruments))
    open_page.get_by_test_id("quote-All").click()
    expect(open_page.get_by_test_id("mark")).to_be_hidden()
    show(open_page, INVERSE)
    now_ms = open_page.evaluate("twinstar.store.now")
    following = market.next_funding(INVERSE, now_ms)
    assert following is not None
    expect(open_page.get_by_test_id("mark")).to_have_text(f"{Decimal(market.mark(INVERSE, now_ms)) / 10:,}")
    rate = Decimal(following.rate) / 10**6
    expect(open_page.get_by_test_id("funding")).to_contain_text(f"{rate:+.4f}%")
    expect(open_page.get_by_test_id("buy")).to_have_text("Buy / Long")
    expect(open_page.get_by_test_id("book")).to_contain_text("Amount cont.")
    # the price between the sides is this market's, not that of the one before
    expect(open_page.get_by_test_id("book-last")).to_have_text(
        open_page.get_by_test_id("last-price").text_content() or ""
    )


def test_a_short_needs_margin_and_is_told_where_it_comes_from(open_page: Page):
    show(open_page, LINEAR)
    expect(open_page.get_by_test_id("available-quote")).to_have_text("0.00 USDT")
    open_page.get_by_test_id("sell").click()
    expect(open_page.get_by_test_id("toast-error")).to_contain_text("⇄ moves USDT to the swap wallet")
    open_page.get_by_test_id("transfer").click()
    open_page.get_by_test_id("transfer-amount").fill("20000")
    open_page.get_by_test_id("transfer-move").click()
    expect(open_page.get_by_test_id("transfer-error")).to_contain_text("balance")
    open_page.get_by_test_id("transfer-amount").fill("3000")
    open_page.get_by_test_id("transfer-move").click()
    expect(open_page.get_by_test_id("available-quote")).to_have_text("3,000.00 USDT")
    expect(open_page.get_by_test_id("free-manual-USDT")).to_have_text("7,000.00")
    expect(open_page.get_by_test_id("free-manual-swap-USDT")).to_have_text("3,000.00")
    expect(open_page.get_by_test_id("balance-USDT")).to_have_text("10,000.00")  # of both wallets


def test_a_short_is_worth_what_its_entry_and_the_mark_make_it(
    open_page: Page, market: Feed, clock: HeldClock, backend: VenueBackend
):
    show(open_page, LINEAR)
    move(open_page, "USDT", "3000")
    open_page.get_by_test_id("leverage").select_option("5")
    open_page.wait_for_function(f"twinstar.store.account.leverages['{LINEAR}'] === 5")
    open_page.get_by_test_id("order-amount").fill("0.05")
    open_page.get_by_test_id("sell").click()
    row = position_row(open_page, LINEAR)
    expect(row).to_have_count(1)
    entry = Decimal(cells(row)[3].replace(",", ""))
    margin = entry * Decimal("0.05") / 5
    assert cells(row)[1:3] == ["Short 5×", "0.05 BTC"]
    expect(open_page.get_by_test_id("free-manual-swap-USDT")).to_have_text(
        f"{(3000 - entry * Decimal('0.05') * Decimal('0.001') - margin).quantize(CENT):,}"
    )
    clock.advance(HOUR_MS)
    mark = Decimal(market.mark(LINEAR, clock.now_ms)) / 10
    profit = ((entry - mark) * Decimal("0.05")).quantize(CENT)
    expect(row.locator("td").nth(5)).to_have_text(f"{profit:+,}")
    assert Decimal(cells(row)[4].replace(",", "")) == mark
    assert f"{100 * profit / margin:.1f}" == f"{Decimal(cells(row)[6].rstrip('%')):.1f}"
    # the account of the session says the same
    held = backend.venues["manual"].positions()[0]
    assert f"{Decimal(held.profit(backend.venues['manual'].mark(held.instrument))) / 10**8:.2f}" == str(
        profit
    )
    # a cross position is liquidated where its wallet and its loss leave the maintenance margin
    wallet = sum(backend.venues["manual"].balances(Wallet.SWAP)["USDT"])
    liquidation = Decimal(cells(row)[7].replace(",", ""))
    left = wallet + (entry - liquidation) * Decimal("0.05")
    assert left == pytest.approx(liquidation * Decimal("0.05") * Decimal("0.004"), abs=Decimal("0.1"))
    titles = open_page.evaluate(
        "[...twinstar.chart.orderLines.lines.values()].map(({ line }) => line.options().title)"
    )
    assert "SHORT 0.05" in titles


def test_close_buys_a_short_back_and_opens_nothing(open_page: Page, clock: HeldClock):
    show(open_page, LINEAR)
    move(open_page, "USDT", "9000")
    open_page.get_by_test_id("order-amount").fill("0.05")
    open_page.get_by_test_id("sell").click()
    row = position_row(open_page, LINEAR)
    expect(row).to_have_count(1)
    expect(open_page.get_by_test_id("available-base")).to_have_text("-0.05 BTC")
    clock.advance(HOUR_MS)
    row.get_by_test_id("close-position").click()
    expect(row).to_have_count(0)
    fills = open_page.get_by_test_id("fills").locator("tbody tr")
    expect(fills).to_have_count(2)
    bought, sold = (Decimal(cells(fills.nth(i))[3].replace(",", "")) * Decimal("0.05") for i in (0, 1))
    after = 9000 + sold - bought - (sold + bought) * Decimal("0.001")
    expect(open_page.get_by_test_id("available-quote")).to_have_text(f"{after.quantize(CENT):,} USDT")
    expect(open_page.get_by_test_id("available-base")).to_have_text("0 BTC")


def test_a_share_of_the_margin_counts_the_leverage_and_the_fee(open_page: Page):
    show(open_page, LINEAR)
    move(open_page, "USDT", "1000")
    open_page.get_by_test_id("leverage").select_option("10")
    open_page.wait_for_function(f"twinstar.store.account.leverages['{LINEAR}'] === 10")
    open_page.get_by_test_id("buy-50").click()
    worth = Decimal(open_page.get_by_test_id("order-amount").input_value()) * number(
        open_page.get_by_test_id("last-price")
    )
    assert 485 < worth / 10 + worth * Decimal("0.001") <= Decimal("500.1")
    open_page.get_by_test_id("buy-100").click()
    open_page.get_by_test_id("buy").click()
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)


def test_inverse_contracts_are_counted_and_settle_in_the_coin(
    open_page: Page, market: Feed, clock: HeldClock
):
    open_page.get_by_test_id("order-amount").fill("0.02")
    open_page.get_by_test_id("buy").click()
    expect(open_page.get_by_test_id("fills").locator("tbody tr")).to_have_count(1)
    move(open_page, "BTC", "0.02")
    show(open_page, INVERSE)
    expect(open_page.get_by_test_id("available-quote")).to_have_text("0.02 BTC")
    open_page.get_by_test_id("order-amount").fill("10")
    open_page.get_by_test_id("sell").click()
    expect(open_page.get_by_test_id("toast-fill").last).to_contain_text(f"Sold 10 contracts of {INVERSE}")
    row = position_row(open_page, INVERSE)
    expect(row).to_have_count(1)
    assert cells(row)[1:3] == ["Short 1×", "10 contracts"]
    fill = cells(open_page.get_by_test_id("fills").locator("tbody tr").first)
    price = Decimal(fill[3].replace(",", ""))
    fee = number(open_page.get_by_test_id("fills").locator("tbody tr").first.locator("td").nth(5))
    assert fee == pytest.approx(1000 / price * Decimal("0.001"), abs=Decimal("0.00000002"))
    clock.advance(HOUR_MS)
    mark = Decimal(market.mark(INVERSE, clock.now_ms)) / 10
    expect(row.locator("td").nth(4)).to_have_text(f"{mark:,}")
    profit = 1000 / mark - 1000 / price
    assert number(row.locator("td").nth(5)) == pytest.approx(profit, abs=Decimal("0.00000003"))


def test_a_strategys_short_is_drawn_as_its_entry(open_page: Page, backend: VenueBackend, market: Feed):
    contract = next(m for m in market.instruments if m.symbol == LINEAR)
    venue = backend.venues["trend"]
    venue.transfer("USDT", Decimal(5000), Wallet.SPOT, Wallet.SWAP)
    for side, only in ((Side.SELL, False), (Side.BUY, True)):
        request = OrderRequest(LINEAR, side, OrdType.MARKET, contract.amount_units("0.02"), reduce_only=only)
        assert backend.place(request, f"{side}", "trend").ok
    show(open_page, LINEAR)
    open_page.wait_for_function("twinstar.chart.markers.fills.length === 2")
    notes = open_page.evaluate("twinstar.chart.markers.fills.map((fill) => fill.note)")
    assert notes == ["Entry", "Exit"]


def test_a_perpetuals_page_is_not_cut_off(open_page: Page):
    show(open_page, LINEAR)
    for width, height in ((1280, 720), (1440, 900), (1920, 1080)):
        open_page.set_viewport_size({"width": width, "height": height})
        open_page.wait_for_function(f"innerWidth === {width}")
        for name in ("buy", "sell", "leverage", "transfer", "mark", "funding", "order-amount"):
            box = open_page.get_by_test_id(name).bounding_box()
            assert box is not None, name
            assert box["x"] + box["width"] <= width, name
            assert box["y"] + box["height"] <= height, name
        squeezed = open_page.evaluate(
            """() => [...document.querySelectorAll(".topbar > *, .topbar-right > *, .acts > *, .estimate, .ticket-head")]
                .filter((element) => !element.hidden && element.scrollWidth > element.clientWidth + 1)
                .map((element) => element.className)"""
        )
        assert squeezed == [], width
