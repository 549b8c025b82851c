"""The account of a running session as a venue: commands go to its inbox, everything is read from its journal.

Market data is computed here, from the same description and on the same clock as in the session.
"""

from __future__ import annotations

import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

from twinstar_kit.feeds.base import open_feed
from twinstar_kit.feeds.clock import Clock, ReplayClock
from twinstar_kit.journal.client import AccountClient
from twinstar_kit.journal.errors import CommandError
from twinstar_kit.journal.folder import SessionFolder, sessions
from twinstar_kit.journal.positions import Contracts
from twinstar_kit.journal.tail import Tail
from twinstar_kit.kernel.errors import OrderError, UsageError
from twinstar_kit.kernel.explain import Explanation, explain
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.money import RATE_SCALE
from twinstar_kit.kernel.orders import OrdType, Reason, Setting
from twinstar_kit.settings import load_settings
from twinstar_kit.venues.blotter import Blotter, OrderRequest, Posting, VenueOrder, requests_of
from twinstar_kit.venues.core import VenueStopped
from twinstar_kit.venues.entry import OrderRefused, WouldFillAtOnce
from twinstar_kit.venues.market_data import MINUTE_MS, market_word, prices_of

ACCOUNT = "manual"
TRAILS = (OrdType.TRAILING_STOP, OrdType.TRAILING_STOP_LIMIT)
REFUSALS = {"OrderRefused": OrderRefused, "WouldFillAtOnce": WouldFillAtOnce}


class AttachedVenue:
    """The account `manual` of the session `name`. All its methods may be called from any thread.

    `home` is the folder that the session lives under (default: the settings'); `wall` is the clock that both
    sides share, the computer's unless a test says otherwise. UsageError when no such session runs.
    """

    standing = False
    remote = True

    def __init__(
        self, name: str | None = None, home: str | Path | None = None, wall: Clock | None = None
    ) -> None:
        settings = load_settings(home=home, session=name)
        self.folder = SessionFolder(settings.home, settings.session)
        info = self.folder.info()
        if self.folder.owner() is None or info is None:
            running = [other.name for other in sessions(settings.home) if other.owner() is not None]
            hint = f"running: {', '.join(running)}" if running else "start one with `twinstar terminal`"
            raise UsageError(f"no session {self.folder.name!r} is running; {hint}")
        self.feed = open_feed(info["feed"], **info["rules"])
        clock = info["clock"]
        self._clock = ReplayClock(
            clock["start_ms"], clock["speed"], wall_start_ms=clock["wall_start_ms"], wall=wall
        )
        self.instruments = {m.symbol: m for m in self.feed.instruments}
        self._lock = threading.RLock()
        self._client = AccountClient(settings.home, ACCOUNT)
        self._follow()

    def _follow(self) -> None:
        """Read the account's journal from its beginning."""
        self._tail = Tail(self._client.tail.path)
        self.broker = Broker(**self._tail.header["broker"])
        self.blotter = Blotter(self.feed.instruments, self.broker.leverage)
        self._latest = 0
        self._read()

    def _read(self) -> None:
        for batch in self._tail.poll():
            command = batch.command or {}
            self.blotter.fold(batch.events, requests_of(batch.command))
            self._latest = max(
                self._latest, int(command.get("ts", 0)), int(batch.events["ts_event"].max(initial=0))
            )

    @property
    def label(self) -> str:
        """What kind of market and money this is, in a few words."""
        kind = market_word(self.feed)
        return f"{kind} market ({self.feed.spec}), PAPER money, session {self.folder.name}"

    @property
    def failure(self) -> BaseException | None:
        """Why nothing more is accepted, or None."""
        if self._client.running:
            return None
        return CommandError(f"session {self.folder.name} has ended; start it again with `twinstar terminal`")

    @property
    def speed(self) -> float:
        """How much of the session's time passes in a real unit of it."""
        return self._clock.speed

    # -- time ---------------------------------------------------------------------------------------------

    def now(self) -> int:
        """The session's time in UTC milliseconds."""
        return max(self._latest, self._clock.milliseconds())

    def advance(self, ms: int) -> int:
        """UsageError: the session's time runs by itself."""
        raise UsageError(
            f"the time of session {self.folder.name} runs by itself; advance works on a private exchange"
        )

    def advance_to(self, ts: int) -> int:
        """UsageError: the session's time runs by itself."""
        return self.advance(ts)

    def catch_up(self) -> int:
        """Read what the session has committed; returns the session's time."""
        with self._lock:
            self._client.refresh()
            if self._client.tail.path != self._tail.path:
                self._tail.close()
                self._follow()
            self._read()
            return self.now()

    # -- commands -----------------------------------------------------------------------------------------

    def place(self, request: OrderRequest) -> VenueOrder:
        """Send an order and wait until the session has acted on it; see `VirtualVenue.place`.

        CommandError when no answer came. Whether the session acted is unknown then; sending the order again is safe
        when it has a `client_order_id`.
        """
        with self._lock:
            answer = self._client.place(request.canonical())
            self.catch_up()
            if not answer["ok"]:
                raise _refusal(answer, request)
            return self.blotter.orders[int(answer["order_id"])]

    def cancel(self, order_id: int) -> VenueOrder:
        """Cancel an open order; OrderError when it is not open."""
        self._send(self._client.cancel, order_id)
        return self.blotter.orders[order_id]

    def amend(self, order_id: int, **changes: int) -> VenueOrder:
        """Change an open order; see `VirtualVenue.amend`."""
        self._send(self._client.send, {"type": "amend", "order_id": order_id, "changes": changes})
        return self.blotter.orders[order_id]

    def cancel_all_after(self, ms: int) -> int:
        """Cancel every open order in `ms` from now; see `VirtualVenue.cancel_all_after`."""
        return int(self._send(self._client.send, {"type": "cancel_after", "ms": ms})["due"])

    def transfer(self, asset: str, amount: Decimal, source: Wallet, target: Wallet) -> Posting:
        """Move free balance from one wallet to the other."""
        terms = {"asset": asset, "amount": str(amount), "source": int(source), "target": int(target)}
        self._send(self._client.send, {"type": "transfer", **terms})
        return self.blotter.postings[-1]

    def configure(self, setting: Setting, symbol: str = "", value: int = 0, slot: int = 0) -> None:
        """Change how the account is set up; see `VirtualVenue.configure`."""
        terms = {"setting": int(setting), "symbol": symbol, "value": value, "slot": slot}
        self._send(self._client.send, {"type": "configure", **terms})

    def _send(self, send: Any, *what: Any) -> dict[str, Any]:
        with self._lock:
            answer: dict[str, Any] = send(*what)
            self.catch_up()
            if not answer["ok"]:
                raise _refusal(answer, None)
            return answer

    def deposit(self, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> Posting:
        """UsageError: a session's account is funded when it is created."""
        raise UsageError(
            f"the account of session {self.folder.name} takes no deposits; they work on a private exchange"
        )

    def withdraw(self, asset: str, amount: Decimal, wallet: Wallet = Wallet.SPOT) -> Posting:
        """UsageError: a session's account keeps what it was opened with."""
        raise UsageError(
            f"nothing is withdrawn from the account of session {self.folder.name}; that works on a private exchange"
        )

    # -- reads --------------------------------------------------------------------------------------------

    def quote(self, symbol: str, now_ms: int) -> tuple[int, int]:
        """Best bid and ask in price units."""
        bids, asks = self.feed.book(symbol, now_ms, 1)
        return int(bids[0][0]), int(asks[0][0])

    def orders(self) -> list[VenueOrder]:
        """Every order that was accepted, oldest first; the triggers of open trailing stops are the present ones."""
        with self._lock:
            for order in self.blotter.open.values():
                if order.ord_type in TRAILS and not order.dormant and not order.triggered:
                    order.stop_px = trailing_trigger(self.feed, order, self.now())
            return list(self.blotter.orders.values())

    def balances(self, wallet: Wallet = Wallet.SPOT) -> dict[str, tuple[Decimal, Decimal]]:
        """Free and used amounts of every asset, exact."""
        with self._lock:
            return self.blotter.balances(wallet)

    def mark(self, m: Instrument) -> int:
        """Price units that positions of an instrument are valued at now."""
        now = self.now()
        return int(self.feed.mark(m.symbol, now) or self.feed.last(m.symbol, now))

    def explain(self, order_id: int) -> Explanation:
        """Why an order filled as it did, or what still stands between it and a fill, as far as the journal knows."""
        with self._lock:
            now = self.catch_up()
            order = self.blotter.orders.get(order_id)
            market = prices_of(self.feed, order.instrument.symbol, now) if order else None
            return explain(
                list(self.instruments.values()), self.blotter.events_of(order_id), order_id, market
            )

    def positions(self) -> list[Contracts]:
        """The open positions of contracts."""
        with self._lock:
            return self.blotter.contracts.held()

    def close(self) -> None:
        """Let go of the session; it goes on running."""
        self._client.close()
        self._tail.close()


def trailing_trigger(feed: Any, order: VenueOrder, now_ms: int) -> int:
    """Where the trigger of an open trailing stop stands at `now_ms`, in price units.

    The journal does not say: a trail that moves is no event. It follows from the best price since the order began.
    """
    symbol, sell = order.instrument.symbol, order.side < 0
    prices = [feed.last(symbol, order.ts)]
    if feed.granularity == "trades":
        first, last = -(-(order.ts + 1) // MINUTE_MS) * MINUTE_MS, (now_ms + 1) // MINUTE_MS * MINUTE_MS
        edges = [(order.ts + 1, min(first, now_ms + 1)), (max(first, last), now_ms + 1)]
        for since, until in edges:
            if since < until:
                trades = feed.trades(symbol, since, until)["price"]
                prices.extend([int(trades.max()), int(trades.min())] if len(trades) else [])
        rows = feed.bars(symbol, first, max(first, last), MINUTE_MS).rows
    else:
        rows = feed.bars(symbol, order.ts, now_ms - feed.timeframe_ms + 1, feed.timeframe_ms).rows
    if len(rows):
        prices.extend([int(rows[:, 2].max()), int(rows[:, 3].min())])
    anchor = max(prices) if sell else min(prices)
    distance = order.trail or -(-anchor * order.trail_rate // RATE_SCALE)
    trigger = max(int(anchor + order.side * distance), 1)
    tick = order.instrument.tick_at(trigger)
    return max(trigger // tick * tick, tick) if sell else -(-trigger // tick) * tick


def _refusal(answer: dict[str, Any], request: OrderRequest | None) -> Exception:
    """The error that the session met, raised anew here."""
    kind, text = answer.get("kind"), answer["text"]
    if kind in REFUSALS:
        return REFUSALS[kind](Reason(answer.get("reason", 0)), request, text)
    if kind == "VenueStopped":
        return VenueStopped(text)
    return CommandError(text) if kind == "Stale" else OrderError(text)
