// The keys page: what each key may do and whether it works, and the one moment in which a secret is shown.

import { dataPort } from "../lib/data-port.js";
import { actionsHead, button, el, gradeMark, redraw, table, unit } from "../lib/dom.js";
import { confirm, toast } from "../lib/dialog.js";
import { ago, countOf, dayOf, moment } from "../lib/format.js";
import { getJson, ApiError, sendJson, errorText } from "../lib/api.js";
import { keyForm } from "./key-form.js";
import { showSecret } from "./key-secret.js";

const isExpired = (key) => key.expires_at !== null && Date.parse(key.expires_at) <= Date.now();

export class Page {
  constructor(main, signal) {
    this.signal = signal;
    this.note = el("span", { class: "unit" });
    this.body = el("tbody", { id: "keys" });
    this.empty = el(
      "div",
      { class: "nothing", hidden: true },
      el("p", {}, el("strong", {}, "No keys yet")),
      el(
        "p",
        {},
        "A key lets a client call a route that requires one. Such a route has ",
        el("code", { class: "chip" }, 'auth = "required"'),
        " in its settings and refuses every request until there is a key.",
      ),
    );
    this.bad = el("p", { class: "bad", role: "alert" });
    const names = ["Name", "Ends in", "Scopes", "Agent access", "Expires", "Last used", "State"];
    this.table = table({ class: "managed keys" }, [...names, actionsHead()], this.body);
    this.opener = button("Create key", () => this.create(), { class: "primary", id: "create" });
    main.append(
      el(
        "div",
        { class: "page-head" },
        el("h1", {}, "Keys ", this.note),
        el(
          "div",
          { class: "tool-buttons" },
          el("a", { href: "request-logs" }, "Calls made with these keys"),
          this.opener,
        ),
      ),
      this.bad,
      this.table,
      this.empty,
    );
    this.keys = { n: () => this.opener.hidden || this.create() };
  }

  onAddress() {
    this.read();
  }

  /** Read the keys; `problem` is what did not work before. */
  async read(problem = "") {
    try {
      const { keys } = await getJson("api/keys", {}, this.signal);
      this.draw(keys.toReversed());
      this.bad.textContent = problem;
    } catch (error) {
      const isRefused = error instanceof ApiError && error.status === 403;
      this.opener.hidden = this.table.hidden = isRefused;
      this.bad.textContent = isRefused
        ? "Keys need the admin token: this token is read-only."
        : (errorText(error) ?? "");
    }
  }

  draw(keys) {
    const useless = keys.filter((key) => key.disabled || isExpired(key)).length;
    this.note.textContent = `${countOf(keys.length, "key")}${useless ? `, ${useless} not usable` : ""}`;
    this.empty.hidden = keys.length > 0;
    this.table.hidden = keys.length === 0;
    redraw(this.body, ...keys.map((key) => this.row(key)));
  }

  row(key) {
    const state = isExpired(key)
      ? el("span", { class: "warn" }, gradeMark(), "expired")
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
      : unit("never");
    return el(
      "tr",
      { "data-key-id": key.id, class: key.disabled || isExpired(key) ? "useless" : null },
      el("td", { class: "name" }, key.name),
      el("td", { class: "mono unit" }, `····${key.last4}`),
      el(
        "td",
        { class: "mono" },
        key.scopes === null ? unit("all scopes") : key.scopes.join(", ") || "none",
      ),
      el(
        "td",
        { class: "mono" },
        key.agents === "all" ? unit("all agents") : key.agents.join(", ") || "none",
      ),
      el("td", { "data-label": "Expires" }, key.expires_at ? dayOf(key.expires_at) : unit("never")),
      el("td", { "data-label": "Last used" }, used),
      el("td", {}, state),
      el(
        "td",
        { class: "doing" },
        button("Edit", () => this.edit(key), { class: "link", "aria-label": `Edit ${key.name}` }),
        button("Delete", () => this.remove(key), {
          class: "link danger",
          "aria-label": `Delete ${key.name}`,
        }),
      ),
    );
  }

  async change(key, changes) {
    try {
      await sendJson("PATCH", `api/keys/${encodeURIComponent(key.id)}`, changes);
      this.read();
    } catch (error) {
      this.read(errorText(error) ?? "");
    }
  }

  async create() {
    const made = await keyForm("New key", null, (values) => sendJson("POST", "api/keys", values));
    if (!made) return;
    this.read();
    await showSecret(made, await dataPort({ isKeyed: true, signal: this.signal }));
  }

  async edit(key) {
    if (
      await keyForm(`Edit ${key.name}`, key, (values) =>
        sendJson("PATCH", `api/keys/${encodeURIComponent(key.id)}`, values),
      )
    )
      this.read();
  }

  async remove(key) {
    const isSure = await confirm(
      `Delete ${key.name} ····${key.last4}`,
      "Requests with it are refused within a second. Logs keep its name. This cannot be undone.",
      "Delete key",
    );
    if (!isSure) return;
    try {
      await sendJson("DELETE", `api/keys/${encodeURIComponent(key.id)}`);
      toast(`${key.name} was deleted`);
      this.read();
    } catch (error) {
      this.read(errorText(error) ?? "");
    }
  }
}
