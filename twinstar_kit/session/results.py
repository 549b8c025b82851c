"""What a run came to: events and equity as they were made; everything else is computed when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.instruments import Instrument, Kind
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind, OrdType, Reason, Side
from twinstar_kit.kernel.records import Digest

if TYPE_CHECKING:
    import pandas as pd

    from twinstar_kit.journal.store import JournalReader
    from twinstar_kit.session.setup import Setup

Events = npt.NDArray[np.void]
SHOWN = ("total_return", "sharpe", "max_drawdown", "trades", "win_rate", "profit_factor")


@dataclass(frozen=True)
class RunResult:
    """A run of one strategy on one symbol, from a back-test, from paper trading, or from a stored journal.

    `bars` are what it ran over, `events` the journal's records (`event_t`), `equity_units` money units after each
    bar. `mode` says whether the strategy ran compiled, `reason` why it did not. `journal` is the file that holds
    the run, `finished` whether it came to its end.
    """

    strategy: str
    params: dict[str, Any]
    header: dict[str, Any] = field(repr=False)
    bars: Bars = field(repr=False)
    events: Events = field(repr=False)
    equity_units: npt.NDArray[np.int64] = field(repr=False)
    seconds: float
    mode: str = "compiled"
    reason: str | None = None
    journal: Path | None = None
    finished: bool = True

    @classmethod
    def of(
        cls, setup: Setup, bars: Bars, events: Events, equity: npt.NDArray[np.int64], seconds: float
    ) -> RunResult:
        """The result of a run that `setup` was prepared for."""
        from twinstar_kit.session.setup import strategy_name

        return cls(
            strategy_name(setup.strategy), setup.strategy.params(), setup.header, bars, events, equity, seconds,
            setup.runner.mode, setup.runner.reason,
        )  # fmt: skip

    @property
    def instrument(self) -> Instrument:
        """What was traded."""
        return self.bars.instrument

    @property
    def broker(self) -> Broker:
        """Fees, slippage and the fill model."""
        return Broker(**self.header["broker"])

    @property
    def simulated(self) -> bool:
        """Whether the market data was made up."""
        return self.bars.simulated

    @property
    def start_units(self) -> int:
        """Money units at the start."""
        return self.instrument.money_units(self.header["balances"][self.instrument.settle])

    @property
    def start_balance(self) -> float:
        """Equity at the start, in the quote."""
        return self.instrument.money(self.start_units)

    @property
    def end_balance(self) -> float:
        """Equity after the last bar, an open position at its close, in the quote."""
        return (
            self.instrument.money(int(self.equity_units[-1]))
            if len(self.equity_units)
            else self.start_balance
        )

    @property
    def close_ts(self) -> npt.NDArray[np.int64]:
        """The close of each bar, ms UTC: the times of `equity_units`."""
        return self.bars.timestamp + self.bars.timeframe_ms

    @cached_property
    def fill_records(self) -> npt.NDArray[np.void]:
        """Fills as `report.fill_t`: money in units."""
        from twinstar_kit.report import fills

        return fills(self.events, self.instrument)

    @cached_property
    def trade_records(self) -> npt.NDArray[np.void]:
        """Round trips as `report.trade_t`: money in units; an open one is marked at the last close."""
        from twinstar_kit.report import trades

        if not len(self.bars):
            return trades(self.fill_records, self.instrument)
        start, close = self.bars.rows[-1, 0], self.bars.rows[-1, 4]
        return trades(self.fill_records, self.instrument, int(close), int(start) + self.bars.timeframe_ms)

    @cached_property
    def metrics(self) -> dict[str, float | int | None]:
        """The figures of the run; `report.METRICS` says how each is computed."""
        from twinstar_kit.report import metrics

        start = int(self.bars.timestamp[0]) if len(self.bars) else None
        return metrics(
            self.close_ts,
            self.equity_units,
            self.trade_records,
            self.instrument,
            start_equity=self.start_units,
            start_ts=start,
        )

    @cached_property
    def data_digest(self) -> str:
        """SHA-256 of the bars."""
        return self.bars.data_digest if len(self.bars) else ""

    @cached_property
    def journal_digest(self) -> str:
        """SHA-256 over header, events and bars: equal for equal inputs, in a back-test, in paper, in any process."""
        digest = Digest(self.header)
        digest.update(self.events)
        return digest.hexdigest(self.data_digest, len(self.bars))

    @property
    def fees_paid(self) -> float:
        """All fees, in what the instrument settles in."""
        return self.instrument.money(int(self.fill_records["fee"].sum()))

    @cached_property
    def equity(self) -> pd.Series[float]:
        """Equity in the quote after each bar, by the bar's close (UTC)."""
        import pandas as pd

        values = self.equity_units / 10**self.instrument.quote_scale
        return pd.Series(values, index=_times(self.close_ts), name="equity")

    @cached_property
    def fills(self) -> pd.DataFrame:
        """Fills: time, order_id, side, price, amount, cost and fee, in base and quote."""
        import pandas as pd

        f, m = self.fill_records, self.instrument
        return pd.DataFrame(
            {
                "time": _times(f["ts_event"]), "order_id": f["order_id"], "side": _words(Side, f["side"]),
                "price": f["last_px"] / 10**m.price_scale, "amount": f["last_qty"] / 10**m.amount_scale,
                "cost": f["gross"] / 10**m.quote_scale, "fee": f["fee"] / 10**m.quote_scale,
            }
        )  # fmt: skip

    @cached_property
    def trades(self) -> pd.DataFrame:
        """Round trips: entry and exit times and average prices, amount, fees, profit after fees (`pnl`), return."""
        import pandas as pd

        t, m = self.trade_records, self.instrument
        money, price = 10**m.quote_scale, 10**m.price_scale
        return pd.DataFrame(
            {
                "entry_time": _times(t["entry_ts"]), "exit_time": _times(t["exit_ts"]), "side": _words(Side, t["side"]),
                "amount": t["amount"] / 10**m.amount_scale, "entry_price": t["entry_px"] / price, "exit_price": t["exit_px"] / price,
                "fees": t["fees"] / money, "pnl": t["pnl"] / money, "return": t["ret"], "open": t["open"] == 1,
            }
        )  # fmt: skip

    @cached_property
    def orders(self) -> pd.DataFrame:
        """Every order that was accepted or refused: what was asked, what became of it, and the rule when it ended early."""
        import pandas as pd

        e, m = self.events, self.instrument
        placed = e[
            np.isin(e["kind"], (EventKind.ACCEPTED, EventKind.DENIED, EventKind.REJECTED))
            & (e["order_id"] > 0)
        ]
        table = pd.DataFrame(
            {
                "order_id": placed["order_id"], "time": _times(placed["ts_event"]), "side": _words(Side, placed["side"]),
                "type": _words(OrdType, placed["ord_type"]), "amount": placed["order_qty"] / 10**m.amount_scale,
                "price": _positive(placed["price"], m.price_scale), "stop_price": _positive(placed["stop_px"], m.price_scale),
            }
        ).set_index("order_id", drop=False)  # fmt: skip
        table["status"] = np.where(
            placed["kind"] == EventKind.ACCEPTED, "open", _words(EventKind, placed["kind"])
        )
        table["filled"], table["average"], table["fee"] = 0.0, np.nan, 0.0
        table["reason"] = [Reason(int(r)).text for r in placed["reason"]]
        canceled = e[e["kind"] == EventKind.CANCELED]
        table.loc[canceled["order_id"], "status"] = "canceled"
        table.loc[canceled["order_id"], "reason"] = [Reason(int(r)).text for r in canceled["reason"]]
        done = e[(e["kind"] == EventKind.FILLED) & (e["leaves_qty"] == 0)]
        table.loc[done["order_id"], "status"] = "filled"
        # an average price is what the whole would have cost the same at: of inverse contracts the harmonic mean
        power = -1 if self.instrument.kind is Kind.INVERSE else 1
        parts = self.fills.assign(value=self.fills["price"] ** power * self.fills["amount"]).groupby(
            "order_id"
        )
        sums = parts[["amount", "value", "fee"]].sum()
        table.loc[sums.index, "filled"] = sums["amount"]
        table.loc[sums.index, "average"] = (sums["value"] / sums["amount"]) ** power
        table.loc[sums.index, "fee"] = sums["fee"]
        return table.reset_index(drop=True)

    @property
    def order_count(self) -> int:
        """How many orders the venue accepted."""
        return int((self.events["kind"] == EventKind.ACCEPTED).sum())

    def to_dict(self) -> dict[str, Any]:
        """Everything that `backtest --json` and `paper --json` print, as plain values."""
        n = len(self.bars)
        out: dict[str, Any] = {
            "strategy": self.strategy, "params": self.params, "exchange": self.instrument.exchange,
            "symbol": self.instrument.symbol, "timeframe": self.bars.timeframe, "bars": n,
            "start_balance": self.start_balance, "end_balance": self.end_balance, "orders": self.order_count,
            "fills": len(self.fill_records), "fees_paid": self.fees_paid, "metrics": self.metrics,
            "journal_digest": self.journal_digest, "data_digest": self.data_digest, "seconds": self.seconds,
            "bars_per_second": n / self.seconds if self.seconds > 0 else None, "mode": self.mode,
        }  # fmt: skip
        if self.reason:
            out["interpreted_because"] = self.reason
        if self.journal is not None:
            out |= {"journal": str(self.journal), "finished": self.finished}
        return out | {"notes": self.notes}

    @property
    def notes(self) -> list[str]:
        """What a reader of the figures must know."""
        notes = []
        if self.simulated:
            notes.append("SIMULATED market data: no exchange ever quoted these prices.")
        if self.broker.optimistic:
            notes.append("Optimistic: orders filled on the bar of their signal (fill=close).")
        if self.instrument.derivative:
            notes.append("Funding is left out: bars do not tell it.")
        if self.bars.off_tick:
            notes.append(f"{self.bars.off_tick} prices of the data are off the instrument's tick.")
        return notes

    def plot(self) -> Any:
        """Equity and drawdown over the price with every trade, as a Bokeh layout."""
        from bokeh.layouts import column

        from twinstar_kit.report.figures import equity_figure, price_figure

        title = f"{self.strategy} on {self.instrument.symbol}" + (" (SIMULATED)" if self.simulated else "")
        equity = equity_figure(
            self.close_ts, self.equity_units, self.instrument, self.start_units, bars=self.bars, title=title
        )
        return column(equity, price_figure(self.bars, self.trade_records), sizing_mode="stretch_width")

    def tearsheet(self) -> str:
        """The run on one page of HTML that needs no network."""
        from twinstar_kit.report.tearsheet import tearsheet

        facts = {"strategy": self.strategy, **self.params, **self.header["broker"],
                 "journal_digest": self.journal_digest, "data_digest": self.data_digest}  # fmt: skip
        return tearsheet(
            title=f"{self.strategy} on {self.instrument.symbol}", bars=self.bars, equity_ts=self.close_ts,
            equity=self.equity_units, start_equity=self.start_units, trades=self.trade_records, metrics=self.metrics,
            facts=facts, notes=[note for note in self.notes if not note.startswith("SIMULATED")],
        )  # fmt: skip

    def __repr__(self) -> str:
        params = ", ".join(f"{name}={value}" for name, value in self.params.items())
        return (
            f"<{self.strategy}({params}) on {self.instrument.symbol} {self.bars.timeframe}: {len(self.bars):,} bars, "
            f"{len(self.fill_records):,} fills, {self.start_balance:,.2f} -> {self.end_balance:,.2f} {self.instrument.settle}>"
        )

    def _repr_html_(self) -> str:
        shown: dict[str, Any] = {"start": f"{self.start_balance:,.2f}", "end": f"{self.end_balance:,.2f}"}
        shown |= {name: "-" if (v := self.metrics[name]) is None else f"{v:,.4g}" for name in SHOWN}
        cells = (
            "".join(f"<th>{escape(name)}</th>" for name in shown),
            "".join(f"<td>{escape(v)}</td>" for v in shown.values()),
        )
        notes = "".join(f"<p><b>{escape(note)}</b></p>" for note in self.notes)
        return (
            f"<p>{escape(repr(self)[1:-1])}</p>{notes}<table><tr>{cells[0]}</tr><tr>{cells[1]}</tr></table>"
        )


def load_run(path: str | Path) -> RunResult:
    """The run that a stored journal holds, finished or not; nothing is run again.

    Raises JournalError for a file that is no journal, JournalDamaged when it is not what was written.
    """
    from twinstar_kit.journal.store import JournalReader

    with JournalReader(path) as journal:
        return read_run(journal)


def read_run(journal: JournalReader, seconds: float = 0.0) -> RunResult:
    """`load_run` from a journal that is open."""
    header, meta = journal.header, journal.meta
    events, rows, equity, finished = [], [], [np.empty(0, np.int64)], False
    for batch in journal.batches():
        events.append(batch.events)
        rows += [run.rows for run in batch.inputs if run.rows is not None]
        equity.append(batch.equity)
        finished = batch.final
    merged = np.concatenate(equity)
    joined = np.concatenate(rows) if rows else np.empty((0, 6), np.int64)
    if len(merged) > len(
        joined
    ):  # the run ended after its last bar was stored: the closing value replaces that bar's
        merged = np.delete(merged, -2)
    bars = Bars(
        Instrument.from_canonical(header["instruments"][0]), header["timeframe_ms"], joined, meta.get("feed", ""),
        bool(meta.get("simulated")),
    )  # fmt: skip
    made = np.concatenate(events) if events else journal.events()
    params = header["strategy"]["params"]
    return RunResult(
        meta.get("strategy", header["strategy"]["name"]), {n: params[n] for n in meta.get("params", params)}, header, bars, made, merged, seconds,
        meta.get("mode", ""), None, Path(journal.path), finished,
    )  # fmt: skip


def _times(ms: npt.NDArray[np.int64]) -> pd.DatetimeIndex:
    import pandas as pd

    return pd.to_datetime(np.asarray(ms, np.int64), unit="ms", utc=True)


def _words(enum: Any, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    words = np.array([name.lower() for name in (m.name for m in enum)], object)
    numbers = np.array([int(m) for m in enum])
    order = np.argsort(numbers)
    return words[order][np.searchsorted(numbers[order], values)] if len(values) else np.empty(0, object)


def _positive(units: npt.NDArray[Any], scale: int) -> npt.NDArray[np.float64]:
    return np.where(units > 0, units / 10**scale, np.nan)
