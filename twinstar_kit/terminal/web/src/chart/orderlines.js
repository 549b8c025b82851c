// Price lines that mirror the account: open orders, a strategy's stop, the average entry of a position.

import { LineStyle } from "lightweight-charts";
import { formatAmount } from "../format.js";
import { THEME } from "./theme.js";

/** Keeps one price line a key; lines that did not change are left alone. */
export class OrderLines {
  constructor(series) {
    this.series = series;
    this.lines = new Map(); // key -> {line, signature}
  }

  /** `wanted`: [{key, price, title, colour, style}]. */
  set(wanted) {
    const keys = new Set(wanted.map((line) => line.key));
    for (const [key, { line }] of this.lines) {
      if (keys.has(key)) continue;
      this.series.removePriceLine(line);
      this.lines.delete(key);
    }
    for (const { key, ...rest } of wanted) {
      const signature = JSON.stringify(rest);
      const known = this.lines.get(key);
      if (known?.signature === signature) continue;
      const options = {
        price: rest.price,
        title: rest.title,
        color: rest.colour,
        lineStyle: rest.style,
        lineWidth: 1,
        axisLabelVisible: true,
        axisLabelColor: rest.colour,
        axisLabelTextColor: "#0b0e11",
      };
      if (known) known.line.applyOptions(options);
      this.lines.set(key, { line: known ? known.line : this.series.createPriceLine(options), signature });
    }
  }
}

const WORDS = { limit: "LIMIT", stop: "STOP", trailing_stop: "TRAIL", market: "MARKET" };

/** The lines for the orders and positions of one symbol. */
export function linesFor(orders, positions) {
  const lines = orders.map((order) => ({
    key: `order:${order.account}:${order.id}`,
    price: order.stop_price || order.price,
    title: order.owner
      ? `${order.owner} ${WORDS[order.type]}`
      : `${order.side.toUpperCase()} ${WORDS[order.type]} ${formatAmount(order.remaining)}`,
    colour: order.side === "buy" ? THEME.up : THEME.down,
    style: order.stop_price ? LineStyle.Dashed : LineStyle.Solid,
  }));
  for (const position of positions) {
    lines.push({
      key: `position:${position.account}`,
      price: position.average,
      title: `${position.owner || "LONG"} ${formatAmount(position.amount)}`,
      colour: THEME.position,
      style: LineStyle.Dotted,
    });
  }
  return lines.filter((line) => line.price > 0);
}
