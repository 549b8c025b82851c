"""The kernel's scenarios and a random walk again without numba: the same rules, and the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from kernel.builders import Floor
from kernel.world import World

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
    assert interpreted(code) == [random_run(seed, 600)]


def interpreted(code: str) -> list[str]:
    """What `code` prints in a process without numba."""
    path = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])
    env = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    run = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not numba.config.DISABLE_JIT
    return run.stdout.split()


def world_run(seed: int, steps: int) -> str:
    """A digest of everything that a random world's actions lead to."""
    world, chance = World(seed), random.Random(seed)
    for _ in range(steps):
        world.act(chance.getrandbits(31))
    return hashlib.sha256(world.journal() + world.engine.snapshot()).hexdigest()


@pytest.mark.parametrize("seeds", [range(6), range(6, 12)], ids=["first", "second"])
def test_every_model_and_market_is_the_same_without_numba(seeds: range) -> None:
    code = f"from kernel.test_interpreted import world_run; print(*(world_run(s, 200) for s in {seeds}))"
    assert interpreted(code) == [world_run(seed, 200) for seed in seeds]


# what starts processes of its own, or needs numba or a library's compiled code, is left out
APART = {Path(__file__).name, "test_vectorbt.py", "test_known_answer.py"}
SCENARIOS = [str(path) for path in sorted(HERE.glob("test_*.py")) if path.name not in APART]
PARTS = 4


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_every_scenario_holds_without_numba(part: int) -> None:
    env = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    options = ("-q", "-p", "no:cacheprovider", "-m", "not slow", "-W", "ignore::RuntimeWarning")
    command = [sys.executable, "-m", "pytest", *options, *SCENARIOS[part::PARTS]]
    run = subprocess.run(
        command, env=env, capture_output=True, text=True, check=False, cwd=HERE.parent.parent
    )
    assert run.returncode == 0, run.stdout[-3000:]
