"""The whole round, unattended: damaged files out, missing bars in, holes healed, everything verified and certified."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from twinstar_kit.journal.errors import AccountLocked
from twinstar_kit.journal.lock import FileLock
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.lake.backfill import BackfillReport, Progress, backfill
from twinstar_kit.lake.certificate import certify
from twinstar_kit.lake.errors import CorruptFile, LakeError
from twinstar_kit.lake.heal import HealReport, heal
from twinstar_kit.lake.keeping import Snapshot
from twinstar_kit.lake.restore import Restored, restore
from twinstar_kit.lake.series import Kind, Series
from twinstar_kit.lake.showing import Sheet, Shown
from twinstar_kit.lake.verdicts import Verification
from twinstar_kit.lake.verify import verify
from twinstar_kit.lake.wanted import Time, first_held, known

if TYPE_CHECKING:
    from twinstar_kit.feeds.clock import Clock
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.lake.store import Lake


@dataclass(repr=False)
class Maintained(Shown):
    """What a round of maintenance did and found.

    `quarantined` names the damaged files that were set aside; `restored` tells of the rows of trades, funding rates and
    book changes that damaged files held: those that came again in this round, and all that are lost. `certified` counts
    the new certificates. `ok` says that the venue answered everything, that every bar is there or its absence is
    proven, and that no other row was lost.
    """

    quarantined: list[str]
    restored: list[Restored]
    backfill: BackfillReport
    heal: HealReport
    compacted: int
    verification: Verification
    certified: int
    snapshot: Snapshot
    garbage: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        whole = not any(part.words for part in self.restored)
        return whole and self.backfill.ok and self.heal.ok and self.verification.holds

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ok": self.ok, "quarantined": self.quarantined, "restored": [part.to_dict() for part in self.restored],
            "backfill": self.backfill.to_dict(),
            "heal": self.heal.to_dict(), "compacted": self.compacted, "certified": self.certified,
            "verified": self.verification.to_dict(), "snapshot": self.snapshot.name, "garbage": len(self.garbage),
            "seconds": self.seconds,
        }  # fmt: skip

    def steps(self) -> list[tuple[str, str]]:
        """Each step of the round, and what it came to."""
        fetched, healed, found = self.backfill, self.heal, self.verification
        missing = healed.to_dict()["missing"]
        cured = sum(healed.total(name) for name in ("again", "from_trades", "healed", "disputed"))
        back = sum(part.added for part in self.restored)
        again = f", {back:,} of their trades and funding rates came again" if self.restored else ""
        proven = healed.total("no_trade") + healed.total("outage")
        failures = [part.error for part in fetched.parts] + [part.error for part in healed.parts]
        return [
            ("damaged files", f"{len(self.quarantined):,} set aside{again}"),
            *(("to come" if part.error else "lost", part.words) for part in self.restored if part.words),
            ("backfill", f"{fetched.total('added'):,} bars came, {fetched.total('revised'):,} were revised"),
            ("heal", f"{cured:,} bars filled, {proven:,} proven absent, {missing:,} still missing"),
            ("verify", f"{found.rows:,} rows of {len(found.series):,} series: {'holds' if found.holds else 'see verify'}"),
            ("certify", f"{self.certified:,} new certificates"),
            ("keep", f"{self.compacted:,} rows into files, {len(self.garbage):,} old files removed"),
            ("snapshot", self.snapshot.name),
            *(("failed", words) for words in dict.fromkeys(failures) if words),
        ]  # fmt: skip

    def sheet(self) -> Sheet:
        """One line a step."""
        return Sheet(f"maintained: {'ok' if self.ok else 'not whole'}", ("step", "came to"), self.steps())


def maintain(
    lake: Lake,
    source: Source,
    symbols: Iterable[str] | None = None,
    timeframe: str = "1m",
    since: Time = None,
    until: Time = None,
    *,
    second: Source | None = None,
    recheck: int = 0,
    workers: int = 4,
    clock: Clock | None = None,
    progress: Progress | None = None,
) -> Maintained:
    """Bring the series of `source` (default: all that the lake holds in `timeframe`) up to date and to a proof.

    Damaged files are set aside and their rows fetched anew, those of the venue's trades and funding rates too; what
    cannot be asked for again is said to be lost. Missing bars are asked for up to `until` (now); holes are healed, from `second` too; everything is verified, and what changed gets a certificate; the tail goes into files, old
    files that nobody needs go, and the state gets a snapshot. A second round right after asks nothing and writes
    nothing. One process at a time maintains a lake; LakeError names the one that does.
    """
    begun = time.perf_counter()
    symbols = None if symbols is None else list(symbols)
    with _alone(lake):
        chosen = _chosen(lake, source, symbols, timeframe, since)
        held = [series for series in chosen if known(lake, series)]
        beside = _beside(lake, source, symbols)
        quarantined = [damaged for series in [*held, *beside] for damaged in set_damaged_aside(lake, series)]
        restored = restore(lake, source, beside, progress=progress)
        names = [series.symbol for series in chosen]
        shared: dict[str, Any] = {"workers": workers, "clock": clock, "progress": progress}
        fetched = backfill(lake, source, names, timeframe, since, until, recheck=recheck, **shared)
        held = [series for series in chosen if first_held(lake, series) is not None]
        healed = heal(
            lake, source, [series.symbol for series in held], timeframe, since, until, second=second, **shared
        )
        compacted = lake.compact().rows
        verification = verify(lake, [*held, *beside], advance=progress)
        return Maintained(
            quarantined, restored, fetched, healed, compacted, verification, len(certify(lake, verification)),
            lake.snapshot(), lake.collect_garbage(), time.perf_counter() - begun,
        )  # fmt: skip


@contextmanager
def _alone(lake: Lake) -> Iterator[None]:
    """Holds the lake's maintenance; LakeError that names the process that does."""
    path = lake.catalog_path.with_suffix(".maintenance")
    lock = FileLock(path, f"the maintenance of {lake.url}", "maintain")
    try:
        lock.acquire()
    except AccountLocked as error:
        raise LakeError(str(error)) from None
    try:
        yield
    finally:
        lock.release()


def _chosen(
    lake: Lake, source: Source, symbols: Iterable[str] | None, timeframe: str, since: Time
) -> list[Series]:
    """The series to maintain; all that the lake has of the venue, unless some are named."""
    if symbols is not None:
        return [Series(source.name, symbol, timeframe) for symbol in dict.fromkeys(symbols)]
    chosen = [
        info.series
        for info in lake.series()
        if (info.series.exchange, info.series.timeframe) == (source.name, timeframe)
        and (since is not None or first_held(lake, info.series) is not None)
    ]
    if not chosen:
        raise UsageError(
            f"the lake holds no {timeframe} bars of {source.name} yet; name symbols, and since when they are wanted"
        )
    return chosen


def _beside(lake: Lake, source: Source, symbols: Iterable[str] | None) -> list[Series]:
    """What the lake has of the venue, or of the named symbols there, besides bars."""
    named = None if symbols is None else set(symbols)
    return [
        info.series
        for info in lake.series()
        if info.series.exchange == source.name
        and info.series.kind is not Kind.BARS
        and (named is None or info.series.symbol in named)
    ]


def set_damaged_aside(lake: Lake, series: Series) -> list[str]:
    """Read every file of a series, and quarantine those that are not what was written; returns their paths."""
    found: list[str] = []
    while True:
        try:
            for _ in lake.scan(
                series, columns=["timestamp"]
            ):  # a file is checked as a whole when it is opened
                continue
            return found
        except CorruptFile as error:
            lake.quarantine(error.file_id, str(error))
            found.append(error.path)
