"""Bars on their way to the chart, and the chart's own arithmetic against TA-Lib."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from twinstar_kit.feeds.base import Feed, open_feed
from twinstar_kit.feeds.replay import Replay
from twinstar_kit.kernel.bars import Bars
from twinstar_kit.kernel.errors import InstrumentError, UsageError
from twinstar_kit.kernel.instruments import Instrument
from twinstar_kit.terminal.wire import HEAD, NO_BAR, bars_message, base_step

MINUTE_MS = 60_000
DAY_MS = 86_400_000
NOW_MS = 1_763_812_830_000
CHART = Path(__file__).parents[2] / "twinstar_kit" / "terminal" / "web" / "src" / "chart"
BTC = Instrument.from_sizes("BTC/USDT")


def unpack(message: bytes) -> tuple[dict[str, Any], np.ndarray]:
    magic, n, start, step, now, one = HEAD.unpack_from(message)
    assert magic == b"TSB1"
    counts = np.frombuffer(message, np.int32, 4 * n, HEAD.size).reshape(4, n)
    columns = np.empty((5, n))
    columns[:4] = np.where(counts == NO_BAR, np.nan, counts / one)
    columns[4] = np.frombuffer(message, np.float32, n, HEAD.size + 16 * n)
    return {"n": n, "start": start, "step": step, "now": now, "one": one}, columns


@pytest.fixture(scope="module")
def feed() -> Feed:
    return open_feed("simulated:7")


def made_up(minutes: list[int]) -> Replay:
    """A replay with bars at these minutes of 2025-01-01, each closing at its minute's number plus one."""
    start = 1_735_689_600_000
    close = np.array(minutes, float) + 1
    return Replay(
        [
            Bars.from_floats(
                BTC, MINUTE_MS, [start + m * MINUTE_MS for m in minutes], close, close, close, close, close
            )
        ]
    )


def test_a_year_begins_at_midnight_and_ends_with_the_last_complete_bar(feed: Feed):
    head, columns = unpack(bars_message(feed, "BTC/USDT", NOW_MS, 1))
    assert head["start"] * MINUTE_MS % DAY_MS == 0
    assert head["start"] + head["n"] == NOW_MS // MINUTE_MS
    assert 365 * 1440 <= head["n"] < 366 * 1440
    bars = feed.bars("BTC/USDT", NOW_MS - 10 * MINUTE_MS, NOW_MS // MINUTE_MS * MINUTE_MS)
    for row, name in enumerate(("open", "high", "low", "close")):
        assert columns[row, -len(bars) :].tolist() == getattr(bars, name).tolist()  # exact, to the tick
    assert np.allclose(columns[4, -len(bars) :], bars.volume, rtol=1e-6)


def test_a_window_never_reaches_past_now(feed: Feed):
    now = NOW_MS // MINUTE_MS
    head, _ = unpack(bars_message(feed, "BTC/USDT", NOW_MS, 15, now - 600, now + 6_000))
    assert head["start"] % 15 == 0
    assert (head["start"] + head["n"] * 15) * MINUTE_MS <= NOW_MS


def test_a_bar_that_does_not_exist_is_not_invented():
    replay = made_up([0, 1, 4, 5])
    now = 1_735_689_600_000 + 6 * MINUTE_MS
    _, columns = unpack(bars_message(replay, "BTC/USDT", now, 1))
    assert columns[3, :6].tolist()[:2] == [1.0, 2.0]
    assert np.isnan(columns[:4, 2:4]).all()
    assert columns[3, 4:6].tolist() == [5.0, 6.0]


def test_prices_without_a_tick_keep_nine_digits():
    won = Instrument.loose("BTC/KRW")
    close = np.array([162_357_000.0, 162_356_000.5])
    replay = Replay([Bars.from_floats(won, MINUTE_MS, [0, MINUTE_MS], close, close, close, close, close)])
    head, columns = unpack(bars_message(replay, "BTC/KRW", 2 * MINUTE_MS, 1))
    assert columns[3].tolist() == [162_357_000.0, 162_356_000.5]
    assert head["one"] == 10.0


def test_before_the_first_bar_there_is_nothing():
    replay = made_up([10, 11])
    head, _ = unpack(bars_message(replay, "BTC/USDT", replay.span()[0], 1))
    assert head["n"] >= 0
    assert (head["start"] + head["n"]) * MINUTE_MS <= replay.span()[0]


def test_longer_bars_are_the_base_where_there_are_no_minutes():
    hours = np.arange(48) * 60 * MINUTE_MS + 1_735_689_600_000
    ones = np.ones(48)
    replay = Replay([Bars.from_floats(BTC, 60 * MINUTE_MS, hours, ones, ones, ones, ones, ones)])
    assert base_step(replay) == 60
    head, _ = unpack(bars_message(replay, "BTC/USDT", int(hours[-1]) + 60 * MINUTE_MS, 60))
    assert (head["n"], head["step"]) == (48, 60.0)
    with pytest.raises(UsageError, match="has bars of 60 minutes and its multiples, not of 1"):
        bars_message(replay, "BTC/USDT", int(hours[-1]), 1)


def test_bad_requests_name_the_rule(feed: Feed):
    with pytest.raises(UsageError, match="too many for one answer"):
        bars_message(feed, "BTC/USDT", NOW_MS, 1, 0, NOW_MS // MINUTE_MS)
    with pytest.raises(InstrumentError, match="did you mean BTC/USDT"):
        bars_message(feed, "BTC/USDX", NOW_MS, 1)


@pytest.fixture(scope="module")
def node() -> str:
    """The Node that the bundle is built with."""
    import runpy

    build = runpy.run_path(str(CHART.parents[2] / "build.py"))
    return str(build["node_and_npm"]()[0])


def run_chart(node: str, tmp_path: Path, message: bytes, body: str) -> Any:
    """Run the chart's own modules over a message of bars: `body` has `bars` and answers `result`."""
    (tmp_path / "bars.bin").write_bytes(message)
    script = tmp_path / "run.mjs"
    names = {"wire": "decodeBars", "pyramid": "buildPyramid, appendBars, derivePyramid, appendDerived"}
    imports = "\n".join(
        f'import {{ {what} }} from "{(CHART / name).as_uri()}.js";' for name, what in names.items()
    )
    script.write_text(f"""
import {{ readFileSync }} from "node:fs";
{imports}
const file = readFileSync({json.dumps(str(tmp_path / "bars.bin"))});
const bars = decodeBars(file.buffer.slice(file.byteOffset, file.byteOffset + file.length), 16);
const list = (array, n) => Array.from(array.subarray(0, n), (x) => (Number.isNaN(x) ? null : x));
let result;
{body}
console.log(JSON.stringify(result));
""")
    done = subprocess.run([node, str(script)], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def floats(values: list[float | None]) -> np.ndarray:
    return np.array([np.nan if value is None else value for value in values])


def test_the_layers_are_talibs(feed: Feed, node: str, tmp_path: Path):
    talib = pytest.importorskip("talib")
    message = bars_message(feed, "ETH/USDT", NOW_MS, 1, NOW_MS // MINUTE_MS - 3000, NOW_MS // MINUTE_MS)
    _, columns = unpack(message)
    lines = run_chart(
        node, tmp_path, message,
        """
        const { start, step, base } = bars;
        const { levels } = buildPyramid({ symbol: "X", timeframe: step, start, base });
        result = Object.fromEntries(Object.entries(levels[1].lines).map(([id, line]) => [id, list(line, levels[1].n)]));
        """,
    )  # fmt: skip
    close = columns[3].astype(float)
    for name, expected in {
        "sma20": talib.SMA(close, 20), "sma50": talib.SMA(close, 50), "ema50": talib.EMA(close, 50),
        "ema200": talib.EMA(close, 200),
    }.items():  # fmt: skip
        assert np.allclose(floats(lines[name]), expected, rtol=2e-7, equal_nan=True), name
    head, _ = unpack(message)
    typical, volume = columns[1:4].astype(float).mean(axis=0), columns[4].astype(float)
    day = (head["start"] + np.arange(head["n"])) // 1440
    expected = np.concatenate(
        [np.cumsum((typical * volume)[day == d]) / np.cumsum(volume[day == d]) for d in np.unique(day)]
    )
    assert np.allclose(floats(lines["vwap"])[day > day[0]], expected[day > day[0]], rtol=2e-7)


def test_bars_that_came_live_end_as_if_they_had_been_there(feed: Feed, node: str, tmp_path: Path):
    """Appending one bar at a time, each first half formed, gives the same levels and lines as loading them all."""
    end = NOW_MS // MINUTE_MS
    message = bars_message(feed, "BTC/USDT", NOW_MS, 1, end // 1440 * 1440 - 1440, end)
    answers = run_chart(
        node, tmp_path, message,
        """
        const { start, base } = bars, live = 300;
        const row = (k, part = 1) => [start + k, base.open[k], base.high[k] * part, base.low[k], base.close[k] * part, base.volume[k] * part];
        const head = (n) => { const c = { n, lines: {} };
          for (const f of ["open", "high", "low", "close", "volume"]) c[f] = base[f].slice(0, n);
          for (const id in base.lines) c.lines[id] = new Float32Array(n).fill(NaN);
          return c; };
        const grown = buildPyramid({ symbol: "X", timeframe: 1, start, base: head(base.n - live) });
        const derived = derivePyramid(grown, 15);
        for (let k = base.n - live; k < base.n; k++)
          for (const part of [0.5, 1]) appendDerived(derived, grown, appendBars(grown, [row(k, part)]));
        const whole = buildPyramid({ symbol: "X", timeframe: 1, start, base: head(base.n) });
        const whole15 = derivePyramid(whole, 15);
        const flat = (p) => Object.entries(p.levels).map(([step, c]) => [step, c.n, list(c.high, c.n), list(c.volume, c.n), ...Object.values(c.lines).map((l) => list(l, c.n))]);
        result = [flat(grown), flat(whole), flat(derived), flat(whole15)];
        """,
    )  # fmt: skip
    for one, other in ((answers[0], answers[1]), (answers[2], answers[3])):
        assert [level[:2] for level in one] == [level[:2] for level in other]
        for a, b in zip(one, other, strict=True):
            for values, expected in zip(a[2:], b[2:], strict=True):
                assert np.allclose(floats(values), floats(expected), rtol=1e-6, equal_nan=True), a[0]
