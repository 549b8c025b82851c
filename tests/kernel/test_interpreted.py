"""The kernel's scenarios and a random walk again without numba: the same rules, and the same bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from kernel.builders import Floor

from twinstar_kit.kernel.context import Proposal

HERE = Path(__file__).parent
KINDS = list(Proposal)


def random_run(seed: int, steps: int) -> str:
    """A digest of everything that random proposals on random bars lead to."""
    rng = np.random.default_rng(seed)
    floor = Floor({"USDT": 10_000}, slippage_bps=2, path=("adverse_first", "open_high_low_close")[seed % 2])
    price = 10_000
    for _ in range(steps):
        o, c = price, max(100, price + int(rng.integers(-150, 151)))
        high, low = max(o, c) + int(rng.integers(0, 80)), max(50, min(o, c) - int(rng.integers(0, 80)))
        price = c
        proposals = []
        for _ in range(int(rng.integers(0, 3))):
            kind = KINDS[int(rng.integers(0, len(KINDS)))]
            amount = float("nan") if rng.random() < 0.3 else float(rng.uniform(0, 30))
            level = c / 100 * float(rng.uniform(0.95, 1.05))
            if kind in (Proposal.TRAIL, Proposal.TRAIL_RATE):
                level = float(rng.uniform(0.001, 0.05)) * (c / 100 if kind is Proposal.TRAIL else 1)
            proposals.append((kind, amount, level))
        floor.step((o / 100, high / 100, low / 100, c / 100), *proposals)
    state = b"".join(e.tobytes() for e in floor.events) + floor.engine.snapshot()
    assert {"FILLED", "CANCELED", "DENIED", "REPLACED", "TRIGGERED", "ARMED"} <= set(floor.kinds())
    return hashlib.sha256(state).hexdigest()


@pytest.mark.parametrize("seed", [0, 1])
def test_compiled_equals_interpreted_to_the_byte(seed: int) -> None:
    code = f"from kernel.test_interpreted import random_run; print(random_run({seed}, 600))"
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not numba.config.DISABLE_JIT
    assert run.stdout.split() == [random_run(seed, 600)]


def test_every_scenario_holds_without_numba() -> None:
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::RuntimeWarning"]
    files = [str(HERE / name) for name in ("test_matching.py", "test_values.py", "test_invariants.py")]
    run = subprocess.run(
        [*command, *files], env=env, capture_output=True, text=True, check=False, cwd=HERE.parent.parent
    )
    assert run.returncode == 0, run.stdout[-3000:]
