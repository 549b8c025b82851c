"""How things are timed: alternating rounds, medians of CPU time, fresh processes for what a start costs."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Row:
    """One line of the table: what was measured, ours, the peer's, and the target with its verdict.

    `ratio` says how many times better ours is. `holds` is None where nothing was promised.
    """

    name: str
    ours: float
    unit: str
    peer: float | None = None
    peer_name: str = ""
    ratio: float | None = None
    target: str = ""
    holds: bool | None = None
    answers: str = ""
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)


def alternate(rounds: int, **works: Callable[[], Any]) -> dict[str, float]:
    """Median CPU seconds of each work, run in turn so that a busy machine is busy for all of them alike.

    Each runs once unmeasured first: compiling and first touches are measured elsewhere.
    """
    for work in works.values():
        work()
    spent: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            begun = time.process_time()
            work()
            spent[name].append(time.process_time() - begun)
    return {name: statistics.median(values) for name, values in spent.items()}


def fresh(*arguments: str, environment: Mapping[str, str] | None = None) -> tuple[float, str]:
    """Wall seconds and standard output of a command in a new process of this interpreter."""
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env | dict(environment or {}),
        capture_output=True,
        text=True,
        check=False,
    )
    spent = time.perf_counter() - begun
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return spent, done.stdout


def median_fresh(rounds: int, *arguments: str, environment: Mapping[str, str] | None = None) -> float:
    """Median wall seconds of a command in new processes, after one unmeasured start."""
    fresh(*arguments, environment=environment)
    return statistics.median(fresh(*arguments, environment=environment)[0] for _ in range(rounds))


def resident(name: str) -> int:
    """A line of this process's status, in kB: VmRSS is its memory now, VmHWM the most it ever was."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))
