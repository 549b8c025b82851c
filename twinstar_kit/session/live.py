"""The live loop: one bar at a time, as the feed completes it, and nothing leaves before the journal has it."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import Clock
from twinstar_kit.journal.errors import JournalDamaged
from twinstar_kit.journal.inputs import Inputs
from twinstar_kit.journal.store import Batch, JournalReader
from twinstar_kit.session.setup import Setup

if TYPE_CHECKING:
    from twinstar_kit.feeds.base import Feed

GROUP = 2_048
"""At most so many bars share one transaction. A bar waits for others only while more are due already."""
_HEAD = struct.Struct("<qqqq")
Row = npt.NDArray[np.int64]


class Sink(Protocol):
    """Takes a batch and returns when it is durable; see `journal.store.Journal`."""

    def commit(self, batch: Batch) -> Any: ...


def take(rows: Row, at: int, bar: Row) -> None:
    """Hand one bar over to the step: copy it to where the step reads it."""
    rows[at] = bar


class LiveRun:
    """A strategy that is fed bar by bar, and the batch that is not stored yet.

    `step` acts on a bar; what it did counts when `commit` has returned. The step sees no row but its own and those
    of this batch before it: there is no later bar in memory.
    """

    def __init__(self, setup: Setup, sink: Sink) -> None:
        self.setup, self.sink = setup, sink
        self.bars = 0
        self.last_open: int | None = None
        self._rows = np.zeros((GROUP, 6), np.int64)
        self._equity = np.zeros(GROUP, np.int64)
        self._events: list[npt.NDArray[np.void]] = []
        self._run, self._context, self._desk = setup.runner.run, setup.context, setup.engine.desk
        self.waiting = 0

    def begin(self) -> None:
        """Store the opening deposit."""
        self.commit()

    def step(self, bar: Row) -> None:
        """Act on a complete bar (a row of `Bars.rows`)."""
        if self.waiting == GROUP:
            self.commit()
        at = self.waiting
        if bar.shape[0] != self._rows.shape[1]:
            self.commit_waiting()
            self._rows = np.zeros((GROUP, bar.shape[0]), np.int64)
            at = 0
        take(self._rows, at, bar)
        while self._run(self._rows, at, at + 1, self._context, self._desk, self._equity) == at:
            drained = self.setup.engine.drain()
            if not len(drained):
                raise RuntimeError("the bar cannot be stepped: the event buffer is empty and still too small")
            self._events.append(drained)
        self.waiting = at + 1
        self.bars += 1
        self.last_open = int(bar[0])

    def commit(
        self,
        *,
        final: bool = False,
        command: dict[str, Any] | None = None,
        answers: dict[str, Any] | None = None,
    ) -> None:
        """Store what happened since the last call; afterwards it may be told. `final` ends the run."""
        setup, n = self.setup, self.waiting
        equity = self._equity[:n].copy()
        if final and setup.broker.close_at_end:
            setup.engine.close_out(0)
            equity = np.append(equity[: n - 1] if n else equity, setup.engine.equity(0))
        self._events.append(setup.engine.drain())
        self.sink.commit(
            Batch(
                inputs=(Inputs(0, rows=self._rows[:n].copy()),) if n else (),
                events=np.concatenate(self._events), equity=equity, command=command, answers=answers or {},
                snapshot=self.snapshot(), final=final,
            )
        )  # fmt: skip
        self._events.clear()
        self.waiting = 0

    def command(self, body: dict[str, Any], command_id: str | None = None) -> dict[str, Any]:
        """Carry out what a client asked for between two bars, store it, and return the answer."""
        self.commit_waiting()
        answer = apply_command(self.setup, body)
        self.commit(command=body, answers={command_id: answer} if command_id else {})
        return answer

    def commit_waiting(self) -> None:
        """Store what waits, if anything does."""
        if self.waiting:
            self.commit()

    def snapshot(self) -> bytes:
        """Everything that the next bar depends on."""
        parts = self.setup.engine.snapshot(), self.setup.runner.snapshot(), self.setup.context.tobytes()
        last = -1 if self.last_open is None else self.last_open
        return _HEAD.pack(self.bars, last, len(parts[0]), len(parts[1])) + b"".join(parts)

    def _restore(self, snapshot: bytes) -> None:
        self.bars, last, engine, runner = _HEAD.unpack_from(snapshot)
        self.last_open = None if last < 0 else last
        at = _HEAD.size
        self.setup.engine.restore(snapshot[at : at + engine])
        self.setup.runner.restore(snapshot[at + engine : at + engine + runner])
        self.setup.context[:] = np.frombuffer(snapshot, self.setup.context.dtype, 1, at + engine + runner)

    def resume(self, journal: JournalReader) -> None:
        """Take up a stored run where it ended: from its snapshot, then by doing again what followed it.

        JournalDamaged when doing it again gives other events than were stored.
        """
        kept = journal.snapshot()
        after = 0
        if kept is not None:
            after, state = kept
            self._restore(state)
        for batch in journal.batches(after):
            self._again(batch)

    def _again(self, batch: Batch) -> None:
        repeated = LiveRun(self.setup, _Compare(batch))
        for run in batch.inputs:
            for row in run.rows if run.rows is not None else ():
                repeated.step(row)
        if batch.command is not None:
            apply_command(self.setup, batch.command)
        repeated.commit(final=batch.final)
        self.bars += repeated.bars
        self.last_open = repeated.last_open if repeated.bars else self.last_open


@dataclass(frozen=True, slots=True)
class _Compare:
    """A sink that accepts only what was stored before."""

    stored: Batch

    def commit(self, batch: Batch) -> None:
        if not np.array_equal(batch.events, self.stored.events):
            raise JournalDamaged(
                f"batch {self.stored.number} does not follow from what went in: the program or the journal was changed; "
                "finish the run with the version that began it, or use another account"
            )


def apply_command(setup: Setup, body: dict[str, Any]) -> dict[str, Any]:
    """Carry out a client's command on the engine of a strategy's account; the same when it is done again."""
    engine = setup.engine
    if body["type"] == "flatten":
        engine.close_out(0)
        return {"ok": True, "text": f"flat in {setup.instrument.symbol}"}
    if body["type"] == "cancel":
        order_id = int(body["order_id"])
        done = engine.cancel(int(engine.state["now"][0]), order_id)
        text = f"order {order_id} canceled" if done else f"order {order_id} is not open"
        return {"ok": done, "text": text, "order_id": order_id}
    return {
        "ok": False,
        "text": f"a strategy's account takes flatten and cancel, not {body['type']}; its strategy places the orders",
    }


@dataclass(slots=True)
class Source:
    """Where a live run gets its bars: complete bars of `symbol` from `since_ms` on, before `until_ms`."""

    feed: Feed
    symbol: str
    timeframe_ms: int
    since_ms: int
    until_ms: int
    first_ms: int | None = None

    def progress(self) -> tuple[float, float]:
        """Time of the feed that is done, and the whole of it, in milliseconds; a run that goes on was partly done before."""
        first = self.since_ms if self.first_ms is None else self.first_ms
        return self.since_ms - first, self.until_ms - first

    def due(self, now_ms: int) -> npt.NDArray[np.int64]:
        """Bars that are complete at `now_ms` and were not handed out before."""
        limit = min(now_ms, self.until_ms) - self.timeframe_ms + 1
        if limit <= self.since_ms:
            return np.empty((0, 6), np.int64)
        rows = self.feed.bars(self.symbol, self.since_ms, limit, self.timeframe_ms).rows
        if len(rows):
            self.since_ms = int(rows[-1, 0]) + self.timeframe_ms
        return rows

    def next_close(self, now_ms: int) -> int:
        """When the next bar may be complete: after `now_ms`, on the grid of the timeframe."""
        return self.since_ms + self.timeframe_ms * max(1, (now_ms - self.since_ms) // self.timeframe_ms + 1)

    def ended(self, now_ms: int) -> bool:
        """Whether no bar can follow."""
        return now_ms >= self.until_ms or self.since_ms + self.timeframe_ms > self.until_ms


class Pace(Protocol):
    """A clock that can be waited for."""

    def milliseconds(self) -> int: ...
    def wait_until(self, ts_ms: int) -> None:
        """Return when the clock shows `ts_ms`, or earlier."""


class LeapingPace:
    """Time as fast as the loop can follow: each wait leaps over as many bars as one transaction holds."""

    def __init__(self, start_ms: int, timeframe_ms: int) -> None:
        self._now, self._leap = start_ms, GROUP * timeframe_ms

    def milliseconds(self) -> int:
        """The time after the last leap."""
        return self._now

    def wait_until(self, ts_ms: int) -> None:
        """Leap to `ts_ms` and on."""
        self._now = max(ts_ms, self._now + self._leap)


class WaitingPace:
    """Time as a clock shows it, `speed` times as fast as the wall's; `stop.set()` ends a wait."""

    LONGEST_S = 60.0

    def __init__(self, clock: Clock, speed: float, stop: Event) -> None:
        self._clock, self._speed, self._stop = clock, speed, stop

    def milliseconds(self) -> int:
        """The time now."""
        return int(self._clock.milliseconds())

    def wait_until(self, ts_ms: int) -> None:
        """Wait for `ts_ms`, at most a minute of the wall's time."""
        left = (ts_ms - self.milliseconds()) / self._speed / 1000
        if left > 0:
            self._stop.wait(min(left, self.LONGEST_S))


def run_live(
    run: LiveRun,
    source: Source,
    pace: Pace,
    stop: Event,
    progress: Callable[[float, float | None, str], None] | None = None,
) -> bool:
    """Step `run` through the bars of `source` as `pace` lets them complete; True when the run came to its end."""
    if source.first_ms is None:
        source.first_ms = source.since_ms
    while not stop.is_set():
        now = pace.milliseconds()
        ended = advance(run, source, now)
        if progress is not None:
            progress(*source.progress(), "")
        if ended:
            return True
        pace.wait_until(source.next_close(now))
    return False


def advance(run: LiveRun, source: Source, now_ms: int) -> bool:
    """Step through the bars that are complete at `now_ms` and store them; True when no more can come.

    Bars that are due together share transactions; the last bar and the end of the run are one transaction.
    """
    for row in source.due(now_ms):
        run.step(row)
    ended = source.ended(now_ms)
    if ended or run.waiting:
        run.commit(final=ended)
    return ended
