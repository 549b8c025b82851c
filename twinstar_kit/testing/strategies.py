"""`check_strategy`: four proofs that a strategy's results can be trusted, for any strategy that anyone writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.models import Broker
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.records import Digest, event_t
from twinstar_kit.session.setup import Setup, as_broker, as_strategy, prepare
from twinstar_kit.strategy import Strategy
from twinstar_kit.testing.differences import equity_difference, first_difference
from twinstar_kit.testing.walks import random_walk

if TYPE_CHECKING:
    from rich.table import Table

    from twinstar_kit.strategy import Runner

Events = npt.NDArray[np.void]
CUTS = 8
RESTARTS = 2_000


class StrategyCheckFailed(AssertionError):
    """A proof that failed; `difference` says where two runs part, `report` what was proven before."""

    rule = ""

    def __init__(self, strategy: str, difference: str, report: StrategyReport) -> None:
        self.difference, self.report = difference, report
        super().__init__(f"{strategy}: {self.rule}: {difference}")


class NotRepeatable(StrategyCheckFailed):
    """Two runs over the same bars differ: something outside the object's declared fields remembers, or is random."""

    rule = (
        "two runs over the same bars differ, so something outside the declared fields remembers or is random"
    )


class LooksAhead(StrategyCheckFailed):
    """A run over the first k bars is not how the whole run begins: later bars reach into earlier decisions."""

    rule = "a run over the first bars is not how the whole run begins, so later bars reach into earlier decisions"


class ModesDiffer(StrategyCheckFailed):
    """Compiled and interpreted differ: please report it, with the class."""

    rule = "the compiled and the interpreted run differ"


class RestartDiffers(StrategyCheckFailed):
    """A run that was stopped and restored differs: some state is not in a declared field."""

    rule = "a run that was stopped and restored differs, so some state is not in a declared field"


@dataclass(frozen=True)
class Proof:
    """One thing that was shown: `name`, what was compared, and `skipped`, the reason why it could not be."""

    name: str
    detail: str
    skipped: str = ""


@dataclass
class StrategyReport:
    """What `check_strategy` showed: the proofs in order, and how much happened on the bars they were made on.

    `digest` is the journal's digest of the whole run, `note` what takes away from the proofs.
    """

    strategy: str
    bars: int
    mode: str
    proofs: list[Proof] = field(default_factory=list)
    proposals: int = 0
    fills: int = 0
    digest: str = ""
    note: str = ""

    def __str__(self) -> str:
        lines = [
            f"{self.strategy}: {self.proposals} proposals and {self.fills} fills on {self.bars} bars, {self.mode}"
        ]
        lines += [
            f"  {'skipped' if p.skipped else 'proven '}  {p.name}: {p.skipped or p.detail}"
            for p in self.proofs
        ]
        return "\n".join([*lines, *([f"  note: {self.note}"] if self.note else [])])

    def __rich__(self) -> Table:
        from rich.table import Table

        title = (
            f"{self.strategy}: {self.proposals} proposals, {self.fills} fills, {self.bars} bars, {self.mode}"
        )
        table = Table(
            "", "proof", "what was compared", title=title, caption=self.note or None, title_justify="left"
        )
        for proof in self.proofs:
            mark = "[yellow]-[/]" if proof.skipped else "[green]✓[/]"
            table.add_row(mark, proof.name, proof.skipped or proof.detail)
        return table


@dataclass
class _Run:
    """What one run left: events, equity, how many events there were after each cut, and the final states."""

    events: Events
    equity: npt.NDArray[np.int64]
    counts: dict[int, int]
    states: tuple[bytes, bytes]
    digest: str


def check_strategy(
    strategy: type[Strategy] | Strategy | str, bars: Bars | None = None, *, seed: int = 7, **settings: Any
) -> StrategyReport:
    """Prove that a strategy is deterministic, sees no future, compiles to the same results, and survives restarts.

    1. The same bars give the same journal digest twice.
    2. The journal of a run over the first k bars is how the whole journal begins, for several k.
    3. Compiled equals interpreted: events, equity and final state, byte for byte.
    4. A run that is stopped and restored from its snapshots after every bar (after 2,000 of them in long series)
       equals one that was not.

    `bars` are 5,000 bars of a seeded random walk unless given; `settings` are the broker's. Raises NotRepeatable,
    LooksAhead, ModesDiffer or RestartDiffers, all AssertionErrors, with the first difference. It cannot see a future
    that a strategy carries with it, such as a table of the very prices it is run on.

    >>> report = check_strategy("sma_cross", random_walk(300), fee_taker="0.001")
    >>> [proof.name for proof in report.proofs]
    ['repeatable', 'no look-ahead', 'compiled equals interpreted', 'restartable']
    """
    return _Check(
        as_strategy(strategy), random_walk() if bars is None else bars, as_broker(settings), seed
    ).run()


class _Check:
    """The proofs on one strategy, one set of bars, one broker."""

    def __init__(self, strategy: Strategy, bars: Bars, broker: Broker, seed: int) -> None:
        self.strategy, self.bars, self.broker = strategy, bars, broker
        self.random = np.random.default_rng(seed)
        n = len(bars)
        spread = [n // 64, n // 8, n - 1, *self.random.integers(1, max(n, 2), CUTS).tolist()]
        self.cuts = sorted({k for k in spread if 0 < k < n})

    def run(self) -> StrategyReport:
        first = self.setup()
        self.whole = _play(first, self.bars, self.cuts)
        report = StrategyReport(
            type(self.strategy).__name__, len(self.bars), first.runner.mode, digest=self.whole.digest
        )
        kinds = self.whole.events["kind"]
        report.proposals, report.fills = (
            int((kinds == EventKind.PROPOSED).sum()),
            int((kinds == EventKind.FILLED).sum()),
        )
        if not report.fills:
            report.note = (
                "no order filled on these bars, so the proofs say little; give bars on which it trades"
            )
        self.report = report
        for prove in (
            self.repeatable,
            self.no_look_ahead,
            partial(self.modes, first.runner),
            self.restartable,
        ):
            report.proofs.append(prove())
        return report

    def setup(self, mode: str = "auto") -> Setup:
        return prepare(self.strategy, self.bars.instrument, self.bars.timeframe_ms, self.broker, mode)

    def repeatable(self) -> Proof:
        self.same(NotRepeatable, _play(self.setup(), self.bars), ("the first run", "the second"))
        return Proof("repeatable", f"digest {self.whole.digest[:16]} twice")

    def no_look_ahead(self) -> Proof:
        instrument = self.bars.instrument
        for k in self.cuts:
            short = _play(self.setup(), self.bars[:k])
            begun = self.whole.events[: self.whole.counts[k]]
            difference = first_difference(
                short.events, begun, instrument, (f"the run over {k} bars", "the whole run")
            )
            if not difference:
                difference = equity_difference(
                    short.equity, self.whole.equity[:k], instrument, ("the short run", "the whole")
                )
            if difference:
                raise LooksAhead(self.report.strategy, difference, self.report)
        return Proof("no look-ahead", f"runs over {len(self.cuts)} beginnings of the bars")

    def modes(self, first: Runner) -> Proof:
        name = "compiled equals interpreted"
        if first.mode == "interpreted":
            return Proof(name, "", f"it runs interpreted only: {first.reason}")
        self.same(
            ModesDiffer,
            _play(self.setup("interpreted"), self.bars),
            ("the compiled run", "the interpreted one"),
        )
        return Proof(name, f"{len(self.whole.events)} events, equity and state, byte for byte")

    def restartable(self) -> Proof:
        stops = list(range(1, len(self.bars)))
        if len(stops) > RESTARTS:
            stops = sorted(set(self.random.integers(1, len(self.bars), RESTARTS).tolist()))
        restarted = _play(self.setup(), self.bars, stops, restart=self.setup)
        self.same(RestartDiffers, restarted, ("the run without a restart", "the restarted one"))
        return Proof("restartable", f"{len(stops)} restarts from snapshots")

    def same(self, error: type[StrategyCheckFailed], other: _Run, names: tuple[str, str]) -> None:
        """Raise `error` at the first difference between the whole run and another one."""
        one = self.whole
        difference = first_difference(one.events, other.events, self.bars.instrument, names)
        difference = difference or equity_difference(one.equity, other.equity, self.bars.instrument, names)
        if not difference and one.states != other.states:
            what = "strategy's fields" if one.states[0] == other.states[0] else "account"
            difference = f"the events are the same, but the {what} at the end are not"
        if not difference and one.digest != other.digest:
            difference = (
                f"the events are the same, but the digests are not: {one.digest[:16]} and {other.digest[:16]}"
            )
        if difference:
            raise error(self.report.strategy, difference, self.report)


def _play(setup: Setup, bars: Bars, stops: Iterable[int] = (), restart: Any = None) -> _Run:
    """Run over all bars, halting before each of `stops`; with `restart`, go on there from snapshots in a new set-up."""
    equity = np.zeros(len(bars), np.int64)
    parts: list[Events] = []
    counts: dict[int, int] = {}
    at, seen = 0, 0
    for stop in [*stops, len(bars)]:
        arrays = setup.engine.desk
        while at < stop:
            at = setup.runner.run(bars.rows, at, stop, setup.context, arrays, equity)
            parts.append(setup.engine.drain())
            seen += len(parts[-1])
        counts[stop] = seen
        if restart is not None and stop < len(bars):
            after: Setup = restart()
            after.engine.restore(setup.engine.snapshot())
            after.runner.restore(setup.runner.snapshot())
            after.context[:] = np.frombuffer(setup.context.tobytes(), setup.context.dtype)
            setup = after
    events = np.concatenate(parts) if parts else np.zeros(0, event_t)
    digest = Digest(setup.header)
    digest.update(events)
    states = setup.engine.snapshot(), setup.runner.snapshot()
    return _Run(events, equity, counts, states, digest.hexdigest(bars.data_digest, len(bars)))
