"""The stage that notebooks are run and compared on: a home of their own and a session whose clock stands almost still.

A session in real time gives other prices every second. On this stage it runs ten thousand times slower than the
world, from a fixed instant of a fixed market, so an order fills at the same price on every run.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

FEED, START, SPEED = "simulated:7", "2025-06-02T12:00:00Z", 0.0001


@contextmanager
def stage() -> Iterator[Path]:
    """A fresh home in TWINSTAR_HOME with its session running; both are gone afterwards. Yields the home."""
    from twinstar_kit.session import start_session

    with tempfile.TemporaryDirectory(prefix="twinstar-notebooks-") as folder:
        keep = ("TWINSTAR_CACHE", "TWINSTAR_REAL_DATA")
        plain = {k: v for k, v in os.environ.items() if not k.startswith("TWINSTAR_") or k in keep}
        with mock.patch.dict(os.environ, plain | {"TWINSTAR_HOME": folder}, clear=True):
            session = start_session(feed=FEED, start=START, speed=SPEED, balances={"USDT": 10_000})
            try:
                yield Path(folder)
            finally:
                session.stop()
