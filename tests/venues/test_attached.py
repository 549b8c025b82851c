"""VirtualExchange on the account of a running session: the same answers as in memory, and one account for all windows."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ccxt
import pytest
from venues.builders import START, begun, exchange, last, run, totals

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.journal.store import JournalReader
from twinstar_kit.session.host import Host, Options
from twinstar_kit.venues.async_virtual import AsyncVirtualExchange
from twinstar_kit.venues.attached import AttachedVenue
from twinstar_kit.venues.virtual import VirtualExchange

SYMBOL = "BTC/USDT"
FUNDS = {"USDT": "100000", "KRW": "100000000"}
MINUTE = 60_000


class Desk:
    """A session in a thread of this process, on a wall clock that the test moves."""

    def __init__(self, home: Path) -> None:
        self.home, self.wall = home, ManualClock(1_750_000_000_000)
        self.host: Host | None = None
        self.start()

    def start(self) -> None:
        """Start the session; the account goes on where it was."""
        options = Options(str(self.home), "desk", "simulated:7", balances=FUNDS, start=START)
        self.host = Host(options, self.wall)
        ready = threading.Event()
        self.thread = threading.Thread(target=self.host.serve, args=(lambda info: ready.set(),))
        self.thread.start()
        assert ready.wait(60)

    def stop(self) -> None:
        """End the session."""
        if self.host is not None:
            self.host.stop()
            self.thread.join(60)
            self.host.close()
            self.host = None

    def attach(self) -> VirtualExchange:
        """An exchange attached to it, as `{"session": "desk"}` makes one, but on the test's clock."""
        return self._on_our_clock(VirtualExchange(self.options))

    def attach_async(self) -> AsyncVirtualExchange:
        """The same for asyncio."""
        ex = self._on_our_clock(AsyncVirtualExchange(self.options))
        ex.streams.venue = ex.venue
        return ex

    @property
    def options(self) -> dict[str, Any]:
        """What attaches an exchange."""
        return {"options": {"session": "desk", "home": str(self.home)}}

    def _on_our_clock(self, ex: Any) -> Any:
        ex.venue.close()
        ex.venue = AttachedVenue("desk", self.home, self.wall)
        return ex

    @property
    def journal(self) -> Path:
        """The account's journal."""
        (path,) = (self.home / "accounts" / "manual").glob("journal-*.db")
        return path


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.stop()


def trade(ex: Any, pass_time: Any) -> list[Any]:
    """Orders of every kind, and some that are refused; returns what each call said."""
    said: list[Any] = []

    def do(*arguments: Any, **params: Any) -> Any:
        try:
            said.append(ex.create_order(*arguments, params=params))
        except ccxt.BaseError as error:
            said.append((type(error), str(error)))
        return said[-1]

    for hour in range(3):
        price = last(ex)
        do(SYMBOL, "limit", "buy", 0.01, price * 0.9995, clientOrderId=f"dip-{hour}")
        do(SYMBOL, "market", "buy", 0.01)
        do(SYMBOL, "market", "buy", 0.01, None, clientOrderId="only-once")
        do(SYMBOL, "market", "sell", 0.005, None, trailingPercent=0.2)
        do(SYMBOL, "market", "sell", 0.005, None, stopLossPrice=price * 1.01)
        do(SYMBOL, "limit", "buy", 0.01, price * 1.01, postOnly=True)
        do(SYMBOL, "market", "buy", 100)
        do("ETH/USDT", "limit", "buy", 0.1, last(ex, "ETH/USDT") * 0.999)
        said.append(ex.cancel_order(do("ETH/USDT", "limit", "buy", 0.1, 1_000)["id"])["status"])
        pass_time(47 * MINUTE)
    return said


def test_attached_and_in_memory_say_and_do_the_same(desk):
    attached, private = desk.attach(), exchange(FUNDS, feed="simulated:7")
    assert attached.milliseconds() == private.milliseconds()
    assert trade(attached, desk.wall.advance) == trade(private, private.advance)
    # one more command makes both sides catch up with the market at the same instant
    for ex in (attached, private):
        ex.create_order(SYMBOL, "market", "buy", 0.001)
    assert attached.fetch_orders() == private.fetch_orders()
    assert attached.fetch_my_trades() == private.fetch_my_trades()
    assert totals(attached) == totals(private)
    assert attached.fetch_ticker(SYMBOL) == private.fetch_ticker(SYMBOL)
    with JournalReader(desk.journal) as journal:
        assert journal.digest()["journal_digest"] == private.venue.journal_digest()


def test_two_windows_see_one_account(desk):
    one, two = desk.attach(), desk.attach()
    order = one.create_order(SYMBOL, "limit", "buy", 0.01, last(one) * 0.9)
    assert two.fetch_open_orders()[0]["id"] == order["id"]
    two.cancel_order(order["id"])
    assert one.fetch_order(order["id"])["status"] == "canceled"
    same = [
        ex.create_order(SYMBOL, "market", "buy", 0.01, None, {"clientOrderId": "x"})["id"]
        for ex in (one, two)
    ]
    assert same[0] == same[1]
    assert len(one.fetch_my_trades()) == 1


def test_an_open_order_fills_while_nobody_calls(desk):
    ex = desk.attach()
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9999)
    desk.wall.advance(12 * 60 * MINUTE)
    for _ in range(100):
        ex.venue._client.wait(0.5)
        if ex.fetch_order(order["id"])["status"] == "closed":
            break
    assert ex.fetch_order(order["id"])["lastTradeTimestamp"] > order["timestamp"]


def test_the_trigger_of_a_trailing_stop_is_the_one_that_the_session_has(desk):
    ex = desk.attach()
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    ids = [
        ex.create_order(SYMBOL, "market", "sell", 0.004, None, {"trailingPercent": 4})["id"],
        ex.create_order(SYMBOL, "market", "sell", 0.004, None, {"trailingAmount": 5_000})["id"],
    ]
    for minutes in (0.3, 0.4, 0.9, 3.7, 61):
        desk.wall.advance(int(minutes * MINUTE))
        ex.cancel_order(ex.create_order(SYMBOL, "limit", "buy", 0.01, 60_000)["id"])
        engine = desk.host.accounts["manual"].venue.engine
        kept = {int(row["order_id"]): int(row["stop_px"]) for row in engine.open_orders()}
        shown = {int(i): ex.fetch_order(i)["info"]["stop_px"] for i in ids}
        assert shown == kept


def test_the_account_outlives_its_session(desk):
    ex = desk.attach()
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.9)
    desk.stop()
    with pytest.raises(ccxt.ExchangeNotAvailable, match="session"):
        ex.create_order(SYMBOL, "market", "buy", 0.01)
    assert ex.fetch_open_orders()[0]["id"] == order["id"]
    assert ex.fetch_status()["status"] == "error"
    with pytest.raises(ccxt.BadRequest, match="no session 'desk' is running"):
        VirtualExchange({"options": {"session": "desk", "home": str(desk.home)}})
    desk.start()
    again = desk.attach()
    assert again.fetch_open_orders()[0]["id"] == order["id"]
    assert again.create_order(SYMBOL, "market", "buy", 0.01)["status"] == "closed"


def test_time_belongs_to_the_session(desk):
    ex = desk.attach()
    with pytest.raises(ccxt.BadRequest, match="runs by itself"):
        ex.advance(1_000)
    assert "session desk" in repr(ex)
    assert "PAPER" in ex._repr_html_()


def test_an_asynchronous_exchange_hears_what_other_windows_do_and_that_the_session_ended(desk):
    async def scenario() -> None:
        other, ex = desk.attach(), desk.attach_async()
        orders, fills = await begun(ex.watch_orders()), await begun(ex.watch_my_trades())
        placed = await asyncio.to_thread(other.create_order, SYMBOL, "market", "buy", 0.01)
        assert [order["id"] for order in await orders] == [placed["id"]]
        assert (await fills)[0]["amount"] == 0.01

        orders = await begun(ex.watch_orders())
        own = await ex.create_order(SYMBOL, "limit", "buy", 0.01, placed["average"] * 0.9)
        assert (await orders)[0]["id"] == own["id"]
        assert [order["id"] for order in await ex.fetch_open_orders()] == [own["id"]]
        with pytest.raises(ccxt.InsufficientFunds):
            await ex.create_order(SYMBOL, "limit", "buy", 100, placed["average"])

        with pytest.raises(ccxt.BadRequest, match="takes no deposits"):
            await ex.deposit("USDT", 1)

        orders = await begun(ex.watch_orders())
        await asyncio.to_thread(desk.stop)
        with pytest.raises(ccxt.ExchangeNotAvailable, match="has ended"):
            await orders
        await ex.close()
        other.close()

    run(scenario())
