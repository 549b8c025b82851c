// What the page knows, in one place: panes read it and are told by topic when a part of it changed.

export class Store {
  /** `boot`: what came with the page: {symbol, now, mode, instruments: [...], ...}. */
  constructor(boot) {
    this.boot = boot;
    this.now = boot.now;
    this.instruments = new Map(boot.instruments.map((instrument) => [instrument.symbol, ready(instrument)]));
    this.tickers = new Map(); // symbol -> {last, open, high, low, volume, turnover, change}
    this.book = null; // {symbol, bids: [[price, amount]], asks: [...]}
    this.trades = []; // newest first: {t, price, amount, side}
    this.contract = null; // of a perpetual: {mark, rate, next}
    this.account = null; // {balance, balances, positions, orders, fills, strategies, leverages}
    this.worth = null; // {equity, values: {"account:wallet:asset": value}, positions: {key: {mark, profit, ...}}}
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
    this.contract = null;
    this.emit("symbol", symbol);
    this.emit("book", null);
    this.emit("contract", null);
    this.emit("trades", this.trades);
  }

  /** Free amount of `asset` in a wallet of the manual account. */
  free(asset, wallet = "spot") {
    const own = (row) => row.account === "manual" && row.wallet === wallet && row.asset === asset;
    return this.account?.balances.find(own)?.free ?? 0;
  }

  /** The manual account's position in contracts of `symbol`: below zero when it is short. */
  position(symbol) {
    const own = (row) => row.account === "manual" && row.symbol === symbol;
    return (this.account?.positions ?? []).filter(own).reduce((sum, row) => sum + row.amount, 0);
  }

  /** Show one line to the user: `kind` is "error", "fill" or "info". */
  toast(text, kind = "info") {
    this.emit("toast", { text, kind });
  }
}

/** An instrument with what the panes ask of it: `perpetual`, and the `unit` that its amounts count. */
function ready(instrument) {
  const perpetual = instrument.kind !== "spot";
  return { ...instrument, perpetual, unit: instrument.kind === "inverse" ? "cont." : instrument.base };
}

/** What `amount` of an instrument is worth at `price`, in the asset that it settles in. */
export function valueOf(amount, price, { kind, contract_size: size }) {
  return kind === "inverse" ? (amount * size) / price : amount * price * size;
}

/** The amount that is worth `value` at `price`. */
export function amountOf(value, price, { kind, contract_size: size }) {
  return kind === "inverse" ? (value * price) / size : value / (price * size);
}
