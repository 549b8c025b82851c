"""Faults that a local venue can be told to have: plain objects, each of which counts how often it struck.

Four kinds, by what they touch: what the bars of an answer say (`Hole`, `Duplicate`, `Swapped`, `Revised`,
`Unfinished`, `OffGrid`, `Elsewhere`, `Empty`); what comes instead of an answer (`TooManyRequests`, `Banned`,
`ServerError`, `NoAnswer`, `Slow`); how an answer arrives (`Cut`, `WrongJson`, `Html`); and, in `stream_faults`, what
happens to the messages of a stream.

All take `times` (how often it strikes; None for always), `after` (how many chances it lets pass first), and `chance`
with `seed` for faults that come at random, the same way every time.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from twinstar_kit.feeds.base import Rows
from twinstar_kit.kernel.bars import CLOSE, HIGH, LOW, OPEN, TIMESTAMP, VOLUME


@dataclass(frozen=True)
class Call:
    """A request as a fault sees it."""

    endpoint: str
    params: dict[str, str]
    symbol: str | None
    now_ms: int
    interval_ms: int = 0


@dataclass(kw_only=True)
class Fault:
    """What all faults share; `endpoint` and `symbol` narrow down where it strikes (None: anywhere)."""

    endpoint: str | None = None
    symbol: str | None = None
    times: int | None = 1
    after: int = 0
    chance: float = 1.0
    seed: int = 0
    struck: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._seen = 0
        self._random = random.Random(self.seed)

    def concerns(self, call: Call) -> bool:
        """Whether this fault may strike such a request."""
        return self.endpoint in (None, call.endpoint) and self.symbol in (None, call.symbol)

    def strikes(self) -> bool:
        """Whether it strikes now, at what it could strike."""
        self._seen += 1
        if self._seen <= self.after or (self.times is not None and self.struck >= self.times):
            return False
        if self.chance < 1.0 and self._random.random() >= self.chance:
            return False
        self.struck += 1
        return True


# --- what the bars of an answer say ---


@dataclass(kw_only=True)
class RowsFault(Fault):
    """A fault in the rows of `klines`; `edit` gives the changed rows, or None when the answer does not hold them."""

    endpoint: str | None = "klines"

    def edit(self, rows: Rows, call: Call) -> Rows | None:
        raise NotImplementedError


@dataclass(kw_only=True)
class Hole(RowsFault):
    """Bars that open in [since_ms, until_ms) are missing from the answer; by default from every answer."""

    since_ms: int
    until_ms: int
    times: int | None = None

    def edit(self, rows: Rows, call: Call) -> Rows | None:
        inside = (rows[:, TIMESTAMP] >= self.since_ms) & (rows[:, TIMESTAMP] < self.until_ms)
        return rows[~inside] if inside.any() else None


@dataclass(kw_only=True)
class OneRow(RowsFault):
    """A fault in the bar that opens at `at_ms` (None: in the middle one of the answer)."""

    at_ms: int | None = None

    def edit(self, rows: Rows, call: Call) -> Rows | None:
        if self.at_ms is None:
            return self.change(rows, len(rows) // 2) if len(rows) > 1 else None
        found = np.flatnonzero(rows[:, TIMESTAMP] == self.at_ms)
        return self.change(rows, int(found[0])) if len(found) else None

    def change(self, rows: Rows, at: int) -> Rows | None:
        raise NotImplementedError


@dataclass(kw_only=True)
class Duplicate(OneRow):
    """The bar comes twice in one answer."""

    def change(self, rows: Rows, at: int) -> Rows | None:
        return np.insert(rows, at, rows[at], axis=0)


@dataclass(kw_only=True)
class Swapped(OneRow):
    """The bar and the one after it come in the wrong order."""

    def change(self, rows: Rows, at: int) -> Rows | None:
        if at + 1 >= len(rows):
            return None
        order = np.arange(len(rows))
        order[at], order[at + 1] = at + 1, at
        return rows[order]


@dataclass(kw_only=True)
class Revised(OneRow):
    """The bar's first answers (`times` of them) close `by` price units away from what later answers say."""

    by: int = 1

    def change(self, rows: Rows, at: int) -> Rows | None:
        rows = rows.copy()
        rows[at, CLOSE] += self.by
        rows[at, HIGH], rows[at, LOW] = rows[at, OPEN : CLOSE + 1].max(), rows[at, OPEN : CLOSE + 1].min()
        return rows


@dataclass(kw_only=True)
class Unfinished(OneRow):
    """The bar has closed, but is shown as it stood before: half its volume, its close at its open."""

    def change(self, rows: Rows, at: int) -> Rows | None:
        rows = rows.copy()
        rows[at, CLOSE] = rows[at, OPEN]
        rows[at, VOLUME] //= 2
        return rows


@dataclass(kw_only=True)
class OffGrid(OneRow):
    """The bar's timestamp lies `by_ms` beside the grid."""

    by_ms: int = 1_234

    def change(self, rows: Rows, at: int) -> Rows | None:
        rows = rows.copy()
        rows[at, TIMESTAMP] += self.by_ms
        return rows


@dataclass(kw_only=True)
class Elsewhere(RowsFault):
    """The answer holds bars of another time: all lie `by` bars away from what was asked."""

    by: int = -5_000

    def edit(self, rows: Rows, call: Call) -> Rows | None:
        rows = rows.copy()
        rows[:, TIMESTAMP] += self.by * call.interval_ms
        return rows if len(rows) else None


@dataclass(kw_only=True)
class Empty(RowsFault):
    """An empty answer although there is data."""

    def edit(self, rows: Rows, call: Call) -> Rows | None:
        return rows[:0] if len(rows) else None


# --- what comes instead of an answer ---


@dataclass(frozen=True)
class Instead:
    """An answer that takes the place of the true one."""

    status: int
    body: str
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class TooManyRequests(Fault):
    """429 with Retry-After; the venue then refuses everything until that time, as if its limit were reached."""

    retry_after_s: int = 10
    status = 429


@dataclass(kw_only=True)
class Banned(TooManyRequests):
    """418 with Retry-After: the address is banned for so long."""

    retry_after_s: int = 120
    status = 418


@dataclass(kw_only=True)
class ServerError(Fault):
    """A 5xx, with a Retry-After when one is given, in seconds or as a date."""

    status: int = 503
    retry_after_s: int | str | None = None

    def answer(self) -> Instead:
        """The page that comes instead."""
        headers = {} if self.retry_after_s is None else {"Retry-After": str(self.retry_after_s)}
        return Instead(self.status, f"<html><h1>{self.status}</h1></html>", "text/html", headers)


@dataclass(kw_only=True)
class NoAnswer(Fault):
    """The request is read and never answered, until the client gives up."""


@dataclass(kw_only=True)
class Slow(Fault):
    """The answer is held back until the venue's clock has moved on by `ms`."""

    ms: int = 1_000

    async def wait(
        self, now: Callable[[], int], asleep: Callable[[float], Awaitable[Any]] = asyncio.sleep
    ) -> None:
        """Wait for the venue's clock; it is polled, because others may hold it too."""
        until_ms = now() + self.ms
        while now() < until_ms:
            await asleep(0.005)


# --- how an answer arrives ---


@dataclass(kw_only=True)
class Garbled(Fault):
    """An answer with the right status and a wrong body."""

    def body(self, true: str) -> Instead:
        raise NotImplementedError


@dataclass(kw_only=True)
class WrongJson(Garbled):
    """JSON that ends in its middle, with a length that fits."""

    def body(self, true: str) -> Instead:
        return Instead(200, true[: max(1, len(true) // 2)])


@dataclass(kw_only=True)
class WrongShape(Garbled):
    """Valid JSON of the wrong kind: an object where rows belong."""

    def body(self, true: str) -> Instead:
        return Instead(200, json.dumps({"rows": len(true)}))


@dataclass(kw_only=True)
class Html(Garbled):
    """A page of a proxy instead of JSON, with status 200."""

    def body(self, true: str) -> Instead:
        return Instead(200, "<!DOCTYPE html><html><body>Checking your browser</body></html>", "text/html")


@dataclass(kw_only=True)
class Cut(Fault):
    """The connection is cut after this share of the body, whose full length was promised."""

    share: float = 0.5


def first_of(faults: Iterable[Fault], kind: type[Fault] | tuple[type[Fault], ...], call: Call) -> Any:
    """The first fault of a kind that strikes this call, or None."""
    concerned = (fault for fault in faults if isinstance(fault, kind) and fault.concerns(call))
    return next((fault for fault in concerned if fault.strikes()), None)


def scattered(
    symbol: str, stamps: Rows, seed: int, *, holes: int = 3, longest: int = 20, duplicates: int = 2, swaps: int = 2,
    revisions: int = 2, off_grid: int = 0, storms: int = 2, cuts: int = 2, garbled: int = 2, errors: int = 2,
) -> list[Fault]:  # fmt: skip
    """Faults at random places of a series, the same for the same seed.

    `stamps` are the times of its bars. Holes are up to `longest` bars long and heal after one answer; storms are 429
    with 1 to 60 s of Retry-After.

    >>> faults = scattered("BTC/USDT", np.arange(1_000) * 60_000, seed=1, holes=1, storms=0)
    >>> [type(fault).__name__ for fault in faults][:4], faults[0].times
    (['Hole', 'Duplicate', 'Duplicate', 'Swapped'], 1)
    """
    chance = random.Random(seed)

    def somewhere() -> int:
        return int(stamps[chance.randrange(len(stamps))])

    def some_requests() -> dict[str, Any]:
        return {"endpoint": "klines", "symbol": symbol, "chance": 0.2, "seed": chance.randrange(2**32)}

    found: list[Fault] = []
    for _ in range(holes):
        first = chance.randrange(len(stamps))
        last = min(len(stamps) - 1, first + chance.randrange(longest))
        found.append(
            Hole(symbol=symbol, since_ms=int(stamps[first]), until_ms=int(stamps[last]) + 1, times=1)
        )
    found += [Duplicate(symbol=symbol, at_ms=somewhere()) for _ in range(duplicates)]
    found += [Swapped(symbol=symbol, at_ms=somewhere()) for _ in range(swaps)]
    found += [Revised(symbol=symbol, at_ms=somewhere(), by=chance.choice((-2, 3))) for _ in range(revisions)]
    found += [
        OffGrid(symbol=symbol, at_ms=somewhere(), by_ms=chance.randrange(1, 999)) for _ in range(off_grid)
    ]
    found += [
        TooManyRequests(retry_after_s=chance.randrange(1, 61), **some_requests()) for _ in range(storms)
    ]
    found += [Cut(share=chance.random(), **some_requests()) for _ in range(cuts)]
    found += [chance.choice((WrongJson, Html))(**some_requests()) for _ in range(garbled)]
    found += [ServerError(status=chance.choice((500, 502, 503)), **some_requests()) for _ in range(errors)]
    return found
