"""Proof that history and live agree: both loops over the same bars, or a stored journal done again, event by event."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.store import Batch, JournalReader
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Side
from twinstar_kit.kernel.records import event_t
from twinstar_kit.session.history import as_bars, run_history, run_stretch
from twinstar_kit.session.live import LeapingPace, LiveRun, Source, apply_command, run_live
from twinstar_kit.session.setup import Setup, as_broker, as_strategy, prepare, strategy_name

if TYPE_CHECKING:
    from twinstar_kit.session.history import Progress
    from twinstar_kit.strategy import Strategy

Events = npt.NDArray[np.void]

STAGES: dict[str, tuple[EventKind, ...]] = {
    "commands": (
        EventKind.PLACE,
        EventKind.TERMS,
        EventKind.AMEND,
        EventKind.CANCEL,
        EventKind.DEPOSITED,
        EventKind.WITHDRAWN,
        EventKind.TRANSFER,
        EventKind.CONFIGURE,
    ),
    "proposals": (EventKind.PROPOSED,),
    "refusals": (EventKind.DENIED, EventKind.REJECTED),
    "orders": (
        EventKind.ACCEPTED,
        EventKind.ARMED,
        EventKind.REPLACED,
        EventKind.TRIGGERED,
        EventKind.CANCELED,
    ),
    "funding": (EventKind.FUNDED,),
    "fills": (EventKind.LIQUIDATED, EventKind.FILLED),
    "postings": (EventKind.POSTED,),
}
"""In the order in which a difference spreads: what differs first caused what follows."""

_COUNTERS = ("seq", "order_id", "link_id")
"""Numbers that shift when one event more or less came before; left out when counting by stage."""


@dataclass(frozen=True)
class Half:
    """One of the two runs that are compared."""

    name: str
    rows: npt.NDArray[np.int64]
    events: Events
    equity: npt.NDArray[np.int64]


@dataclass(frozen=True)
class ParityReport:
    """How two runs compare. `differences` counts bars and events that are not equal, position by position.

    `waterfall` holds one row for each stage at which they differ, causes first: `stage`, `differences` (records that
    only one of them has), `backtest` and `live` (counts), `first` (in words), and last, rows that lead from the end
    equity of the one to that of the other, in quote.
    """

    strategy: str
    bars: int
    orders: int
    fills: int
    differences: int
    waterfall: list[dict[str, Any]] = field(default_factory=list)
    compared: tuple[str, str] = ("backtest", "live")

    @property
    def ok(self) -> bool:
        """Whether the two are equal."""
        return self.differences == 0

    def to_dict(self) -> dict[str, Any]:
        """What `parity --json` prints."""
        return {
            "strategy": self.strategy, "bars": self.bars, "orders": self.orders, "fills": self.fills,
            "differences": self.differences, "waterfall": self.waterfall, "compared": list(self.compared),
        }  # fmt: skip

    def __str__(self) -> str:
        if self.ok:
            return f"{self.strategy}: {self.compared[0]} and {self.compared[1]} agree over {self.bars:,} bars, {self.fills:,} fills"
        lines = [
            f"{self.strategy}: {self.differences:,} differences between {self.compared[0]} and {self.compared[1]}"
        ]
        return "\n".join(lines + [f"  {row_text(row)}" for row in self.waterfall])


def row_text(row: dict[str, Any]) -> str:
    """One row of the waterfall as a line for people."""
    if "equity" in row:
        return f"{row['stage']}: {row['equity']:+,.8f} {row['quote']}" if row["stage"].startswith("equity by") else (
            f"{row['stage']}: {row['equity']:,.8f} {row['quote']}")  # fmt: skip
    return f"{row['stage']}: {row['differences']:,} differ; first: {row['first']}"


class Collector:
    """A sink that keeps batches in memory."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []

    def commit(self, batch: Batch) -> None:
        """Keep the batch."""
        self.batches.append(batch)

    def side(self, name: str) -> Half:
        """What was collected, joined."""
        return joined(name, self.batches)


def joined(name: str, batches: list[Batch]) -> Half:
    """The bars, events and equity of batches."""
    rows = [run.rows for b in batches for run in b.inputs if run.rows is not None]
    equity = np.concatenate([np.empty(0, np.int64), *(b.equity for b in batches)])
    stacked = np.concatenate(rows) if rows else np.empty((0, 6), np.int64)
    if len(equity) > len(stacked):
        equity = np.delete(equity, -2)
    return Half(name, stacked, np.concatenate([np.empty(0, event_t), *(b.events for b in batches)]), equity)


def parity(
    strategy: Strategy | type[Strategy] | str | None = None,
    data: Any = None,
    *,
    journal: str | Path | None = None,
    mode: str = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> ParityReport:
    """Compare the history loop with the live loop over `data`, or a stored `journal` with the history loop.

    `data` and `settings` as for `backtest`. With `journal` the recorded inputs are run again; parameters, broker and
    instrument are the journal's, and `strategy` may be left out when the journal can name it. Raises UsageError when
    the strategy is not the one that made the journal.
    """
    if (data is None) == (journal is None):
        raise UsageError("parity compares over data or over a stored journal: give one of them")
    if journal is not None:
        return parity_of_journal(journal, strategy, mode, progress)
    if strategy is None:
        raise UsageError("parity over data needs a strategy")
    bars = as_bars(data, settings)
    chosen, broker = as_strategy(strategy), as_broker(settings)
    history = prepare(chosen, bars.instrument, bars.timeframe_ms, broker, mode)
    events, equity = run_history(history, bars.rows, progress)
    live = live_side(prepare(chosen.replace(), bars.instrument, bars.timeframe_ms, broker, mode), bars)
    return compare(strategy_name(chosen), bars.instrument, Half("backtest", bars.rows, events, equity), live)


def live_side(setup: Setup, bars: Bars) -> Half:
    """The live loop over bars as a replay completes them."""
    from twinstar_kit.feeds.replay import Replay

    feed, sink = Replay([bars]), Collector()
    run = LiveRun(setup, sink)
    run.begin()
    first, last = feed.span()
    run_live(
        run,
        Source(feed, bars.instrument.symbol, bars.timeframe_ms, first, last),
        LeapingPace(first, bars.timeframe_ms),
        Event(),
    )
    return sink.side("live")


def parity_of_journal(
    path: str | Path, strategy: Strategy | type[Strategy] | str | None, mode: str, progress: Progress | None
) -> ParityReport:
    """Run the recorded inputs of a journal through the history loop and compare with what was stored."""
    with JournalReader(path) as journal:
        journal.verify()
        header, meta, batches = journal.header, journal.meta, list(journal.batches())
    if "strategy" not in header:
        from twinstar_kit.session.accounts import parity_of_account

        return parity_of_account(header, meta, batches)
    chosen = strategy if strategy is not None else meta.get("spec")
    if chosen is None:
        raise UsageError(
            f"{path} was made by {header['strategy']['name']}, which no file defines; give the strategy"
        )
    kept = header["strategy"]
    built = (
        type(as_strategy(chosen))(**kept["params"]) if _takes(chosen, kept["params"]) else as_strategy(chosen)
    )
    if {"name": type(built).__name__, "source": type(built).source_hash(), "params": built.params()} != kept:
        raise UsageError(
            f"{path} was made by another {kept['name']}: its source or parameters have changed since"
        )
    stored = joined("journal", batches)
    setup = prepare(
        built,
        Instrument.from_canonical(header["instruments"][0]),
        header["timeframe_ms"],
        Broker(**header["broker"]),
        mode,
    )
    again = history_again(setup, batches, progress)
    return compare(strategy_name(built), setup.instrument, again, stored)


def _takes(strategy: Any, params: dict[str, Any]) -> bool:
    return set(params) <= set(type(as_strategy(strategy)).specs())


def history_again(setup: Setup, batches: list[Batch], progress: Progress | None = None) -> Half:
    """The history loop over recorded bars, with the recorded commands between them."""
    rows = joined("", batches).rows
    equity, at = np.empty(len(rows), np.int64), 0
    parts: list[Events] = []
    for batch in batches:
        n = sum(len(run) for run in batch.inputs)
        run_stretch(setup, rows[at : at + n], equity[at : at + n], parts)
        at += n
        if batch.command is not None:
            apply_command(setup, batch.command)
        if batch.final and setup.broker.close_at_end:
            setup.engine.close_out(0)
            equity[-1:] = setup.engine.equity(0)
        parts.append(setup.engine.drain())
        if progress is not None:
            progress(at, len(rows), "")
    return Half("backtest", rows, np.concatenate([np.empty(0, event_t), *parts]), equity)


def compare(strategy: str, instrument: Instrument, one: Half, other: Half) -> ParityReport:
    """Count what differs between two runs and say where it began."""
    differences = (
        _unequal(one.rows, other.rows)
        + _unequal(one.events, other.events)
        + _unequal(one.equity, other.equity)
    )
    waterfall = _waterfall(instrument, one, other) if differences else []
    kinds = one.events["kind"]
    return ParityReport(
        strategy, len(one.rows), int((kinds == EventKind.ACCEPTED).sum()), int((kinds == EventKind.FILLED).sum()), differences,
        waterfall, (one.name, other.name),
    )  # fmt: skip


def _unequal(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    n = min(len(one), len(other))
    same = one[:n] == other[:n]
    same = same.all(axis=1) if same.ndim > 1 else same
    return int(n - same.sum()) + abs(len(one) - len(other))


def _waterfall(instrument: Instrument, one: Half, other: Half) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    if changed := _unequal(one.rows, other.rows):
        rows.append(
            _row(
                "market data",
                changed,
                one,
                other,
                len(one.rows),
                len(other.rows),
                _first_bar(instrument, one, other),
            )
        )
    for stage, kinds in STAGES.items():
        a, b = (side.events[np.isin(side.events["kind"], kinds)] for side in (one, other))
        only_a, only_b = _only(a, b)
        if only_a or only_b:
            rows.append(
                _row(
                    stage,
                    sum(only_a.values()) + sum(only_b.values()),
                    one,
                    other,
                    len(a),
                    len(b),
                    _first_event(instrument, a, b, one, other),
                )
            )
    if not rows and (moved := _unequal(one.events, other.events)):
        at = int(
            np.argmax(
                _stripped(one.events)[: len(other.events)] != _stripped(other.events)[: len(one.events)]
            )
        )
        rows.append(
            _row("order of events", moved, one, other, len(one.events), len(other.events), f"event {at + 1}")
        )
    return rows + _equity_rows(instrument, one, other)


def _row(stage: str, differences: int, one: Half, other: Half, a: int, b: int, first: str) -> dict[str, Any]:
    return {"stage": stage, "differences": differences, one.name: a, other.name: b, "first": first}


def _stripped(events: Events) -> npt.NDArray[np.void]:
    """Events as comparable bytes, without the counters."""
    bare = events.copy()
    for name in _COUNTERS:
        bare[name] = 0
    return bare.view(f"V{event_t.itemsize}")


def _only(a: Events, b: Events) -> tuple[Counter[bytes], Counter[bytes]]:
    """Events that only one of two lists holds, counted, whatever their order."""
    counted = [Counter(record.tobytes() for record in _stripped(side)) for side in (a, b)]
    return counted[0] - counted[1], counted[1] - counted[0]


def _first_bar(instrument: Instrument, one: Half, other: Half) -> str:
    n = min(len(one.rows), len(other.rows))
    unequal = (one.rows[:n] != other.rows[:n]).any(axis=1)
    if not unequal.any():
        return f"bar {n}: only one of them has it"
    at = int(unequal.argmax())
    names = ("timestamp", "open", "high", "low", "close", "volume")
    a, b = one.rows[at], other.rows[at]
    told = [
        f"{name} {_shown(instrument, name, a[k])} / {_shown(instrument, name, b[k])}"
        for k, name in enumerate(names)
        if a[k] != b[k]
    ]
    return f"bar {at} ({_when(a[0])}): {', '.join(told)}"


def _shown(instrument: Instrument, column: str, units: int) -> str:
    if column == "timestamp":
        return _when(units)
    return f"{instrument.amount(units) if column == 'volume' else instrument.price(units):g}"


def _first_event(instrument: Instrument, a: Events, b: Events, one: Half, other: Half) -> str:
    x, y = _stripped(a), _stripped(b)
    n = min(len(x), len(y))
    unequal = x[:n] != y[:n]
    at = int(unequal.argmax()) if unequal.any() else n
    texts = [
        f"{side.name} {event_text(instrument, events[at])}" if at < len(events) else f"{side.name} has none"
        for side, events in ((one, a), (other, b))
    ]
    return " / ".join(texts)


def event_text(instrument: Instrument, e: np.void) -> str:
    """An event in a few words."""
    kind = EventKind(int(e["kind"]))
    if kind is EventKind.POSTED:
        return f"{_when(e['ts_event'])} posted {int(e['amount'])} units"
    words = [_when(e["ts_event"]), kind.name.lower()]
    words += [Side(int(e["side"])).name.lower()] if e["side"] else []
    words += [OrdType(int(e["ord_type"])).name.lower()] if e["ord_type"] else []
    quantity = int(e["last_qty"] or e["order_qty"])
    words += [f"{instrument.amount(quantity):g}"] if quantity else []
    price = int(e["last_px"] or e["price"] or e["stop_px"])
    words += [f"at {instrument.price(price):g}"] if price else []
    if e["reason"] and kind is not EventKind.PROPOSED:
        words.append(f"({Reason(int(e['reason'])).text})")
    return " ".join(words)


def _when(ms: int) -> str:
    return str(np.datetime64(int(ms), "ms")).replace("T", " ").removesuffix(".000")


def _equity_rows(instrument: Instrument, one: Half, other: Half) -> list[dict[str, Any]]:
    """From one end equity to the other in exact steps: by what was bought and sold, by fees, by the open position."""
    a, b = _parts(instrument, one), _parts(instrument, other)
    steps = [(f"end equity, {one.name}", sum(a.values()))]
    steps += [(f"equity by {name}", b[name] - a[name]) for name in a if b[name] != a[name]]
    steps.append((f"end equity, {other.name}", sum(b.values())))
    return [
        {"stage": stage, "equity": instrument.money(units), "quote": instrument.settle}
        for stage, units in steps
    ]


def _parts(instrument: Instrument, side: Half) -> dict[str, int]:
    """What end equity is made of, in money units: opening and trades, fees, and the open position at the last close."""
    from twinstar_kit.report import fills

    rows = fills(side.events, instrument)
    fees = int(rows["fee"].sum())
    traded = -int((rows["side"] * rows["gross"]).sum())
    end = int(side.equity[-1]) if len(side.equity) else 0
    position = int((rows["side"] * rows["last_qty"]).sum())
    last = int(side.rows[-1, 4]) if len(side.rows) else 0
    mark = position * last // instrument.money_divisor
    return {
        "opening balance": end - mark - traded + fees,
        "fills": traded,
        "fees": -fees,
        "open position": mark,
    }
