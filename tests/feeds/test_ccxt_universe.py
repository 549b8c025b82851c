"""Which symbols of a venue are followed, by name, by file and by turnover."""

from __future__ import annotations

import pytest

from twinstar_kit.feeds.ccxt_universe import followed
from twinstar_kit.kernel.errors import UsageError
from twinstar_kit.settings import load_settings


class Ranked:
    """A source that only ranks."""

    def top_symbols(self, n, quote=None):
        return [f"C{at}/{quote or 'USDT'}" for at in range(n)]


def test_the_universe_is_what_is_named_or_a_file_or_the_most_traded(tmp_path, home):
    assert followed(Ranked(), symbols=["btcusdt", "BTC/USDT", "ETH/USDT:USDT"]) == [
        "BTC/USDT",
        "ETH/USDT:USDT",
    ]
    assert len(followed(Ranked())) == 98
    assert followed(Ranked(), top=2, quote="KRW") == ["C0/KRW", "C1/KRW"]
    assert followed(Ranked(), settings=load_settings(universe_top=1, universe_quote="EUR")) == ["C0/EUR"]
    file = tmp_path / "symbols.txt"
    file.write_text("BTC/USDT  # the first\n\nethusdt\n# nothing\n")
    assert followed(Ranked(), settings=load_settings(universe=file)) == ["BTC/USDT", "ETH/USDT"]
    assert followed(Ranked(), top=1, settings=load_settings(universe=file)) == ["C0/USDT"]
    file.write_text("# nothing\n")
    with pytest.raises(UsageError, match="names no symbol"):
        followed(Ranked(), settings=load_settings(universe=file))
    with pytest.raises(UsageError, match="cannot be read"):
        followed(Ranked(), settings=load_settings(universe=tmp_path / "none.txt"))
