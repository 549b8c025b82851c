"""A session in memory for the terminal's tests: a real venue and a real feed, driven by a clock that the test holds."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import numpy as np

from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import Setting
from twinstar_kit.terminal.backend import MANUAL, AccountView, Answer
from twinstar_kit.venues.blotter import Blotter, OrderRequest
from twinstar_kit.venues.core import VenueBatch, VirtualVenue


class HeldClock:
    """A clock that stands still until it is moved."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms

    def milliseconds(self) -> int:
        return self.now_ms

    def advance(self, ms: int) -> int:
        self.now_ms += ms
        return self.now_ms


class Recorder:
    """Takes a venue's batches as a journal would, and hands them on to a replica."""

    def __init__(self, blotter: Blotter) -> None:
        self.blotter = blotter
        self.batches: list[VenueBatch] = []
        self.folded = 0
        self.lock = threading.Lock()
        self.changed = threading.Event()

    def begin(self, header: Mapping[str, Any]) -> None:
        pass

    def commit(self, batch: VenueBatch) -> None:
        with self.lock:
            self.batches.append(batch)
        self.changed.set()

    def fold(self) -> int:
        with self.lock:
            for batch in self.batches[self.folded :]:
                command = batch.command
                requests = (
                    {}
                    if command is None or command.request is None
                    else dict.fromkeys(command.order_ids, command.request)
                )
                self.blotter.fold(np.array(batch.events), requests)
            self.folded = len(self.batches)
            return self.folded


class VenueBackend:
    """The terminal's port over venues in this process, one an account; `manual` is the person's."""

    session = "test"
    mode = "PAPER"
    alive = True

    def __init__(
        self, feed: Any, clock: Any, balances: Mapping[str, Any], broker: Broker | None = None,
        strategies: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.feed, self.clock = feed, clock
        self.broker = broker or Broker()
        self.fees = (float(self.broker.fee_maker), float(self.broker.fee_taker))
        self.recorders: dict[str, Recorder] = {}
        self.venues: dict[str, VirtualVenue] = {}
        self.views: list[AccountView] = []
        self.refreshed = threading.Condition()
        for name, owner in ({MANUAL: ""} | dict(strategies or {})).items():
            blotter = Blotter(feed.instruments, self.broker.leverage)
            self.recorders[name] = Recorder(blotter)
            self.venues[name] = VirtualVenue(feed, clock, self.broker, balances, self.recorders[name])
            self.views.append(AccountView(name, blotter, self.now_ms(), owner))

    def now_ms(self) -> int:
        return int(self.clock.milliseconds())

    def refresh(self) -> int:
        for venue in self.venues.values():
            venue.catch_up()
        return sum(recorder.fold() for recorder in self.recorders.values())

    def accounts(self) -> list[AccountView]:
        return self.views

    def place(self, request: OrderRequest, command_id: str, account: str = MANUAL) -> Answer:
        try:
            order = self.venues[account].place(request)
        except TwinStarError as error:
            return Answer(False, str(error))
        return Answer(True, order_id=order.order_id)

    def cancel(self, account: str, order_id: int, command_id: str) -> Answer:
        try:
            self.venues[account].cancel(order_id)
        except TwinStarError as error:
            return Answer(False, str(error))
        return Answer(True, order_id=order_id)

    def transfer(
        self, asset: str, amount: Decimal, source: Wallet, target: Wallet, command_id: str
    ) -> Answer:
        try:
            self.venues[MANUAL].transfer(asset, amount, source, target)
        except TwinStarError as error:
            return Answer(False, str(error))
        return Answer(True)

    def set_leverage(self, symbol: str, leverage: int, command_id: str) -> Answer:
        try:
            self.venues[MANUAL].configure(Setting.LEVERAGE, symbol, leverage)
        except TwinStarError as error:
            return Answer(False, str(error))
        return Answer(True)

    def wait(self, timeout_s: float) -> None:
        recorder = self.recorders[MANUAL]
        recorder.changed.wait(timeout_s)
        recorder.changed.clear()

    def close(self) -> None:
        pass
