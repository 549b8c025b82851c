"""A backfill that is killed at any request goes on where it was: it asks only for what is still missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lake.backfill_child import HOLE, truth
from lake.bars import MINUTE, START

from twinstar_kit.lake import Lake, Series
from twinstar_kit.lake.asking import AHEAD

CHILD = Path(__file__).parent / "backfill_child.py"
BARS = 50_000  # two months
SERIES = Series("memory", "BTC/USDT", "1m")


def start(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, str(CHILD), str(folder), str(BARS)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def serve(child: subprocess.Popen[str], most: int | None) -> list[tuple[int, int]]:
    """Let it ask; kill it without warning when it asks once more than `most` times. Returns what it asked."""
    asked: list[tuple[int, int]] = []
    assert child.stdin
    assert child.stdout
    for line in child.stdout:
        if line == "done\n":
            break
        since, limit = (int(word) for word in line.split())
        asked.append((since, limit))
        if most is not None and len(asked) > most:
            child.kill()
            break
        child.stdin.write("\n")
        child.stdin.flush()
    child.stdin.close()
    child.stdout.close()
    assert (child.wait() == 0) is (most is None)
    return asked


@pytest.mark.parametrize("answered", [1, 46])
def test_the_next_run_asks_only_for_what_is_missing(tmp_path: Path, answered: int):
    whole = truth(BARS)
    first = serve(start(tmp_path), answered)
    assert len(first) == answered + 1
    with Lake(tmp_path) as lake:
        kept = lake.read("memory", "BTC/USDT").rows
        asked = lake.was_asked(SERIES, START, START + BARS * MINUTE, "memory")
    # an answer is durable before the fourth after it is asked for
    assert np.array_equal(kept, whole[: len(kept)])
    assert len(kept) >= (answered - AHEAD) * 1_000 - (HOLE[1] - HOLE[0])
    assert asked in ([], [(START + HOLE[0] * MINUTE, START + HOLE[1] * MINUTE)])

    second = serve(start(tmp_path), None)
    stored = {int(ts) for ts in kept[:, 0]}
    for since, limit in second:
        open_times = {since + k * MINUTE for k in range(limit)}
        assert not open_times <= stored, "it asked for bars that it held"
    assert not stored & {since for since, _ in second}
    with Lake(tmp_path) as lake:
        assert np.array_equal(lake.read("memory", "BTC/USDT").rows, whole)

    assert serve(start(tmp_path), None) == []
