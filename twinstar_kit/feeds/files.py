"""Bars from Parquet, CSV and Feather files: every rule that a file can break is named in one line, with the way out."""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from twinstar_kit.feeds.clock import to_milliseconds
from twinstar_kit.feeds.resample import resample
from twinstar_kit.feeds.tables import COLUMNS, LABEL, numbers, read_table, timestamps
from twinstar_kit.kernel.bars import Bars, parse_timeframe
from twinstar_kit.kernel.errors import DataError, InstrumentError
from twinstar_kit.kernel.instruments import Instrument, Number
from twinstar_kit.kernel.money import to_decimal

UNNAMED = "DATA/USDT"  # what is traded when neither the caller nor the file's name says it

# Quotes that an unseparated symbol may end with, longest first where one ends like another.
QUOTES = ("FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USDD", "USDE", "DAI", "USD", "KRW", "EUR", "GBP", "JPY", "TRY",
          "BRL", "AUD", "BTC", "ETH", "BNB")  # fmt: skip

Time = int | str | datetime


def load_bars(
    path: str | os.PathLike[str],
    symbol: str | None = None,
    exchange: str | None = None,
    timeframe: str | None = None,
    tick: Number | None = None,
    lot: Number | None = None,
    since: Time | None = None,
    until: Time | None = None,
) -> Bars:
    """Read bars from a Parquet, CSV or Feather file with the columns timestamp, open, high, low, close and volume.

    Timestamps are bar opens in whole milliseconds UTC, or a column of a date type. `symbol` and `exchange` name the
    instrument; what is not given is taken from a file name such as `binance_BTCUSDT_spot_1m_2025.parquet`. Prices
    count 1e-8 whatever the rows hold; `tick` and `lot` are the grid of orders. The timeframe is the smallest
    distance of two rows; a longer `timeframe` joins bars. Bars that open in [since, until) are kept.

    DataError for everything that is wrong with the file or its rows; the message names the file and the row (the
    first is row 0).
    """
    file = Path(path)
    table, label = read_table(file)

    def refused(error: Exception) -> DataError:
        return DataError(f"{file}: {error}")

    try:
        if not table.num_rows:
            raise DataError("there are no bars in it")
        stamps = timestamps(table["timestamp"])
        columns = {name: numbers(table[name], name) for name in COLUMNS[1:]}
        bars = _count(file, stamps, columns, label, symbol, exchange, tick, lot, timeframe)
        if timeframe is not None:
            bars = resample(bars, parse_timeframe(timeframe))
    except DataError as error:
        raise refused(error) from None
    since_ms, until_ms = (None if when is None else to_milliseconds(when) for when in (since, until))
    if since_ms is not None or until_ms is not None:
        kept = bars.between(since_ms, until_ms)
        if not len(kept):
            first, last = (_show_time(int(at)) for at in bars.timestamp[[0, -1]])
            raise refused(DataError(f"no bars between since and until; the file holds {first} to {last}"))
        bars = kept
    if not len(bars):
        raise refused(DataError(f"too short for one complete bar of {timeframe}"))
    return bars


def save_bars(bars: Bars, path: str | os.PathLike[str]) -> Path:
    """Write `bars` to a Parquet file that `load_bars` reads back to the same integers.

    The instrument and where the bars came from are kept in the file's metadata, so that simulated bars stay
    labelled as simulated. The file appears complete or not at all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path)
    label = {"instrument": bars.instrument.canonical(), "source": bars.source, "simulated": bars.simulated}
    table = pa.table({name: getattr(bars, name) for name in COLUMNS})
    table = table.replace_schema_metadata({LABEL: json.dumps(label, sort_keys=True).encode()})
    aside = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        pq.write_table(table, aside, compression="zstd")
        os.replace(aside, file)
    finally:
        aside.unlink(missing_ok=True)
    return file


def normalise_symbol(symbol: str) -> str:
    """A symbol in ccxt's form, from the forms that exchanges use.

    >>> [normalise_symbol(s) for s in ("BTCUSDT", "btc/usdt", "ETH-USDT", "KRW-XRP", "BTC_KRW")]
    ['BTC/USDT', 'BTC/USDT', 'ETH/USDT', 'XRP/KRW', 'BTC/KRW']
    """
    text = symbol.strip().upper()
    parts = [part for part in re.split(r"[/_-]", text) if part]
    if len(parts) == 2 and "KRW" in parts[:1] and "-" in text:  # Korean exchanges write the quote first
        parts.reverse()
    if len(parts) == 1:
        quote = next((q for q in QUOTES if text.endswith(q) and len(text) > len(q)), None)
        parts = [text[: -len(quote)], quote] if quote else parts
    if len(parts) != 2 or not all(re.fullmatch(r"[A-Z0-9.]+(:[A-Z0-9]+)?", part) for part in parts):
        raise InstrumentError(f"{symbol!r} is not a symbol; write it as BASE/QUOTE, such as BTC/USDT")
    return "/".join(parts)


def guess_name(path: str | os.PathLike[str]) -> tuple[str | None, str | None]:
    """Exchange and symbol that a file's name tells, or None for each that it does not.

    >>> guess_name("binance_BTCUSDT_spot_1m_20250101.parquet"), guess_name("prices.csv")
    (('binance', 'BTC/USDT'), (None, None))
    """
    words = re.split(r"[_.]", Path(path).name)
    for at, exchange in ((1, words[0]), (0, None)):
        for width in (1, 2):  # BTCUSDT, or BTC_USDT
            text = "/".join(words[at : at + width])
            known = text.isupper() and any(text.endswith(quote) for quote in QUOTES)
            if known and len(words) > at + width:
                try:
                    return exchange, normalise_symbol(text)
                except InstrumentError:
                    continue
    return None, None


def infer_timeframe(stamps: npt.NDArray[np.int64], stated: str | None) -> int:
    """The distance of the closest two rows, which all distances must be a multiple of."""
    steps = np.diff(stamps)
    if not len(steps):
        if stated is None:
            raise DataError("one bar does not tell its timeframe; pass timeframe, such as 1m")
        return parse_timeframe(stated)
    if (steps <= 0).any():
        return 1  # refused, row by row, when the bars are made
    shortest = int(steps.min())
    off = steps % shortest != 0
    if stated is not None and off.any():  # bars of a quiet market: the caller knows what they are
        shortest = parse_timeframe(stated)
        off = steps % shortest != 0
    if off.any():
        row = int(off.argmax()) + 1
        raise DataError(
            f"row {row}: timestamp {stamps[row]} is {steps[row - 1]} ms after the row before, while others are"
            f" {shortest} ms apart; timestamps must lie on one grid (or pass timeframe)"
        )
    if shortest % 1000:
        raise DataError(f"rows are {shortest} ms apart; bars last whole seconds (is this a file of trades?)")
    return shortest


def _count(
    file: Path, stamps: npt.NDArray[np.int64], columns: dict[str, npt.NDArray[np.float64]], label: dict[str, Any],
    symbol: str | None, exchange: str | None, tick: Number | None, lot: Number | None, timeframe: str | None,
) -> Bars:  # fmt: skip
    timeframe_ms = infer_timeframe(stamps, timeframe)
    if label and symbol is None and exchange is None and tick is None and lot is None:
        instrument = _labelled_instrument(label)
    else:
        instrument = loose_instrument(file, symbol, exchange, tick, lot)
    return Bars.from_floats(
        instrument, timeframe_ms, stamps, **columns,
        source=label.get("source") or f"file:{file.name}", simulated=bool(label.get("simulated", False)),
    )  # fmt: skip


def _labelled_instrument(label: dict[str, Any]) -> Instrument:
    try:
        return Instrument.from_canonical(label["instrument"])
    except (KeyError, TypeError):
        raise DataError(
            "its instrument was saved by another version; name it, such as symbol BTC/USDT"
        ) from None


def loose_instrument(
    file: str | os.PathLike[str], symbol: str | None = None, exchange: str | None = None,
    tick: Number | None = None, lot: Number | None = None,
) -> Instrument:  # fmt: skip
    """The rules for a file that comes without any: fixed units of 1e-8, never taken from the rows.

    Amounts count whole units instead when `lot` is 1 or more, for coins of which billions change hands.
    """
    guessed_exchange, guessed_symbol = guess_name(file)
    name = normalise_symbol(symbol) if symbol else guessed_symbol or UNNAMED
    venue = exchange or guessed_exchange or "virtual"
    tick, lot = (
        None if size is None else str(size) for size in (tick, lot)
    )  # a size of 0 is refused, not left out
    if lot is not None and to_decimal(lot) >= 1:
        return Instrument.from_sizes(name, tick or "1e-8", lot, exchange=venue, price_scale=8, amount_scale=0)
    return Instrument.loose(name, tick=tick, lot=lot, exchange=venue)


def _show_time(ts_ms: int) -> str:
    return f"{datetime.fromtimestamp(ts_ms / 1000, UTC):%Y-%m-%d %H:%M}"
