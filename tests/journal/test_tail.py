"""Readers of a journal that is being written see each batch once, and never go on after a gap."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from journal.builders import BTC, HEADER, bars, batch, filled
from journal.test_store import tamper

from twinstar_kit.journal import Batch, Inputs, Journal, JournalGap, Replica, Tail
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Account
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import OrdType, Side

ETH = Instrument.from_sizes("ETH/USDT", lot="0.00001")


def test_a_tail_sees_every_batch_once(tmp_path: Path):
    with filled(tmp_path / "j.db", 2) as journal, Tail(tmp_path / "j.db") as tail:
        assert [b.number for b in tail.poll()] == [1, 2]
        assert tail.poll() == []
        journal.commit(batch(3))
        journal.commit(batch(4))
        assert [b.number for b in tail.poll()] == [3, 4]
        assert tail.header == HEADER
        assert tail.meta == {"account": "test"}


def test_a_tail_from_before_the_first_batch(tmp_path: Path):
    with Journal.create(tmp_path / "j.db", HEADER) as journal, Tail(tmp_path / "j.db") as tail:
        assert tail.poll() == []
        journal.commit(batch(1))
        assert [b.number for b in tail.poll()] == [1]


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM batches WHERE batch = 3",
        "DELETE FROM batches",
        "UPDATE batches SET events = x'' WHERE batch = 3",
    ],
)
def test_a_tail_refuses_a_gap(tmp_path: Path, sql: str):
    with filled(tmp_path / "j.db", 2), Tail(tmp_path / "j.db") as tail:
        tail.poll()
    with Journal.open(tmp_path / "j.db") as journal, Tail(tmp_path / "j.db") as tail:
        tail.poll()
        journal.commit(batch(3))
        journal.commit(batch(4))
        tamper(tmp_path / "j.db", sql)
        with pytest.raises(JournalGap):
            tail.poll()


def traded(engine: Engine) -> None:
    """Two purchases, a sale, a protective stop and a limit that stays open."""
    one = BTC.amount_units("1")
    for symbol, price in (("BTC/USDT", "100.00"), ("ETH/USDT", "10.00")):
        j = engine.index_of(symbol)
        engine.on_trade(j, 1, engine.instruments[j].price_units(price))
    engine.submit(2, 0, Side.BUY, OrdType.MARKET, one)
    engine.on_quote(0, 2, BTC.price_units("99.99"), BTC.price_units("100.01"))
    engine.submit(
        3,
        0,
        Side.SELL,
        OrdType.STOP,
        one,
        stop_px=BTC.price_units("90.00"),
        reduce_only=True,
        close_position=True,
    )
    engine.submit(4, 1, Side.BUY, OrdType.MARKET, ETH.amount_units("5"))
    engine.on_quote(1, 4, ETH.price_units("9.99"), ETH.price_units("10.01"))
    engine.submit(5, 1, Side.BUY, OrdType.LIMIT, ETH.amount_units("2"), price=ETH.price_units("8.00"))
    doomed = engine.submit(
        6, 1, Side.SELL, OrdType.LIMIT, ETH.amount_units("1"), price=ETH.price_units("20.00")
    )
    engine.cancel(7, doomed)
    engine.submit(8, 1, Side.BUY, OrdType.MARKET, ETH.amount_units("1000"))  # rejected: too dear
    engine.on_trade(0, 9, BTC.price_units("85.00"))  # fires the stop


def test_a_replica_shows_what_the_engine_holds(tmp_path: Path):
    engine = Engine([BTC, ETH], Broker(), {"USDT": 1_000})
    header = HEADER | engine.header()
    replica = Replica(header)
    with Journal.create(tmp_path / "j.db", header) as journal, Tail(tmp_path / "j.db") as tail:
        journal.commit(Batch(events=engine.drain()))
        traded(engine)
        events = engine.drain()
        for at in range(0, len(events), 4):
            journal.commit(Batch(events=events[at : at + 4]))
        for one in tail.poll():
            replica.apply(one)
    assert np.array_equal(replica.ledger, engine.ledger)
    assert set(replica.open_orders) == {int(o["order_id"]) for o in engine.open_orders()}
    resting = replica.open_orders[next(iter(replica.open_orders))]
    assert (resting.instrument.symbol, resting.side, resting.ord_type) == (
        "ETH/USDT",
        Side.BUY,
        OrdType.LIMIT,
    )
    assert replica.positions() == {"ETH/USDT": ETH.amount_units("5")}
    assert len(replica.fills()) == 3
    assert replica.balances()["USDT"] == engine.balance_decimal("USDT")
    assert replica.balance("USDT")[1] == engine.ledger[engine.assets.index("USDT"), Account.HELD] > 0
    assert replica.balances()["ETH"] == (Decimal(5), Decimal(0))
    eth = ETH.price_units("12.00")
    assert replica.worth("USDT", {"ETH/USDT": eth}) == sum(replica.balance("USDT")) + ETH.money_units(60)


def test_a_replica_without_fills_is_empty_and_marks_at_the_last_bar():
    replica = Replica(HEADER)
    assert len(replica.fills()) == len(replica.equity()) == 0
    replica.apply(Batch((Inputs(0, bars(0, 3)),), equity=np.arange(3), number=1, command={"name": "flatten"}))
    assert replica.last_price == [102]
    assert replica.bars == 3
    assert replica.equity().tolist() == [0, 1, 2]
    assert replica.commands == [{"name": "flatten"}]
    assert replica.worth("USDT") == 0


def test_a_replica_refuses_a_gap(tmp_path: Path):
    with filled(tmp_path / "j.db", 3), Tail(tmp_path / "j.db") as tail:
        one, two, three = tail.poll()
    replica = Replica(HEADER)
    replica.apply(one)
    with pytest.raises(JournalGap, match="batch 3 came where 2 was due"):
        replica.apply(three)
    with pytest.raises(JournalGap):
        replica.apply(one)
    replica.apply(two)
    replica.apply(three)
    assert replica.seq == 9


def test_a_replica_refuses_a_report_about_an_order_it_never_saw(tmp_path: Path):
    engine = Engine([BTC], Broker(), {"USDT": 1_000})
    engine.on_trade(0, 1, BTC.price_units("100.00"))
    order_id = engine.submit(
        2, 0, Side.BUY, OrdType.LIMIT, BTC.amount_units("1"), price=BTC.price_units("50.00")
    )
    engine.drain()
    engine.cancel(3, order_id)
    late = engine.drain()
    late["seq"] = np.arange(1, len(late) + 1)
    with pytest.raises(JournalGap, match=f"order {order_id}, which is not open"):
        Replica(HEADER).apply(Batch(events=late, number=1))
