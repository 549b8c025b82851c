// Draws what the window holds: volume, candles and the layers' lines, straight from the typed arrays.

import { LAYERS } from "./layers.js";
import { THEME } from "./theme.js";

const VOLUME_SHARE = 0.16; // of the pane's height, at its foot
const BODY_SHARE = 0.72; // of a bar's width

/**
 * A lightweight-charts primitive. `state` = {window, shown: Set of layer ids, isLinear()}: `window` is null or what
 * ChartWindow holds.
 */
export class BarsPrimitive {
  constructor(state) {
    this.state = state;
    this.views = [{ zOrder: () => "normal", renderer: () => this }];
  }

  attached({ chart, series, requestUpdate }) {
    this.chart = chart;
    this.series = series;
    this.requestUpdate = requestUpdate;
  }

  detached() {
    this.series = null;
  }

  paneViews() {
    return this.views;
  }

  updateAllViews() {}

  draw(target) {
    const { window: shown } = this.state;
    const visible = this.series && this.chart.timeScale().getVisibleLogicalRange();
    if (!shown || !visible) return;
    const from = Math.max(0, Math.floor(visible.from) - 1);
    const to = Math.min(shown.n, Math.ceil(visible.to) + 2);
    const x = this.chart.timeScale().logicalToCoordinate(from);
    const next = this.chart.timeScale().logicalToCoordinate(from + 1);
    if (to <= from || x === null || next === null) return;
    target.useBitmapCoordinateSpace((space) => {
      const { horizontalPixelRatio: ratio } = space;
      const pen = {
        ...space,
        x: x * ratio,
        dx: (next - x) * ratio,
        from: shown.k0 + from,
        to: shown.k0 + to,
      };
      const priceToY = this.#priceToY(shown.bars, pen);
      if (!priceToY) return;
      if (this.state.shown.has("volume")) drawVolume(shown.bars, pen);
      drawCandles(shown.bars, pen, priceToY);
      for (const layer of LAYERS) {
        if (this.state.shown.has(layer.id)) drawLine(shown.bars.lines[layer.id], layer, pen, priceToY);
      }
    });
  }

  /** Price -> bitmap y. On a linear scale one multiplication instead of a call a point. */
  #priceToY(bars, { from, to, verticalPixelRatio }) {
    const convert = (price) => this.series.priceToCoordinate(price) * verticalPixelRatio;
    if (!this.state.isLinear()) return convert;
    let k = from;
    while (k < to && bars.close[k] !== bars.close[k]) k++;
    if (k === to) return null;
    const p0 = bars.close[k],
      p1 = p0 * 1.01;
    const slope = (convert(p1) - convert(p0)) / (p1 - p0);
    const offset = convert(p0) - slope * p0;
    return (price) => offset + slope * price;
  }
}

/** Odd widths centre a one-pixel wick. */
function bodyWidth(dx) {
  const width = Math.max(1, Math.floor(dx * BODY_SHARE));
  return width > 2 && width % 2 === 0 ? width - 1 : width;
}

function drawCandles(
  { open, high, low, close },
  { context, x, dx, from, to, horizontalPixelRatio },
  priceToY,
) {
  const body = bodyWidth(dx),
    half = body >> 1;
  const wick = Math.max(1, Math.floor(horizontalPixelRatio)),
    wickHalf = wick >> 1;
  for (const up of [true, false]) {
    // one path a colour: two fills for all bars
    context.fillStyle = up ? THEME.up : THEME.down;
    context.beginPath();
    for (let k = from, at = x; k < to; k++, at += dx) {
      if (close[k] >= open[k] !== up || close[k] !== close[k]) continue;
      const centre = Math.round(at);
      const top = Math.round(priceToY(high[k]));
      context.rect(centre - wickHalf, top, wick, Math.max(1, Math.round(priceToY(low[k])) - top));
      if (body === 1) continue;
      const yOpen = Math.round(priceToY(open[k])),
        yClose = Math.round(priceToY(close[k]));
      context.rect(centre - half, Math.min(yOpen, yClose), body, Math.max(1, Math.abs(yOpen - yClose)));
    }
    context.fill();
  }
}

function drawVolume({ open, close, volume }, { context, bitmapSize, x, dx, from, to }) {
  let peak = 0;
  for (let k = from; k < to; k++) if (volume[k] > peak) peak = volume[k];
  if (!peak) return;
  const body = bodyWidth(dx),
    half = body >> 1;
  const scale = (bitmapSize.height * VOLUME_SHARE) / peak;
  for (const up of [true, false]) {
    context.fillStyle = up ? THEME.upVolume : THEME.downVolume;
    context.beginPath();
    for (let k = from, at = x; k < to; k++, at += dx) {
      if (close[k] >= open[k] !== up || close[k] !== close[k]) continue;
      const height = Math.round(volume[k] * scale);
      context.rect(Math.round(at) - half, bitmapSize.height - height, body, height);
    }
    context.fill();
  }
}

function drawLine(values, { colour, width }, { context, x, dx, from, to, verticalPixelRatio }, priceToY) {
  context.strokeStyle = colour;
  context.lineWidth = Math.max(1, width * verticalPixelRatio);
  context.lineJoin = "round";
  context.setLineDash([]);
  context.beginPath();
  let drawing = false;
  for (let k = from, at = x; k < to; k++, at += dx) {
    const value = values[k];
    if (value !== value) {
      drawing = false;
      continue;
    }
    if (drawing) context.lineTo(at, priceToY(value));
    else context.moveTo(at, priceToY(value));
    drawing = true;
  }
  context.stroke();
}
