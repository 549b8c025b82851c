"""Runs strategies: over history, live over a feed, in a session process; and proves that the ways agree.

- `backtest(strategy, data, **broker) -> RunResult`: the history loop over bars, a path, or (feed, symbol, since, until).
- `paper(strategy, feed, speed=..., account=..., ...) -> RunResult`: the live loop in this process, journalled and
  resumable under HOME/accounts/ACCOUNT/.
- `parity(strategy, data=... | journal=...) -> ParityReport`: history against live, event by event.
- `load_run(path) -> RunResult`: the run that a stored journal holds.
- `start_session`, `attach`, `list_sessions`, `session_status`, `stop_session`, `flatten_session`, `kill_session`: the
  session process, which owns accounts, and its clients.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.session.control import (
        Session,
        attach,
        flatten_session,
        kill_session,
        list_sessions,
        session_status,
        start_session,
        stop_session,
    )
    from twinstar_kit.session.history import backtest
    from twinstar_kit.session.proof import ParityReport, parity
    from twinstar_kit.session.results import RunResult, load_run
    from twinstar_kit.session.trading import paper

_HOMES = {
    "ParityReport": "proof",
    "RunResult": "results",
    "Session": "control",
    "attach": "control",
    "backtest": "history",
    "flatten_session": "control",
    "kill_session": "control",
    "list_sessions": "control",
    "load_run": "results",
    "paper": "trading",
    "parity": "proof",
    "session_status": "control",
    "start_session": "control",
    "stop_session": "control",
}

__all__ = [
    "ParityReport",
    "RunResult",
    "Session",
    "attach",
    "backtest",
    "flatten_session",
    "kill_session",
    "list_sessions",
    "load_run",
    "paper",
    "parity",
    "session_status",
    "start_session",
    "stop_session",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value
