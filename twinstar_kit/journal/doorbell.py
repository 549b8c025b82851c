"""A loopback bell: clients ring it when they left a command, the session rings back when something was committed.

Lines of text travel, never orders: who hears the bell looks into the inbox or the journal. So a lost ring delays,
and can neither repeat nor invent anything.
"""

from __future__ import annotations

import selectors
import socket
import time
from types import TracebackType
from typing import Any, Self

from twinstar_kit.journal.errors import JournalError

HOST = "127.0.0.1"
HELLO = "hello"
LINE_LIMIT = 512
BACKLOG_LIMIT = 1 << 16
"""A client that leaves this many bytes unread is cut off; it finds the journal where it was."""


class Doorbell:
    """The session's side: one socket that waits for rings, and all clients that listen.

    >>> with Doorbell() as bell, Ringer(bell.port) as client:
    ...     client.ring("manual")
    ...     bell.wait(5.0)
    {'manual'}
    """

    def __init__(self, port: int = 0) -> None:
        self._selector = selectors.DefaultSelector()
        try:
            self._server = socket.create_server((HOST, port), backlog=64)
        except OSError as error:
            raise JournalError(
                f"port {port} is in use ({error.strerror}); choose another, or 0 for a free one"
            ) from None
        self._server.setblocking(False)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._selector.register(self._server, selectors.EVENT_READ)
        self._selector.register(self._wake_out, selectors.EVENT_READ)
        self._clients: dict[socket.socket, bytes] = {}
        self._unsent: dict[socket.socket, bytes] = {}
        self.port: int = self._server.getsockname()[1]

    @property
    def wakeup_fd(self) -> int:
        """A descriptor for `signal.set_wakeup_fd`: a signal ends `wait` at once."""
        return self._wake_in.fileno()

    def wake(self) -> None:
        """End the present or the next `wait`, from any thread."""
        self._wake_in.send(b"\0")

    def wait(self, timeout_s: float | None) -> set[str]:
        """Wait for a ring or a wake, at most `timeout_s` (None: without end); returns the accounts that were rung for."""
        ends = None if timeout_s is None else time.monotonic() + timeout_s
        rung: set[str] = set()
        woken = False
        while not rung and not woken:
            left = None if ends is None else max(ends - time.monotonic(), 0.0)
            ready = self._selector.select(left)
            if not ready:
                break
            for key, mask in ready:
                woken |= key.fileobj is self._wake_out
                rung |= self._attend(key.fileobj, mask)
        return rung

    def _attend(self, it: Any, mask: int) -> set[str]:
        rung: set[str] = set()
        if it is self._server:
            self._accept()
        elif it is self._wake_out:
            it.recv(4096)
        else:
            if mask & selectors.EVENT_READ:
                rung = self._read(it)
            if mask & selectors.EVENT_WRITE and it in self._clients:
                self._flush(it)
        return rung

    def tell(self, line: str) -> None:
        """Send a line to every client that listens; a client that does not read is cut off."""
        for client in list(self._clients):
            self._unsent[client] = self._unsent.get(client, b"") + line.encode() + b"\n"
            self._flush(client)

    def _accept(self) -> None:
        try:
            client, _ = self._server.accept()
        except OSError:  # it went away before it was let in
            return
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients[client] = b""
        self._selector.register(client, selectors.EVENT_READ)
        # from here on it is told everything: what was told before it must look for itself, now
        self._unsent[client] = HELLO.encode() + b"\n"
        self._flush(client)

    def _read(self, client: socket.socket) -> set[str]:
        try:
            data = client.recv(4096)
        except OSError:
            data = b""
        *lines, rest = (self._clients[client] + data).split(b"\n")
        if not data or len(rest) > LINE_LIMIT:
            self._drop(client)
        else:
            self._clients[client] = rest
        return {line.decode("ascii", "replace").strip() for line in lines if line.strip()}

    def _flush(self, client: socket.socket) -> None:
        waiting = self._unsent.pop(client, b"")
        try:
            sent = client.send(waiting) if waiting else 0
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(client)
            return
        if rest := waiting[sent:]:
            self._unsent[client] = rest
        if len(rest) > BACKLOG_LIMIT:
            self._drop(client)
        else:
            self._selector.modify(client, selectors.EVENT_READ | (selectors.EVENT_WRITE if rest else 0))

    def _drop(self, client: socket.socket) -> None:
        self._selector.unregister(client)
        self._clients.pop(client, None)
        self._unsent.pop(client, None)
        client.close()

    def close(self) -> None:
        """Hang up on everybody and stop listening."""
        for client in list(self._clients):
            self._drop(client)
        self._selector.close()
        for end in (self._server, self._wake_in, self._wake_out):
            end.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Ringer:
    """A client's side. ConnectionError when the session is not there or hung up."""

    def __init__(self, port: int, timeout_s: float = 5.0) -> None:
        self._socket = socket.create_connection((HOST, port), timeout_s)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""

    def ring(self, account: str) -> None:
        """Say that a command waits in the inbox of `account`."""
        self._socket.sendall(account.encode("ascii") + b"\n")

    def listen(self, timeout_s: float) -> list[str]:
        """The lines that were told since the last call, after at least one came; TimeoutError when none did.

        The first is HELLO: what was committed after it is told, what came before it must be looked for.
        """
        ends = time.monotonic() + timeout_s
        while b"\n" not in self._rest:
            left = ends - time.monotonic()
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            data = self._socket.recv(65536)
            if not data:
                raise ConnectionError("the session has hung up")
            self._rest += data
        *lines, self._rest = self._rest.split(b"\n")
        return [line.decode("ascii", "replace") for line in lines]

    def fileno(self) -> int:
        """The socket's descriptor, for an event loop to watch."""
        return self._socket.fileno()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
