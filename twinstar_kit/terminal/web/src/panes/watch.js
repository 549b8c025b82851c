// The list of all symbols: search, filter by quote, sort, live prices; arrow keys move, Enter chooses.

import { byId, h, setMood, setText } from "../dom.js";
import { formatPercent, formatPrice } from "../format.js";

const PERPETUALS = "Perp";
const SORTS = [
  { key: "symbol", label: "Symbol", of: (row) => row.instrument.symbol },
  { key: "last", label: "Last", of: (row) => row.ticker?.last ?? 0 },
  { key: "change", label: "24h", of: (row) => row.ticker?.change ?? -Infinity },
];

export function mountWatch(store) {
  const list = byId("watch-list"),
    search = byId("watch-search");
  const rows = [...store.instruments.values()].map((instrument) => makeRow(instrument, store));
  const filter = { text: "", quote: "All", sort: null, falling: false };
  const arrange = () => arrangeRows(list, rows, filter);

  list.append(...rows.map((row) => row.element));
  mountQuotes(store, filter, arrange);
  mountHead(filter, arrange);
  search.addEventListener("input", () => {
    filter.text = search.value.trim().toUpperCase();
    arrange();
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      search.value = filter.text = "";
      arrange();
      search.blur();
    } else if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      const first = visible(rows)[0];
      if (!first) return;
      if (event.key === "Enter") store.select(first.instrument.symbol);
      else list.focus();
    }
  });
  list.addEventListener("keydown", (event) => moveByKey(event, store, rows, list));
  list.addEventListener("click", (event) => {
    const element = event.target.closest("[data-symbol]");
    if (element) store.select(element.dataset.symbol);
  });
  byId("symbol-button").addEventListener("click", () => search.select() ?? search.focus());
  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || isTyping(event)) return;
    event.preventDefault();
    search.focus();
    search.select();
  });

  store.on("symbol", () => {
    for (const row of rows) {
      const chosen = row.instrument.symbol === store.symbol;
      row.element.setAttribute("aria-selected", String(chosen));
      if (chosen) {
        list.setAttribute("aria-activedescendant", row.element.id);
        row.element.scrollIntoView({ block: "nearest" });
      }
    }
  });
  store.on("tickers", () => {
    for (const row of rows) updateRow(row, store);
    if (filter.sort && filter.sort.key !== "symbol") arrange();
  });
}

export const isTyping = (event) => event.target.closest?.("input, textarea, select") !== null;

function makeRow(instrument, store) {
  const last = h("span", { class: "num watch-last" }, "–"),
    change = h("span", { class: "num watch-change" }, "–");
  const element = h(
    "div",
    {
      class: "watch-row",
      role: "option",
      id: `watch-${instrument.symbol.replace(/[/:]/g, "-")}`,
      "data-symbol": instrument.symbol,
      "aria-selected": "false",
    },
    h("span", { class: "watch-name", title: instrument.symbol }, instrument.base, h("small", {}, restOf(instrument))),
    last,
    change,
  );
  return { instrument, element, last, change, ticker: store.tickers.get(instrument.symbol) };
}

/** What stands behind the coin: /USDT of a spot market, Perp or Inverse of a perpetual. */
const restOf = ({ quote, perpetual, kind }) =>
  perpetual ? (kind === "inverse" ? " Inverse" : " Perp") : `/${quote}`;

function updateRow(row, store) {
  const ticker = store.tickers.get(row.instrument.symbol);
  const moved = row.ticker ? ticker.last - row.ticker.last : 0;
  row.ticker = ticker;
  setText(row.last, formatPrice(ticker.last, row.instrument));
  if (moved) setMood(row.last, moved);
  setText(row.change, formatPercent(ticker.change));
  setMood(row.change, ticker.change);
}

function arrangeRows(list, rows, { text, quote, sort, falling }) {
  for (const { instrument, element } of rows) {
    const name = instrument.symbol.replace("/", "") + (instrument.perpetual ? " PERPETUAL" : "");
    const matches = !text || name.includes(text.replace("/", "")) || instrument.symbol.includes(text);
    element.hidden = !(matches && (quote === "All" || marketOf(instrument) === quote));
  }
  if (!sort) return;
  const sorted = [...rows].sort(
    (a, b) => (sort.of(a) > sort.of(b) ? 1 : sort.of(a) < sort.of(b) ? -1 : 0) * (falling ? -1 : 1),
  );
  if (sorted.every((row, i) => list.children[i] === row.element)) return;
  list.append(...sorted.map((row) => row.element));
}

/** The button that an instrument is listed under: its quote, or all perpetuals together. */
const marketOf = ({ perpetual, quote }) => (perpetual ? PERPETUALS : quote);

const visible = (rows) => rows.filter((row) => !row.element.hidden);

function mountQuotes(store, filter, arrange) {
  const quotes = ["All", ...new Set([...store.instruments.values()].map(marketOf))];
  if (quotes.length < 3) return;
  const buttons = quotes.map((quote) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(quote === "All"),
        "data-testid": `quote-${quote}`,
        onclick: () => {
          filter.quote = quote;
          for (const button of buttons)
            button.setAttribute("aria-pressed", String(button.textContent === quote));
          arrange();
        },
      },
      quote,
    ),
  );
  byId("watch-quotes").append(...buttons);
}

function mountHead(filter, arrange) {
  const buttons = SORTS.map((sort) =>
    h(
      "button",
      {
        type: "button",
        class: `sort sort-${sort.key}`,
        "data-testid": `sort-${sort.key}`,
        onclick: () => {
          filter.falling = filter.sort === sort ? !filter.falling : sort.key !== "symbol";
          filter.sort = sort;
          SORTS.forEach((other, i) =>
            buttons[i].setAttribute(
              "data-order",
              other === sort ? (filter.falling ? "falling" : "rising") : "",
            ),
          );
          arrange();
        },
      },
      sort.label,
    ),
  );
  byId("watch-head").append(...buttons);
}

function moveByKey(event, store, rows, list) {
  const move = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10 }[event.key];
  if (!move) return;
  event.preventDefault();
  const shown = [...list.children].filter((element) => !element.hidden);
  if (!shown.length) return;
  const at = shown.findIndex((element) => element.dataset.symbol === store.symbol);
  store.select(shown[Math.max(0, Math.min(shown.length - 1, at + move))].dataset.symbol);
}
