"""The WebSocket half of the local venue: streams that send what happens as its clock moves on."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Iterable
from functools import partial
from typing import Any

import aiohttp
from aiohttp import web

from twinstar_kit.feeds.clock import Clock
from twinstar_kit.testing.local_venue import stream_faults
from twinstar_kit.testing.local_venue.events import Events, known_stream
from twinstar_kit.testing.local_venue.faults import Call, Fault, ServerError, first_of
from twinstar_kit.testing.local_venue.log import VenueLog
from twinstar_kit.testing.local_venue.market import SPOT, SWAP
from twinstar_kit.testing.local_venue.stream_faults import StreamFault


class Connection:
    """One client: what it subscribed to, and what waits to be sent to it."""

    def __init__(self, number: int, family: str, request: web.Request, combined: bool) -> None:
        self.number, self.family, self.combined = number, family, combined
        self.streams: dict[str, None] = {}  # in the order of subscription
        self.silent = False
        self.socket = web.WebSocketResponse(compress=False)
        self._request = request
        self._outbox: asyncio.Queue[str | None] = asyncio.Queue()
        self._writing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Shake hands and begin to send."""
        await self.socket.prepare(self._request)
        self._writing = asyncio.create_task(self._write())

    def send(self, text: str) -> None:
        """Put a message in the outbox; a slow reader holds up nobody else."""
        self._outbox.put_nowait(text)

    def cut(self) -> None:
        """End the connection without a goodbye, after what is in the outbox."""
        self.silent = True
        self._outbox.put_nowait(None)

    def end(self) -> None:
        """Stop sending."""
        if self._writing is not None:
            self._writing.cancel()

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):
            while (text := await self._outbox.get()) is not None:
                await self.socket.send_str(text)
        if self._request.transport is not None:
            self._request.transport.close()


class Streams:
    """Holds the connections and publishes to them what happened since it published last."""

    def __init__(self, events: Events, clock: Clock, faults: list[Fault], log: VenueLog) -> None:
        self.events, self.clock, self.faults, self.log = events, clock, faults, log
        self._connections: list[Connection] = []
        self._opened = 0
        self._published_ms = clock.milliseconds()
        self._publishing = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        """Raw messages below /ws, /stream/ws and (of swaps) /swap/.../ws; wrapped in their stream's name at /stream."""
        spot, swap = partial(self._serve, SPOT, False), partial(self._serve, SWAP, False)
        return [
            web.get("/stream", partial(self._serve, SPOT, True)),
            web.get("/ws{tail:.*}", spot),
            web.get("/stream/ws{tail:.*}", spot),
            web.get("/swap/{category:.*}ws{tail:.*}", swap),
        ]

    async def _serve(self, family: str, combined: bool, request: web.Request) -> web.StreamResponse:
        call = Call("ws", dict(request.query), None, self.clock.milliseconds())
        broken = first_of(self.faults, ServerError, call)
        if broken:
            self.log.add(call.now_ms, type(broken).__name__, endpoint="ws", symbol=None)
            return web.Response(status=broken.status)
        self._opened += 1
        client = Connection(self._opened, family, request, combined)
        await client.open()
        self._connections.append(client)
        self._note("connected", client)
        self._subscribe(client, self._named(request))
        try:
            async for message in client.socket:
                if message.type == aiohttp.WSMsgType.TEXT:
                    self._command(client, message.data)
        finally:
            self._connections.remove(client)
            client.end()
            self._note("disconnected", client)
        return client.socket

    def _named(self, request: web.Request) -> list[str]:
        """The streams that an address names itself: /stream?streams=a/b or /ws/a."""
        names = request.query.get("streams", "").split("/") + request.match_info.get("tail", "").split("/")
        return [name for name in names if known_stream(name)]

    def _note(self, what: str, client: Connection, **detail: Any) -> None:
        self.log.add(self.clock.milliseconds(), what, connection=client.number, **detail)

    def _command(self, client: Connection, text: str) -> None:
        """SUBSCRIBE, UNSUBSCRIBE and LIST_SUBSCRIPTIONS, answered as binance does."""
        try:
            command = json.loads(text)
            method, number = command["method"], command.get("id")
            names = command.get("params", [])
        except (ValueError, KeyError, TypeError, AttributeError):
            client.send(
                json.dumps({"error": {"code": 3, "msg": "Invalid JSON: expected a method"}, "id": None})
            )
            return
        result: list[str] | None = None
        if method == "SUBSCRIBE":
            self._subscribe(client, names)
        elif method == "UNSUBSCRIBE":
            for name in names:
                client.streams.pop(name, None)
                self._note("unsubscribed", client, stream=name)
        elif method == "LIST_SUBSCRIPTIONS":
            result = list(client.streams)
        else:
            words = f"Invalid request: unknown method {method}"
            client.send(json.dumps({"error": {"code": 2, "msg": words}, "id": number}))
            return
        if not client.silent:
            client.send(json.dumps({"result": result, "id": number}))

    def _subscribe(self, client: Connection, names: Iterable[str]) -> None:
        for name in names:
            client.streams[name] = None
            self._note("subscribed", client, stream=name)

    # --- publishing ---

    async def publish(self) -> None:
        """Send what happened after the last publishing up to the clock's time, in the order of time."""
        async with self._publishing:
            since_ms, now_ms = self._published_ms, self.clock.milliseconds()
            if now_ms <= since_ms:
                return
            self._published_ms = now_ms
            for family in (SPOT, SWAP):
                clients = [client for client in self._connections if client.family == family]
                wanted = dict.fromkeys(name for client in clients for name in client.streams)
                for name, event in self.events.between(family, list(wanted), since_ms, now_ms):
                    self._deliver(name, event, [client for client in clients if name in client.streams])
            await asyncio.sleep(0)  # lets the outboxes begin to empty

    def _deliver(self, stream: str, event: Any, clients: list[Connection]) -> None:
        raw = json.dumps(event, separators=(",", ":"))
        for client in clients:
            if client.silent:
                continue
            text = f'{{"stream":"{stream}","data":{raw}}}' if client.combined else raw
            for message in self._through_faults(stream, client, text):
                client.send(message)
                self._note("message", client, stream=stream)

    def _through_faults(self, stream: str, client: Connection, text: str) -> list[str]:
        """What a client is sent in place of a message."""
        messages = [text]
        for fault in self.faults:
            if not isinstance(fault, StreamFault) or not fault.concerns_stream(stream):
                continue
            if isinstance(fault, stream_faults.Reordered):
                late = fault.held.pop((client.number, stream), None)
                if late is not None:
                    messages.append(late)
                    continue
            if not messages or not fault.strikes():
                continue
            self._note(type(fault).__name__, client, stream=stream)
            messages = self._strike(fault, stream, client, messages)
        return messages

    def _strike(self, fault: StreamFault, stream: str, client: Connection, messages: list[str]) -> list[str]:
        if isinstance(fault, stream_faults.Repeated):
            return messages * 2
        if isinstance(fault, stream_faults.Reordered):
            fault.held[client.number, stream] = messages[-1]
            return messages[:-1]
        if isinstance(fault, stream_faults.Stalled):
            client.silent = True
        elif isinstance(fault, stream_faults.Dropped):
            client.cut()
        return []

    async def cut_all(self) -> int:
        """Cut all connections without a goodbye; returns how many there were."""
        for client in self._connections:
            client.cut()
        return len(self._connections)
