"""Numbers at the edges: exact multiply-divide, units, instruments, bars, settings of the broker, records."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.kernel import money
from twinstar_kit.kernel.bars import Bars, DataDigest, format_timeframe, parse_timeframe
from twinstar_kit.kernel.engine import Engine
from twinstar_kit.kernel.errors import DataError, InstrumentError, OrderError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker, rate_units
from twinstar_kit.kernel.orders import EventKind, OrdStatus, Reason, next_status
from twinstar_kit.kernel.records import Digest, canonical_json, event_t

BTC = Instrument.from_sizes("BTC/USDT", tick="0.01", lot="0.00001")


@numba.njit
def compiled_mul_div(a: int, b: int, d: int) -> tuple[int, int]:
    return money.mul_div(a, b, d), money.mul_div_up(a, b, d)


@settings(deadline=None)
@given(
    a=st.integers(0, 2**62),
    b=st.integers(0, 2**62),
    d=st.sampled_from([1, 3, 7, 10**2, 10**8, 10**10, 10**12, 2**50]),
)
def test_mul_div_is_exact_wherever_it_is_allowed(a: int, b: int, d: int) -> None:
    # the oracle is Python's own unbounded integer
    if a * b // d < 2**62:
        assert compiled_mul_div(a, b, d) == (a * b // d, -(-a * b // d))
        assert (money.mul_div(a, b, d), money.mul_div_up(a, b, d)) == (a * b // d, -(-a * b // d))


def test_floats_near_the_grid_snap_and_others_are_told_the_neighbours() -> None:
    assert BTC.price_units(0.1 + 0.2) == 30
    assert BTC.price_units(D("61659.79")) == 6165979
    with pytest.raises(
        OrderError, match=r"BTC/USDT price 1\.005 is not a multiple of 0\.01; the nearest are 1 and 1\.01"
    ):
        BTC.price_units("1.005")
    for bad in ("abc", "nan", "inf", float("nan"), True):
        with pytest.raises(OrderError):
            BTC.amount_units(bad)
    for bad in (0, -1, "1e60"):
        with pytest.raises(OrderError):
            BTC.price_units(bad)


def test_an_instrument_survives_its_header_and_refuses_what_cannot_be_counted() -> None:
    assert Instrument.from_canonical(BTC.canonical()) == BTC
    assert BTC.money(BTC.money_units("12.5")) == 12.5
    assert BTC.money_decimal(1) == D("1E-8")
    assert BTC.amount(BTC.amount_units("0.5")) == 0.5
    assert BTC.price(BTC.price_units("0.5")) == 0.5
    for change in ({"price_scale": 13}, {"tick": 0}, {"quote_scale": 12}, {"min_amount": 5, "max_amount": 4}):
        with pytest.raises(InstrumentError):
            replace(BTC, **change)
    for symbol, sizes in (("BTCUSDT", {}), ("BTC/USDT", {"tick": 0}), ("BTC/USDT", {"lot": "x"})):
        with pytest.raises(InstrumentError):
            Instrument.from_sizes(symbol, **sizes)


def columns(**change: object) -> dict[str, object]:
    table: dict[str, object] = {
        "timestamp": [0, 60_000, 120_000], "open": [10.0, 11.0, 12.0], "high": [11.0, 12.0, 13.0],
        "low": [9.0, 10.0, 11.0], "close": [11.0, 12.0, 12.5], "volume": [1.0, 0.0, 2.0],
    }  # fmt: skip
    return table | change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestamp": [0, 60_000, 60_000]}, "row 2 .*duplicate timestamp"),
        ({"timestamp": [0, 120_000, 60_000]}, "row 2 .*must ascend"),
        ({"timestamp": [0.5, 1.0, 2.0]}, "whole milliseconds"),
        ({"open": [10.0, float("nan"), 12.0]}, "row 1 .*open is not a finite number"),
        ({"open": ["a", "b", "c"]}, "column open holds .*, not numbers"),
        ({"close": [11.0, 12.0, 14.0]}, "row 2 .*close lies above high"),
        ({"close": [8.0, 12.0, 12.0]}, "row 0 .*close lies below low"),
        ({"low": [0.0, 10.0, 11.0]}, "row 0 .*low must be above zero"),
        ({"volume": [1.0, -1.0, 1.0]}, "row 1 .*volume must not be negative"),
        ({"volume": [1.0, 1e40, 1.0]}, "row 1.*too large"),
        ({"volume": [1.0]}, "differ in length"),
        ({key: [] for key in columns()}, "there are no bars"),
    ],
)
def test_bad_bars_are_told_by_row_and_rule(change: dict[str, object], message: str) -> None:
    table = columns(**change)
    if not table["timestamp"]:
        table = {name: np.array([], np.int64 if name == "timestamp" else np.float64) for name in table}
    with pytest.raises(DataError, match=message):
        Bars.from_floats(BTC, 60_000, *table.values())


def test_bars_read_back_as_they_were_and_count_what_lies_off_the_tick() -> None:
    bars = Bars.from_floats(BTC, 60_000, *columns(open=[10.0, 11.005, 12.0]).values())
    assert bars.off_tick == 1
    assert bars.close.tolist() == [11.0, 12.0, 12.5]
    assert bars.high.tolist() == [11.0, 12.0, 13.0]
    assert bars.low.tolist() == [9.0, 10.0, 11.0]
    assert bars.open.tolist()[::2] == [10.0, 12.0]
    assert bars.volume.tolist() == [1.0, 0.0, 2.0]
    assert len(bars.between(60_000, 120_000)) == 1
    assert len(bars.between()) == 3
    piecewise = DataDigest(BTC, 60_000)
    for at in range(3):
        piecewise.update(bars.rows[at : at + 1])
    assert piecewise.hexdigest() == bars.data_digest
    assert bars[:2].data_digest != bars.data_digest


def test_timeframes_are_ccxts() -> None:
    for text in ("1s", "1m", "15m", "4h", "1d", "1w"):
        assert format_timeframe(parse_timeframe(text)) == text
    for bad in ("0m", "m", "1M", "", "1.5h"):
        with pytest.raises(DataError):
            parse_timeframe(bad)
    with pytest.raises(DataError):
        format_timeframe(1500)


@pytest.mark.parametrize(
    "bad",
    [
        {"fee_taker": -1}, {"fee_taker": 1}, {"fee_maker": "x"}, {"slippage_bps": 10_000}, {"fill": "now"}, {"path": "zigzag"},
        {"start_balance": -5}, {"amount": 0}, {"close_at_end": 1},
    ],
)  # fmt: skip
def test_a_broker_refuses_what_is_out_of_range_and_names_it(bad: dict[str, object]) -> None:
    with pytest.raises(UsageError, match=next(iter(bad))):
        Broker(**bad)  # type: ignore[arg-type]


def test_one_value_has_one_spelling() -> None:
    assert Broker(fee_taker=0.001) == Broker(fee_taker="0.0010")
    assert Broker(fee_taker=0.001).canonical() == Broker().canonical()
    assert Broker(fill="close").optimistic
    assert "fee_taker" in Broker.names()
    assert rate_units(D("0.000000001")) == 1
    assert canonical_json({"b": [1], "a": "é"}) == b'{"a":"\\u00e9","b":[1]}'
    assert Digest({"a": 1}).hexdigest("", 0) != Digest({"a": 2}).hexdigest("", 0)
    assert event_t.itemsize == 128


def test_the_life_of_an_order_is_a_table() -> None:
    assert next_status(OrdStatus.NONE, EventKind.ACCEPTED, dormant=True) is OrdStatus.DORMANT
    assert next_status(OrdStatus.DORMANT, EventKind.ARMED) is OrdStatus.WORKING
    with pytest.raises(ValueError, match="FILLED cannot be CANCELED"):
        next_status(OrdStatus.FILLED, EventKind.CANCELED)
    assert all(reason.text for reason in Reason if reason)


def test_an_engine_refuses_what_it_cannot_hold() -> None:
    with pytest.raises(UsageError, match="at least one instrument"):
        Engine([], Broker())
    assert Engine([BTC], Broker(), buffer=10).has_room
    with pytest.raises(UsageError, match="no instrument here trades DOGE"):
        Engine([BTC], Broker(), {"DOGE": 1})
    with pytest.raises(OrderError, match="negative"):
        Engine([BTC], Broker(), {"USDT": -1})
    with pytest.raises(InstrumentError, match="use one scale per asset"):
        Engine([BTC, Instrument.from_sizes("ETH/USDT", quote_scale=6)], Broker())
    engine = Engine([BTC], Broker(), {"USDT": 5})
    with pytest.raises(InstrumentError, match="not on this venue"):
        engine.index_of("ETH/USDT")
    assert engine.index_of("BTC/USDT") == 0
    assert engine.equity() == BTC.money_units(5)
    assert engine.has_room
    assert engine.header()["instruments"][0]["symbol"] == "BTC/USDT"
    with pytest.raises(UsageError, match="another version"):
        Engine([BTC, Instrument.from_sizes("ETH/USDT")], Broker()).restore(engine.snapshot())
