"""Puts every comparison of notebooks (`pytest --nbval notebooks`) on the stage; see `stage`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from stage import stage

_open = ExitStack()


def pytest_sessionstart(session: pytest.Session) -> None:
    """The kernels that nbval starts inherit this process's environment."""
    if session.config.getoption("nbval", False) and not session.config.getoption("collectonly", False):
        _open.enter_context(stage())


def pytest_sessionfinish() -> None:
    """The session ends with the run."""
    _open.close()
