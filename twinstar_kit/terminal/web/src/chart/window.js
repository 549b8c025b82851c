// The window: the stretch of one level of the pyramid that lightweight-charts knows about.
//
// It reaches MARGIN screens past each side of the view and holds at most one bar a pixel. It is never set while the
// user drags, but at the drag's end or after IDLE_MS; a change of level sets data and visible range in one microtask,
// which lands in the same frame as the repaint, so nothing jumps. Positions are minutes since 1970 (UTC), as floats.

import { fold, makeColumns } from "./columns.js";
import { canShow, endOf, finestDivisor, STEPS } from "./pyramid.js";

const MARGIN = 1.5; // screens kept ready on each side
const REFILL = 0.75; // screens left on a side when the window is set anew, at rest
const STICKY_HIGH = 1.1; // bars a pixel at which the level gets coarser
const STICKY_LOW = 0.42; // bars a pixel at which it gets finer
const IDLE_MS = 120;
const MANY_BARS = 64; // appended at once: one setData is cheaper than so many updates

export class ChartWindow {
  /** `carrier`: the invisible series; `zoneMinutes`: the shown zone's offset; `onSet()` after each set or append. */
  constructor({ timeScale, carrier, plotWidth, zoneMinutes, onSet }) {
    Object.assign(this, { timeScale, carrier, plotWidth, zoneMinutes, onSet });
    this.shown = null; // {pyramid, step, start, n, bars, k0, atEnd}
    this.view = null; // [x0, x1]
    this.dragging = false;
    this.setting = false;
    this.scheduled = false;
    this.idleTimer = 0;
    this.stats = { set: 0, level: 0, ms: 0 };
    timeScale.subscribeVisibleLogicalRangeChange((range) => this.#rangeChanged(range));
  }

  /** Show `pyramid` over `view`. */
  show(pyramid, view) {
    this.pyramid = pyramid;
    this.#set(view);
  }

  /** Move the view, keeping the data. */
  look(view) {
    if (this.pyramid) this.#set(view);
  }

  /** The user took hold of the chart, or let go. */
  hold(down) {
    this.dragging = down;
    if (!down && this.view) queueMicrotask(() => this.#check());
  }

  /** The pyramid's tail changed: draw it, and follow it when the last bar was in view. */
  appended(pyramid, oldEnd) {
    if (pyramid !== this.pyramid || !this.shown?.atEnd) return;
    const { shown } = this;
    const level = pyramid.levels[shown.step];
    const n = level ? level.n - shown.k0 : Math.ceil((endOf(pyramid) - shown.start) / shown.step);
    const follow = !this.dragging && this.view[1] >= oldEnd - shown.step && endOf(pyramid) > oldEnd;
    const shift = follow ? endOf(pyramid) - oldEnd : 0;
    const view = [this.view[0] + shift, this.view[1] + shift];
    if (!level || n - shown.n > MANY_BARS || n > 3 * this.#capacity()) {
      if (!this.dragging) this.#set(view);
      return;
    }
    this.setting = true;
    for (let i = Math.max(0, shown.n - 1); i < n; i++) this.carrier.update(this.#item(shown, i));
    shown.n = n;
    if (follow) this.#applyView(view);
    this.setting = false;
    this.onSet();
  }

  /** Bar index in the window <-> minute; a bar's centre is its index. */
  toMinute(logical) {
    return this.shown.start + (logical + 0.5) * this.shown.step;
  }

  toLogical(minute) {
    return (minute - this.shown.start) / this.shown.step - 0.5;
  }

  /** Stop the timers. */
  close() {
    clearTimeout(this.idleTimer);
  }

  #capacity() {
    return (1 + 2 * MARGIN) * this.plotWidth();
  }

  /** The step whose bars are at most one a pixel, with hysteresis around the current one. */
  #pickStep(minutes) {
    const width = this.plotWidth();
    const current = this.shown?.pyramid === this.pyramid ? this.shown.step : 0;
    if (current && minutes / current <= width * STICKY_HIGH && minutes / current >= width * STICKY_LOW)
      return current;
    const usable = STEPS.filter(
      (step) => canShow(this.pyramid, step) && !(this.pyramid.partial && step !== this.pyramid.timeframe),
    );
    if (!usable.includes(this.pyramid.timeframe)) usable.unshift(this.pyramid.timeframe);
    return usable.find((step) => minutes / step <= width) ?? usable[usable.length - 1];
  }

  #set([x0, x1]) {
    const t0 = performance.now();
    const { pyramid } = this;
    const step = this.#pickStep(x1 - x0);
    const reach = (x1 - x0) * MARGIN;
    const count = Math.ceil((endOf(pyramid) - pyramid.start) / step);
    const first = Math.max(0, Math.min(count - 10, Math.floor((x0 - reach - pyramid.start) / step)));
    const last = Math.max(first, Math.min(count, Math.ceil((x1 + reach - pyramid.start) / step)));
    const { bars, k0 } = barsAt(pyramid, step, first, last);
    const shown = {
      pyramid,
      step,
      start: pyramid.start + first * step,
      n: last - first,
      bars,
      k0,
      atEnd: last >= count,
      first,
    };
    this.setting = true;
    this.shown = shown;
    const items = new Array(shown.n);
    for (let i = 0; i < shown.n; i++) items[i] = this.#item(shown, i);
    this.carrier.setData(items);
    this.#applyView([x0, x1]);
    this.setting = false;
    this.stats.set++;
    this.stats.ms += performance.now() - t0;
    this.onSet();
  }

  #applyView(view) {
    this.view = view;
    this.timeScale.setVisibleLogicalRange({ from: this.toLogical(view[0]), to: this.toLogical(view[1]) });
  }

  #item({ start, step, bars, k0 }, i) {
    const time = (start + i * step + this.zoneMinutes) * 60;
    const value = bars.close[k0 + i];
    return value === value ? { time, value } : { time };
  }

  #rangeChanged(range) {
    if (this.setting || !range || !this.shown) return;
    this.view = [this.toMinute(range.from), this.toMinute(range.to)];
    if (this.scheduled) return;
    this.scheduled = true;
    queueMicrotask(() => this.#check());
  }

  /** Screens of data left on the side that has less; sides where the data ends do not count. */
  #slack() {
    const { shown, view } = this;
    const width = view[1] - view[0];
    const left = shown.first === 0 ? Infinity : (view[0] - shown.start) / width;
    const right = shown.atEnd ? Infinity : (shown.start + shown.n * shown.step - view[1]) / width;
    return Math.min(left, right);
  }

  #check() {
    this.scheduled = false;
    if (!this.shown || !this.view) return;
    const slack = this.#slack();
    if (this.#pickStep(this.view[1] - this.view[0]) !== this.shown.step) {
      this.stats.level++;
      if (!this.dragging || slack < 0) this.#set(this.view);
    } else if (slack < 0.02 && !this.dragging) {
      this.#set(this.view);
    } else if (slack < REFILL) {
      clearTimeout(this.idleTimer);
      this.idleTimer = setTimeout(() => this.#settle(), IDLE_MS);
    }
  }

  #settle() {
    if (this.dragging) this.idleTimer = setTimeout(() => this.#settle(), IDLE_MS);
    else if (this.#slack() < REFILL) this.#set(this.view);
  }
}

/** Bars [first, last) at `step`: a stored level, or one merged on the fly from the coarsest level that divides it. */
function barsAt(pyramid, step, first, last) {
  const stored = pyramid.levels[step];
  if (stored) return { bars: stored, k0: first };
  const from = finestDivisor(pyramid, step);
  const ratio = step / from;
  const fine = pyramid.levels[from];
  const i0 = first * ratio,
    i1 = Math.min(fine.n, last * ratio);
  const slice = { n: i1 - i0, lines: {} };
  for (const field of ["open", "high", "low", "close", "volume"]) slice[field] = fine[field].subarray(i0, i1);
  for (const id in fine.lines) slice.lines[id] = fine.lines[id].subarray(i0, i1);
  return { bars: fold(makeColumns(last - first, Object.keys(fine.lines)), slice, ratio), k0: 0 };
}
