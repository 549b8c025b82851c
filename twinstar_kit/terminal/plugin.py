"""For `panel serve twinstar_kit/terminal/app.py --plugins twinstar_kit.terminal.plugin`: the routes."""

from __future__ import annotations

from twinstar_kit.terminal.routes import ROUTES

__all__ = ["ROUTES"]
