"""`check_strategy`: four proofs that a strategy's results can be trusted, for any strategy that anyone writes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.orders import EventKind
from twinstar_kit.kernel.records import Digest, event_t
from twinstar_kit.session.setup import Setup, as_broker, as_strategy, prepare
from twinstar_kit.strategy import Strategy
from twinstar_kit.testing.differences import equity_difference, first_difference
from twinstar_kit.testing.walks import random_walk

if TYPE_CHECKING:
    from rich.table import Table

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
    given = as_strategy(strategy)
    bars = random_walk() if bars is None else bars
    broker = as_broker(settings)

    def setup(mode: str = "auto") -> Setup:
        return prepare(given, bars.instrument, bars.timeframe_ms, broker, mode)

    g = np.random.default_rng(seed)
    spread = [
        len(bars) // 64,
        len(bars) // 8,
        len(bars) - 1,
        *g.integers(1, max(len(bars), 2), CUTS).tolist(),
    ]
    cuts = sorted({k for k in spread if 0 < k < len(bars)})
    first = setup()
    whole = _play(first, bars, cuts)
    report = StrategyReport(type(given).__name__, len(bars), first.runner.mode, digest=whole.digest)
    kinds = whole.events["kind"]
    report.proposals, report.fills = (
        int((kinds == EventKind.PROPOSED).sum()),
        int((kinds == EventKind.FILLED).sum()),
    )
    if not report.fills:
        report.note = "no order filled on these bars, so the proofs say little; give bars on which it trades"

    _same(NotRepeatable, whole, _play(setup(), bars), bars, ("the first run", "the second"), report)
    report.proofs.append(Proof("repeatable", f"digest {whole.digest[:16]} twice"))

    for k in cuts:
        short = _play(setup(), bars[:k])
        begun = whole.events[: whole.counts[k]]
        difference = first_difference(
            short.events, begun, bars.instrument, (f"the run over {k} bars", "the whole run")
        )
        difference = difference or equity_difference(
            short.equity, whole.equity[:k], bars.instrument, ("the short run", "the whole")
        )
        if difference:
            raise LooksAhead(report.strategy, difference, report)
    report.proofs.append(
        Proof("no look-ahead", f"runs over {len(cuts)} beginnings, {cuts[0]} to {cuts[-1]} bars")
    )

    if first.runner.mode == "compiled":
        slow = _play(setup("interpreted"), bars)
        _same(ModesDiffer, whole, slow, bars, ("the compiled run", "the interpreted one"), report)
        report.proofs.append(
            Proof(
                "compiled equals interpreted", f"{len(whole.events)} events, equity and state, byte for byte"
            )
        )
    else:
        report.proofs.append(
            Proof("compiled equals interpreted", "", f"it runs interpreted only: {first.runner.reason}")
        )

    stops = (
        range(1, len(bars))
        if len(bars) <= RESTARTS
        else sorted(set(g.integers(1, len(bars), RESTARTS).tolist()))
    )
    restarted = _play(setup(), bars, stops, restart=setup)
    _same(RestartDiffers, whole, restarted, bars, ("the run without a restart", "the restarted one"), report)
    report.proofs.append(Proof("restartable", f"{len(stops)} restarts from snapshots"))
    return report


def _play(setup: Setup, bars: Bars, stops: Iterable[int] = (), restart: Any = None) -> _Run:
    """Run over all bars, halting before each of `stops`; with `restart`, go on there from snapshots in a new set-up."""
    equity = np.zeros(len(bars), np.int64)
    parts: list[Events] = []
    counts: dict[int, int] = {}
    at, seen = 0, 0
    for stop in [*stops, len(bars)]:
        arrays = setup.engine.arrays
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


def _same(
    error: type[StrategyCheckFailed],
    one: _Run,
    other: _Run,
    bars: Bars,
    names: tuple[str, str],
    report: StrategyReport,
) -> None:
    difference = first_difference(one.events, other.events, bars.instrument, names)
    difference = difference or equity_difference(one.equity, other.equity, bars.instrument, names)
    if not difference and one.states != other.states:
        what = "strategy's fields" if one.states[0] == other.states[0] else "account"
        difference = f"the events are the same, but the {what} at the end are not"
    if not difference and one.digest != other.digest:
        difference = (
            f"the events are the same, but the digests are not: {one.digest[:16]} and {other.digest[:16]}"
        )
    if difference:
        raise error(report.strategy, difference, report)
