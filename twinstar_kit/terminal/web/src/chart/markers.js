// Fills on the chart: a triangle under the bar of a buy, over the bar of a sell, and a dot at the price it filled at.

import { THEME } from "./theme.js";

const SIZE = 5; // half a triangle's width, in CSS pixels
const GAP = 7; // from the bar to the triangle
const LABEL_FROM_PX = 5; // a bar this wide leaves room for words
const STACK = 3; // more fills than this on one bar are drawn as one

/** A primitive over `state` = {window}; `setFills` takes [{minute, side, price, amount, note}] in time order. */
export class MarkersPrimitive {
  constructor(state) {
    this.state = state;
    this.fills = [];
    this.views = [{ zOrder: () => "normal", renderer: () => this }];
  }

  setFills(fills) {
    this.fills = fills;
    this.requestUpdate?.();
  }

  attached({ chart, series, requestUpdate }) {
    Object.assign(this, { chart, series, requestUpdate });
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
    if (!shown || !visible || !this.fills.length) return;
    target.useMediaCoordinateSpace(({ context }) => {
      context.font = `600 10px ${THEME.font}`;
      context.textAlign = "center";
      const spacing = this.chart.timeScale().options().barSpacing;
      const stacked = new Map(); // bar and side -> fills drawn there so far
      for (const fill of this.fills) {
        const logical = Math.floor((fill.minute - shown.start) / shown.step);
        if (logical < visible.from - 1 || logical > visible.to + 1 || logical < 0) continue;
        const key = `${logical}${fill.side}`;
        const depth = stacked.get(key) ?? 0;
        stacked.set(key, depth + 1);
        if (depth < STACK)
          this.#mark(
            context,
            fill,
            Math.min(logical, shown.n - 1),
            depth,
            spacing >= LABEL_FROM_PX && depth === 0,
          );
      }
    });
  }

  #mark(context, fill, logical, depth, withLabel) {
    const { bars, k0 } = this.state.window;
    const buy = fill.side === "buy";
    const edge = (buy ? bars.low : bars.high)[k0 + logical];
    const x = this.chart.timeScale().logicalToCoordinate(logical);
    const y = this.series.priceToCoordinate(edge === edge ? edge : fill.price);
    const yFill = this.series.priceToCoordinate(fill.price);
    if (x === null || y === null) return;
    const way = buy ? 1 : -1;
    const tip = y + way * (GAP + depth * (SIZE + 4));
    context.fillStyle = buy ? THEME.up : THEME.down;
    context.strokeStyle = THEME.background;
    context.lineWidth = 1.5;
    context.beginPath();
    context.moveTo(x, tip);
    context.lineTo(x - SIZE, tip + way * SIZE * 1.5);
    context.lineTo(x + SIZE, tip + way * SIZE * 1.5);
    context.closePath();
    context.stroke();
    context.fill();
    if (yFill !== null) {
      context.beginPath();
      context.arc(x, yFill, 2.5, 0, 2 * Math.PI);
      context.fillStyle = "#ffffff";
      context.fill();
      context.stroke();
    }
    if (!withLabel || !fill.note) return;
    context.fillStyle = buy ? THEME.up : THEME.down;
    context.textBaseline = buy ? "top" : "bottom";
    context.fillText(fill.note, x, tip + way * (SIZE * 1.5 + 3));
  }
}
