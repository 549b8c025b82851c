"""The virtual exchange on a market of now: every trade that is heard meets the orders that were there when it was made."""

from __future__ import annotations

import threading

import ccxt
import numpy as np
import pytest
from lake.live import MARKET, MINUTE, QUICK, START, numbered

from twinstar_kit import VirtualExchange
from twinstar_kit.feeds import ManualClock, SimulatedMarket
from twinstar_kit.feeds.ccxt_feed import CcxtFeed
from twinstar_kit.feeds.ccxt_source import CcxtSource
from twinstar_kit.kernel.orders import Reason
from twinstar_kit.testing.local_venue import LocalVenue, local_binance

SYMBOL = "BTC/USDT"
NOW = START + 30 * MINUTE


class Heard(SimulatedMarket):
    """A market whose trades are heard when the test says so. SIMULATED, and says so."""

    live = True

    def __init__(self) -> None:
        super().__init__(3)
        self.instruments = tuple(m for m in self.instruments if not m.derivative)
        self.clock, self.told, self.asked = ManualClock(NOW), {}, []

    def start(self) -> None:
        """It needs none."""

    def tell(self, *trades: tuple[float, float], amount: float = 5.0) -> None:
        """Trades of BTC/USDT: seconds since NOW when they were made, and their price."""
        m = next(m for m in self.instruments if m.symbol == SYMBOL)
        made = np.zeros(len(trades), self.trades(SYMBOL, NOW, NOW + MINUTE).dtype)
        known = self.told.setdefault(SYMBOL, made[:0])
        for k, (second, price) in enumerate(trades):
            made[k]["ts"], made[k]["id"] = NOW + int(second * 1_000), len(known) + k + 1
            made[k]["price"], made[k]["amount"], made[k]["side"] = (
                m.price_units(price),
                m.amount_units(amount),
                -1,
            )
        self.told[SYMBOL] = np.concatenate([known, made])

    def heard(self, symbol, cursor):
        told = self.told.get(symbol, self.trades(symbol, NOW, NOW))
        return told[cursor:], len(told)

    def trades(self, symbol, since_ms, until_ms):
        self.asked = [*getattr(self, "asked", []), (symbol, since_ms, until_ms)]
        return super().trades(symbol, since_ms, until_ms)


def opened(feed: Heard, **options) -> VirtualExchange:
    return VirtualExchange(
        {"enableRateLimit": False, "options": {"feed": feed, "balances": {"USDT": 100_000}, **options}}
    )


def rests(ex: VirtualExchange, below: float = 0.01) -> dict:
    """A bid that rests below the market."""
    bid = ex.fetch_order_book(SYMBOL)["bids"][0][0]
    return ex.create_order(SYMBOL, "limit", "buy", 0.1, round(bid * (1 - below), 2))


def later(feed: Heard, ex: VirtualExchange, seconds: float) -> None:
    """Time passes, and the exchange looks."""
    feed.clock.advance(int(seconds * 1_000))
    ex.fetch_time()
    ex.fetch_open_orders()


def test_a_trade_that_is_heard_later_fills_what_was_there_when_it_was_made():
    feed = Heard()
    ex = opened(feed)
    old = rests(ex)
    later(feed, ex, 2)
    new = ex.create_order(SYMBOL, "limit", "buy", 0.1, old["price"])
    later(feed, ex, 3)
    feed.tell((1, old["price"] - 1))
    later(feed, ex, 0.2)
    assert [ex.fetch_order(o["id"])["status"] for o in (old, new)] == ["closed", "open"]
    fill = ex.fetch_my_trades()[0]
    assert (fill["price"], fill["takerOrMaker"]) == (old["price"], "maker")
    feed.tell((4, old["price"] - 1))
    later(feed, ex, 0.2)
    assert ex.fetch_order(new["id"])["status"] == "closed"


def test_no_trade_counts_twice_and_none_is_missed():
    feed = Heard()
    ex = opened(feed)
    order = ex.create_order(SYMBOL, "limit", "buy", 1.0, rests(ex)["price"] - 1)
    for second in range(1, 6):
        feed.tell((second, order["price"] - 1), amount=0.15)
        later(feed, ex, 0.7)
        later(feed, ex, 0.3)
    filled = [t["amount"] for t in ex.fetch_my_trades() if t["order"] == order["id"]]
    # the older order at the better price had the first 0.1
    assert filled == [0.05, 0.15, 0.15, 0.15, 0.15]


def test_trades_of_one_instant_all_count_whatever_their_ids_are():
    feed = Heard()
    ex = opened(feed)
    order = ex.create_order(SYMBOL, "limit", "buy", 0.2, rests(ex)["price"] + 1)
    feed.tell((1, order["price"] - 0.5), amount=0.1)
    later(feed, ex, 2)
    feed.tell((1, order["price"] - 0.5), amount=0.1)
    feed.told[SYMBOL]["id"][1] = 0
    later(feed, ex, 1)
    assert ex.fetch_order(order["id"])["filled"] == 0.2


def test_a_change_of_an_order_is_new_to_what_was_made_before_it():
    feed = Heard()
    ex = opened(feed)
    order = rests(ex, 0.02)
    later(feed, ex, 2)
    raised = ex.edit_order(order["id"], SYMBOL, "limit", "buy", 0.1, order["price"] + 100)
    later(feed, ex, 1)
    feed.tell((1, order["price"] + 50))
    later(feed, ex, 0.2)
    assert ex.fetch_order(raised["id"])["status"] == "open"
    feed.tell((3, order["price"] + 50))
    later(feed, ex, 0.2)
    assert ex.fetch_order(raised["id"])["status"] == "closed"


def test_a_stop_fires_by_what_is_heard():
    feed = Heard()
    ex = opened(feed)
    last = ex.create_order(SYMBOL, "market", "buy", 0.1)["average"]
    stop = ex.create_order(SYMBOL, "market", "sell", 0.1, None, {"stopLossPrice": round(last * 0.99, 2)})
    feed.tell((1, round(last * 0.995, 2)))
    later(feed, ex, 2)
    assert ex.fetch_order(stop["id"])["status"] == "open"
    feed.tell((3, round(last * 0.98, 2)))
    later(feed, ex, 2)
    assert ex.fetch_order(stop["id"])["status"] == "closed"


def test_an_account_that_was_away_is_told_what_was_traded_meanwhile(tmp_path):
    feed = Heard()
    ex = opened(feed, journal=str(tmp_path / "account.db"))
    lows = MARKET.bars(SYMBOL, NOW + MINUTE, NOW + 21 * MINUTE).rows[:, 3]
    m = next(m for m in feed.instruments if m.symbol == SYMBOL)
    reached = ex.create_order(SYMBOL, "limit", "buy", 0.1, (int(lows.min()) + 100) / 10**m.price_scale)
    missed = ex.create_order(SYMBOL, "limit", "buy", 0.1, (int(lows.min()) - 500) / 10**m.price_scale)
    if reached["status"] != "open":
        pytest.fail("the market of this test must fall below where it was")
    ex.close()
    again = Heard()
    again.clock.advance(25 * MINUTE)
    ex = opened(again, journal=str(tmp_path / "account.db"))
    later(again, ex, 1)
    assert [ex.fetch_order(o["id"])["status"] for o in (reached, missed)] == ["closed", "open"]
    assert ex.fetch_my_trades()[0]["price"] == reached["price"]
    ex.close()
    # and the journal leads to the same account once more
    assert (
        opened(again, journal=str(tmp_path / "account.db")).fetch_order(reached["id"])["status"] == "closed"
    )


def test_a_long_absence_is_told_in_bars(tmp_path):
    feed = Heard()
    ex = opened(feed, journal=str(tmp_path / "account.db"))
    bars = MARKET.bars(SYMBOL, NOW, NOW + 300 * MINUTE).rows
    m = next(m for m in feed.instruments if m.symbol == SYMBOL)
    order = ex.create_order(SYMBOL, "limit", "buy", 0.001, (int(bars[:, 3].min()) + 100) / 10**m.price_scale)
    ex.close()
    again = Heard()
    again.clock.advance(300 * MINUTE)
    again.asked = []
    ex = opened(again, journal=str(tmp_path / "account.db"))
    later(again, ex, 1)
    assert ex.fetch_order(order["id"])["status"] == "closed"
    assert ex.venue.blotter.fills[0].reason is not Reason.MET_TRADE
    assert max(until - since for _, since, until in again.asked) <= 60 * MINUTE


def test_the_same_is_said_again_from_the_journal(tmp_path):
    feed = Heard()
    ex = opened(feed, journal=str(tmp_path / "account.db"))
    order = rests(ex)
    feed.tell((1, order["price"] - 1))
    later(feed, ex, 2)
    digest, trades = ex.venue.journal_digest(), ex.fetch_my_trades()
    ex.close()
    ex = opened(feed, journal=str(tmp_path / "account.db"))
    assert (ex.venue.journal_digest(), ex.fetch_my_trades()) == (digest, trades)


def test_now_cannot_be_moved_and_contracts_are_left_alone():
    feed = Heard()
    ex = opened(feed)
    assert "REAL" not in repr(ex)
    with pytest.raises(ccxt.BadRequest, match="cannot be moved on"):
        ex.advance(1_000)
    for option in ({"clock": "manual"}, {"start": "2025-01-01"}, {"speed": 2}):
        with pytest.raises(ccxt.BadRequest, match="in real time: leave out"):
            opened(feed, **option)
    for where in ("simulated", feed):
        with pytest.raises(ccxt.BadRequest, match="leave out the option 'symbols'"):
            VirtualExchange({"options": {"feed": where, "symbols": [SYMBOL]}})
    feed.instruments = SimulatedMarket(3).instruments
    with pytest.raises(ccxt.BadRequest, match=r"BTC/USDT:USDT: marks and funding .* choose a spot market"):
        opened(feed).create_order("BTC/USDT:USDT", "market", "buy", 0.01)


@pytest.fixture
def venue():
    with LocalVenue(MARKET, trades={SYMBOL: numbered(SYMBOL)}, clock=ManualClock(START + 10_000)) as running:
        yield running


def test_with_the_real_class_of_ccxt_in_between(venue):
    feed = CcxtFeed(CcxtSource(local_binance(venue)), lambda: local_binance(venue, asynchronous=True), [SYMBOL],
                    clock=venue.clock, patience=QUICK, pulse_s=0.01)  # fmt: skip
    with feed:
        ex = opened(feed)
        venue.log.wait("subscribed", 2, patience_s=60)
        assert "REAL market" in repr(ex)
        assert "PAPER money" in repr(ex)
        bought = ex.create_order(SYMBOL, "market", "buy", 0.001)
        book = local_binance(venue).fetch_order_book(SYMBOL)
        assert bought["average"] == book["asks"][0][0]
        placed = ex.milliseconds()
        order = ex.create_order(SYMBOL, "limit", "buy", 0.001, book["bids"][0][0])
        for _ in range(400):
            venue.advance(500)
            threading.Event().wait(0.01)
            if ex.fetch_order(order["id"])["status"] != "open":
                break
        fill = ex.fetch_my_trades()[-1]
        truth = numbered(SYMBOL)
        m = next(m for m in MARKET.instruments if m.symbol == SYMBOL)
        through = truth[(truth["ts"] >= placed) & (truth["price"] < m.price_units(order["price"]))]
        assert (fill["order"], fill["price"]) == (order["id"], order["price"])
        assert through["ts"][0] <= fill["timestamp"] <= venue.clock.milliseconds()
