"""The real ccxt classes, pointed at a venue on this machine that speaks binance's dialect, and at nothing else."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from twinstar_kit.kernel.errors import UsageError

LOOPBACK = ("127.0.0.1", "localhost")
DIALECT = "binance"
# Where each family of ccxt's binance URLs goes. The path of spot streams holds /stream because ccxt tells spot from
# swap by it.
_REST = {"public": "/api/v3", "private": "/api/v3", "fapiPublic": "/fapi/v1", "dapiPublic": "/dapi/v1"}
_STREAMS = {"spot": "/stream/ws", "margin": "/stream/ws", "linear": "/swap/ws"}
_NOT_SERVED = "/not-served"


class Address(Protocol):
    """Where a venue of this machine is served."""

    @property
    def port(self) -> int: ...
    @property
    def url(self) -> str: ...
    @property
    def ws_url(self) -> str: ...


class Loopback(NamedTuple):
    """A venue on this machine, by its port."""

    port: int

    @property
    def url(self) -> str:
        """Where REST is served."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        """Where streams are served."""
        return f"ws://127.0.0.1:{self.port}"


def loopback(exchange: str, endpoint: str) -> Loopback:
    """The address that `endpoint` names; UsageError unless it is on this machine and of binance's dialect.

    >>> loopback("binance", "http://127.0.0.1:8080").ws_url
    'ws://127.0.0.1:8080'
    """
    address = urlsplit(endpoint)
    if address.scheme != "http" or address.hostname not in LOOPBACK or address.port is None:
        raise UsageError(f"endpoint {endpoint}: it must be a venue on this machine: http://127.0.0.1:PORT")
    if exchange != DIALECT:
        raise UsageError(
            f"endpoint {endpoint} speaks {DIALECT}'s dialect, not that of {exchange}; say {DIALECT}"
        )
    return Loopback(address.port)


def local_binance(venue: Address, asynchronous: bool = False, **config: Any) -> Any:
    """A `ccxt.binance`, or with `asynchronous` a `ccxt.pro.binance`, that can reach nothing but `venue`.

    Every family of URLs that ccxt knows is replaced, those of its test nets too; a family that the venue does not
    serve leads to its 404. `config` goes to the class. Close the asynchronous one (`await exchange.close()`).
    """
    if asynchronous:
        import ccxt.pro

        return point_at(venue, ccxt.pro.binance(config))
    import ccxt

    return point_at(venue, ccxt.binance(config))


def point_at(venue: Address, exchange: Any) -> Any:
    """Replace every URL of a ccxt binance object by one of `venue`; returns the object."""
    for name in list(exchange.urls):
        exchange.urls[name] = _replaced(exchange.urls[name], venue, (name,))
    exchange.hostname = f"127.0.0.1:{venue.port}"
    return exchange


def _replaced(value: Any, venue: Address, path: tuple[str, ...]) -> Any:
    if isinstance(value, dict):
        return {name: _replaced(inner, venue, (*path, name)) for name, inner in value.items()}
    if isinstance(value, list):
        return [_replaced(inner, venue, path) for inner in value]
    if not isinstance(value, str):
        return value
    if "ws" in path:
        return venue.ws_url + _STREAMS.get(path[-1], _NOT_SERVED)
    return venue.url + (
        _REST.get(path[-1], _NOT_SERVED) if path[0] in ("api", "test", "demo") else _NOT_SERVED
    )
