// What the page knows, in one place: panes read it and are told by topic when a part of it changed.

export class Store {
  /** `boot`: what came with the page: {symbol, now, mode, instruments: [...], ...}. */
  constructor(boot) {
    this.boot = boot;
    this.now = boot.now;
    this.instruments = new Map(boot.instruments.map((instrument) => [instrument.symbol, instrument]));
    this.tickers = new Map(); // symbol -> {last, open, high, low, volume, turnover, change}
    this.book = null; // {symbol, bids: [[price, amount]], asks: [...]}
    this.trades = []; // newest first: {t, price, amount, side}
    this.account = null; // {balance, balances, positions, orders, fills, strategies}
    this.worth = null; // {equity, values: {"account:asset": value}}
    this.symbol = null;
    this.listeners = new Map();
  }

  /** Call `listener(value)` whenever `topic` changed. */
  on(topic, listener) {
    if (!this.listeners.has(topic)) this.listeners.set(topic, []);
    this.listeners.get(topic).push(listener);
  }

  emit(topic, value) {
    for (const listener of this.listeners.get(topic) ?? []) listener(value);
  }

  get instrument() {
    return this.instruments.get(this.symbol);
  }

  get ticker() {
    return this.tickers.get(this.symbol);
  }

  select(symbol) {
    if (symbol === this.symbol || !this.instruments.has(symbol)) return;
    this.symbol = symbol;
    this.book = null;
    this.trades = [];
    this.emit("symbol", symbol);
    this.emit("book", null);
    this.emit("trades", this.trades);
  }

  /** Free amount of `asset` on the manual account. */
  free(asset) {
    return this.account?.balances.find((row) => row.account === "manual" && row.asset === asset)?.free ?? 0;
  }

  /** Show one line to the user: `kind` is "error", "fill" or "info". */
  toast(text, kind = "info") {
    this.emit("toast", { text, kind });
  }
}
