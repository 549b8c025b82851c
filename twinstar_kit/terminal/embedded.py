"""The terminal inside a notebook: served beside it, shown in the cell, stopped with it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from twinstar_kit.settings import load_settings
from twinstar_kit.terminal.server import TerminalServer, refuse_taken_port
from twinstar_kit.terminal.session_backend import open_backend


class Terminal:
    """The terminal as an object: the last expression of a cell shows the page.

    It attaches to the session `session`, or starts it on `feed`, and serves on `port` of this machine (0 takes a free
    one). `strategy` begins to trade in the session unless it does already. Use it in a `with` block, or call `stop`;
    the session goes on either way. Raises UsageError, in one line, for a feed or a port that cannot be had.

    `height_px` is the height of the page in a cell; `url` opens it in a window of its own.
    """

    def __init__(
        self,
        feed: str | None = None,
        *,
        session: str | None = None,
        strategy: str | None = None,
        home: str | None = None,
        port: int = 0,
        height_px: int = 800,
    ) -> None:
        settings = load_settings(feed=feed, session=session, home=home)
        refuse_taken_port(port)
        self.height_px = height_px
        self._server = TerminalServer(open_backend(settings, feed=feed, strategy=strategy), port).start()

    @property
    def url(self) -> str:
        """Where a browser on this machine finds the page."""
        return self._server.url

    @property
    def session(self) -> str:
        """The session that the page shows."""
        return self._server.hub.backend.session

    def stop(self) -> None:
        """Stop serving; the session goes on."""
        self._server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Terminal of session {self.session} at {self.url}>"

    def _repr_html_(self) -> str:
        return (
            f'<a href="{self.url}" target="_blank" rel="noopener">{self.url}</a>'
            f'<iframe src="{self.url}" title="TwinStar terminal" '
            f'style="width:100%;height:{self.height_px}px;border:0"></iframe>'
        )
