"""Errors that a user can act on: each message names the rule that was broken and the way out."""

from __future__ import annotations


class TwinStarError(Exception):
    """Root of all errors that are shown to people as one line, without a traceback."""


class UsageError(TwinStarError):
    """A request that cannot be served as it was written: an unknown name, a value out of range."""


class DataError(TwinStarError):
    """Market data that breaks a rule; the message names the row and the rule."""


class InstrumentError(TwinStarError):
    """An instrument that is unknown, or whose numbers would not fit the kernel's integers."""


class OrderError(TwinStarError):
    """An order that breaks a rule of the venue before it could be sent."""
