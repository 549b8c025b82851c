// The dock: open orders, positions and balances on the left, fills and equity on the right, as plain tables.

import { byId, h, setMood, setText } from "../dom.js";
import {
  formatBalance,
  formatLots,
  formatMoney,
  formatPercent,
  formatPrice,
  formatSigned,
  formatStamp,
} from "../format.js";

const MOST_FILLS = 100;
const TYPE_WORDS = { market: "Market", limit: "Limit", stop: "Stop", trailing_stop: "Trail" };

export function mountDock(store, link) {
  const orders = makeTable(
    "panel-orders",
    ["Time", "Symbol", "Side", "Type", "Price", "Amount", "Filled", "Account", ""],
    "No open orders",
  );
  const positions = makeTable(
    "panel-positions",
    ["Symbol", "Amount", "Entry", "Mark", "Value", "Profit", "%", "Account", ""],
    "No positions",
  );
  const balances = makeTable(
    "panel-balances",
    ["Asset", "Free", "In orders", "Total", `Value ${store.boot.money}`, "Account"],
    "No balances",
  );
  const fills = makeTable(
    "panel-fills",
    ["Time", "Symbol", "Side", "Price", "Amount", "Fee", "Account"],
    "No fills yet",
  );
  byId("cancel-all").addEventListener("click", () => {
    for (const order of store.account.orders.filter((order) => !order.owner)) cancel(store, link, order);
  });
  store.on("account", (account) => {
    orders.set(account.orders.map((order) => orderRow(store, link, order)));
    positions.set(account.positions.map((position) => positionRow(store, link, position)));
    balances.set(account.balances.map((balance) => balanceRow(store, balance)));
    fills.set(account.fills.slice(0, MOST_FILLS).map((fill) => fillRow(store, fill)));
    setText(byId("count-orders"), String(account.orders.length));
    setText(byId("count-positions"), String(account.positions.length));
    setText(byId("count-fills"), String(account.fill_count));
    byId("cancel-all").hidden = account.orders.filter((order) => !order.owner).length < 2;
  });
  const refresh = (panelId) => {
    for (const row of byId(panelId).querySelectorAll("tbody tr")) row.refresh?.();
  };
  store.on("tickers", () => refresh("panel-positions"));
  store.on("worth", () => refresh("panel-balances"));
}

/** A table whose rows are keyed: a row that did not change keeps its element, and with it the keyboard's focus. */
function makeTable(panelId, titles, emptyText) {
  const panel = byId(panelId);
  const body = h("tbody", {}),
    empty = h("p", { class: "empty" }, emptyText);
  panel.append(
    h(
      "table",
      {},
      h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col" }, title)))),
      body,
    ),
    empty,
  );
  const known = new Map(); // key -> {element, signature}
  return {
    set(rows) {
      const keys = new Set(rows.map((row) => row.key));
      for (const [key, { element }] of known) {
        if (keys.has(key)) continue;
        element.remove();
        known.delete(key);
      }
      rows.forEach((row, i) => {
        let entry = known.get(row.key);
        if (!entry || entry.signature !== row.signature) {
          const element = row.build();
          entry?.element.replaceWith(element);
          entry = { element, signature: row.signature };
          known.set(row.key, entry);
        }
        if (body.children[i] !== entry.element) body.insertBefore(entry.element, body.children[i] ?? null);
      });
      empty.hidden = rows.length > 0;
    },
  };
}

const cell = (text, mood = "", attributes = {}) => h("td", { class: mood, ...attributes }, text);
const sideCell = (side) => cell(side === "buy" ? "Buy" : "Sell", side === "buy" ? "up" : "down");
const symbolCell = (store, symbol) =>
  h(
    "td",
    {},
    h(
      "button",
      { type: "button", class: "plain", title: `Show ${symbol}`, onclick: () => store.select(symbol) },
      symbol,
    ),
  );

function orderRow(store, link, order) {
  const instrument = store.instruments.get(order.symbol);
  const price = order.stop_price || order.price;
  const words = `${order.side} ${TYPE_WORDS[order.type]?.toLowerCase()} ${formatLots(order.amount, instrument)} ${order.symbol}`;
  return {
    key: `${order.account}:${order.id}`,
    signature: JSON.stringify(order),
    build: () =>
      h(
        "tr",
        { "data-order": order.id },
        cell(formatStamp(order.ts), "num dim"),
        symbolCell(store, order.symbol),
        sideCell(order.side),
        cell(TYPE_WORDS[order.type] ?? order.type),
        cell(formatPrice(price, instrument), "num"),
        cell(formatLots(order.amount, instrument), "num"),
        cell(formatLots(order.filled, instrument), "num"),
        cell(order.owner || order.account, "dim"),
        order.owner
          ? cell("")
          : h(
              "td",
              {},
              h(
                "button",
                {
                  type: "button",
                  class: "row-action",
                  "data-testid": "cancel",
                  "aria-label": `Cancel ${words}`,
                  onclick: () => cancel(store, link, order),
                },
                "Cancel",
              ),
            ),
      ),
  };
}

async function cancel(store, link, order) {
  const answer = await link.cancel(order.account, order.id);
  if (!answer.ok) store.toast(answer.text, "error");
}

function positionRow(store, link, position) {
  const instrument = store.instruments.get(position.symbol);
  const build = () => {
    const mark = cell("", "num"),
      value = cell("", "num"),
      profit = cell("", "num"),
      percent = cell("", "num");
    const row = h(
      "tr",
      { "data-symbol": position.symbol },
      symbolCell(store, position.symbol),
      cell(formatLots(position.amount, instrument), "num"),
      cell(formatPrice(position.average, instrument), "num"),
      mark,
      value,
      profit,
      percent,
      cell(position.owner || position.account, "dim"),
      position.owner
        ? cell("")
        : h(
            "td",
            {},
            h(
              "button",
              {
                type: "button",
                class: "row-action",
                "data-testid": "close-position",
                "aria-label": `Sell all ${instrument.base} at market`,
                onclick: () => closePosition(store, link, position),
              },
              "Close",
            ),
          ),
    );
    row.refresh = () => {
      const last = store.tickers.get(position.symbol)?.last;
      if (!last) return;
      const gain = position.average ? (last - position.average) * position.amount : NaN;
      setText(mark, formatPrice(last, instrument));
      setText(value, formatMoney(last * position.amount, instrument.quote));
      setText(profit, formatSigned(gain, instrument.quote));
      setText(percent, formatPercent(position.average ? last / position.average - 1 : NaN));
      for (const element of [profit, percent]) setMood(element, gain);
    };
    row.refresh();
    return row;
  };
  return { key: `${position.account}:${position.symbol}`, signature: JSON.stringify(position), build };
}

async function closePosition(store, link, position) {
  const answer = await link.place({
    symbol: position.symbol,
    side: "sell",
    order_type: "market",
    amount: position.free_text,
    price: "",
  });
  store.toast(
    answer.ok ? `Sold ${position.free_text} ${position.symbol}` : answer.text,
    answer.ok ? "fill" : "error",
  );
}

function balanceRow(store, balance) {
  const { asset } = balance;
  const key = `${balance.account}:${asset}`;
  return {
    key,
    signature: JSON.stringify(balance),
    build: () => {
      const value = cell("", "num");
      const row = h(
        "tr",
        { "data-asset": asset },
        cell(asset),
        cell(formatBalance(balance.free, asset), "num", {
          "data-testid": `free-${balance.account}-${asset}`,
        }),
        cell(formatBalance(balance.held, asset), "num"),
        cell(formatBalance(balance.free + balance.held, asset), "num"),
        value,
        cell(balance.owner || balance.account, "dim"),
      );
      row.refresh = () => setText(value, formatMoney(store.worth?.values[key], store.boot.money));
      row.refresh();
      return row;
    },
  };
}

function fillRow(store, fill) {
  const instrument = store.instruments.get(fill.symbol);
  return {
    key: `${fill.account}:${fill.id}`,
    signature: "", // a fill never changes
    build: () =>
      h(
        "tr",
        { "data-fill": fill.id },
        cell(formatStamp(fill.ts), "num dim"),
        symbolCell(store, fill.symbol),
        sideCell(fill.side),
        cell(formatPrice(fill.price, instrument), "num"),
        cell(formatLots(fill.amount, instrument), "num"),
        cell(`${formatMoney(fill.fee, fill.fee_asset)} ${fill.fee_asset}`, "num dim"),
        cell(fill.owner || fill.account, "dim"),
      ),
  };
}
