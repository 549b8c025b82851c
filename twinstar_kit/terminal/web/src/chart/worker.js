// The worker: fetches a year of minutes over HTTP, computes layers and levels, and hands the arrays over.

import { buildPyramid, pyramidBuffers } from "./pyramid.js";
import { fetchBars } from "./wire.js";

const SPARE_BARS = 4096; // room to append live bars before the arrays have to grow

self.onmessage = async ({ data: { id, url, symbol } }) => {
  try {
    const t0 = performance.now();
    const { start, step, base } = await fetchBars(url, SPARE_BARS);
    const t1 = performance.now();
    const pyramid = buildPyramid({ symbol, timeframe: step, start, base });
    const timings = { fetch_ms: t1 - t0, build_ms: performance.now() - t1 };
    self.postMessage({ id, pyramid, timings }, pyramidBuffers(pyramid));
  } catch (error) {
    self.postMessage({ id, error: String(error.message || error) });
  }
};
