"""Which venue a command asks: a real one by its ccxt name, or one on this machine that stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, NamedTuple
from urllib.parse import urlsplit

import typer

from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from twinstar_kit.feeds.ccxt_source import CcxtSource

LOOPBACK = ("127.0.0.1", "localhost")
DIALECT = "binance"

Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Ask a local venue, such as http://127.0.0.1:8080, instead of the real one; binance's dialect.",
    ),
]


class Loopback(NamedTuple):
    """A venue on this machine."""

    port: int

    @property
    def url(self) -> str:
        """Where REST is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where streams are served."""
        return f"ws://127.0.0.1:{self.port}"


def open_source(exchange: str, endpoint: str | None) -> CcxtSource:
    """The venue's history; with an endpoint nothing but that address is ever reached."""
    from twinstar_kit.feeds.ccxt_source import CcxtSource

    if endpoint is None:
        return CcxtSource(exchange)
    address = urlsplit(endpoint)
    if address.scheme != "http" or address.hostname not in LOOPBACK or address.port is None:
        raise UsageError(f"--endpoint {endpoint}: it must be a venue on this machine: http://127.0.0.1:PORT")
    if exchange != DIALECT:
        raise UsageError(
            f"--endpoint speaks {DIALECT}'s dialect, not that of {exchange}; use --exchange {DIALECT}"
        )
    from twinstar_kit.testing.local_venue.clients import local_binance

    return CcxtSource(local_binance(Loopback(address.port)))
