"""`twinstar data collect` as a user runs it: a process of its own, ended by Ctrl-C with nothing lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from commands import Commands
from lake.live import MARKET, MINUTE

from twinstar_kit.feeds import SystemClock
from twinstar_kit.lake import Kind, Lake, Series
from twinstar_kit.testing.local_venue import LocalVenue

SYMBOL = "BTC/USDT"


@pytest.fixture
def twinstar(capsys, home, monkeypatch):
    monkeypatch.setenv("TWINSTAR_LAKE", str(home / "lake"))
    return Commands(capsys)


def test_ctrl_c_ends_it_cleanly_with_every_trade_stored(tmp_path):
    clock = SystemClock()
    now_ms = clock.milliseconds()
    trades = MARKET.trades(SYMBOL, now_ms - MINUTE, now_ms + 10 * MINUTE).copy()
    trades["id"] = 500 + np.arange(len(trades))
    venue = LocalVenue(MARKET, trades={SYMBOL: trades}, clock=clock)
    with venue:
        command = [sys.executable, "-m", "twinstar_kit", "data", "collect", "--exchange", "binance", "--symbol", SYMBOL,
                   "--endpoint", venue.url, "--lake", str(tmp_path / "lake"), "--json"]  # fmt: skip
        environment = {**os.environ, "TWINSTAR_HOME": str(tmp_path)}
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        try:
            venue.log.wait("message", 8, patience_s=120, stream="btcusdt@aggTrade")
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    report = json.loads(out)
    assert report["trades"] > 3
    assert "Traceback" not in err
    with Lake(tmp_path / "lake") as lake:
        ticks = Series("binance", SYMBOL, kind=Kind.TRADES)
        ids = np.concatenate([chunk.rows[:, 4] for chunk in lake.scan(ticks)])
        assert len(ids) == report["trades"]
        assert (np.diff(ids) == 1).all()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--exchange", "binanc"], "did you mean binance"),
        (["--exchange", "binance", "--symbol", "BTC/USDT", "--top", "3"], "leave --top and --quote out"),
        (["--exchange", "binance", "--for", "soon"], "--for soon"),
        (["--exchange", "okx", "--endpoint", "http://127.0.0.1:1"], "speaks binance's dialect"),
        (["--exchange", "binance", "--endpoint", "http://example.org"], "must be a venue on this machine"),
        (["--exchange", "binance", "--top", "0"], "top"),
        ([], "exchange"),
    ],
)
def test_bad_input_is_one_line(twinstar, words, says):
    assert says in twinstar("data", "collect", *words).refusal
