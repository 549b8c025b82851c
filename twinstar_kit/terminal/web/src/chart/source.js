// Where bars come from: a small window at once, then the whole year from the worker, then live minutes appended.
// Panning and zooming never ask the server.

import workerText from "worker:./worker.js";
import { appendBars, appendDerived, derivePyramid, endOf, partialPyramid } from "./pyramid.js";
import { fetchBars } from "./wire.js";

const CACHED_SYMBOLS = 5; // about 50 MB each
const YEAR_DELAY_MS = 60; // flicking through symbols does not load a year for each

export class BarSource {
  /**
   * `barsUrl({symbol, step, since, until})` gives the address of bars (minutes; without a window: the whole year);
   * `baseStep`: minutes of the finest bars there are.
   * `onPyramid(pyramid, timings)` is called when there is something better to show for the wanted symbol.
   */
  constructor({ barsUrl, baseStep, onPyramid, onError }) {
    Object.assign(this, { barsUrl, baseStep, onPyramid, onError });
    this.years = new Map(); // symbol -> pyramid of its finest bars, least recently used first
    this.derived = null; // the pyramid of the shown timeframe, when that is coarser
    this.wanted = null;
    this.pending = new Map(); // minute -> live bar of the wanted symbol that came while its year was on its way
    this.worker = new Worker(URL.createObjectURL(new Blob([workerText], { type: "text/javascript" })));
    this.worker.onmessage = ({ data }) => this.#yearArrived(data);
    this.requests = 0;
    this.timer = 0;
  }

  /** Show `symbol` at `timeframe` minutes; `window` = [x0, x1] in minutes is painted while the year loads. */
  want(symbol, timeframe, window) {
    if (this.wanted?.symbol !== symbol) this.pending.clear();
    this.wanted = { symbol, timeframe };
    const year = this.years.get(symbol);
    if (year) {
      this.years.delete(symbol);
      this.years.set(symbol, year);
      this.#show(year);
      return;
    }
    clearTimeout(this.timer);
    this.#fetchWindow(symbol, timeframe, window);
    this.timer = setTimeout(() => this.#fetchYear(symbol), YEAR_DELAY_MS);
  }

  /** Drop what is known of `symbol`: its bars have a hole that live ones cannot fill. */
  forget(symbol) {
    this.years.delete(symbol);
  }

  /** The minute up to which bars of `symbol` are known; 0 when the year is not here. */
  knownUntil(symbol) {
    const year = this.years.get(symbol);
    return year ? endOf(year) : 0;
  }

  /**
   * Append live bars of the finest step ([minute, o, h, l, c, v]) of `symbol`. Returns the pyramid on show that
   * changed, or null. A hole between what is known and the first row makes the year be fetched again.
   */
  append(symbol, rows) {
    const year = this.years.get(symbol);
    if (!year) {
      if (this.wanted?.symbol === symbol) for (const row of rows) this.pending.set(row[0], row);
      return null;
    }
    if (rows.length && rows[0][0] > endOf(year)) {
      this.years.delete(symbol);
      this.#fetchYear(symbol);
      return null;
    }
    const first = appendBars(year, rows);
    if (first < 0 || this.wanted?.symbol !== symbol) return null;
    if (this.wanted.timeframe === year.timeframe) return year;
    if (this.derived?.symbol === symbol) appendDerived(this.derived, year, first);
    return this.derived;
  }

  close() {
    clearTimeout(this.timer);
    this.worker.terminate();
  }

  async #fetchWindow(symbol, timeframe, window) {
    const until = window ? Math.ceil(window[1]) : undefined;
    const since = window ? Math.floor(window[0]) : undefined;
    try {
      const { start, step, now, base } = await fetchBars(
        this.barsUrl({ symbol, step: timeframe, since, until }),
      );
      if (!this.#isWanted(symbol, timeframe) || this.years.has(symbol)) return;
      this.onPyramid(partialPyramid({ symbol, timeframe: step, start, base }), { now });
    } catch (error) {
      this.onError(error);
    }
  }

  #fetchYear(symbol) {
    const url = new URL(this.barsUrl({ symbol, step: this.baseStep }), document.baseURI).href;
    this.worker.postMessage({ id: ++this.requests, symbol, url });
  }

  #yearArrived({ pyramid, timings, error }) {
    if (error) return this.onError(new Error(error));
    const { symbol } = pyramid;
    this.years.delete(symbol);
    this.years.set(symbol, pyramid);
    if (this.years.size > CACHED_SYMBOLS) this.years.delete(this.years.keys().next().value);
    if (this.wanted?.symbol !== symbol) return;
    const rows = [...this.pending.values()].sort((a, b) => a[0] - b[0]);
    this.pending.clear();
    if (rows.length && rows[0][0] <= endOf(pyramid)) appendBars(pyramid, rows);
    this.#show(pyramid, timings);
  }

  #show(year, timings) {
    const { symbol, timeframe } = this.wanted;
    if (timeframe === year.timeframe) this.derived = null;
    else if (
      this.derived?.symbol !== symbol ||
      this.derived.timeframe !== timeframe ||
      this.derived.from !== year
    ) {
      this.derived = derivePyramid(year, timeframe);
      this.derived.from = year;
    }
    this.onPyramid(this.derived || year, { ...timings, year: true });
  }

  #isWanted(symbol, timeframe) {
    return this.wanted?.symbol === symbol && this.wanted.timeframe === timeframe;
  }
}
