"""The session process from inside: one loop that ticks its accounts, serves their inboxes and rings its bell."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twinstar_kit.feeds.clock import Clock, ReplayClock, SystemClock, to_milliseconds
from twinstar_kit.journal.doorbell import Doorbell
from twinstar_kit.journal.errors import JournalError
from twinstar_kit.journal.folder import AccountFolder, SessionFolder, accounts
from twinstar_kit.journal.inbox import Inbox
from twinstar_kit.journal.store import JournalReader
from twinstar_kit.kernel.bars import parse_timeframe
from twinstar_kit.kernel.errors import TwinStarError, UsageError
from twinstar_kit.kernel.models import Broker
from twinstar_kit.session.accounts import Account, ManualAccount, StrategyAccount, refusal, serve_inbox
from twinstar_kit.session.setup import as_broker, as_strategy, prepare, strategy_name
from twinstar_kit.session.trading import is_live, open_run, plan_run, source_of
from twinstar_kit.settings import parse_speed

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed

MANUAL = "manual"
STALE_MS = 30_000
"""Commands that waited longer (the session was away) are refused, not carried out at another price."""
HEARTBEAT_S = 2.0
log = logging.getLogger("twinstar.session")


@dataclass(frozen=True)
class Options:
    """How a session is started. `rules` go to `open_feed`; `speed` is "real" or a factor; `balances` open `manual`.

    `broker` holds fees and slippage of `manual`; `start` is the venue's time at which a replay begins.
    """

    home: str
    name: str = "default"
    feed: str = "simulated"
    rules: dict[str, Any] = field(default_factory=dict)
    speed: str | float = "real"
    balances: dict[str, Any] = field(default_factory=dict)
    broker: dict[str, Any] = field(default_factory=dict)
    start: int | str | None = None


class Host:
    """A running session. `serve` returns when it was asked to stop; `close` lets go of everything."""

    def __init__(self, options: Options, wall: Clock | None = None) -> None:
        self.options, self.wall = options, wall or SystemClock()
        self.home = Path(options.home)
        self.speed = parse_speed(options.speed)
        if self.speed == float("inf"):
            raise UsageError(
                "a session runs in real time or at a factor such as 60; speed max is for `twinstar paper`"
            )
        self.folder = SessionFolder(self.home, options.name)
        self.stopping = False
        self.accounts: dict[str, Account] = {}
        self._inboxes: dict[str, Inbox] = {}
        self._told: dict[str, int] = {}
        self._stack = ExitStack()
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        self._stack.enter_context(self.folder.lock(f"twinstar session, feed {self.options.feed}"))
        self.feed = self._open_feed()
        self.bell = self._stack.enter_context(Doorbell())
        self.control = self._stack.enter_context(Inbox(self.folder.inbox))
        self.clock = self._open_clock()
        self.since = datetime.now(UTC).isoformat(timespec="seconds")
        self._enlist(
            ManualAccount(
                AccountFolder(self.home, MANUAL), self.feed, self.clock, self._broker(),
                self.options.balances, self._meta(),
            )
        )  # fmt: skip
        for folder in accounts(self.home):
            self._go_on_with(folder)
        self.publish()

    def _broker(self) -> Broker:
        """The broker of `manual`: as on every virtual exchange no more fills than rests or trades."""
        return as_broker({"liquidity": "bounded", **self.options.broker})

    def _open_feed(self) -> Feed:
        from twinstar_kit.feeds.base import open_feed

        kind, _, place = self.options.feed.partition(":")
        if kind != "ccxt":
            return open_feed(self.options.feed, **self.options.rules)
        from twinstar_kit.lake import Lake
        from twinstar_kit.lake.recording import RecordedFeed
        from twinstar_kit.settings import load_settings

        rules = self.options.rules
        symbols = rules.get("symbols") or ([rules["symbol"]] if "symbol" in rules else [])
        feed = RecordedFeed.record(place, symbols, Lake(load_settings(home=self.home).lake_folder))
        self._stack.callback(feed.close)
        feed.start()
        return feed

    def _open_clock(self) -> Clock:
        """A simulated market in real time, or a venue, is now; else time goes on from where the session was, or begins."""
        if is_live(self.feed):
            if self.speed != 1 or self.options.start is not None:
                raise UsageError("a venue's market runs in real time: leave speed and start out")
            return self.wall
        simulated = self.options.feed.startswith("simulated")
        if simulated and self.speed == 1 and self.options.start is None:
            return SystemClock() if isinstance(self.wall, SystemClock) else self.wall
        before = self.folder.info() or {}
        if self.options.start is not None:
            start = to_milliseconds(self.options.start)
        elif before.get("feed") == self.feed.spec and "venue_ms" in before:
            start = max([int(before["venue_ms"]), *(_last_ts(path) for path in self._journals())])
        else:
            first, _ = self.feed.span()
            start = (
                self.wall.milliseconds()
                if simulated
                else first + int(getattr(self.feed, "timeframe_ms", 60_000))
            )
        return ReplayClock(start, self.speed, wall=self.wall)

    def _journals(self) -> list[Path]:
        """The latest journal of every account of this session in this market."""
        found = []
        for folder in accounts(self.home):
            for path in folder.journals():
                with JournalReader(path) as journal:
                    if (
                        journal.meta.get("session") == self.options.name
                        and journal.meta.get("feed") == self.feed.spec
                    ):
                        found.append(path)
        return found

    def _meta(self) -> dict[str, Any]:
        return {"session": self.options.name, "port": self.bell.port, "rules": self.options.rules}

    def _enlist(self, account: Account) -> None:
        name = account.folder.name
        self.accounts[name] = account
        self._inboxes[name] = self._stack.enter_context(Inbox(account.folder.inbox))
        self._told[name] = -1

    def _go_on_with(self, folder: AccountFolder) -> None:
        """Take up an unfinished strategy of this session; one that cannot be taken up is told, not fatal."""
        latest = folder.latest()
        if folder.name == MANUAL or latest is None:
            return
        try:
            with JournalReader(latest) as journal:
                meta, header, finished = journal.meta, journal.header, journal.finished
            if finished or meta.get("session") != self.options.name or meta.get("feed") != self.feed.spec:
                return
            if meta.get("spec") is None:
                log.warning("account %s cannot go on by itself: no file defines its strategy", folder.name)
                return
            plan = meta["plan"]
            settings = {**header["broker"], "symbol": plan["symbol"], "timeframe": plan["timeframe"]}
            settings |= {n: plan[f"{n}_ms"] for n in ("since", "until") if plan[f"{n}_ms"] is not None}
            self.start_strategy(
                meta["spec"], header["strategy"]["params"], folder.name, plan["duration_ms"], settings
            )
        except TwinStarError as error:
            log.warning("account %s cannot go on: %s", folder.name, error)

    def start_strategy(
        self,
        spec: str,
        params: Mapping[str, Any],
        account: str | None,
        duration_ms: int | None,
        settings: dict[str, Any],
    ) -> str:
        """Let a strategy trade on an account of its own from now on, or go on; returns the account's name."""
        cls = type(as_strategy(spec))
        strategy = cls(**params)
        name = account or strategy_name(strategy)
        if name in self.accounts:
            raise UsageError(f"account {name} is at work in this session; choose another with account=...")
        settings = (
            {"since": self.clock.milliseconds(), **settings} if not self._unfinished(name) else settings
        )
        feed, plan, broker = plan_run(self.feed, duration_ms, settings)
        instrument = next(m for m in feed.instruments if m.symbol == plan.symbol)
        setup = prepare(strategy, instrument, parse_timeframe(plan.timeframe), as_broker(broker))
        folder = AccountFolder(self.home, name)
        since = plan.since_ms or self.clock.milliseconds()
        since = -(-since // setup.timeframe_ms) * setup.timeframe_ms
        until = plan.until_ms or (since + plan.duration_ms if plan.duration_ms else None)
        with ExitStack() as stack:
            lock = stack.enter_context(folder.lock(f"session {self.options.name}", port=self.bell.port))
            window = (since, until if until or feed.simulated else feed.span()[1])
            run, source = stack.enter_context(open_run(folder, setup, plan, window, self._meta()))
            lock.tell(journal=str(run.sink.path))  # type: ignore[attr-defined]
            account_ = StrategyAccount(folder, run, source_of(feed, source), run.sink, stack.pop_all().close)  # type: ignore[arg-type]
        self._enlist(account_)
        return name

    def _unfinished(self, name: str) -> bool:
        latest = AccountFolder(self.home, name).latest()
        if latest is None:
            return False
        with JournalReader(latest) as journal:
            return not journal.finished

    # -- the loop -----------------------------------------------------------------------------------------

    def serve(self, on_ready: Callable[[dict[str, Any]], None] | None = None) -> None:
        """Run until `stopping`; SIGTERM and SIGINT set it when this is the main thread."""
        self._catch_signals()
        if on_ready is not None:
            on_ready(self.publish())
        rung = {SessionFolder.BELL, *self.accounts}
        beat = time.monotonic()
        while not self.stopping:
            now = self.clock.milliseconds()
            for account in list(self.accounts.values()):
                account.tick(now)
            due = time.monotonic() - beat > HEARTBEAT_S
            if due:
                rung |= {
                    SessionFolder.BELL,
                    *self.accounts,
                }  # a ring that was lost delays a command so long, not for ever
            self.attend(rung)
            self._tell()
            if due:
                beat = time.monotonic()
                self.publish()
            rung = self.bell.wait(self._patience_s())

    def _catch_signals(self) -> None:
        def stop(number: int, frame: Any) -> None:
            self.stopping = True

        try:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, stop)
            signal.set_wakeup_fd(self.bell.wakeup_fd, warn_on_full_buffer=False)
            self._stack.callback(signal.set_wakeup_fd, -1)  # a signal may come while the rest is closed
        except ValueError:
            log.debug("signals are the main thread's; this session runs in another")

    def stop(self) -> None:
        """Make `serve` return, from any thread."""
        self.stopping = True
        self.bell.wake()

    def _patience_s(self) -> float:
        now = self.clock.milliseconds()
        wanted = [
            ms for account in self.accounts.values() if (ms := account.next_ms(now, self.speed)) is not None
        ]
        nearest = (min(wanted) - now) / 1000 / self.speed if wanted else HEARTBEAT_S
        return min(max(nearest, 0.001), HEARTBEAT_S)

    def attend(self, rung: set[str]) -> None:
        """Serve the inboxes that were rung for."""
        wall = self.wall.milliseconds()
        for name in rung & set(self.accounts):
            for command_id in serve_inbox(self.accounts[name], self._inboxes[name], wall, STALE_MS):
                self._tell()
                self.bell.tell(f"answer {name} {command_id}")
        if SessionFolder.BELL in rung:
            for command in self.control.waiting():
                stale = wall - command.sent_ms > STALE_MS
                answer = self._too_late() if stale else self._order(command.body)
                self.publish()  # whoever hears the answer reads the new description
                self.control.answer(command.command_id, answer)
                self.bell.tell(f"answer {SessionFolder.BELL} {command.command_id}")

    def _too_late(self) -> dict[str, Any]:
        return {
            "ok": False,
            "text": "the command came too late and was not carried out; send a new one",
            "kind": "Stale",
        }

    def _order(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """Carry out a command for the session itself."""
        try:
            if body["type"] == "run":
                name = self.start_strategy(
                    body["strategy"],
                    body.get("params", {}),
                    body.get("account"),
                    body.get("duration_ms"),
                    dict(body.get("settings", {})),
                )
                return {"ok": True, "text": f"account {name}", "account": name}
            if body["type"] == "end":
                return self._end(body["account"])
        except TwinStarError as error:
            return refusal(error)
        except (KeyError, TypeError, ValueError) as error:
            return {
                "ok": False,
                "text": f"the command cannot be read: {type(error).__name__}: {error}",
                "kind": "UsageError",
            }
        return {
            "ok": False,
            "text": f"a session takes run and end, not {body['type']!r}",
            "kind": "UsageError",
        }

    def _end(self, name: str) -> dict[str, Any]:
        """Finish a strategy's run: it cannot go on afterwards."""
        account = self.accounts.get(name)
        if not isinstance(account, StrategyAccount):
            return {"ok": False, "text": f"no strategy trades on account {name}", "kind": "UsageError"}
        account.finish()
        self._tell()
        del self.accounts[name]
        account.close()
        return {"ok": True, "text": f"account {name} has ended", "account": name}

    def _tell(self) -> None:
        for name, account in self.accounts.items():
            if account.batch != self._told[name]:
                self._told[name] = account.batch
                self.bell.tell(f"batch {name} {account.batch}")

    def publish(self) -> dict[str, Any]:
        """Write the session's description for others, and return it."""
        now, wall, broker = (
            self.clock.milliseconds(),
            self.wall.milliseconds(),
            self._broker(),
        )
        info = {
            "name": self.options.name, "pid": os.getpid(), "port": self.bell.port, "since": self.since, "feed": self.feed.spec,
            "rules": self.options.rules, "simulated": self.feed.simulated, "speed": self.speed, "venue_ms": now, "wall_ms": wall,
            "clock": {"start_ms": now, "wall_start_ms": wall, "speed": self.speed},
            "fees": {"maker": float(broker.fee_maker), "taker": float(broker.fee_taker)},
            "accounts": [account.describe() for account in self.accounts.values()],
        }  # fmt: skip
        if isinstance(self.clock, ReplayClock):
            info["clock"] = {
                "start_ms": self.clock.start_ms,
                "wall_start_ms": self.clock.wall_start_ms,
                "speed": self.clock.speed,
            }
        self.folder.publish(info)
        return info

    def close(self) -> None:
        """Store what waits, free the accounts, say goodbye; a second call does nothing."""
        held, self.accounts = list(self.accounts.values()), {}
        for account in held:
            try:
                account.close()
            except JournalError as error:
                log.error("account %s: %s", account.folder.name, error)
        self._stack.close()


def _last_ts(path: Path) -> int:
    """The venue's time of the last thing that a journal holds."""
    with JournalReader(path) as journal:
        seal = journal.last()
        batch = next(journal.batches(seal.batch - 1), None) if seal.batch else None
    if batch is None:
        return 0
    stamps = [int(batch.events["ts_event"].max(initial=0)), int((batch.command or {}).get("ts", 0))]
    return max(
        stamps + [int(run.rows[-1, 0]) for run in batch.inputs if run.rows is not None and len(run.rows)]
    )
