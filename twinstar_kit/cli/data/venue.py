"""Which venue a command asks: a real one by its ccxt name, or one on this machine that stands in for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twinstar_kit.feeds.ccxt_source import CcxtSource
    from twinstar_kit.kernel.instruments import Instrument

Endpoint = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Ask a local venue, such as http://127.0.0.1:8080, instead of the real one; binance's dialect.",
    ),
]


def open_source(
    exchange: str, endpoint: str | None, units: Mapping[str, Instrument] | None = None
) -> CcxtSource:
    """The venue's history, in `units` where they are given; with an endpoint nothing but that address is ever reached."""
    from twinstar_kit.feeds.ccxt_endpoint import local_binance, loopback
    from twinstar_kit.feeds.ccxt_source import CcxtSource

    asked = exchange if endpoint is None else local_binance(loopback(exchange, endpoint))
    return CcxtSource(asked, instruments=units)


def open_streams(exchange: str, endpoint: str | None) -> Any:
    """The venue's streams, with the same promise."""
    from twinstar_kit.feeds.ccxt_endpoint import local_binance, loopback
    from twinstar_kit.feeds.ccxt_live import open_stream

    if endpoint is None:
        return open_stream(exchange)
    return local_binance(loopback(exchange, endpoint), asynchronous=True)
