// The page's entry: builds the panes, shows the first chart at once, and connects when Panel's socket is up.

import "./css/terminal.css";
import { byId, setText } from "./dom.js";
import { Store } from "./store.js";
import { Link } from "./link.js";
import { mountBook } from "./panes/book.js";
import { mountChartPane } from "./panes/chart.js";
import { mountDock } from "./panes/dock.js";
import { mountTabs } from "./panes/tabs.js";
import { mountTicket } from "./panes/ticket.js";
import { mountToasts } from "./panes/toasts.js";
import { mountTopBar } from "./panes/topbar.js";
import { mountTransfer } from "./panes/transfer.js";
import { mountWatch } from "./panes/watch.js";

export { Chart } from "./chart/index.js";

const boot = JSON.parse(byId("boot").textContent);
const store = new Store(boot);
const link = new Link(store);

mountToasts(store);
mountTabs();
mountTopBar(store);
const chart = mountChartPane(store, boot);
mountWatch(store);
mountTicket(store, link);
mountBook(store);
mountTransfer(store, link);
mountDock(store, link);

store.on("symbol", () =>
  link.send({ type: "symbol", symbol: store.symbol, known: chart.knownUntil(store.symbol) }),
);
store.on("resync", () =>
  link.send({ type: "symbol", symbol: store.symbol, known: chart.knownUntil(store.symbol) }),
);
// the symbol stands in the address: it survives a reload, and a window can be opened on it
store.on("symbol", () => history.replaceState(null, "", `#${store.symbol}`));
const wanted = decodeURIComponent(location.hash.slice(1));
store.select(store.instruments.has(wanted) ? wanted : boot.symbol);
setText(byId("mode"), boot.mode);

// Panel's bridge component calls `connect` once its document is live; the rest is for the console and measurements.
window.twinstar = { connect: (channel) => link.connect(channel), store, chart, link };
document.dispatchEvent(new Event("twinstar-ready"));
