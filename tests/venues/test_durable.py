"""Accounts that are kept in a journal: what was acknowledged is there again, and nothing else is shown."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import ccxt
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from venues.builders import FEED, exchange, last, open_account, replay, totals

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.journal.store import JournalReader
from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.kernel.models import Broker
from twinstar_kit.venues import durable
from twinstar_kit.venues.batches import SavedAccount, SavedBatch, VenueBatch
from twinstar_kit.venues.core import VenueStopped, VirtualVenue

SYMBOL = "BTC/USDT"
HOUR = 3_600_000


def trade(ex: Any, hours: range) -> None:
    """A few orders of every kind each hour."""
    for hour in hours:
        price = last(ex)
        ex.create_order(SYMBOL, "limit", "buy", 0.01, price * 0.9995, {"clientOrderId": f"dip-{hour}"})
        ex.create_order(SYMBOL, "market", "buy", 0.01)
        ex.create_order(SYMBOL, "market", "sell", 0.005, None, {"trailingPercent": 0.2})
        ex.create_order("ETH/USDT", "limit", "buy", 0.1, last(ex, "ETH/USDT") * 0.999, {"timeInForce": "PO"})
        ex.advance(HOUR)


def test_an_account_is_found_again_as_it_was(tmp_path):
    path = tmp_path / "account.db"
    ex = open_account(path)
    trade(ex, range(4))
    before = ex.fetch_orders(), ex.fetch_my_trades(), totals(ex), ex.milliseconds(), ex.venue.journal_digest()
    ex.close()
    again = open_account(path)
    after = (
        again.fetch_orders(),
        again.fetch_my_trades(),
        totals(again),
        again.milliseconds(),
        again.venue.journal_digest(),
    )
    assert after == before
    assert again.fetch_order("", None, {"clientOrderId": "dip-2"})["clientOrderId"] == "dip-2"
    assert again.create_order(SYMBOL, "market", "buy", 0.01)["id"] not in {o["id"] for o in before[0]}


def test_the_file_has_the_digest_that_the_venue_tells(tmp_path):
    ex = open_account(tmp_path / "account.db")
    trade(ex, range(3))
    told = JournalReader(tmp_path / "account.db").digest()
    assert told["journal_digest"] == ex.venue.journal_digest()
    in_memory = exchange()
    trade(in_memory, range(3))
    assert in_memory.venue.journal_digest() == told["journal_digest"]


@settings(
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.integers(0, 5), max_size=4))
def test_stopping_anywhere_makes_no_difference(tmp_path, stops):
    path = tmp_path / f"{hash(tuple(stops))}.db"
    for file in tmp_path.iterdir():
        file.unlink()
    ex = open_account(path)
    for hour in range(6):
        for _ in range(stops.count(hour)):
            ex.venue.journal.close()  # as a kill does: nothing is written any more
            ex = open_account(path)
        trade(ex, range(hour, hour + 1))
    uninterrupted = exchange()
    trade(uninterrupted, range(6))
    assert ex.venue.journal_digest() == uninterrupted.venue.journal_digest()
    assert ex.fetch_orders() == uninterrupted.fetch_orders()


def test_a_killed_process_loses_nothing_that_it_was_told(tmp_path):
    path = tmp_path / "account.db"
    code = f"""
        import os
        from venues.builders import open_account
        from venues.test_durable import trade
        ex = open_account({str(path)!r})
        trade(ex, range(2))
        print(ex.venue.journal_digest(), len(ex.fetch_my_trades()), flush=True)
        os.kill(os.getpid(), 9)
    """
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], cwd=tests, capture_output=True, text=True, timeout=120
    )
    digest, trades = done.stdout.split()
    ex = open_account(path)
    assert ex.venue.journal_digest() == digest
    assert len(ex.fetch_my_trades()) == int(trades)


def test_what_the_market_did_meanwhile_is_caught_up_with(tmp_path):
    path = tmp_path / "account.db"
    ex = open_account(path)
    order = ex.create_order(SYMBOL, "limit", "buy", 0.01, last(ex) * 0.999)
    away = ex.milliseconds() + 12 * HOUR
    ex.close()
    again = open_account(path, start=away)
    assert again.milliseconds() == away
    filled = again.fetch_order(order["id"])
    assert filled["status"] == "closed"
    assert order["timestamp"] < filled["lastTradeTimestamp"] < away


def test_an_account_has_one_owner(tmp_path):
    path = tmp_path / "account.db"
    ex = open_account(path)
    with pytest.raises(ccxt.AccountNotEnabled, match="another process"):
        open_account(path)
    ex.close()
    open_account(path).close()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"feed": "simulated:8"}, "another market_data"),
        ({"fee_taker": "0.005"}, "another broker"),
        ({"balances": {"USDT": 5}}, "leave out the option 'balances'"),
    ],
)
def test_an_account_is_not_opened_as_another(tmp_path, options, words):
    open_account(tmp_path / "account.db").close()
    with pytest.raises(ccxt.ExchangeError, match=words):
        exchange(**{"balances": None, **options}, journal=tmp_path / "account.db")


class Failing:
    """A sink whose disk fills up."""

    def __init__(self) -> None:
        self.batches: list[VenueBatch] = []
        self.full = False

    def begin(self, header: Any) -> None: ...

    def commit(self, batch: VenueBatch) -> None:
        if self.full:
            raise OSError("no space left on device")
        self.batches.append(batch)


def test_what_could_not_be_kept_is_not_shown_and_nothing_more_is_taken():
    ex = exchange()
    sink = Failing()
    ex.venue = VirtualVenue(FEED, ManualClock(ex.milliseconds()), Broker(), {"USDT": 10_000}, sink)
    ex.create_order(SYMBOL, "market", "buy", 0.01)
    before, orders = totals(ex), ex.fetch_orders()
    sink.full = True
    with pytest.raises(ccxt.ExchangeNotAvailable, match=r"no space left .* read-only"):
        ex.create_order(SYMBOL, "market", "buy", 0.01)
    assert (totals(ex), ex.fetch_orders()) == (before, orders)
    sink.full = False
    with pytest.raises(ccxt.ExchangeNotAvailable, match="read-only"):
        ex.create_order(SYMBOL, "market", "buy", 0.01)
    with pytest.raises(VenueStopped):
        ex.venue.cancel(1)
    assert ex.fetch_status()["status"] == "error"
    assert (totals(ex), ex.fetch_orders()) == (before, orders)
    ex.advance(HOUR)


def kept(sink: Failing) -> list[SavedBatch]:
    return [
        SavedBatch(b.inputs, b.command.canonical() if b.command else None, b.events) for b in sink.batches
    ]


@pytest.mark.parametrize("with_snapshot", [True, False])
def test_doing_again_what_went_in_gives_every_event_again(with_snapshot):
    ex = exchange()
    sink, start = Failing(), ex.milliseconds()
    ex.venue = VirtualVenue(FEED, ManualClock(start), Broker(), {"USDT": 50_000}, sink)
    trade(ex, range(3))
    half = len(sink.batches) // 2
    snapshot = ex.venue.engine.snapshot() if with_snapshot else None
    at = len(sink.batches) if with_snapshot else half
    saved = SavedAccount(ex.venue.header, kept(sink), snapshot, at)
    again = VirtualVenue(FEED, ManualClock(start), Broker(), saved=saved)
    assert again.journal_digest() == ex.venue.journal_digest()
    assert again.engine.ledger.tobytes() == ex.venue.engine.ledger.tobytes()
    assert again.engine.open_orders().tobytes() == ex.venue.engine.open_orders().tobytes()


def test_an_event_that_does_not_follow_is_noticed():
    ex = exchange()
    sink, start = Failing(), ex.milliseconds()
    ex.venue = VirtualVenue(FEED, ManualClock(start), Broker(), {"USDT": 50_000}, sink)
    trade(ex, range(1))
    batches = kept(sink)
    forged = batches[2].events.copy()
    forged["last_px"][np.flatnonzero(forged["last_px"])[0]] -= 1
    batches[2] = SavedBatch(batches[2].inputs, batches[2].command, forged)
    with pytest.raises(TwinStarError, match="batch 3 does not follow from what went in"):
        VirtualVenue(FEED, ManualClock(start), Broker(), saved=SavedAccount(ex.venue.header, batches))


def test_snapshots_are_used_and_agree(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "SNAPSHOT_EVERY", 3)
    path = tmp_path / "account.db"
    ex = open_account(path)
    trade(ex, range(3))
    ex.close()
    at, _ = JournalReader(path).snapshot() or (0, b"")
    assert at > 6
    assert open_account(path).venue.journal_digest() == ex.venue.journal_digest()


def test_a_replay_account_is_kept_too(tmp_path):
    bars = [(100.0, 101.0, 99.0, 100.0), (100.0, 103.0, 95.0, 102.0), (102.0, 102.0, 90.0, 96.0)] * 30
    path = tmp_path / "account.db"
    ex = replay(bars, journal=path)
    ex.create_order(SYMBOL, "limit", "buy", 0.1, 96)
    ex.create_order(SYMBOL, "market", "buy", 0.2)
    ex.create_order(SYMBOL, "market", "sell", 0.2, None, {"trailingPercent": 3})
    ex.advance(20 * 60_000)
    before = ex.fetch_orders()
    ex.close()
    again = replay(bars, journal=path)
    assert again.fetch_orders() == before
    assert (
        JournalReader(path).digest()["journal_digest"]
        == again.venue.journal_digest()
        == ex.venue.journal_digest()
    )
