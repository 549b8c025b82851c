// The top bar: the symbol and its day, the account in two numbers, the mode, the venue's clock, the link.

import { byId, setMood, setText } from "../dom.js";
import {
  formatAmount,
  formatDay,
  formatMoney,
  formatMove,
  formatPercent,
  formatPrice,
  formatRate,
  formatSpan,
  formatTime,
  zoneName,
} from "../format.js";

const LINK_WORDS = {
  connecting: "connecting",
  live: "live",
  stale: "no word from the server",
  ended: "the session has ended",
};

export function mountTopBar(store) {
  const { boot } = store;
  byId("simulated").hidden = !boot.simulated;
  byId("replay").hidden = boot.simulated || !boot.feed.startsWith("replay");
  byId("balance").dataset.testid = `balance-${boot.money}`;
  for (const unit of document.querySelectorAll(".money-unit")) setText(unit, boot.money);
  byId("mode").title = `Session ${boot.session}, feed ${boot.feed}: orders fill on a virtual exchange`;

  store.on("symbol", () => {
    setText(byId("symbol"), store.symbol);
    const { unit, quote, settle, perpetual, kind } = store.instrument;
    setText(byId("stat-base"), unit);
    setText(byId("stat-quote"), kind === "inverse" ? "USD" : quote);
    document.querySelector(".topbar").toggleAttribute("data-perpetual", perpetual);
    byId("symbol-button").title = perpetual
      ? `Perpetual, settled in ${settle}: choose a symbol ( / )`
      : "Choose a symbol ( / )";
    showTicker(store);
  });
  store.on("tickers", () => showTicker(store));
  store.on("contract", () => showContract(store));
  store.on("now", () => showContract(store));
  store.on("account", (account) => {
    setText(byId("balance"), formatMoney(account.balance, boot.money));
  });
  store.on("worth", ({ equity }) => setText(byId("equity"), formatMoney(equity, boot.money)));
  store.on("account", ({ strategies }) => {
    const badge = byId("strategy");
    badge.hidden = !strategies.length;
    setText(badge, strategies.map(({ name }) => name).join(" · "));
    badge.title = strategies
      .map(({ name, account, params }) => `Strategy ${name} on account ${account}: ${params}`)
      .join("\n");
  });
  store.on("now", (now) => {
    setText(byId("clock"), formatTime(now));
    setText(byId("clock-day"), `${formatDay(now)} ${zoneName}`);
  });
  store.on("link", (state) => {
    const dot = byId("link");
    dot.dataset.state = state;
    dot.title = LINK_WORDS[state];
    dot.setAttribute("aria-label", LINK_WORDS[state]);
  });
}

function showContract({ contract, instrument, now }) {
  if (!instrument?.perpetual) return;
  setText(byId("stat-mark"), formatPrice(contract?.mark, instrument));
  const left = contract?.next ? Math.max(0, contract.next - now) : null;
  const rate = typeof contract?.rate === "number" ? formatRate(contract.rate) : "–";
  setText(byId("stat-funding"), left === null ? "–" : `${rate}  ${formatSpan(left)}`);
}

function showTicker(store) {
  const { ticker, instrument } = store;
  if (!ticker || !instrument) return;
  const last = byId("last-price");
  setText(last, formatPrice(ticker.last, instrument));
  if (ticker.before !== undefined && ticker.before !== ticker.last)
    setMood(last, ticker.last - ticker.before);
  setText(
    byId("stat-change"),
    `${formatMove(ticker.last - ticker.open, instrument)}  ${formatPercent(ticker.change)}`,
  );
  setMood(byId("stat-change"), ticker.change);
  setText(byId("stat-high"), formatPrice(ticker.high, instrument));
  setText(byId("stat-low"), formatPrice(ticker.low, instrument));
  setText(byId("stat-volume"), formatAmount(ticker.volume));
  setText(byId("stat-turnover"), formatAmount(ticker.turnover));
  document.title = `${formatPrice(ticker.last, instrument)} ${store.symbol} · TwinStar`;
}
