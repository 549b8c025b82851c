"""Errors of strategies: each is one line that names the user's own file, line and text, and the way out."""

from __future__ import annotations

from dataclasses import dataclass

from twinstar_kit.kernel.errors import TwinStarError, UsageError


@dataclass(frozen=True)
class Place:
    """A line of the user's source, as an error names it."""

    file: str
    line: int
    text: str = ""

    def __str__(self) -> str:
        shown = "this cell" if _is_cell(self.file) else self.file
        return f"{shown}, line {self.line}"


def _is_cell(file: str) -> bool:
    return "ipykernel_" in file or file.startswith("<ipython-input")


class StrategyError(TwinStarError):
    """A strategy or an indicator that cannot be right; `place` is the line that shows it."""

    def __init__(self, message: str, place: Place | None = None) -> None:
        self.place = place
        self.rule = message
        where = f"{place}: " if place else ""
        quoted = f"  [{place.text}]" if place and place.text else ""
        super().__init__(f"{where}{message}{quoted}")


class StrategyFailed(StrategyError):
    """A strategy raised while it ran; `bar` is the index of the bar, `cause` the exception it raised."""

    def __init__(self, message: str, place: Place | None, bar: int, cause: BaseException) -> None:
        super().__init__(message, place)
        self.bar = bar
        self.cause = cause


class ParamError(UsageError):
    """A parameter that does not exist, has the wrong type, or lies outside its range."""


class UnknownStrategy(UsageError):
    """A strategy that cannot be found or loaded under the name or the path that was given."""


class NotCompilable(Exception):
    """Why a strategy runs interpreted: `reason` names the line and what the compiler does not take."""

    def __init__(self, reason: str, place: Place | None = None) -> None:
        self.place = place
        quoted = f"  [{place.text}]" if place and place.text else ""
        self.reason = f"{place}: {reason}{quoted}" if place else reason
        super().__init__(self.reason)
