"""What every test and every example in a docstring stands on: a shut network, nobody's home, and nothing left by the one before."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

NETGUARD = Path(__file__).parent / "tests" / "netguard"

sys.path.insert(0, str(NETGUARD))
import sitecustomize  # noqa: F401 - the guard of this process; below, that of its children

os.environ["PYTHONPATH"] = os.pathsep.join([str(NETGUARD), *filter(None, [os.environ.get("PYTHONPATH", "")])])


@pytest.fixture(autouse=True, scope="session")
def _nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the developer's own accounts, settings or lake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINSTAR_HOME", str(tmp_path_factory.mktemp("home")))
        for name in [key for key in os.environ if key.startswith("TWINSTAR_")]:
            if name not in {"TWINSTAR_HOME", "TWINSTAR_REAL_DATA", "TWINSTAR_CACHE", "TWINSTAR_CHROMIUM"}:
                patch.delenv(name)
        yield


@pytest.fixture(autouse=True)
def _settings_as_they_were() -> Iterator[None]:
    """Commands that run in this process set the environment by their options; the next test does not inherit that."""
    before = {key: value for key, value in os.environ.items() if key.startswith("TWINSTAR_")}
    yield
    for key in [key for key in os.environ if key.startswith("TWINSTAR_") and key not in before]:
        del os.environ[key]
    os.environ.update(before)


@pytest.fixture(autouse=True)
def _no_loop_of_a_browser(request: pytest.FixtureRequest) -> Iterator[None]:
    """Playwright's event loop counts as running in its process between tests too; a test that has its own must not see it."""
    if "playwright" in request.fixturenames:
        yield
        return
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)
