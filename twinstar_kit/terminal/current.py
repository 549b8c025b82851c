"""Which hub serves this process: set by `serve`, or opened from the settings when `panel serve` runs the page."""

from __future__ import annotations

import threading

from twinstar_kit.terminal.hub import Hub

_hub: Hub | None = None
_lock = threading.Lock()


def hub() -> Hub:
    """The hub of this process, opened on first use from the settings (TWINSTAR_SESSION, TWINSTAR_FEED, ...)."""
    global _hub
    with _lock:
        if _hub is None:
            from twinstar_kit.terminal.session_backend import open_backend

            _hub = Hub(open_backend())
        return _hub


def use(hub: Hub | None) -> None:
    """Let `hub` serve this process from now on; None forgets it."""
    global _hub
    with _lock:
        _hub = hub
