"""What an account looks like to those who read its journal: balances, open orders, positions, fills, equity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.journal.errors import JournalGap
from twinstar_kit.journal.positions import ContractBook
from twinstar_kit.journal.store import Batch
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import N_ACCOUNTS, Account, Wallet
from twinstar_kit.kernel.loading import assets_of
from twinstar_kit.kernel.money import from_units
from twinstar_kit.kernel.orders import EventKind, OrdFlag, OrdType, Side
from twinstar_kit.kernel.records import event_t

_ORDER_LIFE = [
    EventKind.ACCEPTED,
    EventKind.ARMED,
    EventKind.REPLACED,
    EventKind.TRIGGERED,
    EventKind.FILLED,
    EventKind.CANCELED,
]


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """An open order in the instrument's units. `working` is False while it waits for the entry that it protects."""

    order_id: int
    instrument: Instrument
    side: Side
    ord_type: OrdType
    order_qty: int
    price: int
    stop_px: int
    reduce_only: bool
    ts: int
    working: bool = True
    triggered: bool = False


class Replica:
    """Folds batches into the state of the account, each exactly once and in order; a missed one is a JournalGap.

    `header` is the journal's. Amounts are units; `balances` gives them as exact decimals.
    """

    def __init__(self, header: Mapping[str, Any]) -> None:
        self.instruments = tuple(Instrument.from_canonical(fields) for fields in header["instruments"])
        self.scales = assets_of(self.instruments)
        self.assets = tuple(self.scales)
        wallets = 2 if any(m.derivative for m in self.instruments) else 1
        self.ledger = np.zeros((wallets * len(self.assets), N_ACCOUNTS), np.int64)
        self.contracts = ContractBook(self.instruments, int(header.get("broker", {}).get("leverage", 1)))
        self.open_orders: dict[int, OpenOrder] = {}
        self.commands: list[dict[str, Any]] = []
        self.last_price = [0] * len(self.instruments)
        self.batch, self.seq, self.ts, self.bars, self.finished = 0, 0, 0, 0, False
        self._fills: list[npt.NDArray[np.void]] = []
        self._equity: list[npt.NDArray[np.int64]] = []

    def apply(self, batch: Batch) -> None:
        """Take in the next batch."""
        events = batch.events
        if batch.number != self.batch + 1 or (len(events) and events["seq"][0] != self.seq + 1):
            raise JournalGap(
                f"batch {batch.number} came where {self.batch + 1} was due; read the journal from its beginning"
            )
        self.batch, self.finished = batch.number, batch.final
        if len(events):
            self.seq, self.ts = int(events["seq"][-1]), int(events["ts_event"][-1])
            self._fold(events)
        for run in batch.inputs:
            if run.rows is not None and len(run.rows):
                self.last_price[run.instrument] = int(run.rows[-1, 4])
                self.bars += len(run.rows)
        if len(batch.equity):
            if (
                not batch.inputs and self._equity
            ):  # the run ended after its last bar was stored: another value for that bar
                self._equity[-1] = self._equity[-1][:-1]
            self._equity.append(batch.equity)
        if batch.command is not None:
            self.commands.append(batch.command)

    def _fold(self, events: npt.NDArray[np.void]) -> None:
        kinds = events["kind"]
        posted = events[kinds == EventKind.POSTED]
        np.subtract.at(self.ledger, (posted["asset"], posted["debit"]), posted["amount"])
        np.add.at(self.ledger, (posted["asset"], posted["credit"]), posted["amount"])
        fills = events[kinds == EventKind.FILLED]
        if len(fills):
            self._fills.append(fills)
            for fill in fills:
                self.last_price[fill["instrument"]] = int(fill["last_px"])
        for event in events[np.isin(kinds, _ORDER_LIFE)]:
            self._order(event)
        self.contracts.fold_all(events)

    def _order(self, e: np.void) -> None:
        order_id, kind = int(e["order_id"]), int(e["kind"])
        if kind == EventKind.ACCEPTED:
            self.open_orders[order_id] = OpenOrder(
                order_id, self.instruments[e["instrument"]], Side(int(e["side"])), OrdType(int(e["ord_type"])), int(e["order_qty"]),
                int(e["price"]), int(e["stop_px"]), bool(e["flags"] & OrdFlag.REDUCE_ONLY), int(e["ts_event"]),
            )  # fmt: skip
            return
        order = self.open_orders.get(order_id)
        if order is None:
            raise JournalGap(
                f"event {e['seq']} speaks of order {order_id}, which is not open; read the journal from its beginning"
            )
        if kind == EventKind.CANCELED or (kind == EventKind.FILLED and e["leaves_qty"] == 0):
            del self.open_orders[order_id]
        else:
            self.open_orders[order_id] = replace(
                order, order_qty=int(e["order_qty"]), price=int(e["price"]), stop_px=int(e["stop_px"]), working=True,
                triggered=order.triggered or kind == EventKind.TRIGGERED,
            )  # fmt: skip

    def balance(self, asset: str, wallet: Wallet = Wallet.SPOT) -> tuple[int, int]:
        """Free units of `asset`, and those that stand behind orders and positions."""
        row = self.ledger[int(wallet) * len(self.assets) + self.assets.index(asset)]
        return int(row[Account.FREE]), int(row[Account.HELD] + row[Account.MARGIN])

    def balances(self, wallet: Wallet = Wallet.SPOT) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and used amounts of every asset, exact."""
        return {
            a: (from_units(free, s), from_units(held, s))
            for a, s in self.scales.items()
            for free, held in [self.balance(a, wallet)]
        }

    def positions(self) -> dict[str, int]:
        """Amount units of every symbol that is held: the coins of a spot market, contracts of others (short: below zero)."""
        held = {m.symbol: sum(self.balance(m.base)) for m in self.instruments if not m.derivative}
        for position in self.contracts.held():
            held[position.instrument.symbol] = held.get(position.instrument.symbol, 0) + position.qty
        return {symbol: units for symbol, units in held.items() if units}

    def fills(self) -> npt.NDArray[np.void]:
        """All FILLED events so far, `event_t`."""
        return np.concatenate(self._fills) if self._fills else np.empty(0, event_t)

    def equity(self) -> npt.NDArray[np.int64]:
        """Equity after each recorded bar, money units."""
        return np.concatenate(self._equity) if self._equity else np.empty(0, np.int64)

    def worth(self, quote: str, prices: Mapping[str, int] | None = None) -> int:
        """Money units of `quote`: its balances, and every position that is priced or settled in it.

        `prices` are price units by symbol; without one the latest bar's close or fill counts.
        """
        wallets = len(self.ledger) // len(self.assets)
        total = sum(sum(self.balance(quote, wallet)) for wallet in list(Wallet)[:wallets])
        priced = set()
        for at, m in enumerate(self.instruments):
            price = int((prices or {}).get(m.symbol, self.last_price[at]))
            if m.derivative:
                if m.settle == quote:
                    total += sum(position.profit(price) for position in self.contracts.held(m.symbol))
            elif m.quote == quote and m.base not in priced:
                total += sum(self.balance(m.base)) * price // m.money_divisor
                priced.add(m.base)
        return total
