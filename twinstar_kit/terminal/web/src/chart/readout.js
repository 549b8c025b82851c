// The read-out in the chart's corner: what the crosshair points at, and the switches of the layers.

import { h, setText } from "../dom.js";
import { formatAmount, formatPercent, formatPrice } from "../format.js";
import { LAYERS } from "./layers.js";

const OHLC = [
  ["O", "open"],
  ["H", "high"],
  ["L", "low"],
  ["C", "close"],
];

export class ReadOut {
  /** `state` = {window, shown, instrument}; `onToggle(layerId)`. */
  constructor(state, onToggle) {
    this.state = state;
    this.values = {};
    const cell = (name, key, testid) => {
      this.values[key] = h("b", { "data-testid": testid });
      return h("span", { class: "readout-cell" }, name, this.values[key]);
    };
    this.title = h("span", { class: "readout-title" });
    this.change = h("b", {});
    this.chips = new Map();
    const chips = [{ id: "volume", label: "Vol", colour: "#8b95a3", about: "Volume" }, ...LAYERS].map(
      (layer) => {
        const value = h("b", { style: { color: layer.colour } });
        const chip = h(
          "button",
          {
            type: "button",
            class: "chip",
            title: `${layer.about} (click to show or hide)`,
            "data-testid": `layer-${layer.id}`,
            onclick: () => onToggle(layer.id),
          },
          h("i", { style: { background: layer.colour } }),
          layer.label,
          value,
        );
        this.chips.set(layer.id, { chip, value });
        return chip;
      },
    );
    this.element = h(
      "div",
      { class: "readout", "data-testid": "readout" },
      h(
        "div",
        { class: "readout-row" },
        this.title,
        ...OHLC.map(([name, key]) => cell(name, key, `readout-${key}`)),
        this.change,
      ),
      h(
        "div",
        { class: "readout-row readout-layers", role: "group", "aria-label": "Chart layers" },
        ...chips,
      ),
    );
    this.reflect();
  }

  /** Show which layers are on. */
  reflect() {
    for (const [id, { chip }] of this.chips)
      chip.setAttribute("aria-pressed", String(this.state.shown.has(id)));
  }

  /** Show the bar at window index `logical`, or the last one. */
  update(logical) {
    const { window: shown, instrument } = this.state;
    if (!shown || !instrument || !shown.n) return;
    const k = shown.k0 + Math.max(0, Math.min(shown.n - 1, logical ?? shown.n - 1));
    const { bars } = shown;
    const rising = bars.close[k] >= bars.open[k];
    this.element.dataset.direction = rising ? "up" : "down";
    for (const [, key] of OHLC) setText(this.values[key], formatPrice(bars[key][k], instrument));
    setText(this.change, formatPercent(bars.close[k] / bars.open[k] - 1));
    for (const [id, { value }] of this.chips) {
      const on = this.state.shown.has(id);
      const number = id === "volume" ? bars.volume[k] : bars.lines[id][k];
      setText(
        value,
        !on || number !== number
          ? ""
          : id === "volume"
            ? formatAmount(number)
            : formatPrice(number, instrument),
      );
    }
  }

  setTitle(text) {
    setText(this.title, text);
  }
}
