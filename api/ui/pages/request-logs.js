// API key calls, the request logs of the API: every call to a route that requires an API key, of the last 30 days. Six columns, three filters.

import { address, change, go } from "../lib/address.js";
import { errorText, getJson, sendJson } from "../lib/api.js";
import { copyButton, option, pager, searchField, select, Trail } from "../lib/controls.js";
import { button, el, gradeMark, table, unit } from "../lib/dom.js";
import { keyFix } from "../lib/explanations.js";
import { count, countOf, moment, shortDay } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";

const PAGE = 50;
const STATUSES = [
  ["", "All statuses"],
  ["2xx", "2xx Success"],
  ["4xx", "4xx Client error"],
  ["5xx", "5xx Server error"],
];
const ALL_KEYS = ["", "All keys"];
const COLUMNS = ["Time", "API key", "Endpoint", "Method", "Status", "Latency"];
const HEADER = "api-key: sk_<your-secret>";
const NO_FILTER = { status: "", key: "", endpoint: "" };

export class Page {
  constructor(main, signal) {
    this.reads = new LatestRead(signal);
    this.trail = new Trail();
    this.total = el("p", { class: "unit" });
    this.status = select("status", "Status", STATUSES, (status) => this.filter({ status }));
    this.key = select("key", "API key", [ALL_KEYS], (key) => this.filter({ key }));
    this.endpoint = searchField("endpoint", "Search by endpoint", (endpoint) =>
      this.filter({ endpoint }),
    );
    this.body = el("tbody", { id: "logs" });
    this.foot = el("div", { class: "pager" });
    this.bad = el("p", { class: "bad", role: "alert" });
    const note = "Calls made with your API keys appear here. Logs are kept for 30 days.";
    main.append(
      el(
        "div",
        { class: "page-head" },
        el("div", {}, el("h1", {}, "API key calls"), el("p", { class: "under" }, note)),
        this.total,
      ),
      el("div", { class: "filters" }, this.status, this.key, this.endpoint.box),
      this.bad,
      table({ class: "managed logs" }, COLUMNS, this.body),
      this.foot,
    );
    this.keys = { Escape: () => this.filter(NO_FILTER) };
  }

  onAddress() {
    const state = address();
    const { input } = this.endpoint;
    this.status.value = state.status ?? "";
    if (document.activeElement !== input) input.value = state.endpoint ?? "";
    this.read(state);
  }

  filter(some) {
    this.trail.clear();
    change({ ...some, cursor: undefined });
  }

  async read(state) {
    const signal = this.reads.next();
    const { status, key, endpoint, cursor } = state;
    const query = { status, key, endpoint, cursor, limit: PAGE };
    try {
      const answer = await getJson("api/request-logs", query, signal);
      if (!signal.aborted) this.draw(answer, state);
      this.bad.textContent = "";
    } catch (error) {
      this.bad.textContent = errorText(error) ?? "";
    }
  }

  draw({ logs, keys, total, total_capped: isCapped, next_cursor: next }, state) {
    this.total.textContent = `${isCapped ? `${count(total)}+ calls` : countOf(total, "call")} in the last 30 days`;
    const known = new Map(keys.map((key) => [key.id, key]));
    const choices = keys.map(({ id, name, last4, deleted }) => [
      id,
      `${name} ····${last4}${deleted ? " (deleted)" : ""}`,
    ]);
    this.key.replaceChildren(...[ALL_KEYS, ...choices].map(option));
    this.key.value = state.key ?? "";
    this.body.replaceChildren(...logs.map((log) => this.row(log, known)));
    if (next) this.trail.follow(next, state.cursor);
    const newer = () => change({ cursor: this.trail.newer(state.cursor) });
    const older = () => change({ cursor: next });
    const note = this.note(logs.length, total, state);
    this.foot.replaceChildren(...pager(note, state.cursor && newer, next && older));
  }

  /** What stands below the rows: which ones they are, or why there are none. */
  note(shown, total, { status, key, endpoint, cursor }) {
    const range = this.trail.range(cursor, shown, PAGE) || count(shown);
    if (shown) return `${range} of ${count(total)}`;
    if (!status && !key && !endpoint) return "Calls to routes that require a key appear here";
    const clear = button("Clear filters", () => this.filter(NO_FILTER), { class: "link" });
    return ["No calls match ", clear];
  }

  row(log, known) {
    const time = moment(Date.parse(log.time) * 1000);
    const day = new Date(log.time);
    const grade = log.status >= 500 ? "error" : log.status >= 400 ? "warn" : "info";
    const key = log.api_key;
    const shown = key
      ? [
          key.name,
          el("span", { class: "unit mono" }, ` ····${key.last4}`),
          known.get(key.id)?.deleted && [" ", el("span", { class: "tag" }, "deleted")],
        ]
      : unit(log.error_code === "invalid_token" ? "no key matched" : "none sent");
    return el(
      "tr",
      {},
      el("td", { class: "mono time", title: time.title }, `${shortDay(day)} ${time.clock}`),
      el("td", {}, shown),
      el("td", { class: "mono endpoint", title: log.endpoint }, log.endpoint ?? "–"),
      el("td", { class: "mono" }, log.method ?? "–"),
      el(
        "td",
        { class: "outcome" },
        el("span", { class: "mono status " + grade }, gradeMark(), String(log.status ?? "–")),
        log.error_code && this.fix(log),
      ),
      el(
        "td",
        { class: "mono latency" },
        log.latency_ms < 1 ? "< 1" : count(log.latency_ms),
        unit("\u00a0ms"),
      ),
    );
  }

  /** The code of a refused call, how to fix it, and the one action that does. */
  fix(log) {
    const action = (label, onclick) => button(label, onclick, { class: "link act" });
    const actions = {
      __proto__: null, // looked up by a word from outside
      missing_token: () => copyButton("Copy header", () => HEADER, { class: "link act" }),
      scope_denied: () => action("Edit key", () => go("keys")),
      agent_denied: () => action("Edit key", () => go("keys")),
      disabled: () => action("Enable key", (event) => this.enable(log, event.target)),
      expired: () => action("New key", () => go("keys")),
    };
    const isMissing = log.error_code === "missing_token";
    const text = isMissing
      ? ["Add the header — ", el("code", { class: "chip" }, HEADER)]
      : keyFix(log.error_code);
    return [
      el("code", { class: "chip warn code" }, log.error_code),
      el("span", { class: "fix" }, text),
      actions[log.error_code]?.(),
    ];
  }

  async enable(log, pressed) {
    try {
      await sendJson("PATCH", `api/keys/${encodeURIComponent(log.api_key.id)}`, {
        disabled: false,
      });
      pressed.textContent = "Enabled";
      pressed.disabled = true;
    } catch (error) {
      this.bad.textContent = errorText(error) ?? "";
    }
  }
}
