// The keys page: what each key may do and whether it works, and the one moment in which a secret is shown.

import { dataPort } from "../lib/data-port.js";
import { copy, el } from "../lib/dom.js";
import { confirm, openDialog, toast } from "../lib/dialog.js";
import { ago, moment } from "../lib/format.js";
import { ask, Problem, send, wordsFor } from "../lib/api.js";
import { keyForm } from "./key-form.js";

export function mount(main, signal) {
  const page = new KeysPage(main, signal);
  page.read();
  return page;
}

const dayOf = (text) =>
  new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" });
const isExpired = (key) => key.expires_at !== null && Date.parse(key.expires_at) <= Date.now();

class KeysPage {
  constructor(main, signal) {
    this.signal = signal;
    this.note = el("span", { class: "unit" });
    this.body = el("tbody", { id: "keys" });
    this.empty = el(
      "div",
      { class: "nothing", hidden: true },
      el("p", {}, el("strong", {}, "There is no key yet")),
      el(
        "p",
        {},
        "A key lets a caller through a route that asks for one. Such a route has ",
        el("code", { class: "chip" }, 'auth = "required"'),
        " in its settings, and lets nobody through until there is a key.",
      ),
    );
    this.bad = el("p", { class: "bad", role: "alert" });
    const head = ["Name", "Ends in", "Scopes", "Agent access", "Expires", "Last used", "State", ""];
    main.append(
      el(
        "div",
        { class: "page-head" },
        el("div", {}, el("p", { class: "unit" }, "Developer"), el("h1", {}, "Keys ", this.note)),
        el(
          "button",
          { type: "button", class: "primary", id: "create", onclick: () => this.create() },
          "Create key",
        ),
      ),
      this.bad,
      (this.table = el(
        "table",
        { class: "managed keys" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            head.map((name) =>
              el("th", { scope: "col" }, name || el("span", { class: "hidden" }, "Actions")),
            ),
          ),
        ),
        this.body,
      )),
      this.empty,
    );
    this.keys = { n: () => this.create() };
  }

  async read() {
    try {
      const { keys } = await ask("/api/keys", {}, this.signal);
      this.draw(keys.toReversed());
      this.bad.textContent = "";
    } catch (error) {
      const isRefused = error instanceof Problem && error.status === 403;
      this.bad.textContent = isRefused
        ? "Keys are for the admin: this token may only read."
        : (wordsFor(error) ?? "");
    }
  }

  draw(keys) {
    const useless = keys.filter((key) => key.disabled || isExpired(key)).length;
    this.note.textContent = `${keys.length} ${keys.length === 1 ? "key" : "keys"}${useless ? `, ${useless} not usable` : ""}`;
    this.empty.hidden = keys.length > 0;
    this.table.hidden = keys.length === 0;
    this.body.replaceChildren(...keys.map((key) => this.row(key)));
  }

  row(key) {
    const state = isExpired(key)
      ? el(
          "span",
          { class: "warn" },
          el("span", { class: "grade", "aria-hidden": "true" }),
          "expired",
        )
      : el(
          "label",
          { class: "switch" },
          el("input", {
            type: "checkbox",
            role: "switch",
            checked: !key.disabled,
            "aria-label": `${key.name} enabled`,
            onchange: (event) => this.change(key, { disabled: !event.target.checked }),
          }),
          key.disabled ? "disabled" : "enabled",
        );
    const used = key.last_used_at
      ? el(
          "span",
          { title: moment(Date.parse(key.last_used_at) * 1000).title },
          `${ago(Date.parse(key.last_used_at))} ago`,
        )
      : el("span", { class: "unit" }, "never");
    return el(
      "tr",
      { "data-key-id": key.id, class: key.disabled || isExpired(key) ? "useless" : null },
      el("td", { class: "name" }, key.name),
      el("td", { class: "mono unit" }, `····${key.last4}`),
      el(
        "td",
        { class: "mono" },
        key.scopes === null
          ? el("span", { class: "unit" }, "all scopes")
          : key.scopes.join(", ") || "none",
      ),
      el(
        "td",
        { class: "mono" },
        key.agents === "all"
          ? el("span", { class: "unit" }, "all agents")
          : key.agents.join(", ") || "none",
      ),
      el("td", {}, key.expires_at ? dayOf(key.expires_at) : el("span", { class: "unit" }, "never")),
      el("td", {}, used),
      el("td", {}, state),
      el(
        "td",
        { class: "doing" },
        el("button", { type: "button", class: "link", onclick: () => this.edit(key) }, "Edit"),
        el(
          "button",
          { type: "button", class: "link danger", onclick: () => this.remove(key) },
          "Delete",
        ),
      ),
    );
  }

  async change(key, changes) {
    try {
      await send("PATCH", `/api/keys/${encodeURIComponent(key.id)}`, changes);
    } catch (error) {
      this.bad.textContent = wordsFor(error) ?? "";
    }
    await this.read();
  }

  async create() {
    const made = await keyForm("New key", null, (values) => send("POST", "/api/keys", values));
    if (!made) return;
    this.read();
    await showSecret(made, await dataPort({ isKeyed: true, signal: this.signal }));
  }

  async edit(key) {
    if (
      await keyForm(`Edit ${key.name}`, key, (values) =>
        send("PATCH", `/api/keys/${encodeURIComponent(key.id)}`, values),
      )
    )
      this.read();
  }

  async remove(key) {
    const isSure = await confirm(
      `Delete ${key.name} ····${key.last4}`,
      "Calls with it are refused within a second. Its name stays on the log rows. This cannot be undone.",
      "Delete key",
    );
    if (!isSure) return;
    try {
      await send("DELETE", `/api/keys/${encodeURIComponent(key.id)}`);
      toast(`${key.name} was deleted`);
    } catch (error) {
      this.bad.textContent = wordsFor(error) ?? "";
    }
    this.read();
  }
}

function showSecret(key, port) {
  return openDialog(
    `${key.name} is ready`,
    (close) => {
      const { secret } = key;
      const done = el(
        "button",
        {
          type: "button",
          id: "done",
          disabled: true,
          title: "Tick the box first",
          onclick: () => close(),
        },
        "Done",
      );
      const tick = el("input", {
        type: "checkbox",
        id: "stored",
        onchange: () => {
          done.disabled = !tick.checked;
        },
      });
      const copySecret = el(
        "button",
        {
          type: "button",
          class: "primary",
          id: "copy-secret",
          autofocus: true,
          onclick: () => copy(secret, copySecret),
        },
        "Copy secret",
      );
      const copyHeader = el(
        "button",
        { type: "button", onclick: () => copy(`${port.keyHeader}: ${secret}`, copyHeader) },
        "Copy as header",
      );
      return [
        el(
          "p",
          {},
          "This is the only time the secret is shown. sidelog keeps a hash of it and cannot show it again.",
        ),
        el(
          "p",
          { class: "secret", id: "secret" },
          el("span", { class: "unit" }, secret.slice(0, 3)),
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
          el("dt", {}, "Works from"),
          el("dd", {}, "now, no restart needed"),
        ),
        el(
          "pre",
          { class: "recipe" },
          `curl ${port.url}${port.path} \\\n  -H "${port.keyHeader}: $SIDELOG_KEY"`,
        ),
        el(
          "div",
          { class: "buttons between" },
          el("label", { class: "tick-line" }, tick, "I have stored the secret"),
          done,
        ),
      ];
    },
    { mustAnswer: true },
  );
}
