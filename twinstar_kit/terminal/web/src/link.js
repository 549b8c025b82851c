// The link to the server, over Panel's own socket: state comes in, commands go out, each with an id of its own.
//
// The server sends the next update only after the last one was acknowledged, and then the newest state: a page that
// is slow, or asleep in a background tab, misses intermediate prices but never piles up messages.

const SILENT_MS = 5000;
const RETRY_MS = 2000;
const ANSWER_MS = 20_000;
const NO_ANSWER =
  "No answer has come; it may have been done all the same: look at orders and fills before you try again.";
const TICKER_FIELDS = ["last", "open", "high", "low", "volume", "turnover"];

export class Link {
  constructor(store) {
    this.store = store;
    this.channel = null;
    this.unsent = [];
    this.waiting = new Map(); // command id -> {resolve}
    this.heard = 0;
    this.alive = true;
    this.seen = 0; // states taken in so far
    setInterval(() => this.#reflect(), 1000);
  }

  connect(channel) {
    this.channel = channel;
    channel.onMessage((message) => this.#receive(JSON.parse(message.json)));
    this.send({ type: "ready", symbol: this.store.symbol });
    for (const message of this.unsent.splice(0)) channel.send(message);
    for (const document of window.Bokeh.documents) document.on_event("connection_lost", () => this.#lost());
  }

  send(message) {
    if (this.channel) this.channel.send(message);
    else if (message.type !== "symbol") this.unsent.push(message); // "ready" will name the symbol
  }

  /** Place an order; resolves to {ok, text, status, ...} when the session has answered. */
  place(order) {
    return this.#command({ type: "place", ...order });
  }

  cancel(account, orderId) {
    return this.#command({ type: "cancel", account, order_id: orderId });
  }

  /** Move free balance between wallets: {asset, amount, source, target}. */
  transfer(move) {
    return this.#command({ type: "transfer", ...move });
  }

  setLeverage(symbol, leverage) {
    return this.#command({ type: "leverage", symbol, leverage });
  }

  #command(message) {
    const id = crypto.randomUUID
      ? crypto.randomUUID()
      : `${Date.now()}-${Math.random().toString(16).slice(2)}`;
    return new Promise((resolve) => {
      this.waiting.set(id, resolve);
      this.send({ ...message, command_id: id });
      setTimeout(() => this.waiting.delete(id) && resolve({ ok: false, text: NO_ANSWER }), ANSWER_MS);
    });
  }

  /** The socket closed: the server ended, or the machine slept. Load the page anew once the server answers again. */
  #lost() {
    if (this.gone) return;
    this.gone = true;
    this.heard = -Infinity;
    this.#reflect();
    this.store.toast(
      "The connection to the terminal's server was lost; the page comes back when the server does.",
      "error",
    );
    setInterval(async () => {
      const answer = await fetch(location.href, { cache: "no-store" }).catch(() => null);
      if (answer?.ok) location.reload();
    }, RETRY_MS);
  }

  #receive(message) {
    this.heard = performance.now();
    this.#reflect();
    if (message.type === "answer") {
      this.waiting.get(message.command_id)?.(message);
      this.waiting.delete(message.command_id);
    } else if (message.type === "state") {
      this.#apply(message);
      this.seen++;
      this.channel.send({ type: "ack", seq: message.seq });
    } else if (message.type === "error") {
      this.store.toast(message.text, "error");
    }
  }

  #apply(message) {
    const { store } = this;
    store.now = message.now;
    if (this.alive && !message.alive)
      store.toast(
        "The session has ended: prices and the account stand still. Start it again with `twinstar terminal`.",
        "error",
      );
    this.alive = message.alive;
    store.emit("now", message.now);
    if (message.tickers) {
      unpackTickers(store, message.tickers);
      store.emit("tickers");
    }
    if (message.symbol === store.symbol) {
      // A message may overtake a switch of symbol: what belongs to another symbol is dropped.
      if (message.book) store.emit("book", (store.book = message.book));
      if (message.trades) store.emit("trades", (store.trades = message.trades));
      if ("contract" in message) store.emit("contract", (store.contract = message.contract));
      if (message.bars) store.emit("bars", message.bars);
    }
    if (message.worth) store.worth = message.worth;
    if (message.account) store.emit("account", (store.account = message.account));
    if (message.worth) store.emit("worth", message.worth);
  }

  #reflect() {
    const state = !this.channel
      ? "connecting"
      : performance.now() - this.heard > SILENT_MS
        ? "stale"
        : this.alive
          ? "live"
          : "ended";
    if (state !== this.state) this.store.emit("link", (this.state = state));
  }
}

/** Rows of TICKER_FIELDS in the order of the instruments. */
function unpackTickers(store, rows) {
  let i = 0;
  for (const symbol of store.instruments.keys()) {
    const ticker = {};
    TICKER_FIELDS.forEach((field, j) => (ticker[field] = rows[i][j]));
    ticker.change = ticker.open ? ticker.last / ticker.open - 1 : NaN;
    ticker.before = store.tickers.get(symbol)?.last;
    store.tickers.set(symbol, ticker);
    i++;
  }
}
