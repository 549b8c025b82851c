"""Faults of the local venue's streams: lost, late, doubled and reordered messages, cut and silent connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from twinstar_kit.testing.local_venue.faults import Fault


@dataclass(kw_only=True)
class StreamFault(Fault):
    """A fault in the messages of the streams whose name holds `stream`, such as "@trade"; None means all.

    Each message to each connection is one chance to strike.
    """

    stream: str | None = None

    def concerns_stream(self, stream: str) -> bool:
        """Whether this fault may strike a message of `stream`."""
        return self.stream is None or self.stream in stream


@dataclass(kw_only=True)
class Dropped(StreamFault):
    """The connection is cut in place of a message, without a goodbye."""


@dataclass(kw_only=True)
class Stalled(StreamFault):
    """From a message on the connection stays open, answers pings, and brings nothing more."""


@dataclass(kw_only=True)
class Lost(StreamFault):
    """A message is not sent: a gap in the ids."""


@dataclass(kw_only=True)
class Repeated(StreamFault):
    """A message is sent twice."""


@dataclass(kw_only=True)
class Reordered(StreamFault):
    """A message is sent after the next one of its stream."""

    held: dict[tuple[int, str], str] = field(default_factory=dict, init=False, repr=False)
