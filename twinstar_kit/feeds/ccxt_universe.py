"""Which symbols of a venue are followed: named ones, those of a file, or the most traded ones."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from twinstar_kit.feeds.files import normalise_symbol
from twinstar_kit.feeds.source import Source
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.settings import Settings, load_settings


def followed(
    source: Source, *, symbols: Iterable[str] = (), top: int | None = None, quote: str | None = None,
    settings: Settings | None = None,
) -> list[str]:  # fmt: skip
    """Which symbols to follow: those that are named, else the `top` ones by turnover, else as the settings say.

    The settings' `universe` file has one symbol a line (# begins a comment); without it `universe_top` symbols are
    taken by their turnover of 24 hours, in `universe_quote` if that is set. UsageError for a file that cannot be read.
    """
    named = [normalise_symbol(symbol) for symbol in symbols]
    if named:
        return list(dict.fromkeys(named))
    settings = settings or load_settings()
    if top is None and quote is None and settings.universe is not None:
        return _listed_in(settings.universe)
    return source.top_symbols(top or settings.universe_top, quote or settings.universe_quote)


def _listed_in(file: Path) -> list[str]:
    try:
        lines = file.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"the universe's file {file} cannot be read: {error}") from None
    found = [normalise_symbol(text) for line in lines if (text := line.partition("#")[0].strip())]
    if not found:
        raise UsageError(f"the universe's file {file} names no symbol; write one a line, such as BTC/USDT")
    return list(dict.fromkeys(found))
