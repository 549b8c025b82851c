"""The hub: one replica of the session for all open pages, and what each page is told.

One thread reads the session and the feed, makes each piece of news once, and hands every page the newest state, but
only after the page has taken in what it was sent before. A page that is slow or asleep skips intermediate prices; it
delays neither the others nor an order, which runs in the session's own process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import structlog

from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.terminal import panes
from twinstar_kit.terminal.backend import AccountView, Backend
from twinstar_kit.terminal.portfolio import Positions, Rates, equity, equity_history, money_asset
from twinstar_kit.terminal.wire import MINUTE_MS, base_step

PERIOD_S = 0.2
HEARTBEAT_ROUNDS = 5  # a page hears something at least once a second
PATIENCE_ROUNDS = 50  # ten seconds without an answer: a message was lost, or the page sleeps
MOST_LIVE_BARS = 500
MOST_POINTS = 2_000

log = structlog.get_logger(__name__)


class Tab:
    """One open page: which symbol it shows, what it has been told, and whether it is ready for more."""

    def __init__(self, hub: Hub, deliver: Callable[[str], None]) -> None:
        self.hub, self.deliver = hub, deliver
        self.symbol = hub.instruments[0].symbol
        self.since_ms = 0
        self.sequence = 0
        self.ready = False
        self.silent_rounds, self.patience = 0, PATIENCE_ROUNDS
        self.told: dict[str, Any] = {}
        self.acknowledged_ms = 0
        self.equity_told: Any = None

    def select(self, symbol: str, known_minute: float = 0) -> None:
        """The page shows `symbol` now and holds its bars up to `known_minute`."""
        if symbol not in self.hub.by_symbol:
            return
        self.symbol = symbol
        step_ms = self.hub.step_ms
        now = self.hub.backend.now_ms() // step_ms * step_ms
        self.since_ms = (int(known_minute) * MINUTE_MS if known_minute else now) - step_ms
        self.acknowledged_ms = self.since_ms
        self.told.pop("market", None)
        self.ready = True
        self.hub.wake.set()

    def acknowledge(self, sequence: int) -> None:
        """The page has taken in message `sequence`."""
        if sequence == self.sequence:
            self.ready = True
            self.silent_rounds, self.patience = 0, PATIENCE_ROUNDS
            self.acknowledged_ms = self.since_ms

    def wants_news(self) -> bool:
        """Whether the page is ready, or so long silent that its last message must be taken for lost: then it is told all anew."""
        if self.ready or not self.sequence:
            return self.ready
        self.silent_rounds += 1
        if self.silent_rounds < self.patience:
            return False
        # twice as long each time: what sleeps in the background gets no heap of messages
        self.silent_rounds, self.patience = 0, 2 * self.patience
        self.told.clear()
        self.since_ms = self.acknowledged_ms or self.since_ms
        return True

    def close(self) -> None:
        """The page is gone."""
        self.hub.tabs.discard(self)


class Round:
    """What the hub makes of one instant, each piece once however many pages want it."""

    def __init__(self, hub: Hub, now_ms: int, version: int) -> None:
        self.hub, self.now_ms, self.version = hub, now_ms, version
        self._made: dict[Any, Any] = {}
        self.tickers = self._tickers()

    def once(self, key: Any, make: Callable[[], Any]) -> Any:
        """`make()`, the first time that `key` is asked for."""
        if key not in self._made:
            self._made[key] = make()
        return self._made[key]

    def _tickers(self) -> Any:
        rows = panes.ticker_rows(self.hub.instruments, self.hub.backend.feed.tickers(self.now_ms))
        self.last = rows[:, 0]
        return rows

    def tickers_json(self) -> str:
        return str(self.once("tickers", lambda: panes.dumps(self.tickers.tolist())))

    def market_json(self, instrument: Instrument) -> tuple[str, str]:
        feed = self.hub.backend.feed

        def make() -> tuple[str, str]:
            return (
                panes.dumps(panes.book(instrument, feed, self.now_ms)),
                panes.dumps(panes.trades(instrument, feed, self.now_ms)),
            )

        pair: tuple[str, str] = self.once(("market", instrument.symbol), make)
        return pair

    def bars_json(self, instrument: Instrument, since_ms: int) -> str:
        feed = self.hub.backend.feed

        def make() -> str:
            if (self.now_ms - since_ms) // self.hub.step_ms > MOST_LIVE_BARS:
                return panes.dumps({"restart": True})
            return panes.dumps({"rows": panes.live_bars(instrument, feed, since_ms, self.now_ms)})

        return str(self.once(("bars", instrument.symbol, since_ms), make))

    def contract_json(self, instrument: Instrument) -> str:
        feed = self.hub.backend.feed
        return str(
            self.once(
                ("contract", instrument.symbol),
                lambda: panes.dumps(panes.contract(instrument, feed, self.now_ms)),
            )
        )

    def mark(self, instrument: Instrument) -> int:
        """Price units that positions of an instrument are valued at: the mark, or the last price where there is none."""

        def make() -> int:
            mark = self.hub.backend.feed.mark(instrument.symbol, self.now_ms)
            last = self.last[self.hub.numbers[instrument.symbol]]
            return mark or round(float(last) * 10**instrument.price_scale)

        return int(self.once(("mark", instrument.symbol), make))

    def spot(self) -> dict[str, Any]:
        """The spot positions of every account, by its name."""
        hub = self.hub
        found: dict[str, Any] = self.once(
            "spot",
            lambda: {
                view.name: hub.followed(view).positions.fold(view.blotter.fills)
                for view in hub.backend.accounts()
            },
        )
        return found

    def account_json(self) -> str:
        hub = self.hub
        return str(
            self.once(
                "account",
                lambda: panes.dumps(panes.account(hub.backend.accounts(), self.spot(), hub.rates.money)),
            )
        )

    def worth_json(self) -> str:
        hub = self.hub

        def make() -> str:
            return panes.dumps(
                panes.worth(hub.backend.accounts(), self.spot(), hub.rates, self.last, self.mark)
            )

        return str(self.once("worth", make))


class EquityCurve:
    """Equity of one account: its past worked out once, then a point a minute and one at every change."""

    def __init__(self, times: Any, values: Any) -> None:
        self.points: list[tuple[int, float]] = list(zip(times.tolist(), values.tolist(), strict=True))
        self.version = -1

    def add(self, now_ms: int, value: float, version: int) -> None:
        """Take in the present; the last point is moved along while less than a minute has passed."""
        points = self.points
        fresh = len(points) < 2 or now_ms - points[-2][0] >= MINUTE_MS or version != self.version
        self.version = version
        if fresh:
            points.append((now_ms, value))
        else:
            points[-1] = (now_ms, value)
        if len(points) > MOST_POINTS:  # keep the shape of the past at half the points
            del points[: MOST_POINTS // 2 : 2]


class Followed:
    """What the hub keeps of one account between rounds."""

    def __init__(self, view: AccountView, curve: EquityCurve) -> None:
        self.view, self.curve, self.positions = view, curve, Positions()


class Hub:
    """Serves every page of one Panel server from one backend."""

    def __init__(self, backend: Backend, period_s: float = PERIOD_S) -> None:
        self.backend, self.period_s = backend, period_s
        self.instruments = backend.feed.instruments
        self.numbers = {instrument.symbol: j for j, instrument in enumerate(self.instruments)}
        self.by_symbol = {instrument.symbol: instrument for instrument in self.instruments}
        self.step_ms = base_step(backend.feed) * MINUTE_MS
        self.rates = Rates(self.instruments, money_asset(self.instruments))
        self.tabs: set[Tab] = set()
        self.wake = threading.Event()
        self.rounds = 0
        self._now_ms = backend.now_ms()
        self._followed: dict[str, Followed] = {}
        self._stop = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    def open_tab(self, deliver: Callable[[str], None]) -> Tab:
        """A page opened; `deliver(json)` sends to it and may be called from any thread."""
        tab = Tab(self, deliver)
        self.tabs.add(tab)
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="terminal-hub", daemon=True)
                self._thread.start()
        return tab

    def close(self) -> None:
        """Stop serving; the session goes on."""
        self._stop = True
        self.wake.set()
        if self._thread is not None:
            self._thread.join(timeout=10)
        self.backend.close()

    def followed(self, view: AccountView) -> Followed:
        """What is kept of an account; begun anew when its journal is another one."""
        known = self._followed.get(view.name)
        if known is None or known.view is not view:
            past = equity_history(view, self.backend.feed, self.rates, self._now_ms)
            known = self._followed[view.name] = Followed(view, EquityCurve(*past))
        return known

    def curves(self) -> dict[str, EquityCurve]:
        """The equity of every account that was followed so far, by name."""
        return {name: followed.curve for name, followed in list(self._followed.items())}

    def _run(self) -> None:
        while not self._stop:
            try:
                self.round()
            except Exception as error:  # one bad round must not end the page's life; the page is told
                log.exception("terminal_round_failed")
                self._tell_all({"type": "error", "text": str(error)})
            if not self.wake.is_set():
                self.backend.wait(self.period_s)
            self.wake.clear()

    def round(self) -> None:
        """Read the session once and tell every page that is ready what is new."""
        self.rounds += 1
        tabs = [tab for tab in list(self.tabs) if tab.wants_news()]
        if not tabs:
            return
        version = self.backend.refresh()
        if self.backend.alive:
            self._now_ms = self.backend.now_ms()  # the clock of a session that has ended stands still
        news = Round(self, self._now_ms, version)
        self._follow_equity(news)
        for tab in tabs:
            message = self._message(tab, news)
            if message:
                tab.deliver(message)

    def _follow_equity(self, news: Round) -> None:
        for view in self.backend.accounts():
            worth = equity(view.blotter, self.rates, news.last, news.mark)
            self.followed(view).curve.add(news.now_ms, worth, news.version)

    def _message(self, tab: Tab, news: Round) -> str:
        """What `tab` does not know yet, as JSON; empty when that is nothing."""
        told, parts = tab.told, []
        instrument = self.by_symbol[tab.symbol]
        moment = (tab.symbol, news.now_ms)
        tickers_changed = "tickers" not in told or not np.array_equal(told["tickers"], news.tickers)
        if tickers_changed:
            told["tickers"] = news.tickers
            parts.append(f'"tickers":{news.tickers_json()}')
        if told.get("market") != moment:
            told["market"] = moment
            book, trades = news.market_json(instrument)
            parts.append(f'"book":{book},"trades":{trades}')
            parts.append(f'"contract":{news.contract_json(instrument)}')
            parts.append(f'"bars":{news.bars_json(instrument, tab.since_ms)}')
            tab.since_ms = max(tab.since_ms, news.now_ms // self.step_ms * self.step_ms - self.step_ms)
        state = (news.version, [view.stops for view in self.backend.accounts()])
        account_changed = told.get("account") != state
        if account_changed:
            told["account"] = state
            parts.append(f'"account":{news.account_json()}')
        if account_changed or tickers_changed:
            parts.append(f'"worth":{news.worth_json()}')
        if not parts and self.rounds % HEARTBEAT_ROUNDS:
            return ""
        tab.sequence += 1
        tab.ready = False
        alive = panes.dumps(self.backend.alive)
        symbol = panes.dumps(tab.symbol)
        head = f'"type":"state","seq":{tab.sequence},"now":{news.now_ms},"alive":{alive},"symbol":{symbol}'
        return "{" + ",".join([head, *parts]) + "}"

    def _tell_all(self, message: dict[str, Any]) -> None:
        for tab in list(self.tabs):
            tab.deliver(panes.dumps(message))
