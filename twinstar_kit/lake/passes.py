"""The compiled passes over the columns of bars: one that looks for what is wrong, one for what is unusual.

Both take six int64 columns of one chunk after another and keep what they carry over in `state`, so a series of any
length is checked in the memory of one chunk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from twinstar_kit.jit import compiled, inlined

# state of `basic_pass`
ROWS, FIRST, LAST, DUPLICATES, ORDER, GRID, OHLC, PRICES, VOLUMES, BROKEN = range(10)
BASIC_STATE = 10
COUNTED = (DUPLICATES, ORDER, GRID, OHLC, PRICES, VOLUMES)
"""The counters that keep their first offenders, in the rows of `first`."""
KEPT = 8
"""First offenders that are kept of each."""

# state of `unusual_pass`
(SEEN, RUN, RUN_FROM, RUN_PRICE, STALE_RUNS, STALE_BARS, STALE_LONGEST, REPEATED, OFF_TICK, ZERO_VOLUME, DAY_END, DAY_BARS,
 DAY_TICK, COPY_OPEN, COPY_HIGH, COPY_LOW, COPY_CLOSE, COPY_VOLUME) = range(18)  # fmt: skip
UNUSUAL_STATE = 18
UNUSUAL_COUNTED = (STALE_RUNS, REPEATED, OFF_TICK)

BLOCK = 2048
DAY_MS = 86_400_000


@inlined
def _note(state: Any, first: Any, counter: int, line: int, stamp: int) -> None:
    if state[counter] < KEPT:
        first[line, state[counter]] = stamp
    state[counter] += 1


@compiled
def clean(ts: Any, o: Any, h: Any, low: Any, c: Any, v: Any, after: int, step: int) -> bool:
    """Whether a chunk follows the bar at `after` without any fault that `basic_pass` would count.

    Two words tell: the OR of all differences of times with the timeframe is zero, and the OR of all differences that
    must not be negative has no sign bit. So the columns are read once, several rows at a time, as they were stored:
    prices may count any unit, and 32 bits do.
    """
    n = len(ts)
    begin = 0
    while begin < n:
        end = min(begin + BLOCK, n)
        if (ts[begin] - after) ^ step | _steps(ts[begin + 1 : end], ts[begin : end - 1], step) != 0:
            return False
        if _signs(o[begin:end], h[begin:end], low[begin:end], c[begin:end], v[begin:end]) < 0:
            return False
        after = ts[end - 1]
        begin = end
    return True


@inlined
def _steps(later: Any, earlier: Any, step: int) -> int:
    """Zero when all differences equal `step`."""
    odd = 0
    for k in range(len(earlier)):
        odd |= (later[k] - earlier[k]) ^ step
    return odd


@inlined
def _signs(o: Any, h: Any, low: Any, c: Any, v: Any) -> int:
    """Negative when a bar's parts contradict each other, a price is not above zero or a volume is below."""
    sign = 0
    for k in range(len(o)):
        sign |= (h[k] - o[k]) | (h[k] - c[k]) | (o[k] - low[k]) | (c[k] - low[k]) | (low[k] - 1) | v[k]
    return sign


@compiled
def basic_pass(
    ts: Any,
    o: Any,
    h: Any,
    low: Any,
    c: Any,
    v: Any,
    step: int,
    shift: int,
    state: Any,
    first: Any,
    gaps: Any,
) -> int:
    """Gaps, duplicates, order, grid, OHLC and signs of one chunk, row by row; returns the gaps written to `gaps`.

    `gaps` has room for len(ts) intervals: first missing open, first open after.
    """
    found = 0
    for k in range(len(ts)):
        t = ts[k]
        if state[ROWS] == 0:
            state[FIRST] = t
        state[ROWS] += 1
        if (t - shift) % step != 0:
            _note(state, first, GRID, 2, t)
        elif state[LAST] == np.iinfo(np.int64).min:
            state[LAST] = t
        elif t == state[LAST]:
            _note(state, first, DUPLICATES, 0, t)
        elif t < state[LAST]:
            _note(state, first, ORDER, 1, t)
        else:
            absent = (t - state[LAST]) // step - 1
            if absent > 0:
                gaps[found, 0] = state[LAST] + step
                gaps[found, 1] = t
                found += 1
            state[LAST] = t
        torn = h[k] < o[k] or h[k] < c[k] or h[k] < low[k] or low[k] > o[k] or low[k] > c[k]
        sunk = o[k] <= 0 or h[k] <= 0 or low[k] <= 0 or c[k] <= 0
        if torn:
            _note(state, first, OHLC, 3, t)
        if sunk:
            _note(state, first, PRICES, 4, t)
        if v[k] < 0:
            _note(state, first, VOLUMES, 5, t)
        if torn or sunk or v[k] < 0:
            state[BROKEN] += 1
    return found


@inlined
def _common_divisor(a: int, b: int) -> int:
    while b != 0:
        a, b = b, a % b
    return a


@inlined
def _close_run(state: Any, first: Any, run: int, stale: int) -> None:
    """End a run of bars that stood still, which counts from `stale` bars on."""
    if run >= stale:
        _note(state, first, STALE_RUNS, 0, state[RUN_FROM])
        state[STALE_BARS] += run
        state[STALE_LONGEST] = max(state[STALE_LONGEST], run)


@compiled
def unusual_pass(
    ts: Any, o: Any, h: Any, low: Any, c: Any, v: Any, tick: int, stale: int, state: Any, first: Any, ticks: Any,
    last: bool,
) -> int:  # fmt: skip
    """Stale runs, copied bars, prices off the tick and each day's tick; returns the days written to `ticks`.

    A run is stale when at least `stale` bars in a row stand on one price. A copy is a bar that moved and traded, and
    equals the one before in all five columns. `ticks` takes (day, greatest common divisor of its prices, bars).
    `last` closes what is open.
    """
    days = 0
    on_tick = tick == 1  # so are all prices whose common divisor is a multiple of the tick
    run, run_price, seen = state[RUN], state[RUN_PRICE], state[SEEN]
    day_end, day_tick, day_begin = state[DAY_END], state[DAY_TICK], state[DAY_BARS]
    po, ph, pl, pc, pv = (
        state[COPY_OPEN],
        state[COPY_HIGH],
        state[COPY_LOW],
        state[COPY_CLOSE],
        state[COPY_VOLUME],
    )
    for k in range(len(ts)):
        t, ok, hk, lk, ck, vk = ts[k], o[k], h[k], low[k], c[k], v[k]
        if t >= day_end:
            if seen:
                ticks[days, 0], ticks[days, 1], ticks[days, 2] = (
                    day_end // DAY_MS - 1,
                    day_tick,
                    seen - day_begin,
                )
                days += 1
            day_end = (t // DAY_MS + 1) * DAY_MS
            day_tick = 0
            day_begin = seen
            on_tick = tick == 1
        seen += 1
        flat = hk == lk
        if flat and run > 0 and ck == run_price:
            run += 1
        elif flat or run > 0:
            _close_run(state, first, run, stale)
            run = 1 if flat else 0
            run_price = ck
            state[RUN_FROM] = t
        if vk == 0:
            state[ZERO_VOLUME] += 1
        elif not flat and vk == pv and ok == po and hk == ph and lk == pl and ck == pc:
            _note(state, first, REPEATED, 1, t)
        po, ph, pl, pc, pv = ok, hk, lk, ck, vk
        if day_tick != 1 and (
            day_tick == 0 or (ok % day_tick) | (hk % day_tick) | (lk % day_tick) | (ck % day_tick) != 0
        ):
            day_tick = _common_divisor(_common_divisor(abs(ok), abs(ck)), day_tick)
            day_tick = _common_divisor(_common_divisor(abs(hk), abs(lk)), day_tick)
            on_tick = day_tick % tick == 0
        if not on_tick and (ok % tick) | (hk % tick) | (lk % tick) | (ck % tick) != 0:
            _note(state, first, OFF_TICK, 2, t)
    state[RUN], state[RUN_PRICE], state[SEEN] = run, run_price, seen
    state[DAY_END], state[DAY_TICK], state[DAY_BARS] = day_end, day_tick, day_begin
    state[COPY_OPEN], state[COPY_HIGH], state[COPY_LOW] = po, ph, pl
    state[COPY_CLOSE], state[COPY_VOLUME] = pc, pv
    if last and seen:
        _close_run(state, first, run, stale)
        ticks[days, 0], ticks[days, 1], ticks[days, 2] = day_end // DAY_MS - 1, day_tick, seen - day_begin
        days += 1
    return days
