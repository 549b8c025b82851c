"""Serving the terminal: one Panel server on this machine's own address."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from typing import Any

from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.settings import load_settings
from twinstar_kit.terminal import current
from twinstar_kit.terminal.backend import Backend
from twinstar_kit.terminal.hub import Hub

ADDRESS = "127.0.0.1"


class TerminalServer:
    """A terminal on `http://127.0.0.1:PORT/`; port 0 takes a free one.

    `run` serves until interrupted; `start` serves in a thread of its own and returns.
    """

    def __init__(self, backend: Backend, port: int = 0) -> None:
        self.hub = Hub(backend)
        self.port = port
        self._server: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ready = threading.Event()
        self._error: BaseException | None = None

    @property
    def url(self) -> str:
        """Where the browser finds it."""
        return f"http://{ADDRESS}:{self.port}/"

    def run(self, show: bool = False, announce: bool = False) -> None:
        """Serve in this thread until `stop` or an interrupt; `announce` prints the address once it is open."""
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        self._loop = loop
        loop.set_exception_handler(_quiet)
        # a page that is closed while something is on its way to it is nothing to report
        logging.getLogger("bokeh.server.views.ws").setLevel(logging.ERROR)
        try:
            self._listen(show)
            self._ready.set()
            if announce:
                print(
                    f"TwinStar terminal: {self.url} (session {self.hub.backend.session}); Ctrl-C ends it",
                    flush=True,
                )
            loop.run_forever()
        except KeyboardInterrupt:
            pass
        except BaseException as error:
            self._error = error
            raise
        finally:
            self._ready.set()
            if self._server is not None:
                self._hang_up(loop)
            self.hub.close()
            current.use(None)

    def _hang_up(self, loop: asyncio.AbstractEventLoop) -> None:
        """Stop listening and close the pages' sockets, so that they know at once."""
        for connection in list(self._server._tornado._clients):
            connection._socket.close(code=1001, reason="the terminal's server ends")
        self._server.stop()
        loop.run_until_complete(self._server._http.close_all_connections())
        loop.close()

    def start(self) -> TerminalServer:
        """Serve in the background; returns once the port is open."""
        self._thread = threading.Thread(target=self._run_quietly, name="terminal-server", daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error
        return self

    def stop(self) -> None:
        """Stop serving; the session goes on."""
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join(timeout=15)

    def _run_quietly(self) -> None:
        try:
            self.run()
        except BaseException:
            if self._error is None:
                raise

    def _listen(self, show: bool) -> None:
        from panel.io.server import get_server
        from tornado.ioloop import IOLoop

        from twinstar_kit.terminal.page import make_page
        from twinstar_kit.terminal.routes import ROUTES

        current.use(self.hub)
        try:
            self._server = get_server(
                {"/": make_page}, port=self.port, address=ADDRESS, loop=IOLoop.current(), title="TwinStar",
                extra_patterns=list(ROUTES), show=show, start=False,
            )  # fmt: skip
        except OSError as error:
            raise _port_error(error, self.port) from None
        self.port = self._server.port
        # a page of another origin gets 403; Bokeh itself lists only localhost
        self._server._tornado.websocket_origins.add(f"{ADDRESS}:{self.port}")
        self._server.start()


def _port_error(error: OSError, port: int) -> UsageError:
    if error.errno == errno.EADDRINUSE:
        return UsageError(f"port {port} is in use; choose another with --port, or 0 for a free one")
    return UsageError(f"port {port} cannot be opened ({error.strerror}); choose another with --port")


def refuse_taken_port(port: int) -> None:
    """Refuse a port that is taken before anything is started for it."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((ADDRESS, port))
        except OSError as error:
            raise _port_error(error, port) from None


def _quiet(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Tell what went wrong in the loop, except that a page was closed."""
    from tornado.websocket import WebSocketClosedError

    if not isinstance(context.get("exception"), WebSocketClosedError):
        loop.default_exception_handler(context)


def serve(
    feed: str | None = None,
    port: int | None = None,
    show: bool = True,
    session: str | None = None,
    *,
    strategy: str | None = None,
    home: str | None = None,
) -> None:
    """Serve the terminal until interrupted, on the session `session`: the running one, or one that is started.

    `feed` and `strategy` say what a session that is started trades on; of a running one they must be what it has.
    Raises UsageError for an unknown feed, a session that runs something else, or a port in use.
    """
    from twinstar_kit.terminal.session_backend import open_backend

    settings = load_settings(feed=feed, port=port, session=session, home=home)
    refuse_taken_port(settings.port)
    backend = open_backend(settings, feed=feed, strategy=strategy)
    TerminalServer(backend, settings.port).run(show=show, announce=True)
    print(f"The session {backend.session} goes on; `twinstar session stop` ends it.")
