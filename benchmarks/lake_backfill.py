"""Backfill of a symbol-year over HTTP: how much of its time is not the network's, and how long it takes beside plain paging.

The venue is a local one in a process of its own that answers after 40 ms; requests keep the pace that ccxt keeps with
the real one. `python -m benchmarks.lake_backfill serve` is that process.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from benchmarks.history import year
from benchmarks.measure import ROOT, Row

SYMBOL, LATENCY_MS, MINUTES, PAGED = "BTC/USDT", 40, 525_600, 50_000
START_MS = 1_735_689_600_000
UNTIL_MS = START_MS + MINUTES * 60_000
MOST_OUTSIDE = 0.05


def lake_backfill() -> list[Row]:
    """A year of minutes into an empty lake, and a loop that only pages through the first weeks of it."""
    truth = year(MINUTES).close
    with _venue() as port:
        paged_ms, paged = _page(port, PAGED)
        spent_s, outside, cpu, held = _backfill(port)
    same = np.array_equal(held, truth) and np.array_equal(paged, truth[:PAGED])
    ours_ms = spent_s / (MINUTES / 1000) * 1e3
    return [
        Row(
            "backfill a symbol-year: time outside the network", 100 * outside, "%",
            target=f"< {100 * MOST_OUTSIDE:.0f} %", holds=same and outside < MOST_OUTSIDE,
            answers=f"{MINUTES:,} closes {'equal' if same else 'DIFFER from'} those that the venue was given",
            notes=[f"{spent_s:.1f} s, CPU {100 * cpu:.0f} % of it; the venue answers after {LATENCY_MS} ms"],
        ),
        Row("backfill a symbol-year: a thousand bars", ours_ms, "ms", paged_ms, "ccxt, page after page, nothing kept",
            paged_ms / ours_ms),
    ]  # fmt: skip


class Watched:
    """A source whose calls are timed: `inside_s` is how long at least one of them was under way."""

    def __init__(self, source: Any) -> None:
        self._source, self._lock = source, threading.Lock()
        self._under_way, self._since, self.inside_s = 0, 0.0, 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def bars(self, *arguments: Any) -> Any:
        """Asks, and is timed with what it waits for."""
        with self._call():
            return self._source.bars(*arguments)

    def instruments(self) -> Any:
        """The first call asks the venue."""
        with self._call():
            return self._source.instruments()

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._lock:
            if not self._under_way:
                self._since = time.perf_counter()
            self._under_way += 1
        try:
            yield
        finally:
            with self._lock:
                self._under_way -= 1
                if not self._under_way:
                    self.inside_s += time.perf_counter() - self._since


def _backfill(port: int) -> tuple[float, float, float, Any]:
    """Wall seconds, the share outside the source, CPU as a share of the wall, and the closes that the lake holds."""
    from twinstar_kit.feeds.ccxt_source import CcxtSource
    from twinstar_kit.lake import Lake

    with tempfile.TemporaryDirectory() as folder, Lake(folder) as lake:
        source = Watched(CcxtSource(_exchange(port)))
        begun, cpu = time.perf_counter(), time.process_time()
        report = lake.backfill(source, [SYMBOL], since=START_MS, until=UNTIL_MS)
        spent, cpu = time.perf_counter() - begun, time.process_time() - cpu
        assert report.ok, report
        closes = lake.read("binance", SYMBOL).bars().close
    return spent, (spent - source.inside_s) / spent, cpu / spent, closes


def _page(port: int, bars: int) -> tuple[float, Any]:
    """Milliseconds a page of a loop over `fetch_ohlcv`, with ccxt's own rate limit, and the closes that it saw."""
    exchange = _exchange(port, enableRateLimit=True)
    exchange.load_markets()
    begun, closes = time.perf_counter(), []
    for at in range(START_MS, START_MS + bars * 60_000, 60_000_000):
        closes += [row[4] for row in exchange.fetch_ohlcv(SYMBOL, "1m", at, 1000)]
    return (time.perf_counter() - begun) / (bars / 1000) * 1e3, np.array(closes)


def _exchange(port: int, **config: Any) -> Any:
    from twinstar_kit.feeds.ccxt_endpoint import Loopback, local_binance

    return local_binance(Loopback(port), **config)


@contextmanager
def _venue() -> Iterator[int]:
    """The port of a local venue in its own process."""
    command = [sys.executable, "-m", "benchmarks.lake_backfill", "serve"]
    child = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin
    assert child.stdout
    try:
        yield int(child.stdout.readline())
    finally:
        child.stdin.close()  # which ends it
        child.wait()


def _serve() -> None:
    from twinstar_kit.feeds.clock import SystemClock
    from twinstar_kit.testing.local_venue import LocalVenue
    from twinstar_kit.testing.local_venue.faults import Slow

    with LocalVenue(year(MINUTES), clock=SystemClock(), faults=[Slow(ms=LATENCY_MS, times=None)]) as venue:
        print(venue.port, flush=True)
        sys.stdin.read()


if __name__ == "__main__" and sys.argv[1:] == ["serve"]:
    _serve()
