"""The simulated market is a pure function of seed, symbol and time: same bits in any order and any process."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys

import numpy as np
import pytest
from feeds.market import DAY, HOUR, MARKET, MINUTE, START
from hypothesis import given, settings
from hypothesis import strategies as st

from twinstar_kit.feeds import SimulatedMarket

SYMBOLS = tuple(instrument.symbol for instrument in MARKET.instruments)
FIRST, END = MARKET.span()

ASK_EVERYTHING = """
import hashlib, random, sys
from twinstar_kit.feeds import SimulatedMarket
order, seed = int(sys.argv[1]), int(sys.argv[2])
market, now = SimulatedMarket(seed), 1_735_732_845_678
symbols = [i.symbol for i in market.instruments][::7]
def answers():
    for symbol in symbols:
        yield symbol + " bars", lambda s=symbol: market.bars(s, now - 90 * 60_000, now).rows.tobytes()
        yield symbol + " hours", lambda s=symbol: market.bars(s, now - 86_400_000, now, 3_600_000).rows.tobytes()
        yield symbol + " trades", lambda s=symbol: market.trades(s, now - 60_000, now).tobytes()
        yield symbol + " book", lambda s=symbol: b"".join(side.tobytes() for side in market.book(s, now))
        yield symbol + " bar", lambda s=symbol: bytes(repr(market.forming_bar(s, now)), "ascii")
        yield symbol + " last", lambda s=symbol: market.last(s, now).to_bytes(8, "big")
    for step in range(6):
        yield f"tickers {step}", lambda t=step: market.tickers(now + t * 1_700_000).tobytes()
ask = list(answers())
random.Random(order).shuffle(ask)
digest = {name: hashlib.sha256(answer()).hexdigest() for name, answer in ask}
print(hashlib.sha256(repr(sorted(digest.items())).encode()).hexdigest())
"""

INTERPRETED = """
import hashlib
import numpy as np
from twinstar_kit.feeds import SimulatedMarket
from twinstar_kit.feeds.tape import live_rows, summary_rows
now = 1_735_732_845_678
with np.errstate(over="ignore"):
    market = SimulatedMarket(11)
    parts = [market.bars("BTC/USDT", now - 1_800_000, now).rows, market.trades("XRP/KRW", now, now + 60_000),
             *market.book("PEPE/USDT", now, 20), market.forming_bar("ETH/USDT", now, 300_000),
             market.funding("BTC/USD:BTC", now - 86_400_000, now), market.book("ETH/USD:ETH", now, 3)[0],
             np.array(market.next_funding("SOL/USDT:USDT", now)),
             live_rows(market._market, now), summary_rows(market._market, 3_700_000, 2, 2)]
print(hashlib.sha256(b"".join(part.tobytes() for part in parts)).hexdigest())
"""


def run(program, *arguments, **environment):
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=240
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_two_processes_and_two_orders_of_asking_give_the_same_bits():
    first, second, other = run(ASK_EVERYTHING, 1, 11), run(ASK_EVERYTHING, 2, 11), run(ASK_EVERYTHING, 1, 12)
    assert first == second
    assert first != other


def test_compiled_and_interpreted_give_the_same_bits():
    assert run(INTERPRETED) == run(INTERPRETED, NUMBA_DISABLE_JIT="1")


def test_the_market_of_a_seed_does_not_change():
    """Whoever stored what a seed gave finds it again; a change here is a change of the market and needs a reason."""
    market = SimulatedMarket(0)
    digest = hashlib.sha256()
    for symbol in ("BTC/USDT", "XRP/KRW", "PEPE/USDT", "USDT/KRW"):
        digest.update(market.bars(symbol, START, START + DAY).rows.astype("<i8").tobytes())
        digest.update(market.trades(symbol, START, START + MINUTE).tobytes())
        digest.update(b"".join(side.tobytes() for side in market.book(symbol, START + 12_345)))
    assert digest.hexdigest()[:16] == "c613ba241ba26313"


def test_perpetuals_left_the_98_spot_markets_as_they_were():
    """The digest was made before there were perpetuals."""
    market = SimulatedMarket(5)
    digest = hashlib.sha256()
    for symbol in SYMBOLS[:98]:
        digest.update(market.bars(symbol, START, START + HOUR).rows.astype("<i8").tobytes())
        digest.update(market.trades(symbol, START, START + MINUTE).tobytes())
        digest.update(b"".join(side.tobytes() for side in market.book(symbol, START + 12_345)))
    digest.update(market.tickers(START + 7 * HOUR + 12_345)[:98].tobytes())
    assert digest.hexdigest()[:16] == "c5157d920603a488"


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(SYMBOLS), st.integers(0, 20_000), st.integers(1, 200))
def test_any_minute_alone_equals_the_minute_in_bulk(symbol, first, count):
    start = START + first * MINUTE
    bulk = MARKET.bars(symbol, start, start + count * MINUTE).rows
    alone = random.Random(first).randrange(count)
    at = start + alone * MINUTE
    assert MARKET.bars(symbol, at, at + MINUTE).rows.tobytes() == bulk[alone : alone + 1].tobytes()


def test_what_was_asked_before_does_not_change_a_ticker():
    now = START + 7 * HOUR + 12_345
    fresh = SimulatedMarket(seed=11).tickers(now)
    busy = SimulatedMarket(seed=11)
    for step in random.Random(3).sample(range(400), 60):
        busy.tickers(START + step * 47 * MINUTE)
    assert busy.tickers(now).tobytes() == fresh.tobytes()


def test_another_seed_is_another_market_and_symbols_differ():
    one, other = SimulatedMarket(1), SimulatedMarket(2)
    closes = {
        (m.seed, s): m.bars(s, START, START + DAY).close
        for m in (one, other)
        for s in ("BTC/USDT", "ETH/USDT")
    }
    changes = {key: np.diff(np.log(close)) for key, close in closes.items()}
    assert abs(np.corrcoef(changes[1, "BTC/USDT"], changes[2, "BTC/USDT"])[0, 1]) < 0.15
    assert not np.array_equal(changes[1, "BTC/USDT"], changes[1, "ETH/USDT"])


def test_the_global_random_state_has_no_part_in_it():
    np.random.seed(1)
    state = np.random.get_state()[1].copy()
    MARKET.bars("BTC/USDT", START, START + HOUR)
    assert np.array_equal(np.random.get_state()[1], state)


def test_warming_up_compiles_every_compiled_function():
    from twinstar_kit.feeds import minutes, simulated, tape

    simulated.warm_up()
    entries = [
        value
        for module in (minutes, tape)
        for value in vars(module).values()
        if hasattr(value, "signatures") and type(value._cache).__name__ != "NullCache"
    ]
    assert len(entries) >= 7
    compiled = {function.__name__: len(function.signatures) for function in entries}
    assert set(compiled.values()) == {1}, f"compiled more or less than once: {compiled}"


@pytest.mark.parametrize("symbol", ["BTC/USDT", "USDT/KRW"])
def test_the_market_begins_and_ends_where_it_says(symbol):
    assert int(MARKET.bars(symbol, 0, FIRST + 3 * MINUTE).timestamp[0]) == FIRST
    assert len(MARKET.bars(symbol, 0, FIRST)) == 0
    assert int(MARKET.bars(symbol, END - HOUR, END + DAY).timestamp[-1]) + MINUTE <= END
    assert MARKET.last(symbol, FIRST) > 0
    assert MARKET.tickers(FIRST)["last"].min() > 0
