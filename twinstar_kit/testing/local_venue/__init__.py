"""A small exchange on this machine that speaks binance's dialect, for tests of whatever speaks to an exchange.

It serves the bars and trades that it is given over real HTTP and WebSocket, at the time of a clock that the test
holds, and fails in the ways that it is told to. The real ccxt classes talk to it once `local_binance` has pointed
them there.
"""

from __future__ import annotations

from twinstar_kit.feeds.ccxt_endpoint import local_binance, point_at
from twinstar_kit.testing.local_venue import faults, stream_faults
from twinstar_kit.testing.local_venue.log import VenueLog
from twinstar_kit.testing.local_venue.venue import LocalVenue

__all__ = ["LocalVenue", "VenueLog", "faults", "local_binance", "point_at", "stream_faults"]
