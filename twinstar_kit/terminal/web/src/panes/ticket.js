// The order ticket: market, limit and stop orders for the account `manual`.
//
// On a perpetual, what is free in the swap wallet and the leverage bound a new position; the second row of shares is of
// the position that there is, for closing it.
//
// Numbers travel as the text that was typed: the session parses them exactly and refuses, by rule, what does not fit
// the instrument's tick and lot. Typing a price makes a market order a limit order.

import { byId, h, setText } from "../dom.js";
import { formatAmount, formatCounted, formatMoney } from "../format.js";
import { amountOf, valueOf } from "../store.js";
import { isTyping } from "./watch.js";

const TYPES = [
  ["market", "Market"],
  ["limit", "Limit"],
  ["stop", "Stop"],
];
const LEVERAGES = [1, 2, 3, 5, 10, 20, 25, 50, 75, 100, 125];
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
  ticket.leverage.addEventListener("change", () => chooseLeverage(ticket));
  ticket.transfer.addEventListener("click", () =>
    store.emit("transfer", { asset: store.instrument.settle, source: "spot" }),
  );
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
  const leverage = h("select", {
    class: "leverage num",
    "aria-label": "Leverage",
    title: "Leverage: the value of a position for each unit of its margin",
    "data-testid": "leverage",
  });
  const transfer = h(
    "button",
    {
      type: "button",
      class: "plain transfer",
      title: "Transfer between the spot and the swap wallet",
      "data-testid": "transfer",
    },
    "⇄",
  );
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
        h("div", { class: "shares-available" }, side === "buy" ? transfer : null, available),
        ...buttons,
      ),
    };
  };
  const quote = shareRow("buy"),
    base = shareRow("sell");
  const cost = h("b", { class: "num" }, "–"),
    costName = h("span", {}, "Cost"),
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
      { class: "ticket-head" },
      h(
        "div",
        { class: "segments ticket-types", role: "group", "aria-label": "Order type" },
        ...types.map(([, button]) => button),
      ),
      leverage,
    ),
    price.row,
    amount.row,
    quote.row,
    base.row,
    h(
      "div",
      { class: "estimate", "data-testid": "estimate" },
      h("span", {}, costName, " ≈ ", cost),
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
    leverage,
    transfer,
    cost,
    costName,
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
  const { base, quote, settle, symbol, unit, perpetual, most_leverage: most } = store.instrument;
  setText(ticket.priceUnit, quote);
  setText(ticket.amountUnit, unit);
  setText(ticket.buy, perpetual ? "Buy / Long" : `Buy ${base}`);
  setText(ticket.sell, perpetual ? "Sell / Short" : `Sell ${base}`);
  setText(ticket.costName, perpetual ? "Margin" : "Cost");
  ticket.buy.setAttribute("aria-label", `Buy ${symbol}`);
  ticket.sell.setAttribute("aria-label", `Sell ${symbol}`);
  ticket.quote.available.title = perpetual ? `Free ${settle} in the swap wallet` : `Free ${quote}`;
  ticket.base.available.title = perpetual ? "Position" : `Free ${base}`;
  ticket.leverage.hidden = ticket.transfer.hidden = !perpetual;
  ticket.leverage.replaceChildren(
    ...LEVERAGES.filter((leverage) => leverage <= most).map((leverage) => option(leverage)),
  );
  const [free, held] = perpetual ? [settle, "position"] : [quote, `free ${base}`];
  for (const [side, share, button] of ticket.shares) {
    const words = side === "buy" ? `Amount for ${share} % of the free ${free}` : `${share} % of the ${held}`;
    button.setAttribute("aria-label", words);
  }
  ticket.price.value = ticket.amount.value = "";
  ticket.touched = false;
  setType(ticket, "market");
  showBalances(ticket);
  suggestAmount(ticket);
}

const option = (leverage) => h("option", { value: leverage }, `${leverage}×`);

/** What is free to buy with: of the quote, or of the asset that a perpetual settles in. */
const budgetOf = ({ store }) => {
  const { perpetual, settle, quote } = store.instrument;
  return perpetual ? store.free(settle, "swap") : store.free(quote);
};

const leverageOf = ({ store }) => store.account?.leverages[store.symbol] ?? 1;

function showBalances(ticket) {
  const { store } = ticket;
  if (!store.account || !store.instrument) return;
  const { base, quote, settle, symbol, perpetual } = store.instrument;
  const money = perpetual ? settle : quote;
  setText(ticket.quote.available, `${formatMoney(budgetOf(ticket), money)} ${money}`);
  const held = perpetual ? store.position(symbol) : store.free(base);
  setText(
    ticket.base.available,
    perpetual ? formatCounted(held, store.instrument) : `${formatMoney(held, base)} ${base}`,
  );
  const leverage = leverageOf(ticket);
  if (![...ticket.leverage.options].some(({ value }) => Number(value) === leverage))
    ticket.leverage.append(option(leverage)); // a program may choose any
  ticket.leverage.value = leverage;
  if (!ticket.amount.value && !ticket.touched) suggestAmount(ticket);
  estimate(ticket);
}

async function chooseLeverage(ticket) {
  const { store, link, leverage } = ticket;
  const answer = await link.setLeverage(store.symbol, Number(leverage.value));
  if (answer.ok) return;
  store.toast(answer.text, "error");
  leverage.value = leverageOf(ticket);
}

const orderPrice = ({ type, price, store }) =>
  type !== "market" && Number(price.value) > 0 ? Number(price.value) : store.ticker?.last;

/** `amount` cut down to the lot. */
function toLots(amount, { lot, amount_decimals: decimals }) {
  return plain(Math.floor(amount / lot + 1e-9) * lot, decimals);
}

function suggestAmount(ticket) {
  const { store } = ticket;
  const { instrument } = store;
  const price = store.ticker?.last;
  if (!price || !store.account) return;
  const amount = Math.max(
    amountOf(budgetOf(ticket) * FIRST_SHARE * leverageOf(ticket), price, instrument),
    instrument.min_amount,
  );
  const lots = toLots(amount, instrument);
  ticket.amount.value = lots.includes(".") ? lots.replace(/\.?0+$/, "") : lots;
  estimate(ticket);
}

function takeShare(ticket, side, share) {
  const { store } = ticket;
  const { base, symbol, perpetual, fee_taker: fee } = store.instrument;
  const price =
    side === "buy" && ticket.type === "market"
      ? (store.book?.asks[0]?.[0] ?? orderPrice(ticket))
      : orderPrice(ticket);
  if (!price) return;
  // A market order for everything leaves room for its fee and for the levels it eats.
  const room = share === 100 && ticket.type === "market" ? 0.999 : 1;
  const margin = perpetual ? 1 / leverageOf(ticket) : 1; // of the value
  const held = perpetual ? Math.abs(store.position(symbol)) : store.free(base);
  const amount =
    side === "buy"
      ? amountOf((budgetOf(ticket) * (share / 100) * room) / (margin + fee), price, store.instrument)
      : held * (share / 100);
  ticket.amount.value = toLots(amount, store.instrument);
  ticket.touched = true;
  estimate(ticket);
}

function estimate(ticket) {
  const { store } = ticket;
  if (!store.instrument) return;
  const { settle, kind, perpetual, fee_taker: taker, fee_maker: maker } = store.instrument;
  const value = valueOf(Number(ticket.amount.value), orderPrice(ticket), store.instrument);
  const cost = perpetual ? value / leverageOf(ticket) : value;
  const fee = value * (ticket.type === "limit" ? maker : taker);
  const about = (sum) => (kind === "inverse" ? formatAmount(sum) : formatMoney(sum, settle));
  setText(ticket.cost, value > 0 ? `${about(cost)} ${settle}` : "–");
  setText(ticket.fee, value > 0 ? `${about(fee)} ${settle}` : "–");
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
  if (answer.ok) return;
  const { perpetual, settle } = store.instrument;
  const empty = perpetual && budgetOf(ticket) === 0;
  store.toast(answer.text + (empty ? `; ⇄ moves ${settle} to the swap wallet` : ""), "error");
}
