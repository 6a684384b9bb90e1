// Request logs: every call to a route that asks for an API key, of the last 30 days. Six columns, three filters.

import { copy, el } from "../lib/dom.js";
import { count, moment } from "../lib/format.js";
import { ask, send, wordsFor } from "../lib/api.js";
import { keyFix } from "../lib/explanations.js";
import { address, change, go } from "../lib/address.js";

const PAGE = 50;
const STATUSES = [
  ["", "All statuses"],
  ["2xx", "2xx Success"],
  ["4xx", "4xx Client error"],
  ["5xx", "5xx Server error"],
];
const HEADER = "api-key: sk_<your-secret>";
const TYPING_MS = 300;

export function mount(main, signal) {
  const page = new RequestLogsPage(main, signal);
  page.onAddress();
  return page;
}

class RequestLogsPage {
  constructor(main, signal) {
    Object.assign(this, { signal, trail: [], key: undefined, reading: null });
    this.total = el("p", { class: "unit" });
    this.status = el(
      "select",
      {
        "aria-label": "Status",
        id: "status",
        onchange: () => this.filter({ status: this.status.value }),
      },
      STATUSES.map(([value, label]) => el("option", { value }, label)),
    );
    this.keySelect = el(
      "select",
      {
        "aria-label": "API key",
        id: "key",
        onchange: () => this.filter({ key: this.keySelect.value }),
      },
      el("option", { value: "" }, "All keys"),
    );
    this.endpoint = el("input", {
      type: "search",
      id: "endpoint",
      placeholder: "Search by endpoint",
      "aria-label": "Search by endpoint",
      oninput: () => this.typed(),
    });
    this.body = el("tbody", { id: "logs" });
    this.foot = el("div", { class: "pager" });
    this.bad = el("p", { class: "bad", role: "alert" });
    main.append(
      el(
        "div",
        { class: "page-head" },
        el(
          "div",
          {},
          el("p", { class: "unit" }, "Developer"),
          el("h1", {}, "Request logs"),
          el(
            "p",
            { class: "under" },
            "Calls made with your API keys appear here. Logs are kept for 30 days.",
          ),
        ),
        this.total,
      ),
      el(
        "div",
        { class: "filters" },
        this.status,
        this.keySelect,
        el(
          "div",
          { class: "search" },
          el("span", { class: "lens", "aria-hidden": "true" }),
          this.endpoint,
        ),
      ),
      this.bad,
      el(
        "table",
        { class: "managed logs" },
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            ["Time", "API key", "Endpoint", "Method", "Status", "Latency"].map((name) =>
              el("th", { scope: "col" }, name),
            ),
          ),
        ),
        this.body,
      ),
      this.foot,
    );
    this.keys = { Escape: () => this.filter({ status: "", key: "", endpoint: "" }) };
  }

  onAddress() {
    const state = address();
    this.status.value = state.status ?? "";
    if (document.activeElement !== this.endpoint) this.endpoint.value = state.endpoint ?? "";
    this.read(state);
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.filter({ endpoint: this.endpoint.value.trim() }), TYPING_MS);
  }

  filter(some) {
    this.trail = [];
    change({ ...some, cursor: undefined });
  }

  async read(state) {
    this.reading?.abort();
    this.reading = new AbortController();
    const { signal } = this.reading;
    this.signal.addEventListener("abort", () => this.reading.abort(), { once: true });
    try {
      const answer = await ask(
        "/api/request-logs",
        {
          status: state.status,
          key: state.key,
          endpoint: state.endpoint,
          cursor: state.cursor,
          limit: PAGE,
        },
        signal,
      );
      if (!signal.aborted) this.draw(answer, state);
      this.bad.textContent = "";
    } catch (error) {
      this.bad.textContent = wordsFor(error) ?? "";
    }
  }

  draw(answer, state) {
    this.total.textContent = `${count(answer.total)}${answer.total_capped ? "+" : ""} calls in the last 30 days`;
    const known = new Map(answer.keys.map((key) => [key.id, key]));
    this.keySelect.replaceChildren(
      el("option", { value: "" }, "All keys"),
      ...answer.keys.map((key) =>
        el(
          "option",
          { value: key.id },
          `${key.name} ····${key.last4}${key.deleted ? " (deleted)" : ""}`,
        ),
      ),
    );
    this.keySelect.value = state.key ?? "";
    this.body.replaceChildren(...answer.logs.map((log) => this.row(log, known)));
    const isFiltered = state.status || state.key || state.endpoint;
    const first = this.trail.length * PAGE + 1;
    const note = answer.logs.length
      ? `${count(first)}–${count(first + answer.logs.length - 1)} of ${count(answer.total)}`
      : isFiltered
        ? "No calls match"
        : "Calls to routes with auth appear here";
    const button = (label, isOff, onclick) =>
      el("button", { type: "button", disabled: isOff, onclick }, label);
    this.foot.replaceChildren(
      el("p", { class: "unit" }, note),
      isFiltered && !answer.logs.length
        ? el(
            "button",
            {
              type: "button",
              class: "link",
              onclick: () => this.filter({ status: "", key: "", endpoint: "" }),
            },
            "Clear the filters",
          )
        : "",
      el(
        "div",
        { class: "buttons" },
        button("Newer", !state.cursor, () => {
          const before = this.trail.pop();
          change({ cursor: before });
        }),
        button("Older", !answer.next_cursor, () => {
          this.trail.push(state.cursor);
          change({ cursor: answer.next_cursor });
        }),
      ),
    );
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
      : el(
          "span",
          { class: "unit" },
          log.error_code === "invalid_token" ? "no key matched" : "none sent",
        );
    return el(
      "tr",
      {},
      el(
        "td",
        { class: "mono time", title: time.title },
        `${day.getDate()} ${day.toLocaleString("en", { month: "short" })} ${time.clock}`,
      ),
      el("td", {}, shown),
      el("td", { class: "mono endpoint", title: log.endpoint }, log.endpoint ?? "–"),
      el("td", { class: "mono" }, log.method ?? "–"),
      el(
        "td",
        { class: "outcome" },
        el(
          "span",
          { class: "mono status " + grade },
          el("span", { class: "grade", "aria-hidden": "true" }),
          String(log.status ?? "–"),
        ),
        log.error_code && this.fix(log),
      ),
      el(
        "td",
        { class: "mono latency" },
        log.latency_ms < 1 ? "< 1" : count(log.latency_ms),
        el("span", { class: "unit" }, "\u00a0ms"),
      ),
    );
  }

  fix(log) {
    const action = (label, onclick) =>
      el("button", { type: "button", class: "link act", onclick }, label);
    const actions = {
      __proto__: null, // looked up by a word from outside
      missing_token: () => {
        const button = action("Copy header", () => copy(HEADER, button));
        return button;
      },
      scope_denied: () => action("Edit key", () => go("/keys")),
      agent_denied: () => action("Edit key", () => go("/keys")),
      disabled: () => action("Enable key", (event) => this.enable(log, event.target)),
      expired: () => action("New key", () => go("/keys")),
    };
    const text = keyFix(log.error_code);
    return [
      el("code", { class: "chip warn code" }, log.error_code),
      el(
        "span",
        { class: "fix" },
        log.error_code === "missing_token"
          ? ["Add the header — ", el("code", { class: "chip" }, HEADER)]
          : text,
      ),
      actions[log.error_code]?.(),
    ];
  }

  async enable(log, button) {
    try {
      await send("PATCH", `/api/keys/${encodeURIComponent(log.api_key.id)}`, { disabled: false });
      button.textContent = "Enabled";
      button.disabled = true;
    } catch (error) {
      this.bad.textContent = wordsFor(error) ?? "";
    }
  }
}
