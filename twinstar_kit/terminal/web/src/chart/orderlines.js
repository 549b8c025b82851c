// Price lines that mirror the account: open orders, a strategy's stop, the average entry of a position.

import { LineStyle } from "lightweight-charts";
import { formatLots } from "../format.js";
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

const WORDS = {
  limit: "LIMIT",
  stop: "STOP",
  stop_limit: "STOP LIMIT",
  market_if_touched: "TOUCH",
  limit_if_touched: "TOUCH LIMIT",
  trailing_stop: "TRAIL",
  trailing_stop_limit: "TRAIL LIMIT",
  market: "MARKET",
};

/** The lines for the orders and positions of one symbol. */
export function linesFor(orders, positions, instrument) {
  const lines = orders.map((order) => ({
    key: `order:${order.account}:${order.id}`,
    price: order.stop_price || order.price,
    title: order.owner
      ? `${order.owner} ${WORDS[order.type]}`
      : `${order.side.toUpperCase()} ${WORDS[order.type]} ${formatLots(order.remaining, instrument)}`,
    colour: order.side === "buy" ? THEME.up : THEME.down,
    style: order.stop_price ? LineStyle.Dashed : LineStyle.Solid,
  }));
  for (const position of positions) {
    lines.push({
      key: `position:${position.key}`,
      price: position.average,
      title: position.owner
        ? `${position.owner} ${formatLots(position.amount, instrument)}`
        : `${position.amount < 0 ? "SHORT" : "LONG"} ${formatLots(Math.abs(position.amount), instrument)}`,
      colour: THEME.position,
      style: LineStyle.Dotted,
    });
  }
  return lines.filter((line) => line.price > 0);
}
