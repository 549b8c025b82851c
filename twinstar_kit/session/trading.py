"""Paper trading in this process: one strategy, one account, a journal that a killed run goes on with."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import Clock, ReplayClock, SystemClock
from twinstar_kit.journal.folder import AccountFolder
from twinstar_kit.journal.store import Journal, JournalReader
from twinstar_kit.kernel.bars import format_timeframe, parse_timeframe
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.kernel.records import canonical_json
from twinstar_kit.session.live import LeapingPace, LiveRun, Pace, Source, WaitingPace, run_live
from twinstar_kit.session.results import RunResult, load_run
from twinstar_kit.session.setup import Setup, as_broker, as_strategy, prepare, strategy_name, strategy_spec
from twinstar_kit.settings import load_settings, parse_speed

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed
    from twinstar_kit.session.history import Progress
    from twinstar_kit.strategy import Strategy

DEFAULT_SYMBOL = "BTC/USDT"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do, as the caller said it; two runs with the same header and plan are the same run.

    `data` identifies the feed's content, not its path. `since_ms` and `until_ms` are None where nothing was said.
    """

    feed: str
    data: str
    symbol: str
    timeframe: str
    since_ms: int | None
    until_ms: int | None
    duration_ms: int | None

    def canonical(self) -> dict[str, Any]:
        """What must be equal for a run to go on."""
        names = ("data", "symbol", "timeframe", "since_ms", "until_ms", "duration_ms")
        return {name: getattr(self, name) for name in names}


def paper(
    strategy: Strategy | type[Strategy] | str,
    feed: Feed | str = "simulated",
    *,
    speed: str | float = "real",
    duration_ms: int | None = None,
    account: str | None = None,
    home: str | Path | None = None,
    mode: str = "auto",
    progress: Progress | None = None,
    **settings: Any,
) -> RunResult:
    """Trade a strategy on the virtual exchange until the feed, the window or `duration_ms` (of the feed's time) ends.

    `speed` is "real", "max", or a factor. `settings` are the broker's, `symbol`, `timeframe`, `since`, `until`, and for
    a replay from a path also `exchange`, `tick`, `lot`. Everything is stored in HOME/accounts/ACCOUNT/journal-NNNN.db
    before it counts; a run that was killed goes on where it ended when the same is asked again, a new run gets a new
    file. Ctrl-C ends it between two bars. AccountLocked when another process owns the account.
    """
    chosen = as_strategy(strategy)
    factor = parse_speed(speed)
    opened, plan, broker_settings = plan_run(feed, duration_ms, settings)
    if is_live(opened) and factor != 1:
        raise UsageError("a venue's market runs in real time: leave speed out")
    instrument = next(m for m in opened.instruments if m.symbol == plan.symbol)
    setup = prepare(chosen, instrument, parse_timeframe(plan.timeframe), as_broker(broker_settings), mode)
    folder = AccountFolder(load_settings(home=home).home, account or strategy_name(chosen))
    wall: Clock = opened.clock if is_live(opened) else SystemClock()  # type: ignore[attr-defined]
    started = time.perf_counter()
    with (
        _followed(feed, opened),
        folder.lock(f"twinstar paper {strategy_name(chosen)}") as lock,
        _interruptible() as stop,
    ):
        window = first_window(plan, opened, wall)
        if window[1] is None and factor == float("inf"):
            raise UsageError(
                "a simulated market has no end: give --for 8h or --set until=..., or a speed of real"
            )
        with open_run(folder, setup, plan, window, {"mode": "paper"}) as (run, source):
            lock.tell(journal=str(run.sink.path))  # type: ignore[attr-defined]
            run_live(
                run, source_of(opened, source), pace_of(opened, source, factor, wall, stop), stop, progress
            )
            path = Path(run.sink.path)  # type: ignore[attr-defined]
    result = load_run(path)
    return _with(result, setup, time.perf_counter() - started)


def plan_run(
    feed: Feed | str, duration_ms: int | None, settings: dict[str, Any]
) -> tuple[Feed, Plan, dict[str, Any]]:
    """Open the feed and say what will run on it; the third part is what is left for the broker."""
    from twinstar_kit.feeds.clock import to_milliseconds
    from twinstar_kit.feeds.files import normalise_symbol

    rules = {
        n: v
        for n in ("exchange", "symbol", "timeframe", "tick", "lot", "since", "until")
        if (v := settings.get(n)) is not None
    }
    broker = {
        n: v
        for n, v in settings.items()
        if n not in ("exchange", "symbol", "timeframe", "tick", "lot", "since", "until")
    }
    opened = _opened(feed, rules)
    names = [m.symbol for m in opened.instruments]
    symbol = (
        normalise_symbol(rules["symbol"])
        if "symbol" in rules
        else names[0]
        if len(names) == 1
        else DEFAULT_SYMBOL
    )
    if symbol not in names:
        from twinstar_kit.feeds.base import find_instrument

        find_instrument(opened.instruments, symbol)
    shortest = int(getattr(opened, "timeframe_ms", 60_000))
    timeframe_ms = parse_timeframe(rules["timeframe"]) if "timeframe" in rules else shortest
    if timeframe_ms % shortest:
        raise UsageError(
            f"timeframe {rules['timeframe']} is not made of whole bars of {format_timeframe(shortest)}"
        )
    window = [to_milliseconds(rules[n]) if n in rules else None for n in ("since", "until")]
    if duration_ms is not None and window[1] is not None:
        raise UsageError("both an end (until) and a duration are given; keep one")
    data = (
        opened.spec
        if opened.spec.startswith("simulated")
        else str(getattr(opened, "data_digest", opened.spec))
    )
    return (
        opened,
        Plan(opened.spec, data, symbol, format_timeframe(timeframe_ms), window[0], window[1], duration_ms),
        broker,
    )


def _opened(feed: Feed | str, rules: dict[str, Any]) -> Feed:
    from twinstar_kit.feeds.base import open_feed

    if not isinstance(feed, str):
        return feed
    if feed.startswith("replay"):
        return open_feed(feed, **rules)
    if feed.startswith("depth"):
        return open_feed(feed, **{n: rules[n] for n in ("symbol", "exchange", "tick", "lot") if n in rules})
    for name in ("exchange", "tick", "lot"):
        if name in rules:
            raise UsageError(f"{name} = {rules[name]!r}: the {feed} feed has its own; leave it out")
    kind, _, place = feed.partition(":")
    if kind == "ccxt":
        from twinstar_kit.lake.recording import RecordedFeed

        return RecordedFeed.record(place, [rules.get("symbol", DEFAULT_SYMBOL)])
    return open_feed(feed)


@contextmanager
def _followed(asked: Feed | str, opened: Feed) -> Iterator[None]:
    """A venue is followed from now on; its feed is closed afterwards if it was opened here."""
    try:
        if is_live(opened):
            opened.start()  # type: ignore[attr-defined]
        yield
    finally:
        if isinstance(asked, str) and is_live(opened):
            opened.close()  # type: ignore[attr-defined]


def is_live(feed: Feed) -> bool:
    """Whether the feed is a venue's, whose bars come as time goes by."""
    return bool(getattr(feed, "live", False))


def first_window(plan: Plan, feed: Feed, wall: Clock) -> tuple[int, int | None]:
    """When a new run begins and ends: what was asked for within what the feed has; without an end, None.

    A simulated market and a venue run from now when nothing else is said.
    """
    timeframe_ms = parse_timeframe(plan.timeframe)
    first, last = feed.span()
    endless = plan.data.startswith("simulated") or is_live(feed)
    since = (
        plan.since_ms
        if plan.since_ms is not None
        else -(-wall.milliseconds() // timeframe_ms) * timeframe_ms
        if endless
        else first
    )
    since = max(since, first)
    until = (
        plan.until_ms
        if plan.until_ms is not None
        else since + plan.duration_ms
        if plan.duration_ms is not None
        else None
    )
    if until is None:
        return since, None if endless else last
    if until <= since:
        raise UsageError("the window is empty: since must be before until")
    return since, min(until, last)


@contextmanager
def open_run(
    folder: AccountFolder, setup: Setup, plan: Plan, window: tuple[int, int | None], meta: dict[str, Any]
) -> Iterator[tuple[LiveRun, dict[str, Any]]]:
    """Begin a run on an account that is locked by us, or go on with the unfinished one that it holds.

    Yields the run and where its bars come from (`source_of` takes it). UsageError when the account holds an unfinished
    run of something else.
    """
    latest = folder.latest()
    if latest is None or _finished(latest):
        source = {
            "symbol": plan.symbol,
            "since_ms": window[0],
            "until_ms": window[1],
            "timeframe_ms": setup.timeframe_ms,
        }
        meta = meta | {
            "account": folder.name, "strategy": strategy_name(setup.strategy), "spec": strategy_spec(setup.strategy), "params": list(setup.strategy.params()),
            "feed": plan.feed, "simulated": plan.data.startswith("simulated"), "plan": plan.canonical(), "source": source,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        with Journal.create(folder.next(), setup.header, meta) as journal:
            run = LiveRun(setup, journal)
            run.begin()
            yield run, source
        return
    with Journal.open(latest) as journal:
        refuse_another_run(folder, journal, setup, plan)
        run = LiveRun(setup, journal)
        run.resume(journal)
        source = dict(journal.meta["source"])
        source["first_ms"] = source["since_ms"]
        if run.last_open is not None:
            source["since_ms"] = run.last_open + setup.timeframe_ms
        yield run, source


def _finished(path: Path) -> bool:
    with JournalReader(path) as journal:
        return journal.finished


def refuse_another_run(folder: AccountFolder, journal: JournalReader, setup: Setup, plan: Plan) -> None:
    """UsageError that names what differs between the unfinished run of an account and the one asked for."""
    asked, kept = {**setup.header, **plan.canonical()}, {**journal.header, **journal.meta.get("plan", {})}
    differing = [n for n in asked if canonical_json(asked[n]) != canonical_json(kept.get(n))]
    if differing:
        named = {
            "data": "market data",
            "since_ms": "since",
            "until_ms": "until",
            "duration_ms": "duration",
            "strategy": "strategy or parameters",
        }
        what = ", ".join(dict.fromkeys(named.get(n, n) for n in differing))
        raise UsageError(
            f"account {folder.name} holds an unfinished run with another {what} ({journal.path.name}); ask for the same to go on "
            "with it, or use another account with --account NAME"
        )


def source_of(feed: Feed, source: dict[str, Any]) -> Source:
    """The bars of a run from what its journal says about them."""
    until = feed.span()[1] if source["until_ms"] is None else source["until_ms"]
    kind = VenueSource if is_live(feed) else Source
    return kind(
        feed, source["symbol"], source["timeframe_ms"], source["since_ms"], until, source.get("first_ms")
    )


def pace_of(feed: Feed, source: dict[str, Any], factor: float, wall: Clock, stop: threading.Event) -> Pace:
    """The clock of a run: leaping at full speed; the wall's own for a simulated market in real time; else one that runs
    from where the run stands."""
    since = source["since_ms"]
    if is_live(feed):
        return ArrivalPace(feed, wall, stop)
    if factor == float("inf"):
        return LeapingPace(since, source["timeframe_ms"])
    if feed.spec.startswith("simulated") and factor == 1:
        return WaitingPace(wall, 1.0, stop)
    return WaitingPace(ReplayClock(since, factor, wall=wall), factor, stop)


class VenueSource(Source):
    """Bars of a venue: time has come as far as the feed has told everything, so the last bar is waited for too."""

    def due(self, now_ms: int) -> npt.NDArray[np.int64]:
        """Bars that were handed on and not yet here."""
        return Source.due(self, self._told(now_ms))

    def ended(self, now_ms: int) -> bool:
        """Whether no bar can follow."""
        return Source.ended(self, self._told(now_ms))

    def _told(self, now_ms: int) -> int:
        told: int = self.feed.told_until(self.symbol)  # type: ignore[attr-defined]
        return min(now_ms, told)


class ArrivalPace(WaitingPace):
    """The clock of a venue's feed; a wait ends when bars come, and looks up twice a second for whoever stops the run."""

    LOOK_UP_S = 0.5

    def __init__(self, feed: Any, clock: Clock, stop: threading.Event) -> None:
        super().__init__(clock, 1.0, stop)
        self._feed = feed

    def wait_until(self, ts_ms: int) -> None:
        """Wait for bars, not for long."""
        if not self._stop.is_set():
            self._feed.wait(self.LOOK_UP_S)


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that Ctrl-C sets, so that a run ends between two bars; outside the main thread it is never set."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, lambda number, frame: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def _with(result: RunResult, setup: Setup, seconds: float) -> RunResult:
    from dataclasses import replace

    return replace(result, seconds=seconds, mode=setup.runner.mode, reason=setup.runner.reason)
