"""The terminal: a page in the browser that shows one session and steers its account `manual`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twinstar_kit.terminal.embedded import Terminal
    from twinstar_kit.terminal.server import TerminalServer, serve

__all__ = ["Terminal", "TerminalServer", "serve"]


def __getattr__(name: str) -> Any:
    # Panel takes more than a second to import: only who serves pays for it
    if name in __all__:
        from twinstar_kit.terminal import embedded, server

        return getattr(embedded if name == "Terminal" else server, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
