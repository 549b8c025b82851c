// Short messages in the corner: one line, gone after a while; errors stay longer and name the rule that was broken.
// Orders that began to work and fills are told in every window, whoever sent them.

import { byId, h } from "../dom.js";
import { formatLots, formatPrice } from "../format.js";

const LIFE_MS = { error: 9000, fill: 4000, info: 4000 };
const MOST = 4;

export function mountToasts(store) {
  const host = byId("toasts");
  store.on("toast", ({ text, kind }) => {
    const close = h("button", { type: "button", class: "toast-close", "aria-label": "Dismiss" }, "×");
    const toast = h(
      "div",
      {
        class: `toast toast-${kind}`,
        role: kind === "error" ? "alert" : "status",
        "data-testid": `toast-${kind}`,
      },
      h("span", {}, text),
      close,
    );
    close.addEventListener("click", () => toast.remove());
    host.append(toast);
    while (host.children.length > MOST) host.firstElementChild.remove();
    setTimeout(() => toast.remove(), LIFE_MS[kind]);
  });
  tellWhatHappens(store);
}

function tellWhatHappens(store) {
  let known = null; // keys of the orders and fills that were there before
  store.on("account", (account) => {
    const orders = account.orders.map((order) => [
      `order ${order.account} ${order.id}`,
      () => tellOrder(store, order),
    ]);
    const fills = account.fills.map((fill) => [
      `fill ${fill.account} ${fill.id}`,
      () => tellFill(store, fill),
    ]);
    const news = [...orders, ...fills];
    if (known)
      for (const [, tell] of news
        .filter(([key]) => !known.has(key))
        .slice(0, MOST)
        .reverse())
        tell();
    known = new Set(news.map(([key]) => key));
  });
}

function tellOrder(store, order) {
  if (order.owner) return; // a strategy moves its stops all the time
  const instrument = store.instruments.get(order.symbol);
  const price = formatPrice(order.stop_price || order.price, instrument);
  store.toast(
    `${order.side === "buy" ? "Buy" : "Sell"} ${order.type} ${amountWords(order.amount, instrument)} at ${price} is working`,
  );
}

/** 0.5 BTC/USDT, or 100 contracts of BTC/USD:BTC. */
function amountWords(amount, instrument) {
  const lots = formatLots(amount, instrument);
  const counted = instrument.kind === "inverse" ? `${lots} ${amount === 1 ? "contract" : "contracts"} of` : lots;
  return `${counted} ${instrument.symbol}`;
}

function tellFill(store, fill) {
  const instrument = store.instruments.get(fill.symbol);
  const done = fill.liquidation ? "liquidated" : fill.side === "buy" ? "bought" : "sold";
  const who = fill.owner ? `${fill.owner} ${done}` : done[0].toUpperCase() + done.slice(1);
  store.toast(
    `${who} ${amountWords(fill.amount, instrument)} at ${formatPrice(fill.price, instrument)}`,
    fill.liquidation ? "error" : "fill",
  );
}
