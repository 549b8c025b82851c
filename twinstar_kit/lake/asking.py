"""One question to a venue, and what its answer is worth: bars that were asked for, and bars the venue has not got."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.resample import floor_time
from twinstar_kit.kernel.errors import DataError, TwinStarError, UsageError
from twinstar_kit.lake.planner import Interval, Request, holes

if TYPE_CHECKING:
    from twinstar_kit.feeds.clock import Clock
    from twinstar_kit.feeds.source import Source
    from twinstar_kit.kernel.instruments import Instrument
    from twinstar_kit.lake.series import Series

Rows = npt.NDArray[np.int64]

BAR_PRICES, BAR_AMOUNTS = slice(1, 5), slice(5, 6)
AHEAD = 4  # requests for each worker that are under way or waiting, so that nothing waits for a file being written
SETTLED_MS = 300_000  # a bar that closed less than this ago may still come, so its absence proves nothing


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back for one request.

    `rows` ascend, lie on the grid and inside the request. `empty` is what the venue says it has not got; `again` is
    what the answer left open. `strays` counts rows that nobody asked for, off the grid, or twice.
    """

    request: Request
    rows: Rows
    empty: list[Interval]
    again: Request | None
    strays: int


class Asker:
    """Asks one venue for the bars of one series, in the lake's units.

    `exact` refuses a venue whose units are finer than the lake's; otherwise its prices are rounded to them.
    """

    def __init__(
        self, source: Source, series: Series, ours: Instrument, clock: Clock, *, exact: bool = True
    ) -> None:
        self.source, self.series, self.ours, self.clock, self.exact = source, series, ours, clock, exact
        self.theirs = listed(source, series.symbol)
        self.limit = source.limit(series.timeframe)
        self.requests = 0
        self._longest = 0

    def answers(self, requests: Iterable[Request], workers: int) -> Iterator[Answer]:
        """The answers in the order of `requests`, a few of them under way at a time.

        After a failure nothing new is asked; what was under way is still handed out, and then the error is raised.
        """
        waiting, todo = deque[Request](), iter(requests)
        pending: deque[tuple[Request, Future[tuple[Rows, int]]]] = deque()
        failure: TwinStarError | None = None
        with ThreadPoolExecutor(workers, thread_name_prefix="ask") as pool:
            try:
                while True:
                    while failure is None and len(pending) < AHEAD * workers:
                        request = waiting.popleft() if waiting else next(todo, None)
                        if request is None:
                            break
                        pending.append((request, pool.submit(self._ask, request)))
                    if not pending:
                        break
                    request, future = pending.popleft()
                    try:
                        answer = self.judge(request, *future.result())
                    except TwinStarError as error:
                        if failure is None:
                            failure = error
                            pool.shutdown(wait=False, cancel_futures=True)
                            pending = deque(pair for pair in pending if not pair[1].cancelled())
                        continue
                    if answer.again is not None:
                        waiting.append(answer.again)
                    yield answer
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
        if failure is not None:
            raise failure

    def _ask(self, request: Request) -> tuple[Rows, int]:
        asked_ms = self.clock.milliseconds()
        bars = request.bars(self.series.timeframe_ms)
        return self.source.bars(self.series.symbol, self.series.timeframe, request.since_ms, bars), asked_ms

    def judge(self, request: Request, raw: Rows, asked_ms: int) -> Answer:
        """What a raw answer is worth. Call it in the order of the requests: it learns from the answers before.

        A venue may give fewer bars at once than it promises. So an answer that stops early is believed about its
        end only if it reaches past the request, or is shorter than one that this venue has given before.
        """
        self.requests += 1
        step = self.series.timeframe_ms
        rows = tidy(raw, request, step)
        believed = min(request.until_ms, settled(asked_ms, step))
        end = request.until_ms
        again: Request | None = None
        if len(rows) and len(raw) >= self._longest and int(raw[:, 0].max()) < request.until_ms - step:
            end = int(rows[-1, 0]) + step
            if end < believed:
                again = Request(end, request.until_ms)
        self._longest = max(self._longest, len(raw))
        empty = holes(rows[:, 0], request.since_ms, end, step)
        empty = [(first, min(until, believed)) for first, until in empty if first < believed]
        scaled = rescale(rows, self.theirs, self.ours, exact=self.exact)
        return Answer(request, scaled, empty, again, len(raw) - len(rows))


def settled(now_ms: int, timeframe_ms: int) -> int:
    """The end of the bars whose absence means something at `now_ms`."""
    return floor_time(now_ms - SETTLED_MS, timeframe_ms)


def tidy(raw: Rows, request: Request, timeframe_ms: int) -> Rows:
    """The rows of an answer that were asked for: in order, on the grid, each time once (the venue's last word)."""
    stamps = raw[:, 0]
    wanted = (stamps >= request.since_ms) & (stamps < request.until_ms)
    wanted &= (stamps - request.since_ms) % timeframe_ms == 0
    rows = raw[wanted]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    last = np.r_[rows[1:, 0] != rows[:-1, 0], True] if len(rows) else np.zeros(0, bool)
    return np.ascontiguousarray(rows[last])


def rescale(
    rows: Rows, theirs: Instrument, ours: Instrument, *, exact: bool = True,
    prices: slice = BAR_PRICES, amounts: slice = BAR_AMOUNTS,
) -> Rows:  # fmt: skip
    """Rows counted in `theirs` units counted in `ours`; which columns are prices and amounts may be said.

    DataError when `exact` and a value lies between two of our units; otherwise it is rounded to the nearest.
    """
    price, amount = ours.price_scale - theirs.price_scale, ours.amount_scale - theirs.amount_scale
    if not price and not amount:
        return rows
    scaled = rows.copy()
    for columns, shift, what in ((prices, price, "price"), (amounts, amount, "amount")):
        part = rows[:, columns]
        if shift >= 0:
            scaled[:, columns] = part * 10**shift
            continue
        unit = 10**-shift
        if exact and (part % unit).any():
            raise DataError(
                f"{theirs.exchange} {theirs.symbol} now has a finer {what} than the lake counts it in"
                f" (1e-{theirs.price_scale if what == 'price' else theirs.amount_scale}); store it in a new lake"
            )
        scaled[:, columns] = (part + unit // 2) // unit
    return scaled


def ask_trades(source: Source, symbol: str, ours: Instrument, since_ms: int, until_ms: int) -> Rows:
    """The venue's trades of [since_ms, until_ms) by time and id, in our units."""
    trades = source.trades(symbol, since_ms, until_ms)
    trades = trades[(trades[:, 0] >= since_ms) & (trades[:, 0] < until_ms)]
    trades = trades[np.lexsort((trades[:, 4], trades[:, 0]))]
    return rescale(trades, listed(source, symbol), ours, prices=slice(1, 2), amounts=slice(2, 3))


def listed(source: Source, symbol: str) -> Instrument:
    """The venue's rules for `symbol`; UsageError with the nearest name when it does not list it."""
    instruments = source.instruments()
    if symbol in instruments:
        return instruments[symbol]
    import difflib

    near = difflib.get_close_matches(symbol.upper(), list(instruments), 1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f"; it lists {len(instruments)} symbols"
    raise UsageError(f"{source.name} does not list {symbol}{hint}")
