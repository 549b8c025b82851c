// Short messages in the corner: one line, gone after a while; errors stay longer and name the rule that was broken.

import { byId, h } from "../dom.js";

const LIFE_MS = { error: 9000, fill: 4000, info: 4000 };
const MOST = 4;

export function mountToasts(store) {
  const host = byId("toasts");
  store.on("toast", ({ text, kind }) => {
    const close = h("button", { type: "button", class: "toast-close", "aria-label": "Dismiss" }, "×");
    const toast = h("div", { class: `toast toast-${kind}`, role: kind === "error" ? "alert" : "status", "data-testid": `toast-${kind}` }, h("span", {}, text), close);
    close.addEventListener("click", () => toast.remove());
    host.append(toast);
    while (host.children.length > MOST) host.firstElementChild.remove();
    setTimeout(() => toast.remove(), LIFE_MS[kind]);
  });
}
