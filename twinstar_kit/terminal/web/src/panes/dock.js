// The dock: open orders, positions and balances on the left, fills and equity on the right, as plain tables.

import { byId, h, setMood, setText } from "../dom.js";
import {
  formatCounted,
  formatLots,
  formatMoney,
  formatPercent,
  formatPrice,
  formatSigned,
  formatStamp,
} from "../format.js";

const MOST_FILLS = 100;
const TYPE_WORDS = {
  market: "Market",
  limit: "Limit",
  stop: "Stop",
  stop_limit: "Stop limit",
  market_if_touched: "If touched",
  limit_if_touched: "If touched, limit",
  trailing_stop: "Trail",
  trailing_stop_limit: "Trail limit",
};

export function mountDock(store, link) {
  const orders = makeTable(
    "panel-orders",
    ["Time", "Symbol", "Side", "Type", "Price", "Amount", "Filled", "Account", ""],
    "No open orders",
  );
  const positions = makeTable(
    "panel-positions",
    ["Symbol", "Side", "Amount", "Entry", "Mark", "Profit", "%", "Liq.", "Value", "Account", ""],
    "No positions",
  );
  const balances = makeTable(
    "panel-balances",
    ["Asset", "Wallet", "Free", "In use", "Total", `Value ${store.boot.money}`, "Account", ""],
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
    const wallets = [...store.instruments.values()].some((instrument) => instrument.perpetual);
    balances.set(account.balances.map((balance) => balanceRow(store, balance, wallets)));
    // while the manual account is the only one, a column that says so is in the way
    document.body.dataset.accounts = account.strategies.length ? "several" : "one";
    fills.set(account.fills.slice(0, MOST_FILLS).map((fill) => fillRow(store, fill)));
    setText(byId("count-orders"), String(account.orders.length));
    setText(byId("count-positions"), String(account.positions.length));
    setText(byId("count-fills"), String(account.fill_count));
    byId("cancel-all").hidden = account.orders.filter((order) => !order.owner).length < 2;
  });
  const refresh = (panelId) => {
    for (const row of byId(panelId).querySelectorAll("tbody tr")) row.refresh?.();
  };
  store.on("worth", () => ["panel-positions", "panel-balances"].forEach(refresh));
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
      h("thead", {}, h("tr", {}, ...titles.map((title) => h("th", { scope: "col", class: title === "Account" ? "account-cell" : "" }, title)))),
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
const accountCell = ({ owner, account }) => cell(owner || account, "dim account-cell");
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
  const words = `${order.side} ${typeWords(order).toLowerCase()} ${formatLots(order.amount, instrument)} ${order.symbol}`;
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
        cell(typeWords(order), "", order.reduce_only ? { title: "Only reduces a position" } : {}),
        cell(formatPrice(price, instrument), "num"),
        cell(formatLots(order.amount, instrument), "num"),
        cell(formatLots(order.filled, instrument), "num"),
        accountCell(order),
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

const typeWords = (order) => (TYPE_WORDS[order.type] ?? order.type) + (order.reduce_only ? " ⤓" : "");

async function cancel(store, link, order) {
  const answer = await link.cancel(order.account, order.id);
  if (!answer.ok) store.toast(answer.text, "error");
}

function positionRow(store, link, position) {
  const instrument = store.instruments.get(position.symbol);
  const build = () => {
    const [mark, profit, percent, liquidation, value] = Array.from({ length: 5 }, () => cell("", "num"));
    if (instrument.perpetual) percent.title = "Of the position's margin";
    const row = h(
      "tr",
      { "data-symbol": position.symbol },
      symbolCell(store, position.symbol),
      wayCell(position, instrument),
      cell(formatCounted(Math.abs(position.amount), instrument), "num"),
      cell(formatPrice(position.average, instrument), "num"),
      mark,
      profit,
      percent,
      liquidation,
      value,
      accountCell(position),
      position.owner ? cell("") : closeCell(store, link, position),
    );
    row.refresh = () => {
      const now = store.worth?.positions[position.key];
      if (!now) return;
      setText(mark, formatPrice(now.mark, instrument));
      setText(liquidation, formatPrice(now.liquidation, instrument));
      setText(value, `${formatMoney(now.value, instrument.settle)} ${instrument.settle}`);
      setText(profit, formatSigned(now.profit, instrument.settle));
      setText(percent, formatPercent(now.ratio));
      const moved = /[1-9]/.test(profit.textContent) ? now.profit : 0;
      for (const element of [profit, percent]) setMood(element, moved);
    };
    row.refresh();
    return row;
  };
  return { key: position.key, signature: JSON.stringify(position), build };
}

/** Spot, or long or short with the leverage. */
function wayCell({ amount, leverage, isolated, margin }, { perpetual, settle }) {
  if (!perpetual) return cell("Spot", "dim");
  const title = `${isolated ? "Isolated" : "Cross"} margin: ${formatMoney(margin, settle)} ${settle}`;
  return cell(`${amount < 0 ? "Short" : "Long"} ${leverage}×`, amount < 0 ? "down" : "up", { title });
}

function closeCell(store, link, position) {
  const { symbol, amount, close_text: text } = position;
  const button = h(
    "button",
    {
      type: "button",
      class: "row-action",
      "data-testid": "close-position",
      "aria-label": `Close ${text} ${symbol} at market`,
      onclick: () => closePosition(store, link, position),
    },
    "Close",
  );
  button.disabled = Number(text) === 0; // all of it stands behind orders
  button.title = amount < 0 ? "Buy it back at market" : "Sell it at market";
  return h("td", {}, button);
}

async function closePosition(store, link, position) {
  const answer = await link.place({
    symbol: position.symbol,
    side: position.amount < 0 ? "buy" : "sell",
    order_type: "market",
    amount: position.close_text,
    price: "",
    reduce_only: store.instruments.get(position.symbol).perpetual,
    position_side: position.position_side,
  });
  if (!answer.ok) store.toast(answer.text, "error");
}

function balanceRow(store, balance, wallets) {
  const { account, wallet, asset, free, held, owner } = balance;
  const key = `${account}:${wallet}:${asset}`;
  const place = wallet === "spot" ? `${account}-${asset}` : `${account}-${wallet}-${asset}`;
  return {
    key,
    signature: JSON.stringify(balance),
    build: () => {
      const value = cell("", "num");
      const row = h(
        "tr",
        { "data-asset": asset, "data-wallet": wallet },
        cell(asset),
        cell(wallet === "spot" ? "Spot" : "Swap", "dim"),
        cell(formatMoney(free, asset), "num", { "data-testid": `free-${place}` }),
        cell(formatMoney(held, asset), "num"),
        cell(formatMoney(free + held, asset), "num"),
        value,
        accountCell(balance),
        owner || !wallets ? cell("") : transferCell(store, asset, wallet),
      );
      row.refresh = () => setText(value, formatMoney(store.worth?.values[key], store.boot.money));
      row.refresh();
      return row;
    },
  };
}

/** Assets that contracts settle in can be moved to the swap wallet, and back. */
function transferCell(store, asset, wallet) {
  const settles = [...store.instruments.values()].some(
    (instrument) => instrument.perpetual && instrument.settle === asset,
  );
  if (!settles) return cell("");
  const attributes = {
    type: "button",
    class: "row-action",
    "data-testid": `transfer-${wallet}-${asset}`,
    "aria-label": `Transfer ${asset} from the ${wallet} wallet`,
    onclick: () => store.emit("transfer", { asset, source: wallet }),
  };
  return h("td", {}, h("button", attributes, "Transfer"));
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
        fill.liquidation ? cell("Liquidated", "down") : sideCell(fill.side),
        cell(formatPrice(fill.price, instrument), "num"),
        cell(formatLots(fill.amount, instrument), "num"),
        cell(`${formatMoney(fill.fee, fill.fee_asset)} ${fill.fee_asset}`, "num dim"),
        accountCell(fill),
      ),
  };
}
