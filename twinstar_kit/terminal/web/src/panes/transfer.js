// The dialog that moves money between the spot wallet and the swap wallet, which contracts are traded from.

import { byId, h, setText } from "../dom.js";
import { formatMoney } from "../format.js";

const WORDS = { spot: "Spot", swap: "Swap" };

export function mountTransfer(store, link) {
  const dialog = byId("transfer");
  const state = { asset: "", source: "spot" };
  const title = h("h2", { id: "transfer-title" }),
    free = h("button", { type: "button", class: "plain num", "aria-label": "Move all that is free" }),
    unit = h("span", { class: "field-unit" }),
    refusal = h("p", { class: "dialog-error", role: "alert", "data-testid": "transfer-error" });
  const amount = h("input", {
    type: "text",
    inputmode: "decimal",
    class: "num",
    autocomplete: "off",
    "data-testid": "transfer-amount",
    "aria-label": "Amount to move",
  });
  const ways = ["spot", "swap"].map((source) => {
    const button = h("button", { type: "button", "data-testid": `transfer-from-${source}` });
    button.addEventListener("click", () => show(source));
    setText(button, `${WORDS[source]} → ${WORDS[source === "spot" ? "swap" : "spot"]}`);
    return [source, button];
  });
  const show = (source) => {
    state.source = source;
    for (const [name, button] of ways) button.setAttribute("aria-pressed", String(name === source));
    setText(title, `Transfer ${state.asset}`);
    setText(unit, state.asset);
    setText(refusal, "");
    showFree();
  };
  const showFree = () =>
    setText(free, `${formatMoney(store.free(state.asset, state.source), state.asset)} ${state.asset}`);
  const submit = async (event) => {
    event.preventDefault();
    const target = state.source === "spot" ? "swap" : "spot";
    const typed = amount.value.trim();
    const answer = await link.transfer({ asset: state.asset, amount: typed, source: state.source, target });
    if (!answer.ok) return setText(refusal, answer.text);
    dialog.close();
    store.toast(`Moved ${typed} ${state.asset} to the ${target} wallet`);
  };
  free.addEventListener("click", () => (amount.value = String(store.free(state.asset, state.source))));
  dialog.append(
    h(
      "form",
      { onsubmit: submit, novalidate: true },
      title,
      h("div", { class: "segments", role: "group", "aria-label": "From and to" }, ...ways.map(([, b]) => b)),
      h("label", { class: "field" }, h("span", { class: "field-name" }, "Amount"), amount, unit),
      h("p", { class: "dialog-note" }, "Free: ", free),
      refusal,
      h(
        "div",
        { class: "dialog-acts" },
        h("button", { type: "button", class: "row-action", onclick: () => dialog.close() }, "Close"),
        h("button", { type: "submit", class: "act act-plain", "data-testid": "transfer-move" }, "Move"),
      ),
    ),
  );
  store.on("account", () => dialog.open && showFree());
  store.on("transfer", ({ asset, source }) => {
    state.asset = asset;
    amount.value = "";
    show(source);
    dialog.showModal();
    amount.focus();
  });
}
