"""What tests ask for by name: a home of their own, a browser, and the real bars where they exist."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
ROOT = TESTS.parent
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}


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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh TWINSTAR_HOME for one test."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("TWINSTAR_HOME", str(folder))
    return folder
