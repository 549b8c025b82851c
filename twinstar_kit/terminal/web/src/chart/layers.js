// The layers a chart can show: what each is called, how it looks, and how its values follow from the bars.
//
// `fill(bars, out, from, to)` writes out[from..to) and reads only `bars` up to the index it writes, plus earlier
// values of `out`: the same function computes a year in the worker and one live bar on the page.

const DAY_MINUTES = 1440;

export const LAYERS = [
  {
    id: "vwap",
    label: "VWAP",
    colour: "#f0b90b",
    width: 1.5,
    on: true,
    about: "Volume weighted average price since 00:00 UTC",
    fill: vwap,
  },
  {
    id: "sma20",
    label: "SMA 20",
    colour: "#5b9cf6",
    width: 1,
    on: true,
    about: "Simple moving average of 20 closes",
    fill: sma(20),
  },
  {
    id: "sma50",
    label: "SMA 50",
    colour: "#c77dff",
    width: 1,
    on: false,
    about: "Simple moving average of 50 closes",
    fill: sma(50),
  },
  {
    id: "ema50",
    label: "EMA 50",
    colour: "#ff9f5a",
    width: 1,
    on: true,
    about: "Exponential moving average of 50 closes",
    fill: ema(50),
  },
  {
    id: "ema200",
    label: "EMA 200",
    colour: "#8fa3b8",
    width: 1,
    on: false,
    about: "Exponential moving average of 200 closes",
    fill: ema(200),
  },
];

export const LAYER_IDS = LAYERS.map((layer) => layer.id);

/** Fill every line of `bars` from index `from` on. `grid` = {start, step} in minutes. */
export function fillLines(bars, grid, from = 0) {
  for (const layer of LAYERS) layer.fill(bars, bars.lines[layer.id], from, bars.n, grid);
}

/** Mean of the last `length` closes; NaN until there are so many, and over gaps the closes that exist. */
function sma(length) {
  return (bars, out, from, to) => {
    const { close } = bars;
    // Start early enough to hold `length` closes that exist before `from`.
    let first = from,
      have = 0;
    while (first > 0 && have < length) if (close[--first] === close[first]) have++;
    const ring = new Float64Array(length);
    let count = 0,
      sum = 0;
    for (let k = first; k < to; k++) {
      const c = close[k];
      if (c === c) {
        const slot = count % length;
        if (count >= length) sum -= ring[slot];
        ring[slot] = c;
        sum += c;
        count++;
      }
      if (k >= from) out[k] = c === c && count >= length ? sum / length : NaN;
    }
  };
}

/** Exponential mean with alpha = 2 / (length + 1), begun with the plain mean of the first `length` closes. */
function ema(length) {
  const alpha = 2 / (length + 1);
  return (bars, out, from, to) => {
    const { close } = bars;
    let value = NaN,
      first = from;
    while (first > 0 && value !== value) value = out[--first];
    let count = 0,
      sum = 0; // without an earlier value: of the closes since the beginning
    for (let k = value === value ? from : 0; k < to; k++) {
      const c = close[k];
      if (c === c) {
        if (value === value) value += alpha * (c - value);
        else if (((sum += c), ++count) === length) value = sum / length;
      }
      if (k >= from) out[k] = c === c ? value : NaN;
    }
  };
}

/** Sum of typical price times volume over sum of volume, begun anew at each midnight UTC. */
function vwap(bars, out, from, to, { start, step }) {
  const { high, low, close, volume } = bars;
  const perDay = Math.max(1, Math.round(DAY_MINUTES / step));
  const phase = Math.round((((start % DAY_MINUTES) + DAY_MINUTES) % DAY_MINUTES) / step);
  const first = Math.max(0, from - ((from + phase) % perDay));
  let money = 0,
    amount = 0;
  for (let k = first; k < to; k++) {
    if ((k + phase) % perDay === 0) money = amount = 0;
    const c = close[k];
    if (c === c) {
      money += ((high[k] + low[k] + c) / 3) * volume[k];
      amount += volume[k];
    }
    if (k >= from) out[k] = c === c && amount > 0 ? money / amount : NaN;
  }
}
