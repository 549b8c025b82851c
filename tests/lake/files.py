"""Builders of files as other programs and exchanges write them, from one plain table of bars or trades."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd

START, MINUTE = 1_735_689_600_000, 60_000  # 2025-01-01


def bars(rows: int = 6, first: int = START, step: int = MINUTE, seed: int = 1) -> pd.DataFrame:
    """Sound bars with prices of two decimals and volumes of five."""
    random = np.random.default_rng(seed)
    opened = np.round(90_000 + random.normal(0, 40, rows).cumsum(), 2)
    close = np.round(opened + random.normal(0, 15, rows), 2)
    high = np.round(np.maximum(opened, close) + random.exponential(5, rows), 2)
    low = np.round(np.minimum(opened, close) - random.exponential(5, rows), 2)
    volume = np.round(random.exponential(4, rows), 5)
    stamps = first + step * np.arange(rows)
    return pd.DataFrame(
        {"timestamp": stamps, "open": opened, "high": high, "low": low, "close": close, "volume": volume}
    )


def trades(rows: int = 8, first: int = START, seed: int = 2, first_id: int = 500) -> pd.DataFrame:
    """Trades with ascending ids, two of them at one time."""
    random = np.random.default_rng(seed)
    stamps = first + np.sort(random.integers(0, 5 * MINUTE, rows))
    stamps[1] = stamps[0]
    return pd.DataFrame(
        {
            "timestamp": stamps,
            "price": np.round(90_000 + random.normal(0, 40, rows).cumsum(), 2),
            "amount": np.round(random.exponential(0.3, rows) + 0.00001, 5),
            "side": random.choice(["buy", "sell"], rows),
            "id": first_id + np.arange(rows),
        }
    )


def write(table: pd.DataFrame, path: Path, **options) -> Path:
    """A table as pandas writes it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    {".csv": table.to_csv, ".parquet": table.to_parquet}.get(
        path.suffix, lambda p, index: table.to_feather(p)
    )(path, index=False)
    return path


def zipped(path: Path, text: str) -> Path:
    """One CSV in a zip, as exchanges offer it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(path.with_suffix(".csv").name, text)
    return path


def klines(table: pd.DataFrame, path: Path, *, header: bool = False, micro: bool = False) -> Path:
    """Binance's klines: twelve columns, prices with eight decimals."""
    scale = 1000 if micro else 1
    step = int(table.timestamp.iloc[1] - table.timestamp.iloc[0])
    names = "open_time,open,high,low,close,volume,close_time,quote_volume,count,taker_buy_volume,taker_buy_quote_volume,ignore"
    lines = [names] if header else []
    for row in table.itertuples():
        numbers = ",".join(f"{value:.8f}" for value in (row.open, row.high, row.low, row.close, row.volume))
        closes = row.timestamp * scale + step * scale - 1
        lines.append(f"{row.timestamp * scale},{numbers},{closes},{row.volume * row.close:.8f},7,0.5,100.0,0")
    text = "\n".join(lines) + "\n"
    if path.suffix == ".zip":
        return zipped(path, text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def agg_trades(table: pd.DataFrame, path: Path, *, header: bool = False, micro: bool = False) -> Path:
    """Binance's aggregated trades: the buyer is the maker where the taker sold."""
    names = "agg_trade_id,price,quantity,first_trade_id,last_trade_id,transact_time,is_buyer_maker"
    lines = [names + ("" if header else ",is_best_match")] if header else []
    for row in table.itertuples():
        maker = "true" if row.side == "sell" else "false"
        tail = maker if header else f"{maker.capitalize()},True"
        stamp = row.timestamp * 1000 + 123 if micro else row.timestamp
        lines.append(
            f"{row.id},{row.price:.8f},{row.amount:.8f},{row.id * 2},{row.id * 2 + 1},{stamp},{tail}"
        )
    return zipped(path, "\n".join(lines) + "\n")


def freqtrade(table: pd.DataFrame, path: Path) -> Path:
    """freqtrade's bars, in the format that the suffix names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    named = table.rename(columns={"timestamp": "date"})
    if path.name.endswith((".json", ".json.gz")):
        text = json.dumps(named.to_numpy().tolist())
        path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
        return path
    named = named.assign(date=pd.to_datetime(named.date, unit="ms", utc=True))
    named.to_feather(path) if path.suffix == ".feather" else named.to_parquet(path)
    return path
