// The order book and the tape. Rows are made once and rewritten; a click on a level puts its price in the ticket.

import { byId, h, setMood, setText } from "../dom.js";
import { formatAmount, formatColumn, formatPercent, formatPrice, formatTime } from "../format.js";

const ROW_PX = 19;
const HEAD_PX = 24 + 30; // column titles and the last price between the sides
const MOST_LEVELS = 18;
const MOST_TRADES = 40;

export function mountBook(store) {
  const panel = byId("panel-book");
  for (const [name, tab] of [
    ["book", "tab-book"],
    ["trades", "tab-trades"],
  ]) {
    if (!store.boot.synthetic.includes(name)) continue;
    byId(tab).append(h("small", { class: "count" }, " made up"));
    byId(tab).title = "Not recorded: made up from the bars, so that orders can be tried";
  }
  const pick = (event) => {
    const row = event.target.closest("[data-price]");
    if (row?.dataset.price) store.emit("price-picked", Number(row.dataset.price));
  };
  const asks = makeSide("ask"),
    bids = makeSide("bid");
  const last = h("strong", { class: "num", "data-testid": "book-last" }, "–"),
    spread = h("small", { "data-testid": "spread" });
  const titles = h(
    "div",
    { class: "book-row book-titles" },
    h("span", {}, "Price"),
    amountTitle(store),
    h("span", {}, "Total"),
  );
  panel.append(titles, asks.element, h("div", { class: "book-mid" }, last, spread), bids.element);
  panel.addEventListener("click", pick);
  let levels = MOST_LEVELS;
  const draw = () => drawBook(store, asks, bids, spread, levels);
  new ResizeObserver(([{ contentRect }]) => {
    const fits = Math.max(3, Math.min(MOST_LEVELS, Math.floor((contentRect.height - HEAD_PX) / 2 / ROW_PX)));
    if (contentRect.height === 0 || fits === levels) return;
    levels = fits;
    draw();
  }).observe(panel);
  store.on("book", draw);
  const drawLast = () => {
    if (!store.ticker) return;
    setText(last, formatPrice(store.ticker.last, store.instrument));
    setMood(last, store.ticker.last - (store.ticker.before ?? store.ticker.last));
  };
  store.on("tickers", drawLast);
  store.on("symbol", drawLast);
  mountTape(store);
}

/** The title of a column of amounts, with what they count. */
function amountTitle(store) {
  const title = h("span", {}, "Amount");
  store.on("symbol", () => setText(title, `Amount ${store.instrument.unit}`));
  return title;
}

function makeSide(name) {
  const rows = Array.from({ length: MOST_LEVELS }, () => {
    const price = h("span", { class: "num book-price" }),
      amount = h("span", { class: "num" }),
      total = h("span", { class: "num" }),
      bar = h("i", {});
    return {
      element: h("div", { class: "book-row", title: "Use this price" }, bar, price, amount, total),
      price,
      amount,
      total,
      bar,
    };
  });
  return { element: h("div", { class: `book-side book-${name}` }, ...rows.map((row) => row.element)), rows };
}

function drawBook(store, asks, bids, spread, levels) {
  const { book, instrument } = store;
  const sides = [
    [asks, book?.asks ?? []],
    [bids, book?.bids ?? []],
  ];
  const depth = Math.max(
    ...sides.map(([, quotes]) => quotes.slice(0, levels).reduce((sum, [, amount]) => sum + amount, 0)),
  );
  for (const [side, quotes] of sides) {
    let total = 0;
    side.rows.forEach((row, i) => {
      const quote = i < levels ? quotes[i] : undefined;
      row.element.hidden = i >= levels;
      row.element.dataset.price = quote ? quote[0] : "";
      total += quote ? quote[1] : 0;
      setText(row.price, quote ? formatPrice(quote[0], instrument) : "");
      setText(row.amount, quote ? formatColumn(quote[1], depth) : "");
      setText(row.total, quote ? formatColumn(total, depth) : "");
      row.bar.style.transform = `scaleX(${quote && depth ? (total / depth).toFixed(3) : 0})`;
    });
  }
  const [ask, bid] = sides.map(([, quotes]) => quotes[0]?.[0]);
  setText(
    spread,
    ask && bid ? `Spread ${formatPrice(ask - bid, instrument)} (${formatPercent((ask - bid) / ask)})` : "",
  );
}

function mountTape(store) {
  const panel = byId("panel-trades");
  const rows = Array.from({ length: MOST_TRADES }, () => {
    const price = h("span", { class: "num" }),
      amount = h("span", { class: "num" }),
      time = h("span", { class: "num" });
    return { element: h("div", { class: "book-row" }, price, amount, time), price, amount, time };
  });
  panel.append(
    h(
      "div",
      { class: "book-row book-titles" },
      h("span", {}, "Price"),
      amountTitle(store),
      h("span", {}, "Time"),
    ),
    ...rows.map((row) => row.element),
  );
  store.on("trades", (trades) => {
    rows.forEach((row, i) => {
      const trade = trades[i];
      row.element.hidden = !trade;
      if (!trade) return;
      setText(row.price, formatPrice(trade.price, store.instrument));
      setMood(row.price, trade.side === "buy" ? 1 : -1);
      setText(row.amount, formatAmount(trade.amount));
      setText(row.time, formatTime(trade.t));
    });
  });
}
