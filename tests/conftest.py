"""What every test stands on: a shut network, a throw-away home, and the real bars where they exist."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

sys.path.insert(0, str(TESTS / "netguard"))
import sitecustomize  # noqa: F401 - the guard of this process; below, that of its children

os.environ["PYTHONPATH"] = os.pathsep.join(
    [str(TESTS / "netguard"), *filter(None, [os.environ.get("PYTHONPATH", "")])]
)


def missing(what: str, cure: str) -> None:
    """Skips on a developer's machine; in CI the absence of what `.ci/run` provides is a failure."""
    if IN_CI:
        pytest.fail(f"{what}, and CI must have it: {cure}")
    pytest.skip(f"{what}; {cure}")


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the working copy."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real exchange bars (it holds `ohlcv/`)."""
    folder = Path(os.environ.get("TWINSTAR_REAL_DATA", ""))
    if not os.environ.get("TWINSTAR_REAL_DATA") or not (folder / "ohlcv").is_dir():
        missing("no real exchange bars here", "set TWINSTAR_REAL_DATA to the folder that holds ohlcv/")
    return folder.resolve()


@pytest.fixture(scope="session")
def chromium() -> Path:
    """The browser that the terminal is tested in."""
    for name in (os.environ.get("TWINSTAR_CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name) if name else None
        if found:
            return Path(found)
    missing("no Chromium here", "install it (Debian: apt-get install chromium) or set TWINSTAR_CHROMIUM")
    raise AssertionError


@pytest.fixture(autouse=True, scope="session")
def _nobodys_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test touches the developer's own accounts, settings or lake."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TWINSTAR_HOME", str(tmp_path_factory.mktemp("home")))
        for name in [key for key in os.environ if key.startswith("TWINSTAR_")]:
            if name not in {"TWINSTAR_HOME", "TWINSTAR_REAL_DATA", "TWINSTAR_CACHE", "TWINSTAR_CHROMIUM"}:
                patch.delenv(name)
        yield


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh TWINSTAR_HOME for one test."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("TWINSTAR_HOME", str(folder))
    return folder


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
