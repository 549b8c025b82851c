"""Which venue a command asks: a real one by its ccxt name, or one on this machine that stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from urllib.parse import urlsplit

import typer

from twinstar_kit.kernel.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinstar_kit.feeds.ccxt_source import CcxtSource
    from twinstar_kit.kernel.instruments import Instrument

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


def open_source(
    exchange: str, endpoint: str | None, units: Mapping[str, Instrument] | None = None
) -> CcxtSource:
    """The venue's history, in `units` where they are given; with an endpoint nothing but that address is ever reached."""
    from twinstar_kit.feeds.ccxt_source import CcxtSource

    here = _loopback(exchange, endpoint)
    if here is None:
        return CcxtSource(exchange, instruments=units)
    from twinstar_kit.testing.local_venue.clients import local_binance

    return CcxtSource(local_binance(here), instruments=units)


def open_streams(exchange: str, endpoint: str | None) -> Any:
    """The venue's streams, with the same promise."""
    here = _loopback(exchange, endpoint)
    if here is None:
        from twinstar_kit.feeds.ccxt_live import open_stream

        return open_stream(exchange)
    from twinstar_kit.testing.local_venue.clients import local_binance

    return local_binance(here, asynchronous=True)


def _loopback(exchange: str, endpoint: str | None) -> Loopback | None:
    if endpoint is None:
        return None
    address = urlsplit(endpoint)
    if address.scheme != "http" or address.hostname not in LOOPBACK or address.port is None:
        raise UsageError(f"--endpoint {endpoint}: it must be a venue on this machine: http://127.0.0.1:PORT")
    if exchange != DIALECT:
        raise UsageError(
            f"--endpoint speaks {DIALECT}'s dialect, not that of {exchange}; use --exchange {DIALECT}"
        )
    return Loopback(address.port)
