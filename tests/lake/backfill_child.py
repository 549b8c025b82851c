"""A backfill in a process of its own that says what it asks, so that a test can kill it at any request.

`python backfill_child.py LAKE BARS`: asks a made-up venue with a hole for so many bars; each request is one line on
standard output, and goes on when a line comes in.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from lake.bars import MINUTE, START, Rows, walk
from lake.sources import MemorySource, keep

from twinstar_kit.feeds.clock import ManualClock
from twinstar_kit.lake import Lake
from twinstar_kit.lake.backfill import backfill

HOLE = (3_100, 3_140)


class Telling(MemorySource):
    """Says every request and waits for leave."""

    def bars(self, symbol: str, timeframe: str, since_ms: int, limit: int) -> Rows:
        print(f"{since_ms} {limit}", flush=True)
        sys.stdin.readline()
        return super().bars(symbol, timeframe, since_ms, limit)


def truth(bars: int) -> Rows:
    return keep(walk(bars), HOLE)


def main() -> None:
    folder, bars = Path(sys.argv[1]), int(sys.argv[2])
    source = Telling({"BTC/USDT": truth(bars)}, jumps=False)
    clock = ManualClock(START + bars * MINUTE + 86_400_000)
    with Lake(folder) as lake:
        backfill(lake, source, ["BTC/USDT"], "1m", START, START + bars * MINUTE, workers=1, clock=clock)
    print("done", flush=True)


if __name__ == "__main__":
    main()
