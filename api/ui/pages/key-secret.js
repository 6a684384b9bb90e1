// The one dialog in which the secret of a new key is shown.

import { copyButton } from "../lib/controls.js";
import { openDialog } from "../lib/dialog.js";
import { button, el, unit } from "../lib/dom.js";
import { dayOf } from "../lib/format.js";

/** Show the secret, and how to use it at this data port; only the tick lets the dialog go. */
export function showSecret(key, port) {
  const title = `${key.name} is ready`;
  return openDialog(title, (close) => content(key, port, close), { mustAnswer: true });
}

function content(key, port, close) {
  const { secret } = key;
  const title = "Confirm that you have stored the secret";
  const done = button("Done", () => close(), { id: "done", disabled: true, title });
  const tick = el("input", { type: "checkbox", id: "stored" });
  tick.addEventListener("change", () => {
    done.disabled = !tick.checked;
  });
  const first = { class: "primary", id: "copy-secret", autofocus: true };
  const copySecret = copyButton("Copy secret", () => secret, first);
  const copyHeader = copyButton("Copy as header", () => `${port.keyHeader}: ${secret}`, {});
  return [
    el("p", {}, "This is the only time the secret is shown: sidelog stores a hash of it."),
    el(
      "p",
      { class: "secret", id: "secret" },
      unit(secret.slice(0, 3)),
      secret.slice(3, -4),
      el("b", {}, secret.slice(-4)),
    ),
    el(
      "div",
      { class: "buttons" },
      copySecret,
      copyHeader,
      el("span", { class: "unit ends" }, "Ends in ", el("code", {}, key.last4)),
    ),
    el(
      "dl",
      { class: "facts" },
      el("dt", {}, "Scopes"),
      el("dd", { class: "mono" }, key.scopes === null ? "all" : key.scopes.join(", ")),
      el("dt", {}, "Agent access"),
      el("dd", { class: "mono" }, key.agents === "all" ? "all" : key.agents.join(", ")),
      el("dt", {}, "Expires"),
      el("dd", {}, key.expires_at ? dayOf(key.expires_at) : "never"),
      el("dt", {}, "Valid from"),
      el("dd", {}, "now, no restart needed"),
    ),
    el(
      "pre",
      { class: "recipe" },
      `${port.curl} ${port.url}${port.path} \\\n  -H "${port.keyHeader}: $SIDELOG_KEY"`,
    ),
    el(
      "div",
      { class: "buttons between" },
      el("label", { class: "tick-line" }, tick, "I have stored the secret"),
      done,
    ),
  ];
}
