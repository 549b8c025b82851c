"""A known answer on real minutes: an EMA cross that is always in the market, long or short, to the last unit."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from kernel.builders import Desk

from twinstar_kit import Strategy, backtest, indicators
from twinstar_kit.feeds import load_bars
from twinstar_kit.kernel.instruments import Instrument

ORDERS, END = 902, D("9999954.94313300")
START, AMOUNT, FEE = 10_000_000, "0.001", "0.001"
SYMBOL = "BTC/USDT:USDT"


class Cross(Strategy):
    """Long while the fast average is not below the slow one, else short; from the 20th bar on."""

    fast = indicators.EMA(10, seed_first=True)
    slow = indicators.EMA(20, seed_first=True)

    def on_bar(self, ctx):
        if not self.slow.ready:
            return
        if self.fast.value >= self.slow.value and ctx.position <= 0.0:
            if ctx.position < 0.0:
                ctx.close()
            ctx.buy(0.001)
        elif self.fast.value < self.slow.value and ctx.position >= 0.0:
            if ctx.position > 0.0:
                ctx.close()
            ctx.sell(0.001)


def signals(closes: list[float]) -> list[int]:
    """What is wanted after each close: 1 long, -1 short, 0 not yet."""
    fast = slow = closes[0]
    wanted = []
    for n, close in enumerate(closes):
        if n:
            fast += 2 / 11 * (close - fast)
            slow += 2 / 21 * (close - slow)
        wanted.append(0 if n < 19 else 1 if fast >= slow else -1)
    return wanted


@pytest.fixture(scope="module")
def rows(real_data: Path) -> pl.DataFrame:
    return pl.read_parquet(real_data / "ohlcv" / "ftx_BTC-PERP_1m_20211231.parquet").head(10_000)


@pytest.fixture(scope="module")
def file(rows: pl.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bars") / "ftx_BTC-PERP_1m.parquet"
    rows.write_parquet(path)
    return path


@pytest.mark.real_data
def test_the_answer_is_that_of_a_decimal_loop(rows) -> None:
    cash, position, orders = D(START), 0, 0
    closes = rows["close"].to_list()
    for close, wanted in zip([*closes, closes[-1]], [*signals(closes), 0], strict=True):
        for side in (-position, wanted) if wanted != position else ():
            if side:
                value = D(str(close)) * D(AMOUNT)
                cash -= side * value + value * D(FEE)
                orders += 1
        position = wanted
    assert (orders, cash) == (ORDERS, END)


@pytest.mark.real_data
@pytest.mark.parametrize("mode", ["compiled", "interpreted"])
def test_as_a_strategy_in_a_back_test(file, mode) -> None:
    run = backtest(
        Cross(), file, symbol=SYMBOL, mode=mode, fill="close", fee_taker=FEE, start_balance=START, close_at_end=True
    )  # fmt: skip
    assert len(run.fills) == ORDERS
    assert run.instrument.money_decimal(int(run.equity_units[-1])) == END
    assert run.trade_records["pnl"].sum() == run.instrument.money_units(END) - run.start_units
    assert {int(side) for side in run.trade_records["side"]} == {1, -1}


@pytest.mark.real_data
def test_straight_on_the_engine(rows) -> None:
    d = Desk({"USDT": START}, Instrument.loose(SYMBOL), fee_taker=FEE)
    closes, position, orders = rows["close"].to_list(), 0, 0

    def market(side: int, close: float, **flags: Any) -> None:
        nonlocal orders
        d.send("buy" if side > 0 else "sell", "market", AMOUNT, **flags)
        [fill] = d.trade(close)
        assert fill[1] == D(str(close))
        orders += 1

    for close, wanted in zip(closes, signals(closes), strict=True):
        d.last(close)
        if wanted != position:
            if position:
                market(-position, close, reduce_only=True)
            market(wanted, close)
            position = wanted
    market(-position, closes[-1], reduce_only=True)
    assert (orders, d.free("USDT"), d.position()) == (ORDERS, END, 0)


def test_the_file_is_read_as_a_perpetual(tmp_path) -> None:
    path = tmp_path / "x.parquet"
    stamps = [60_000 * n for n in range(5)]
    prices = {name: [100.0] * 5 for name in ("open", "high", "low", "close", "volume")}
    pl.DataFrame({"timestamp": stamps, **prices}).write_parquet(path)
    assert load_bars(path, SYMBOL).instrument.derivative
