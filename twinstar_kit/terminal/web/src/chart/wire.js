// The bars' wire format, read on the page and in the worker: a 40 byte head, then five columns; see wire.py.
//
//   bytes 0-3  "TSB1"    4-7  uint32 n    8-15  float64 start (minutes since 1970 UTC)
//   16-23  float64 step (minutes)    24-31  float64 venue time of the answer (ms)    32-39  float64 one
//
// Prices are int32 counts of 1/one, so that they are exact to the tick, as 32 bit floats would not be.

import { makeColumns, PRICES } from "./columns.js";
import { LAYER_IDS } from "./layers.js";

const HEAD_BYTES = 40;
const MAGIC = 0x31425354; // "TSB1", little endian
const NO_BAR = -(2 ** 31);

/** {start, step, now, base}: columns with room for `spare` more bars. */
export function decodeBars(buffer, spare = 0) {
  const head = new DataView(buffer);
  if (head.getUint32(0, true) !== MAGIC) throw new Error("the server did not answer with bars");
  const n = head.getUint32(4, true);
  const one = head.getFloat64(32, true);
  const base = makeColumns(n + spare, LAYER_IDS);
  PRICES.forEach((field, i) => {
    const counts = new Int32Array(buffer, HEAD_BYTES + i * n * 4, n);
    const prices = base[field];
    for (let k = 0; k < n; k++) if (counts[k] !== NO_BAR) prices[k] = counts[k] / one;
  });
  base.volume.set(new Float32Array(buffer, HEAD_BYTES + 4 * n * 4, n));
  base.n = n;
  return {
    start: head.getFloat64(8, true),
    step: head.getFloat64(16, true),
    now: head.getFloat64(24, true),
    base,
  };
}

/** Fetch and decode; throws with the server's own words when it refuses. */
export async function fetchBars(url, spare = 0) {
  const response = await fetch(url).catch(() => {
    throw new Error("the bars could not be loaded: the terminal's server does not answer");
  });
  if (!response.ok) throw new Error((await response.text()) || `bars: HTTP ${response.status}`);
  return decodeBars(await response.arrayBuffer(), spare);
}
