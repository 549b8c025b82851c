"""Shuts the network but for this machine, in the tests and in every Python process that they start.

The folder is put on PYTHONPATH by conftest, so subprocesses (sessions, commands, notebook kernels) load it too.
"""

from __future__ import annotations

import socket
import sys
from typing import Any


class NetworkShut(RuntimeError):
    """A test reached for an address outside this machine."""


def _is_local(host: object) -> bool:
    if isinstance(host, bytes):
        host = host.decode(errors="replace")
    if host is None or not isinstance(host, str):
        return host is None
    name = host.strip("[]").split("%")[0].lower()
    return name in {
        "",
        "localhost",
        "localhost.localdomain",
        "::",
        "::1",
        "0.0.0.0",
        socket.gethostname().lower(),
    } or name.startswith(("127.", "::ffff:127."))


def _guard(event: str, args: tuple[Any, ...]) -> None:
    if event in {"socket.connect", "socket.sendto"}:
        address = args[1]
        host = address[0] if isinstance(address, tuple) and address else None
    elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
        host = args[0]
    else:
        return
    if not _is_local(host):
        raise NetworkShut(f"{event} {host!r}: tests reach loopback only; use the local venue or a replay")


if not getattr(sys, "_twinstar_network_shut", False):
    sys._twinstar_network_shut = True  # type: ignore[attr-defined]
    sys.addaudithook(_guard)
