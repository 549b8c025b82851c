"""A quoter on recorded books beside hftbacktest: one strategy, one recording, one run; answers first, then how many rows a second.

Both quote one bid and one ask a few ticks from the mid, look at the market every `INTERVAL_MS`, and have queue position and the three
latencies on. They differ by what their models say, which the row's notes tell.
"""

from __future__ import annotations

import os
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.measure import Row, alternate
from twinstar_kit.feeds.depth import DepthReplay
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.replay import (
    CLEAR,
    LAST,
    LEVEL,
    PRICE,
    QTY,
    SEEN_TS,
    SIDE,
    TRADE,
    TS,
    WHAT,
    count_nanoseconds,
    quote,
    rebuild,
)

BTC = Instrument.from_sizes("BTC/USDT:USDT", tick="0.1", lot="0.001")
TICK, LOT = 0.1, 0.001
DISTANCE_TICKS, AMOUNT, MOST, INTERVAL_MS, LATENCY_MS = 5, 0.01, 0.05, 10, 4.3
LATENCY_NS = round(LATENCY_MS * 10**6)
BALANCE, MAKER, TAKER = 10_000_000, 0.0002, 0.0005
TARGET = 1.0
FILES = (
    "l2/binance_usdm_BTCUSDT_depth_20240808.parquet",
    "trades/binance_usdm_BTCUSDT_trades_20240808.parquet",
)
NOTES = (
    "depth: both with a risk-averse queue, order and response latency of 4.3 ms, feed latency as recorded, fills of whole orders",
    "depth: when the other side's best comes to the price of a resting order hftbacktest fills it, ours when it has gone through",
    "depth: of trades through the price of a resting order hftbacktest takes those by takers on the other side, ours any",
)
Answer = dict[str, float]


@cache
def recording() -> tuple[str, npt.NDArray[np.int64], int]:
    """Name, rows and levels of what is replayed: real where `TWINSTAR_REAL_DATA` says where it lies, else made."""
    folder = os.environ.get("TWINSTAR_REAL_DATA")
    if folder:
        book, trades = (Path(folder) / name for name in FILES)
        replay = DepthReplay.open(f"{book},trades:{trades}", instrument=BTC)
        return "BTCUSDT, six real minutes", replay.rows, replay.levels
    return "BTCUSDT, six simulated minutes", *simulated()


def simulated(minutes: int = 6, every_ms: int = 100, depth: int = 400) -> tuple[npt.NDArray[np.int64], int]:
    """A recording of the simulated market: its books every 100 ms as changes of levels, its trades between them, seen 2 ms later."""
    from twinstar_kit.feeds.simulated import SimulatedMarket

    market, symbol = SimulatedMarket(7), BTC.symbol
    start = 1_735_740_000_000
    rows: list[tuple[int, ...]] = []
    known: dict[tuple[int, int], int] = {}
    for now in range(start, start + minutes * 60_000, every_ms):
        book = {
            (side, int(p)): int(q)
            for side, levels in zip((1, -1), market.book(symbol, now, depth), strict=True)
            for p, q in levels
        }
        # what is gone first: the book is never crossed, not even between two rows
        changes = [(*at, 0) for at in known if at not in book]
        changes += [(*at, qty) for at, qty in book.items() if known.get(at) != qty]
        at = now * 10**6
        if not known:
            rows.append((at, at + 2 * 10**6, CLEAR, 0, 0, 0))
        rows += [(at, at + 2 * 10**6, LEVEL, *change) for change in changes]
        if changes:
            rows[-1] = (*rows[-1][:WHAT], LAST, *rows[-1][SIDE:])
        known = book
        for trade in market.trades(symbol, now + 1, now + every_ms + 1):
            at = int(trade["ts"]) * 10**6
            rows.append(
                (at, at + 2 * 10**6, TRADE, int(trade["side"]), int(trade["price"]), int(trade["amount"]))
            )
    made = np.array(rows, np.int64)
    made = np.ascontiguousarray(made[np.argsort(made[:, TS], kind="stable")])
    return made, len(np.unique(made[made[:, WHAT] != TRADE][:, PRICE]))


def ours(start: int) -> tuple[Answer, npt.NDArray[np.void]]:
    """The quoter on the kernel: its answer, and the life of its orders as events."""
    from twinstar_kit.kernel.engine import Engine
    from twinstar_kit.kernel.models import Broker
    from twinstar_kit.kernel.orders import EventKind

    _, rows, levels = recording()
    broker = Broker(
        fee_maker=Decimal(str(MAKER)), fee_taker=Decimal(str(TAKER)), queue="risk_averse", latency="fixed", latency_order_ms=Decimal(str(LATENCY_MS)),
        latency_response_ms=Decimal(str(LATENCY_MS)), leverage=100,
    )  # fmt: skip
    engine = Engine(
        [BTC], broker, {"USDT": BALANCE}, levels=levels, live_book=True, order_capacity=8, buffer=1 << 17
    )
    count_nanoseconds(engine)
    kept: list[npt.NDArray[np.void]] = []
    quote(
        engine, rows, distance=BTC.price_units(str(DISTANCE_TICKS * TICK)), qty=BTC.amount_units(str(AMOUNT)),
        max_position=BTC.amount_units(str(MOST)), interval_ms=INTERVAL_MS, start=start,
        on_events=lambda events: kept.append(events[np.isin(events["kind"], (EventKind.ARMED, EventKind.FILLED, EventKind.CANCELED))]),
    )  # fmt: skip
    events = np.concatenate(kept)
    fills = int((events["kind"] == EventKind.FILLED).sum())
    return {
        "fills": fills,
        "position": BTC.amount(engine.position()),
        "equity": BTC.money(engine.equity()),
    }, events


@cache
def peer_events() -> Any:
    """The recording as hftbacktest's events, in its two orders of time."""
    import hftbacktest as hft
    from hftbacktest.binding import event_dtype
    from hftbacktest.data import correct_event_order

    rows = recording()[1]
    rows = rows[rows[:, WHAT] != CLEAR]
    events = np.zeros(len(rows), event_dtype)
    trade = rows[:, WHAT] == TRADE
    side = np.where(rows[:, SIDE] > 0, hft.BUY_EVENT, hft.SELL_EVENT)
    events["ev"] = np.where(trade, hft.TRADE_EVENT, hft.DEPTH_EVENT) | side
    events["exch_ts"], events["local_ts"] = rows[:, TS], rows[:, SEEN_TS]
    events["px"] = rows[:, PRICE] / 10.0**BTC.price_scale
    events["qty"] = rows[:, QTY] / 10.0**BTC.amount_scale
    orders = (np.argsort(events[name], kind="stable") for name in ("exch_ts", "local_ts"))
    return correct_event_order(events, *orders)


@cache
def peer_strategy() -> Any:
    """The quoter as hftbacktest wants it, and what it leads to."""
    import hftbacktest as hft
    from numba import njit

    buy, gtx, limit = hft.BUY, hft.GTX, hft.LIMIT

    @njit
    def run(hbt: Any, interval: int, distance: int, amount: float, most: float, tick: float) -> int:
        first, number = 0, 1
        while hbt.elapse(interval) == 0:
            if first == 0:
                first = hbt.current_timestamp
            hbt.clear_inactive_orders(0)
            depth = hbt.depth(0)
            bid, ask = depth.best_bid_tick, depth.best_ask_tick
            if bid <= 0 or ask >= 2**31 or bid >= ask:
                continue
            want_bid = min((bid + ask - 2 * distance) // 2, bid)
            want_ask = max(-(-(bid + ask + 2 * distance) // 2), ask)
            has_bid, has_ask = False, False
            cancel_bid, cancel_ask = 0, 0
            orders = hbt.orders(0)
            values = orders.values()
            while values.has_next():
                order = values.get()
                if order.side == buy:
                    has_bid = True
                    if order.cancellable and order.price_tick != want_bid:
                        cancel_bid = order.order_id
                else:
                    has_ask = True
                    if order.cancellable and order.price_tick != want_ask:
                        cancel_ask = order.order_id
            position = hbt.position(0)
            if cancel_bid:
                hbt.cancel(0, cancel_bid, False)
            if not has_bid and position < most - 1e-9:
                hbt.submit_buy_order(0, number, want_bid * tick, amount, gtx, limit, False)
                number += 1
            if cancel_ask:
                hbt.cancel(0, cancel_ask, False)
            if not has_ask and position > -most + 1e-9:
                hbt.submit_sell_order(0, number, want_ask * tick, amount, gtx, limit, False)
                number += 1
        return first

    return run


def peer(kind: str) -> tuple[Answer, int]:
    """The same on hftbacktest, with its book of this kind; and when it first looked."""
    import hftbacktest as hft

    asset = (
        hft.BacktestAsset().data(peer_events()).linear_asset(1.0).constant_order_latency(LATENCY_NS, LATENCY_NS)
        .risk_adverse_queue_model().no_partial_fill_exchange().trading_value_fee_model(MAKER, TAKER)
        .tick_size(TICK).lot_size(LOT).last_trades_capacity(0)
    )  # fmt: skip
    if kind == "vector":
        prices = recording()[1][:, PRICE]
        prices = prices[prices > 0] / 10.0**BTC.price_scale
        hbt = hft.ROIVectorMarketDepthBacktest(
            [asset.roi_lb(float(prices.min())).roi_ub(float(prices.max()))]
        )
    else:
        hbt = hft.HashMapMarketDepthBacktest([asset])
    first = peer_strategy()(hbt, INTERVAL_MS * 10**6, DISTANCE_TICKS, AMOUNT, MOST, TICK)
    state, depth = hbt.state_values(0), hbt.depth(0)
    mid = (depth.best_bid + depth.best_ask) / 2
    answer = {
        "fills": int(state.num_trades), "position": round(float(state.position), 3),
        "equity": BALANCE + state.balance + state.position * mid - state.fee,
    }  # fmt: skip
    hbt.close()
    return answer, first


def quoting(rounds: int) -> list[Row]:
    """Rows a second of the quoter, beside hftbacktest with each of its books."""
    name, rows, _ = recording()
    theirs, start = peer("hash map")
    verdict = compared(*ours(start), theirs)
    spent = alternate(
        min(rounds, 5),
        ours=lambda: ours(start),
        **{kind: lambda kind=kind: peer(kind) for kind in ("hash map", "vector")},
    )
    return [
        Row(
            f"quoting, {name}", len(rows) / spent["ours"] / 1e6, "M rows/s", len(rows) / spent[kind] / 1e6, f"hftbacktest, {kind}",
            spent[kind] / spent["ours"], f">= {TARGET:g}x",
            verdict.startswith("explained") and spent[kind] / spent["ours"] >= TARGET, verdict, list(NOTES),
        )
        for kind in ("hash map", "vector")
    ]  # fmt: skip


def compared(mine: Answer, events: npt.NDArray[np.void], theirs: Answer) -> str:
    """Both answers in words: "explained" when the fills differ by no more than the two rules can make of it.

    Each order that they treat otherwise is a fill more or less, and makes room for another, or takes it.
    """
    from twinstar_kit.kernel.orders import EventKind

    own_side, touched = passed_over(events[events["kind"] == EventKind.FILLED]), touches(events)
    explained = abs(mine["fills"] - theirs["fills"]) <= 2 * (own_side + touched)
    said = "; ".join(f"{key} {mine[key]:,.2f} and {theirs[key]:,.2f}" for key in mine)
    return (
        f"{'explained' if explained else 'differ'}: {said}; of our orders {own_side} filled at trades of takers on their own side,"
        f" {touched} stood at the other side's best"
    )


def passed_over(fills: npt.NDArray[np.void]) -> int:
    """How many of our fills met trades that hftbacktest passes over: through the price, by takers on the order's own side."""
    trades = recording()[1]
    trades = trades[trades[:, WHAT] == TRADE]
    first, last = (np.searchsorted(trades[:, TS], fills["ts_event"], end) for end in ("left", "right"))
    return sum(
        bool(
            np.any(
                (trades[a:b, SIDE] == fill["side"])
                & ((fill["price"] - trades[a:b, PRICE]) * fill["side"] > 0)
            )
        )
        for fill, a, b in zip(fills, first, last, strict=True)
    )


def touches(events: npt.NDArray[np.void]) -> int:
    """How many of our orders rested while the other side's best was at their price, where hftbacktest fills them."""
    from twinstar_kit.kernel.engine import Engine
    from twinstar_kit.kernel.models import Broker
    from twinstar_kit.kernel.orders import EventKind

    _, rows, levels = recording()
    engine = Engine([BTC], Broker(), levels=levels, live_book=True)
    best = np.zeros((len(rows), 5), np.int64)
    best = best[: rebuild(engine.desk.handle, 0, rows, best)]
    when, armed, found = rows[best[:, 0], TS], {}, 0
    for event in events:
        if event["kind"] == EventKind.ARMED:
            armed[int(event["order_id"])] = int(event["ts_event"])
        elif (since := armed.pop(int(event["order_id"]), None)) is not None:
            a, b = np.searchsorted(when, (since, int(event["ts_event"])))
            found += bool(np.any(best[a:b, 3 if event["side"] > 0 else 1] == event["price"]))
    return found
