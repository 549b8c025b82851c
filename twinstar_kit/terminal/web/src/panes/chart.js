// The chart's pane: timeframes, the layers' menu, the scale, and what of the account belongs on the chart.

import { Chart, defaultLayers, labelOf } from "../chart/index.js";
import { LAYERS } from "../chart/layers.js";
import { byId, h } from "../dom.js";
import { formatLots } from "../format.js";

const TIMEFRAMES = [1, 5, 15, 60, 240, 1440];
const LAYERS_KEY = "twinstar.layers";
const EXIT_WORDS = { stop: "Stop", trailing_stop: "Stop" };

export function mountChartPane(store, boot) {
  const chart = new Chart(byId("chart"), {
    barsUrl: ({ symbol, step, since, until }) => {
      const window = since === undefined ? "" : `&since=${since}&until=${until}`;
      return `${boot.routes}/bars?symbol=${encodeURIComponent(symbol)}&step=${step}${window}`;
    },
    onError: (error) => store.toast(error.message, "error"),
    baseStep: boot.base_step,
    layers: rememberedLayers(),
  });
  mountTools(store, chart);
  store.on("symbol", () => {
    chart.setInstrument(store.instrument, store.now);
    showAccount(store, chart);
  });
  store.on("bars", (bars) => {
    // More minutes passed than a message carries: the year is fetched anew.
    if (bars.restart) chart.reload(store.now);
    else chart.append(store.symbol, bars.rows);
  });
  store.on("account", () => showAccount(store, chart));
  return chart;
}

function showAccount(store, chart) {
  const { account, symbol } = store;
  if (!account) return;
  const here = (row) => row.symbol === symbol;
  chart.setOrders(account.orders.filter(here), account.positions.filter(here));
  chart.setFills(
    account.fills
      .filter(here)
      .reverse()
      .map((fill) => ({
        minute: fill.ts / 60_000,
        side: fill.side,
        price: fill.price,
        amount: fill.amount,
        note: noteOf(fill, store.instrument),
      })),
  );
}

/** "Entry", "Exit" and "Stop" for a strategy; the amount for one's own fills. */
function noteOf(fill, instrument) {
  if (fill.liquidation) return "Liquidated";
  if (!fill.owner) return formatLots(fill.amount, instrument);
  return fill.opens ? "Entry" : (EXIT_WORDS[fill.type] ?? "Exit");
}

function mountTools(store, chart) {
  const steps = [...new Set([store.boot.base_step, ...TIMEFRAMES])].filter(
    (minutes) => minutes % store.boot.base_step === 0,
  );
  const frames = steps.map((minutes, first) =>
    h(
      "button",
      {
        type: "button",
        "aria-pressed": String(first === 0),
        "data-testid": `timeframe-${labelOf(minutes)}`,
        onclick: () => {
          chart.setTimeframe(minutes, store.now);
          frames.forEach((button, i) => button.setAttribute("aria-pressed", String(steps[i] === minutes)));
        },
      },
      labelOf(minutes),
    ),
  );
  const log = h(
    "button",
    {
      type: "button",
      "aria-pressed": "false",
      title: "Logarithmic price scale",
      "data-testid": "log-scale",
      onclick: () => {
        const on = log.getAttribute("aria-pressed") !== "true";
        log.setAttribute("aria-pressed", String(on));
        chart.setLogScale(on);
      },
    },
    "Log",
  );
  const latest = h(
    "button",
    {
      type: "button",
      title: "Go to the last bar",
      "data-testid": "latest",
      onclick: () => chart.showLatest(),
    },
    "Latest ⇥",
  );
  byId("chart-tools").append(
    h("div", { class: "segments", role: "group", "aria-label": "Timeframe" }, ...frames),
    layersMenu(chart),
    h("span", { class: "spring" }),
    h("div", { class: "segments" }, log, latest),
  );
}

/** A disclosure with one checkbox a layer; the chips of the read-out do the same with one click. */
function layersMenu(chart) {
  const boxes = new Map();
  const rows = [
    { id: "volume", label: "Volume", about: "Amount traded in each bar", colour: "#8b95a3" },
    ...LAYERS,
  ].map((layer) => {
    const box = h("input", {
      type: "checkbox",
      "data-testid": `menu-${layer.id}`,
      onchange: () => chart.toggleLayer(layer.id),
    });
    boxes.set(layer.id, box);
    return h(
      "label",
      { title: layer.about },
      box,
      h("i", { style: { background: layer.colour } }),
      layer.label,
      h("small", {}, layer.about),
    );
  });
  const menu = h(
    "details",
    { class: "menu" },
    h("summary", { "data-testid": "layers-menu" }, "Indicators ▾"),
    h("div", { class: "menu-list" }, ...rows),
  );
  const reflect = () => {
    for (const [id, box] of boxes) box.checked = chart.state.shown.has(id);
  };
  chart.onLayers = (layers) => {
    reflect();
    localStorage.setItem(LAYERS_KEY, JSON.stringify(layers));
  };
  document.addEventListener("click", (event) => menu.contains(event.target) || (menu.open = false));
  menu.addEventListener("keydown", (event) => event.key === "Escape" && (menu.open = false));
  reflect();
  return menu;
}

function rememberedLayers() {
  try {
    return JSON.parse(localStorage.getItem(LAYERS_KEY)) ?? defaultLayers();
  } catch {
    return defaultLayers();
  }
}
