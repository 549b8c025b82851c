// Bars as columns of typed arrays on a regular time grid, so that a year of minutes is a few flat buffers.
//
// Index k of columns with `step` minutes covers [start + k * step, start + (k + 1) * step). A bar that does not
// exist (the exchange was down, nothing traded) has NaN prices: never invented, drawn as a gap. Prices are 64 bit, as
// 32 bit floats lose the cents of a bitcoin; volume and lines are for the eye.

export const PRICES = ["open", "high", "low", "close"];
export const FIELDS = [...PRICES, "volume"];

/** Empty columns with room for `capacity` bars and one line per id. */
export function makeColumns(capacity, lineIds) {
  const columns = { n: 0, lines: {} };
  for (const field of PRICES) columns[field] = new Float64Array(capacity).fill(NaN);
  columns.volume = new Float32Array(capacity);
  for (const id of lineIds) columns.lines[id] = new Float32Array(capacity).fill(NaN);
  return columns;
}

/** Make room for `n` bars; arrays double, so that appending one bar at a time stays cheap. */
export function reserve(columns, n) {
  if (columns.open.length >= n) return;
  const capacity = Math.max(n, 2 * columns.open.length, 256);
  const grown = (old) => {
    const array = new old.constructor(capacity).fill(NaN);
    array.set(old.subarray(0, columns.n));
    return array;
  };
  for (const field of FIELDS) columns[field] = grown(columns[field]);
  for (const id in columns.lines) columns.lines[id] = grown(columns.lines[id]);
}

/** Write one bar at index `k`, growing the columns as needed; indices that were skipped stay NaN. */
export function writeBar(columns, k, open, high, low, close, volume) {
  reserve(columns, k + 1);
  columns.open[k] = open;
  columns.high[k] = high;
  columns.low[k] = low;
  columns.close[k] = close;
  columns.volume[k] = volume;
  if (k >= columns.n) columns.n = k + 1;
}

/**
 * Recompute the bars of `coarse` from index `from` on, each out of `ratio` bars of `fine`.
 * `coarse.n` ends at ceil(fine.n / ratio); lines take their value at the last bar that exists in each group.
 */
export function fold(coarse, fine, ratio, from = 0) {
  const n = Math.ceil(fine.n / ratio);
  reserve(coarse, n);
  const { open, high, low, close, volume } = fine;
  for (let k = from; k < n; k++) {
    const end = Math.min((k + 1) * ratio, fine.n);
    let o = NaN,
      h = -Infinity,
      l = Infinity,
      c = NaN,
      v = 0,
      last = end - 1;
    for (let j = k * ratio; j < end; j++) {
      if (close[j] !== close[j]) continue; // a gap
      if (o !== o) o = open[j];
      if (high[j] > h) h = high[j];
      if (low[j] < l) l = low[j];
      c = close[j];
      v += volume[j];
      last = j;
    }
    const gap = c !== c;
    coarse.open[k] = o;
    coarse.high[k] = gap ? NaN : h;
    coarse.low[k] = gap ? NaN : l;
    coarse.close[k] = c;
    coarse.volume[k] = v;
    for (const id in coarse.lines) coarse.lines[id][k] = fine.lines[id][last];
  }
  coarse.n = n;
  return coarse;
}

/** Every buffer of `columns`, for a transfer between threads without a copy. */
export function buffersOf(columns) {
  return [
    ...FIELDS.map((field) => columns[field].buffer),
    ...Object.values(columns.lines).map((line) => line.buffer),
  ];
}
