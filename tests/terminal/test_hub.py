"""The hub without a browser: what pages are told, and that one page cannot hold up another."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest
from terminal.conftest import BALANCES
from terminal.venue_backend import HeldClock, VenueBackend

from twinstar_kit.feeds.base import Feed
from twinstar_kit.kernel.orders import OrdType, Side
from twinstar_kit.terminal.commands import carry_out
from twinstar_kit.terminal.hub import MOST_LIVE_BARS, PATIENCE_ROUNDS, Hub
from twinstar_kit.venues.blotter import OrderRequest

MINUTE_MS = 60_000


class Inboxed(Hub):
    """A hub whose rounds are run by the test."""

    def open(self) -> tuple[Any, list[dict[str, Any]]]:
        told: list[dict[str, Any]] = []
        self._thread = threading.current_thread()
        tab = self.open_tab(lambda message: told.append(json.loads(message)))
        return tab, told


@pytest.fixture
def hub(market: Feed, clock: HeldClock) -> Inboxed:
    return Inboxed(VenueBackend(market, clock, BALANCES))


def test_the_first_message_holds_everything(hub: Inboxed):
    tab, told = hub.open()
    tab.select("ETH/USDT")
    hub.round()
    (message,) = told
    assert message["symbol"] == "ETH/USDT"
    assert len(message["tickers"]) == 120
    assert len(message["book"]["bids"]) == len(message["book"]["asks"]) == 18
    assert message["book"]["bids"][0][0] < message["book"]["asks"][0][0]
    assert message["account"]["balance"] == 10_000
    assert message["bars"]["rows"][-1][0] == hub.backend.now_ms() // MINUTE_MS


def test_a_message_that_was_lost_is_said_anew_and_seldomer_each_time(hub: Inboxed, clock: HeldClock):
    tab, told = hub.open()
    tab.select("BTC/USDT")
    hub.round()
    tab.acknowledge(tab.sequence)
    clock.advance(5 * MINUTE_MS)
    rounds = []
    for number in range(4 * PATIENCE_ROUNDS):
        before = len(told)
        hub.round()
        rounds += [number] * (len(told) - before)
    assert rounds == [0, PATIENCE_ROUNDS, 3 * PATIENCE_ROUNDS]
    first, again = told[1], told[2]
    for part in ("book", "account", "bars", "tickers"):
        assert again[part] == first.get(part, again[part])
    assert len(again["bars"]["rows"]) == len(first["bars"]["rows"]) >= 5
    tab.acknowledge(tab.sequence)
    clock.advance(MINUTE_MS)
    hub.round()
    assert len(told) == 5


def test_nothing_more_is_sent_before_the_page_has_taken_it_in(hub: Inboxed, clock: HeldClock):
    tab, told = hub.open()
    other, told_other = hub.open()
    for one in (tab, other):
        one.select("BTC/USDT")
    for _ in range(4):
        hub.round()
        other.acknowledge(other.sequence)
        clock.advance(1_000)
    assert len(told) == 1
    assert len(told_other) == 4
    tab.acknowledge(tab.sequence)
    hub.round()
    assert told[-1]["now"] == clock.now_ms  # the newest state, not what was missed


def test_bars_that_a_slow_page_missed_are_sent_together(hub: Inboxed, clock: HeldClock):
    tab, told = hub.open()
    tab.select("BTC/USDT")
    hub.round()
    last = told[-1]["bars"]["rows"][-1][0]
    clock.advance(7 * MINUTE_MS)
    hub.round()
    tab.acknowledge(tab.sequence)
    hub.round()
    minutes = [row[0] for row in told[-1]["bars"]["rows"]]
    assert minutes == list(range(minutes[0], last + 8))
    assert minutes[0] <= last
    tab.acknowledge(tab.sequence)
    clock.advance((MOST_LIVE_BARS + 5) * MINUTE_MS)
    hub.round()
    assert told[-1]["bars"] == {"restart": True}


def test_a_message_that_would_say_nothing_is_not_sent(hub: Inboxed):
    tab, told = hub.open()
    tab.select("BTC/USDT")
    hub.rounds = 0
    for _ in range(6):
        hub.round()
        tab.acknowledge(tab.sequence)
    assert len(told) <= 3  # the first, and a sign of life


def test_pages_share_what_is_made_once(hub: Inboxed, monkeypatch: pytest.MonkeyPatch):
    from twinstar_kit.terminal import panes

    made: list[str] = []
    book = panes.book
    monkeypatch.setattr(
        panes, "book", lambda instrument, *rest: made.append(instrument.symbol) or book(instrument, *rest)
    )
    for symbol in ("BTC/USDT", "BTC/USDT", "ETH/USDT"):
        tab, _ = hub.open()
        tab.select(symbol)
    hub.round()
    assert sorted(made) == ["BTC/USDT", "ETH/USDT"]


def test_a_page_that_is_gone_is_forgotten(hub: Inboxed):
    tab, told = hub.open()
    tab.select("BTC/USDT")
    tab.close()
    hub.round()
    assert told == []


def test_a_round_that_fails_is_told_and_the_next_one_runs(
    market: Feed, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
):
    backend = VenueBackend(market, clock, BALANCES)
    hub = Hub(backend, period_s=0.01)
    heard: list[dict[str, Any]] = []
    came = threading.Condition()

    def deliver(message: str) -> None:
        with came:
            heard.append(json.loads(message))
            came.notify_all()

    refresh = backend.refresh
    failures = iter([OSError("the disk is full")])

    def sometimes() -> int:
        for failure in failures:
            raise failure
        return refresh()

    monkeypatch.setattr(backend, "refresh", sometimes)
    tab = hub.open_tab(deliver)
    tab.select("BTC/USDT")
    with came:
        assert came.wait_for(lambda: [m["type"] for m in heard] == ["error", "state"], timeout=60)
    hub.close()
    assert heard[0]["text"] == "the disk is full"


def test_what_is_typed_is_parsed_exactly(hub: Inboxed):
    ticket = {
        "type": "place",
        "symbol": "BTC/USDT",
        "side": "buy",
        "order_type": "limit",
        "amount": "0.1",
        "price": "60,000.10",
    }
    answer = carry_out(hub.backend, ticket | {"command_id": "a"})
    assert answer["ok"], answer["text"]
    hub.backend.refresh()
    order = hub.backend.accounts()[0].blotter.orders[answer["order_id"]]
    assert (order.price, order.order_qty) == (6_000_010, 10_000_000)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"side": "short"}, "the ticket knows no 'short'"),
        ({"symbol": "GOLD/USDT"}, "GOLD/USDT is not traded in this session"),
        ({"price": ""}, "enter a price, or choose Market"),
        ({"price": "-5"}, "must be above zero"),
    ],
)
def test_bad_tickets_are_answers(hub: Inboxed, change: dict[str, str], words: str):
    ticket = {
        "type": "place",
        "symbol": "BTC/USDT",
        "side": "buy",
        "order_type": "limit",
        "amount": "0.1",
        "price": "60000",
    }
    answer = carry_out(hub.backend, ticket | change)
    assert not answer["ok"]
    assert words in answer["text"]


def test_a_strategys_stop_shows_its_present_trigger_and_the_whole_position(market: Feed, clock: HeldClock):
    backend = VenueBackend(market, clock, BALANCES, strategies={"trend": "breakout"})
    hub = Inboxed(backend)
    btc = market.instruments[0]
    backend.place(OrderRequest("BTC/USDT", Side.BUY, OrdType.MARKET, btc.amount_units("0.02")), "e", "trend")
    stop = OrderRequest(
        "BTC/USDT", Side.SELL, OrdType.TRAILING_STOP, btc.amount_units("0.02"), trail=50_000, reduce_only=True
    )
    answer = backend.place(stop, "s", "trend")
    assert answer.ok, answer.text
    backend.views[1].stops = {answer.order_id: 11_111_111}
    tab, told = hub.open()
    tab.select("BTC/USDT")
    hub.round()
    (order,) = told[-1]["account"]["orders"]
    assert (order["owner"], order["type"], order["stop_price"]) == ("breakout", "trailing_stop", 111_111.11)
    assert told[-1]["account"]["strategies"] == [{"name": "breakout", "account": "trend", "params": ""}]
