"""The HTTP routes beside Panel's own: bars for the chart, and the bundle."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from tornado.web import HTTPError, RequestHandler, StaticFileHandler

from twinstar_kit.kernel.errors import TwinStarError
from twinstar_kit.terminal import current
from twinstar_kit.terminal.wire import bars_message

PREFIX = "twinstar"
DIST = Path(__file__).parent / "dist"


class Guarded(RequestHandler):
    """Shut to who is not logged in, where the server asks for a login."""

    def prepare(self) -> None:
        provider = getattr(self.application, "auth_provider", None)
        asks = provider is not None and (provider.get_user or provider.get_user_async)
        if asks and not self.get_secure_cookie("user"):
            raise HTTPError(401)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """One line, as the page shows it."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        error = kwargs.get("exc_info", (None, None))[1]
        self.finish(getattr(error, "log_message", None) or self._reason)


class Bars(Guarded):
    """GET /twinstar/bars?symbol=S&step=MINUTES[&since=MINUTE&until=MINUTE]; see `wire` for the answer."""

    async def get(self) -> None:
        symbol = self.get_query_argument("symbol")
        step = self._whole("step", 1)
        since, until = self._whole("since"), self._whole("until")
        backend = current.hub().backend
        try:
            body = await asyncio.get_running_loop().run_in_executor(
                None, lambda: bars_message(backend.feed, symbol, backend.now_ms(), step or 1, since, until)
            )
        except TwinStarError as error:
            raise HTTPError(400, str(error).replace("%", "%%")) from None
        self.set_header("Content-Type", "application/octet-stream")
        self.set_header("Cache-Control", "no-store")
        self.finish(body)

    def _whole(self, name: str, default: int | None = None) -> int | None:
        text = self.get_query_argument(name, None)
        if text is None:
            return default
        try:
            return int(text)
        except ValueError:
            raise HTTPError(400, f"{name} must be a whole number of minutes, not {text!r}") from None


class Assets(Guarded, StaticFileHandler):
    """GET /twinstar/assets/NAME: the bundle; its address carries a digest of it, so it may be kept for ever."""

    def set_extra_headers(self, path: str) -> None:
        self.set_header("Cache-Control", "public, max-age=31536000, immutable")


ROUTES: list[tuple[Any, ...]] = [
    (rf"/{PREFIX}/bars", Bars),
    (rf"/{PREFIX}/assets/(.*)", Assets, {"path": str(DIST)}),
]
