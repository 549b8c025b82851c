// The order ticket: market, limit and stop orders for the account `manual`.
//
// Numbers travel as the text that was typed: the session parses them exactly and refuses, by rule, what does not fit
// the instrument's tick and lot. Typing a price makes a market order a limit order.

import { byId, h, setText } from "../dom.js";
import { formatBalance, formatLots, formatMoney, formatPrice } from "../format.js";
import { isTyping } from "./watch.js";

const TYPES = [
  ["market", "Market"],
  ["limit", "Limit"],
  ["stop", "Stop"],
];
const SHARES = [25, 50, 75, 100];
const FIRST_SHARE = 0.01; // of the free quote balance: the amount the ticket opens with

export function mountTicket(store, link) {
  const form = byId("ticket");
  const ticket = { type: "market", touched: false, store, link, ...buildForm() };
  form.append(...ticket.parts);
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const [type, button] of ticket.types) button.addEventListener("click", () => setType(ticket, type));
  ticket.price.addEventListener("input", () => {
    if (ticket.type === "market" && ticket.price.value) setType(ticket, "limit");
    estimate(ticket);
  });
  ticket.amount.addEventListener("input", () => {
    ticket.touched = true;
    estimate(ticket);
  });
  for (const input of [ticket.price, ticket.amount])
    input.addEventListener("keydown", (event) => stepByKey(event, ticket, input));
  for (const [side, share, button] of ticket.shares)
    button.addEventListener("click", () => takeShare(ticket, side, share));
  ticket.buy.addEventListener("click", () => submit(ticket, "buy"));
  ticket.sell.addEventListener("click", () => submit(ticket, "sell"));
  document.addEventListener("keydown", (event) => {
    if (isTyping(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "b") ticket.buy.focus();
    else if (event.key === "s") ticket.sell.focus();
  });
  store.on("price-picked", (price) => {
    if (ticket.type === "market") setType(ticket, "limit");
    ticket.price.value = plain(price, store.instrument.price_decimals);
    estimate(ticket);
  });
  store.on("symbol", () => showInstrument(ticket));
  store.on("account", () => showBalances(ticket));
  store.on("tickers", () => {
    if (!ticket.amount.value && !ticket.touched) suggestAmount(ticket);
    estimate(ticket);
  });
  setType(ticket, "market");
}

/** A number as an input wants it: no grouping, no trailing zeros beyond the tick. */
const plain = (value, decimals) => value.toFixed(decimals);

function buildForm() {
  const types = TYPES.map(([type, label]) => [
    type,
    h("button", { type: "button", "data-testid": `type-${type}` }, label),
  ]);
  const field = (label, id, testid) => {
    const input = h("input", {
      id,
      type: "text",
      inputmode: "decimal",
      class: "num",
      "data-testid": testid,
      autocomplete: "off",
    });
    const name = h("span", { class: "field-name" }, label),
      unit = h("span", { class: "field-unit" });
    return { input, name, unit, row: h("label", { class: "field" }, name, input, unit) };
  };
  const price = field("Price", "order-price", "order-price"),
    amount = field("Amount", "order-amount", "order-amount");
  const shares = [];
  const shareRow = (side) => {
    const available = h(
      "b",
      { class: "num", "data-testid": `available-${side === "buy" ? "quote" : "base"}` },
      "–",
    );
    const buttons = SHARES.map((share) => {
      const button = h("button", { type: "button", "data-testid": `${side}-${share}` }, `${share}%`);
      shares.push([side, share, button]);
      return button;
    });
    return {
      available,
      row: h(
        "div",
        { class: `shares shares-${side}`, role: "group" },
        h("div", { class: "shares-available" }, available),
        ...buttons,
      ),
    };
  };
  const quote = shareRow("buy"),
    base = shareRow("sell");
  const cost = h("b", { class: "num" }, "–"),
    fee = h("b", { class: "num" }, "–");
  const buy = h(
    "button",
    { type: "button", class: "act act-buy", "data-testid": "buy", title: "Buy (B moves here)" },
    "Buy",
  );
  const sell = h(
    "button",
    { type: "button", class: "act act-sell", "data-testid": "sell", title: "Sell (S moves here)" },
    "Sell",
  );
  const parts = [
    h(
      "div",
      { class: "segments ticket-types", role: "group", "aria-label": "Order type" },
      ...types.map(([, button]) => button),
    ),
    price.row,
    amount.row,
    quote.row,
    base.row,
    h(
      "div",
      { class: "estimate", "data-testid": "estimate" },
      h("span", {}, "Cost ≈ ", cost),
      h("span", {}, "Fee ≈ ", fee),
    ),
    h("div", { class: "acts" }, buy, sell),
  ];
  return {
    parts,
    types,
    price: price.input,
    priceName: price.name,
    priceUnit: price.unit,
    amount: amount.input,
    amountUnit: amount.unit,
    shares,
    quote,
    base,
    cost,
    fee,
    buy,
    sell,
  };
}

function setType(ticket, type) {
  ticket.type = type;
  for (const [name, button] of ticket.types) button.setAttribute("aria-pressed", String(name === type));
  setText(ticket.priceName, type === "stop" ? "Stop price" : "Price");
  ticket.price.placeholder = type === "market" ? "Market price" : "";
  if (type === "market") ticket.price.value = "";
  else if (!ticket.price.value && ticket.store.ticker)
    ticket.price.value = plain(ticket.store.ticker.last, ticket.store.instrument.price_decimals);
  estimate(ticket);
}

function showInstrument(ticket) {
  const { store } = ticket;
  const { base, quote, symbol } = store.instrument;
  setText(ticket.priceUnit, quote);
  setText(ticket.amountUnit, base);
  setText(ticket.buy, `Buy ${base}`);
  setText(ticket.sell, `Sell ${base}`);
  ticket.buy.setAttribute("aria-label", `Buy ${symbol}`);
  ticket.sell.setAttribute("aria-label", `Sell ${symbol}`);
  for (const [side, share, button] of ticket.shares) {
    button.setAttribute(
      "aria-label",
      side === "buy"
        ? `Amount for ${share} % of the free ${quote}`
        : `Amount of ${share} % of the free ${base}`,
    );
  }
  ticket.price.value = ticket.amount.value = "";
  ticket.touched = false;
  setType(ticket, "market");
  showBalances(ticket);
  suggestAmount(ticket);
}

function showBalances(ticket) {
  const { store } = ticket;
  if (!store.account || !store.instrument) return;
  const { base, quote } = store.instrument;
  setText(ticket.quote.available, `${formatBalance(store.free(quote), quote)} ${quote}`);
  setText(ticket.base.available, `${formatBalance(store.free(base), base)} ${base}`);
  if (!ticket.amount.value && !ticket.touched) suggestAmount(ticket);
}

const orderPrice = ({ type, price, store }) =>
  type !== "market" && Number(price.value) > 0 ? Number(price.value) : store.ticker?.last;

/** `amount` cut down to the lot. */
function toLots(amount, { lot, amount_decimals: decimals }) {
  return plain(Math.floor(amount / lot + 1e-9) * lot, decimals);
}

function suggestAmount(ticket) {
  const { store } = ticket;
  const price = store.ticker?.last;
  if (!price || !store.account) return;
  const amount = Math.max(
    (store.free(store.instrument.quote) * FIRST_SHARE) / price,
    store.instrument.min_amount,
  );
  ticket.amount.value = toLots(amount, store.instrument)
    .replace(/(\.\d*?)0+$/, "$1")
    .replace(/\.$/, "");
  estimate(ticket);
}

function takeShare(ticket, side, share) {
  const { store } = ticket;
  const { base, quote, fee_taker: fee } = store.instrument;
  const price =
    side === "buy" && ticket.type === "market"
      ? (store.book?.asks[0]?.[0] ?? orderPrice(ticket))
      : orderPrice(ticket);
  if (!price) return;
  // A market order for everything leaves room for its fee and for the levels it eats.
  const room = share === 100 && ticket.type === "market" ? 0.999 : 1;
  const amount =
    side === "buy"
      ? (store.free(quote) * (share / 100) * room) / (price * (1 + fee))
      : store.free(base) * (share / 100);
  ticket.amount.value = toLots(amount, store.instrument);
  ticket.touched = true;
  estimate(ticket);
}

function estimate(ticket) {
  const { store } = ticket;
  if (!store.instrument) return;
  const { quote, fee_taker: taker, fee_maker: maker } = store.instrument;
  const cost = Number(ticket.amount.value) * orderPrice(ticket);
  const fee = cost * (ticket.type === "limit" ? maker : taker);
  setText(ticket.cost, cost > 0 ? `${formatMoney(cost, quote)} ${quote}` : "–");
  setText(ticket.fee, cost > 0 ? `${formatMoney(fee, quote)} ${quote}` : "–");
}

/** Up and down move by one tick or lot, with Shift by ten. */
function stepByKey(event, ticket, input) {
  const way = { ArrowUp: 1, ArrowDown: -1 }[event.key];
  if (!way) return;
  event.preventDefault();
  const { instrument } = ticket.store;
  const [step, decimals] =
    input === ticket.price
      ? [instrument.tick, instrument.price_decimals]
      : [instrument.lot, instrument.amount_decimals];
  const from = Number(input.value) || (input === ticket.price ? (ticket.store.ticker?.last ?? 0) : 0);
  input.value = plain(Math.max(0, from + way * step * (event.shiftKey ? 10 : 1)), decimals);
  input.dispatchEvent(new Event("input"));
}

async function submit(ticket, side) {
  const { store, link, type } = ticket;
  const button = ticket[side];
  if (button.getAttribute("aria-busy") === "true") return;
  button.setAttribute("aria-busy", "true");
  const answer = await link.place({
    symbol: store.symbol,
    side,
    order_type: type,
    amount: ticket.amount.value.trim(),
    price: type === "market" ? "" : ticket.price.value.trim(),
  });
  button.removeAttribute("aria-busy");
  if (!answer.ok) store.toast(answer.text, "error");
}
