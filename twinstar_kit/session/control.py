"""Sessions from outside: start one, attach to it, ask how it is, stop it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from twinstar_kit.feeds.clock import Clock, ReplayClock
from twinstar_kit.journal.client import AccountClient
from twinstar_kit.journal.doorbell import Ringer
from twinstar_kit.journal.errors import CommandError, JournalError
from twinstar_kit.journal.folder import AccountFolder, SessionFolder, sessions
from twinstar_kit.journal.inbox import Inbox
from twinstar_kit.journal.lock import FileLock
from twinstar_kit.kernel.errors import TwinStarError, UsageError
from twinstar_kit.kernel.ledger import Wallet
from twinstar_kit.settings import load_settings

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed
    from twinstar_kit.strategy import Strategy

START_S = 180.0
"""A session may compile the kernel when it starts for the first time."""
END_S = 30.0


class Session:
    """A running session as its clients know it: its feed, its clock, its accounts.

    Market data comes from `feed`, computed here from the same description and the same clock as in the session.
    """

    def __init__(self, folder: SessionFolder, home: Path) -> None:
        self.folder, self.home, self.name = folder, home, folder.name
        self._clients: dict[str, AccountClient] = {}
        self._feed: Feed | None = None
        self.reload()

    def reload(self) -> dict[str, Any]:
        """Read the session's description again, such as after a strategy was started."""
        self.info = self.folder.info() or {}
        clock = self.info["clock"]
        self.clock: Clock = ReplayClock(
            clock["start_ms"], clock["speed"], wall_start_ms=clock["wall_start_ms"]
        )
        return self.info

    @property
    def pid(self) -> int:
        """The process that runs the session."""
        return int(self.info["pid"])

    @property
    def running(self) -> bool:
        """Whether the process that was attached to still runs."""
        return (self.folder.owner() or {}).get("pid") == self.pid

    @property
    def feed(self) -> Feed:
        """The session's market."""
        if self._feed is None:
            from twinstar_kit.feeds.base import open_feed

            self._feed = open_feed(self.info["feed"], **self.info["rules"])
        return self._feed

    @property
    def account_names(self) -> list[str]:
        """The accounts of the session, `manual` first."""
        return [account["name"] for account in self.info["accounts"]]

    def now_ms(self) -> int:
        """The venue's time."""
        return int(self.clock.milliseconds())

    def account(self, name: str = "manual") -> AccountClient:
        """A client of one account; the same object on every call."""
        if name not in self._clients:
            self._clients[name] = AccountClient(self.home, name)
        return self._clients[name]

    def run(
        self,
        strategy: Strategy | type[Strategy] | str,
        *,
        account: str | None = None,
        duration_ms: int | None = None,
        **settings: Any,
    ) -> AccountClient:
        """Let a strategy trade in the session from now on, on an account of its own; returns the client of that account.

        `settings` are the broker's and `symbol`, `timeframe`, `since`, `until`. The strategy must stand in the starter kit
        or in a file, as the session is another process; for one made in a notebook use `paper`.
        """
        from twinstar_kit.session.setup import as_strategy, strategy_spec

        chosen = as_strategy(strategy)
        spec = strategy_spec(chosen)
        if spec is None:
            raise UsageError(
                f"{type(chosen).__name__} is defined in no file that the session could load; save it as a .py file, or use paper()"
            )
        plain = {
            name: value if isinstance(value, str | int | float | bool | None) else str(value)
            for name, value in settings.items()
        }
        body = {
            "type": "run",
            "strategy": spec,
            "params": chosen.params(),
            "account": account,
            "duration_ms": duration_ms,
            "settings": plain,
        }
        answer = self._order(body)
        self.reload()
        return self.account(answer["account"])

    def end(self, account: str) -> None:
        """End a strategy's run for good; its journal stays."""
        self._order({"type": "end", "account": account})
        self.reload()

    def _order(self, body: Mapping[str, Any], timeout_s: float = START_S) -> dict[str, Any]:
        """Send a command to the session itself; UsageError with its words when it refuses."""
        with Inbox(self.folder.inbox) as inbox, self._ringer() as ringer:
            command_id = inbox.put(body, int(time.time() * 1000))
            ends = time.monotonic() + timeout_s
            try:
                ringer.ring(SessionFolder.BELL)
                while (answer := inbox.answered(command_id)) is None:
                    ringer.listen(max(ends - time.monotonic(), 0.0))
            except (OSError, TimeoutError) as error:
                raise CommandError(
                    f"session {self.name} did not answer; whether it acted shows `twinstar session status`"
                ) from error
        if not answer["ok"]:
            raise UsageError(answer["text"])
        return answer

    def _ringer(self) -> Ringer:
        try:
            return Ringer(int(self.info["port"]))
        except OSError as error:
            raise CommandError(
                f"session {self.name} does not answer ({error}); start it again with `twinstar terminal`"
            ) from error

    def flatten(self) -> str:
        """Cancel every order and sell every position of every account; says what was done."""
        told = []
        for name in self.account_names:
            answer = self.account(name).flatten()
            told.append(f"{name}: {answer['text']}")
        return "; ".join(told)

    def status(self) -> dict[str, Any]:
        """The session and its accounts as plain values: clock, balances, positions, open orders."""
        self.reload()
        out = {name: self.info[name] for name in ("name", "pid", "feed", "simulated", "speed", "since")}
        out["venue_time"] = _iso(self.now_ms())
        out["accounts"] = [self._account_status(described) for described in self.info["accounts"]]
        return out

    def _account_status(self, described: dict[str, Any]) -> dict[str, Any]:
        client = self.account(described["name"])
        client.refresh()
        replica = client.replica
        swap = (
            _amounts(replica.balances(Wallet.SWAP)) if any(m.derivative for m in replica.instruments) else {}
        )
        return {
            "name": described["name"], "strategy": described["strategy"], "status": described["status"], "journal": described["journal"],
            "balances": _amounts(replica.balances()), "swap_balances": swap,
            "positions": {m.symbol: m.amount(units) for m in replica.instruments if (units := replica.positions().get(m.symbol))
                          and m.symbol in {replica.instruments[f["instrument"]].symbol for f in replica.fills()}},
            "open_orders": len(replica.open_orders), "fills": len(replica.fills()),
        }  # fmt: skip

    def stop(self, timeout_s: float = END_S) -> None:
        """Ask the process to end after what it is doing, and wait until it has; open orders go on with the next start."""
        self._end(signal.SIGTERM, timeout_s)

    def kill(self, timeout_s: float = END_S) -> None:
        """End the process at once; what was acknowledged is in the journals."""
        self._end(signal.SIGKILL, timeout_s)

    def _end(self, number: int, timeout_s: float) -> None:
        owner = self.folder.owner()
        if owner is None:
            return
        ends = time.monotonic() + timeout_s
        try:
            with self._ringer() as ringer:
                os.kill(int(owner["pid"]), number)
                while True:
                    ringer.listen(max(ends - time.monotonic(), 0.0))
        except TimeoutError:
            raise TwinStarError(
                f"session {self.name} (process {owner['pid']}) does not end; use `twinstar session kill`"
            ) from None
        except (OSError, CommandError):
            self.close()
        if (self.folder.owner() or {}).get("pid") == owner["pid"]:
            os.kill(int(owner["pid"]), number)  # it may have hung up on us before it was told
            _wait_free(self.folder, ends)

    def close(self) -> None:
        """Let go of the session; it goes on running."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _amounts(balances: Mapping[str, tuple[Decimal, Decimal]]) -> dict[str, dict[str, str]]:
    """What is there of each asset, as text without an exponent."""
    return {
        asset: {"free": f"{free:f}", "held": f"{held:f}"}
        for asset, (free, held) in balances.items()
        if free or held
    }


def _wait_free(folder: SessionFolder, ends: float) -> None:
    """Wait until the lock of an ending process is free."""
    while folder.owner() is not None:
        if time.monotonic() > ends:
            raise TwinStarError(f"session {folder.name} does not end; use `twinstar session kill`")
        time.sleep(0.02)


def attach(name: str | None = None, *, home: str | Path | None = None) -> Session:
    """The running session `name` (default: the setting `session`); UsageError when it does not run."""
    settings = load_settings(home=home, session=name)
    folder = SessionFolder(settings.home, settings.session)
    if folder.owner() is None or folder.info() is None:
        running = [other.name for other in sessions(settings.home) if other.owner() is not None]
        hint = (
            f"running: {', '.join(running)}"
            if running
            else "start one with `twinstar terminal` or start_session()"
        )
        raise UsageError(f"no session {folder.name!r} is running; {hint}")
    return Session(folder, settings.home)


def start_session(
    name: str | None = None,
    *,
    feed: str | None = None,
    speed: str | float | None = None,
    home: str | Path | None = None,
    balances: Mapping[str, Any] | None = None,
    start: int | str | None = None,
    rules: Mapping[str, Any] | None = None,
    **broker: Any,
) -> Session:
    """Start a session in a process of its own and attach to it; what is None comes from the settings.

    `feed` is what `open_feed` takes, and `rules` go there too; `speed` is "real" or a factor;
    `broker` holds fee_maker, fee_taker, slippage_bps of the account `manual`. Unfinished strategies of the session go
    on. Raises UsageError or AccountLocked in one line when it cannot start, or when it runs already.
    """
    from twinstar_kit.session.host import Options

    settings = load_settings(home=home, session=name, feed=feed, speed=None if speed is None else str(speed))
    options = Options(
        str(settings.home), settings.session, _absolute(settings.feed), dict(rules or {}), settings.speed,
        {asset: str(amount) for asset, amount in (balances or settings.balances).items()},
        {key: value if isinstance(value, int) else str(value) for key, value in broker.items()}, start,
    )  # fmt: skip
    folder = SessionFolder(settings.home, settings.session)
    folder.path.mkdir(parents=True, exist_ok=True)
    ready, told = os.pipe()
    with folder.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "twinstar_kit.session", json.dumps(asdict(options)), str(told)],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, pass_fds=(told,), cwd=str(settings.home),
        )  # fmt: skip
    os.close(told)
    try:
        answer = _hear(ready, START_S)
    finally:
        os.close(ready)
    if answer is None:
        process.kill()
        process.wait()
        last = folder.log.read_text(errors="replace").strip().splitlines()[-1:]
        raise UsageError(
            f"session {folder.name} did not start{': ' + last[0] if last else ''} (see {folder.log})"
        )
    if "error" in answer:
        process.wait()
        raise UsageError(answer["error"])
    return Session(folder, settings.home)


def _absolute(feed: str) -> str:
    """The files of a feed by absolute paths, as the session runs in another folder."""
    kind, colon, rest = feed.partition(":")
    if kind not in ("replay", "depth") or not rest:
        return feed
    if Path(rest).exists():
        return f"{kind}:{Path(rest).resolve()}"
    parts = []
    for part in rest.split(","):
        role = next((r for r in ("funding:", "trades:") if part.startswith(r)), "")
        symbol, equals, path = part.removeprefix(role).rpartition("=")
        parts.append(f"{role}{symbol}{equals}{Path(path).expanduser().absolute()}")
    return f"{kind}{colon}{','.join(parts)}"


def _hear(fd: int, timeout_s: float) -> dict[str, Any] | None:
    """The one line that a starting process says, or None when it ends or stays silent."""
    heard, ends = b"", time.monotonic() + timeout_s
    while not heard.endswith(b"\n"):
        ready, _, _ = select.select([fd], [], [], max(ends - time.monotonic(), 0.0))
        data = os.read(fd, 65536) if ready else b""
        if not data:
            return None
        heard += data
    told: dict[str, Any] = json.loads(heard)
    return told


def list_sessions(home: str | Path | None = None) -> list[dict[str, Any]]:
    """The running sessions: name, pid, feed, speed, accounts, since."""
    rows = []
    for folder in sessions(load_settings(home=home).home):
        info = folder.info() if folder.owner() is not None else None
        if info is not None:
            row = {key: info[key] for key in ("name", "pid", "feed", "speed", "since")}
            rows.append(row | {"accounts": ", ".join(account["name"] for account in info["accounts"])})
    return rows


def session_status(name: str | None = None, home: str | Path | None = None) -> dict[str, Any]:
    """What a session holds: its clock, its accounts with balances and positions, their open orders."""
    with attach(name, home=home) as session:
        return session.status()


def stop_session(name: str | None = None, home: str | Path | None = None) -> str:
    """End a session after what it is doing; says so."""
    with attach(name, home=home) as session:
        session.stop()
        return f"session {session.name} has ended; its accounts go on with the next start"


def flatten_session(name: str | None = None, home: str | Path | None = None) -> str:
    """Cancel the orders and close the positions of all accounts of a session; says what was done."""
    with attach(name, home=home) as session:
        return session.flatten()


def kill_session(name: str | None = None, home: str | Path | None = None) -> str:
    """End a session at once; says so."""
    with attach(name, home=home) as session:
        session.kill()
        return f"session {session.name} was killed; what it acknowledged is in the journals"


def _iso(ms: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds")


__all__ = ["AccountFolder", "FileLock", "JournalError", "Session", "attach", "start_session"]
