// MCP logs: every tools/call that passed through. Four figures, the dialect's filters, rows that open in place.

import { copy, el } from "../lib/dom.js";
import { count, duration, durationText, moment, money, prettyJson } from "../lib/format.js";
import { ask, wordsFor } from "../lib/api.js";
import { figure } from "./log-rows.js";
import { periodControl, presetState, readPeriod } from "../lib/time-range.js";
import { marked } from "../lib/redaction.js";
import { address, change } from "../lib/address.js";

const PAGE = 50;
const TYPING_MS = 300;
const MARKS = { __proto__: null, success: "info", error: "error", processing: "flying" };
const PRESETS = ["1h", "24h", "7d", "30d"];

export function mount(main, signal) {
  const page = new McpPage(main, signal);
  page.onAddress();
  return page;
}

class McpPage {
  constructor(main, signal) {
    Object.assign(this, { signal, reading: null });
    this.periodHost = el("div");
    this.figures = el("dl", { class: "figures four" });
    this.search = el("input", {
      type: "search",
      id: "content",
      placeholder: "Search arguments and results",
      "aria-label": "Search arguments and results",
      oninput: () => this.typed(),
    });
    this.selects = Object.fromEntries(
      [
        ["tool_names", "Tool"],
        ["server_labels", "Server"],
        ["status", "Status"],
        ["virtual_key_ids", "Key"],
      ].map(([name, label]) => [
        name,
        el("select", {
          id: name,
          "aria-label": label,
          onchange: (event) => change({ [name]: event.target.value, offset: undefined }),
        }),
      ]),
    );
    this.slow = el(
      "select",
      {
        id: "min_latency",
        "aria-label": "Latency",
        onchange: () => change({ min_latency: this.slow.value, offset: undefined }),
      },
      [
        ["", "Latency any"],
        ["100", "≥ 100 ms"],
        ["1000", "≥ 1 s"],
        ["5000", "≥ 5 s"],
      ].map(([value, label]) => el("option", { value }, label)),
    );
    this.bad = el("p", { class: "bad", role: "alert" });
    this.body = el("tbody", { id: "calls" });
    this.headRow = el("tr");
    this.foot = el("div", { class: "pager" });
    this.total = el("p", { class: "unit" });
    main.append(
      el(
        "div",
        { class: "page-head" },
        el(
          "h1",
          {},
          "MCP logs ",
          el("span", { class: "unit" }, "every tools/call that passed through"),
        ),
        this.periodHost,
      ),
      this.figures,
      el(
        "div",
        { class: "filters" },
        el(
          "div",
          { class: "search" },
          el("span", { class: "lens", "aria-hidden": "true" }),
          this.search,
        ),
        Object.values(this.selects),
        this.slow,
        this.total,
      ),
      this.bad,
      el("table", { class: "managed calls" }, el("thead", {}, this.headRow), this.body),
      this.foot,
    );
    this.keys = { Escape: () => change({ open: undefined }) };
    this.readChoices();
  }

  onAddress() {
    const state = address();
    const period = readPeriod(state, "24h");
    this.periodHost.replaceChildren(
      periodControl(period, (some) => change({ ...some, offset: undefined }), PRESETS),
    );
    if (document.activeElement !== this.search) this.search.value = state.content_search ?? "";
    this.slow.value = state.min_latency ?? "";
    const question = JSON.stringify({ ...state, open: undefined });
    if (question === this.shown) return this.mark();
    this.shown = question;
    this.choose();
    return this.read(state, period);
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(
      () => change({ content_search: this.search.value.trim(), offset: undefined }),
      TYPING_MS,
    );
  }

  async readChoices() {
    try {
      this.choices = await ask("/api/mcp-logs/filterdata", {}, this.signal);
      this.choose();
    } catch {
      /* the lists stay as they are: the log itself says what is wrong */
    }
  }

  choose() {
    const state = address();
    const {
      tool_names: tools = [],
      server_labels: servers = [],
      virtual_keys: keys = [],
    } = this.choices ?? {};
    const fill = (name, all, values) => {
      const given =
        state[name] && !values.some(([value]) => value === state[name])
          ? [[state[name], state[name]]]
          : [];
      this.selects[name].replaceChildren(
        el("option", { value: "" }, all),
        ...[...values, ...given].map(([value, label]) => el("option", { value }, label)),
      );
      this.selects[name].value = state[name] ?? "";
    };
    fill(
      "tool_names",
      `Tool any of ${tools.length}`,
      tools.map((name) => [name, name]),
    );
    fill(
      "server_labels",
      `Server any of ${servers.length}`,
      servers.map((name) => [name, name]),
    );
    fill(
      "status",
      "Status any",
      ["success", "error", "processing"].map((name) => [name, name]),
    );
    fill(
      "virtual_key_ids",
      `Key any of ${keys.length}`,
      keys.map((key) => [key.id, key.name ?? key.id]),
    );
  }

  async read(state, period) {
    this.reading?.abort();
    this.reading = new AbortController();
    const { signal } = this.reading;
    this.signal.addEventListener("abort", () => this.reading.abort(), { once: true });
    const {
      tool_names,
      server_labels,
      status,
      virtual_key_ids,
      content_search,
      min_latency,
      sort_by,
      order,
      offset,
    } = state;
    const ends = {
      start_time: new Date(period.since).toISOString(),
      ...(period.name === null && { end_time: new Date(period.until).toISOString() }),
    };
    try {
      const answer = await ask(
        "/api/mcp-logs",
        {
          tool_names,
          server_labels,
          status,
          virtual_key_ids,
          content_search,
          min_latency,
          sort_by,
          order,
          offset,
          limit: PAGE,
          ...ends,
        },
        signal,
      );
      if (signal.aborted) return;
      this.bad.textContent = "";
      this.draw(answer);
    } catch (error) {
      this.bad.textContent = wordsFor(error) ?? "";
    }
  }

  draw({ logs, pagination, stats, has_logs: hasLogs }) {
    const card = (name, [number, unit], note) =>
      el(
        "div",
        {},
        el("dt", {}, name),
        el("dd", {}, el("span", { class: "number" }, number), el("span", { class: "unit" }, unit)),
        el("dd", { class: "note" }, note),
      );
    const failed = Math.round(stats.total_executions * (1 - stats.success_rate / 100));
    this.figures.replaceChildren(
      card("Executions", [count(stats.total_executions), ""], "of this filter"),
      card(
        "Success rate",
        [
          stats.total_executions ? stats.success_rate.toFixed(2) : "–",
          stats.total_executions ? "%" : "",
        ],
        failed ? `about ${count(failed)} not successful` : "none failed",
      ),
      card(
        "Average latency",
        duration(stats.total_executions ? stats.average_latency * 1000 : null),
        "to the response message",
      ),
      card(
        "Total cost",
        [stats.total_cost ? `$${stats.total_cost.toFixed(4)}` : "$0", ""],
        stats.total_cost ? "of priced tools" : "prices are set by tool_cost_usd",
      ),
    );
    this.total.textContent = `${count(pagination.total_count)} logs`;
    this.drawHead(pagination);
    this.body.replaceChildren(...logs.flatMap((log) => this.rows(log)));
    this.mark();
    const { offset, total_count: total } = pagination;
    const note = logs.length
      ? `${count(offset + 1)}–${count(offset + logs.length)} of ${count(total)}`
      : hasLogs
        ? "No calls match"
        : "No tool has been called through sidelog yet. Point an MCP client at a route and call one.";
    const button = (label, isOff, to) =>
      el(
        "button",
        { type: "button", disabled: isOff, onclick: () => change({ offset: to || undefined }) },
        label,
      );
    this.foot.replaceChildren(
      el("p", { class: "unit" }, note),
      el(
        "div",
        { class: "buttons" },
        button("Newer", offset === 0, Math.max(0, offset - PAGE)),
        button("Older", offset + logs.length >= total, offset + PAGE),
      ),
    );
  }

  drawHead({ sort_by: sortBy, order }) {
    const sorted = { Time: "timestamp", Latency: "latency", Cost: "cost" };
    this.headRow.replaceChildren(
      ...["Time", "Status", "Tool", "Server", "Arguments", "Key", "Latency", "Cost"].map((name) => {
        const key = sorted[name],
          isChosen = key !== undefined && key === sortBy;
        const next = isChosen && order === "desc" ? "asc" : "desc";
        return el(
          "th",
          {
            scope: "col",
            class: ["Latency", "Cost"].includes(name) ? "figure" : null,
            "aria-sort": isChosen ? (order === "desc" ? "descending" : "ascending") : null,
          },
          key
            ? el(
                "button",
                {
                  type: "button",
                  class: "link sort",
                  onclick: () => change({ sort_by: key, order: next, offset: undefined }),
                },
                name,
                isChosen ? (order === "desc" ? " ↓" : " ↑") : "",
              )
            : name,
        );
      }),
    );
  }

  rows(log) {
    const time = moment(Date.parse(log.timestamp) * 1000);
    const toggle = () =>
      change({ open: address().open === log.id ? undefined : log.id }, { isStep: false });
    const code = codeOf(log);
    const row = el(
      "tr",
      {
        tabindex: 0,
        class: "call",
        "data-call": log.id,
        "aria-expanded": "false",
        onclick: toggle,
        onkeydown: (event) => {
          if (event.key === "Enter") {
            event.preventDefault();
            toggle();
          }
        },
      },
      el(
        "td",
        { class: "mono", title: time.title },
        time.date + time.clock,
        el("span", { class: "unit" }, time.ms),
      ),
      el(
        "td",
        { class: `mono status ${MARKS[log.status] ?? ""}` },
        el("span", { class: "grade", "aria-hidden": "true" }),
        log.status,
      ),
      el("td", { class: "mono" }, log.tool_name),
      el("td", { class: "mono unit" }, log.server_label),
      el(
        "td",
        { class: "mono args" },
        log.status === "error" && code && [el("code", { class: "chip error" }, String(code)), " "],
        oneLine(log.arguments),
      ),
      el("td", {}, log.virtual_key_name ?? el("span", { class: "unit" }, "–")),
      el(
        "td",
        { class: "figure" },
        log.latency === null || log.latency === undefined
          ? el("span", { class: "unit" }, "–")
          : figure(duration(log.latency * 1000)),
      ),
      el(
        "td",
        { class: "figure" },
        log.cost === null || log.cost === undefined
          ? "–"
          : log.cost === 0
            ? el("span", { class: "unit" }, "$0")
            : money(log.cost),
      ),
    );
    const inside = el(
      "tr",
      { class: "inside", "data-inside": log.id, hidden: true },
      el("td", { colspan: 8 }),
    );
    inside.log = log;
    return [row, inside];
  }

  mark() {
    const { open } = address();
    for (const inside of this.body.querySelectorAll("[data-inside]")) {
      const isOpen = inside.dataset.inside === open;
      inside.hidden = !isOpen;
      inside.previousSibling.setAttribute("aria-expanded", String(isOpen));
      if (isOpen && !inside.firstChild.hasChildNodes())
        inside.firstChild.append(details(inside.log));
    }
  }
}

const codeOf = ({ error_details: details }) =>
  details?.error?.type ?? details?.error?.code ?? details?.code ?? details?.type;
const oneLine = (value) => (typeof value === "string" ? value : JSON.stringify(value ?? null));

/** What an open row shows: arguments and result side by side, and what is known of the call. */
export function details(log) {
  const block = (title, value, note) => {
    let text = oneLine(value);
    try {
      text = prettyJson(text);
    } catch {
      /* no JSON: shown as it came */
    }
    const button = el(
      "button",
      { type: "button", class: "link", onclick: () => copy(text, button) },
      "Copy",
    );
    return el(
      "section",
      {},
      el("div", { class: "section-head" }, el("h2", {}, title, " ", note), button),
      el("pre", { tabindex: 0 }, marked(text)),
    );
  };
  const meta = log.metadata ?? {};
  const record = meta.record_id ?? String(log.id).replace(/\.\d+$/, "");
  const facts = [
    ["Method", meta.method],
    ["Protocol", meta.protocol_version],
    ["Transport", meta.transport],
    ["JSON-RPC id", meta.rpc_id],
    ["Session", meta.session && `#${String(meta.session).slice(0, 8)}`],
    ["Result type", meta.result_type],
    ["LLM request", log.llm_request_id],
    ["Latency", log.latency === null ? null : durationText(log.latency * 1000)],
  ];
  const failed = log.error_details
    ? el("code", { class: "chip error" }, String(codeOf(log) ?? "error"))
    : "";
  return el(
    "div",
    { class: "call-details" },
    block("Arguments", log.arguments, ""),
    el(
      "div",
      {},
      block("Result", log.result, failed),
      log.error_details && block("Error", log.error_details, ""),
    ),
    el(
      "section",
      {},
      el("div", { class: "section-head" }, el("h2", {}, "Call")),
      el(
        "dl",
        { class: "facts" },
        facts
          .filter(([, value]) => value !== null && value !== undefined && value !== "")
          .map(([name, value]) => [el("dt", {}, name), el("dd", { class: "mono" }, String(value))]),
      ),
      el("a", { href: `/requests?record=${encodeURIComponent(record)}` }, "Open the HTTP record"),
    ),
  );
}
