// MCP logs: every tools/call that passed through. Four figures, the filters of the MCP logs API, rows that open in place.

import { address, change } from "../lib/address.js";
import { errorText, getJson } from "../lib/api.js";
import { option, pager, searchField, select } from "../lib/controls.js";
import {
  button,
  el,
  expandableRow,
  gradeMark,
  quantity,
  redraw,
  setOpen,
  statistic,
  unit,
} from "../lib/dom.js";
import { count, countOf, duration, moment, money, UNKNOWN } from "../lib/format.js";
import { ofSample } from "../record/sample.js";
import { LatestRead } from "../lib/latest-read.js";
import { periodControl, readPeriod } from "../lib/time-range.js";
import { callDetails, errorCode } from "./mcp-call-details.js";

const PAGE = 50;
const MARKS = { __proto__: null, success: "info", error: "error", processing: "flying" };
const PRESETS = ["1h", "24h", "7d", "30d"];
const LATENCIES = [
  ["", "Any latency"],
  ["100", "≥ 100 ms"],
  ["1000", "≥ 1 s"],
  ["5000", "≥ 5 s"],
];
const CHOICES = {
  tool_names: "Tool",
  server_labels: "Server",
  status: "Status",
  virtual_key_ids: "Key",
};
const PARAMETERS = [
  ...Object.keys(CHOICES),
  "content_search",
  "min_latency",
  "sort_by",
  "order",
  "offset",
];
const SORTED_BY = { __proto__: null, Time: "timestamp", Latency: "latency", Cost: "cost" };
const COLUMNS = ["Time", "Status", "Tool", "Server", "Arguments", "Key", "Latency", "Cost"];

/** Change the address and go back to the first page of the log. */
const filter = (some) => change({ ...some, offset: undefined });

export class Page {
  constructor(main, signal) {
    this.signal = signal;
    this.reads = new LatestRead(signal);
    this.shown = null; // what the log was asked for
    this.choices = {};
    this.periodHost = el("div");
    this.figures = el("dl", { class: "figures four" });
    this.search = searchField("content", "Search arguments and results", (text) =>
      filter({ content_search: text }),
    );
    this.selects = Object.entries(CHOICES).map(([name, label]) =>
      select(name, label, [], (value) => filter({ [name]: value })),
    );
    this.latency = select("min_latency", "Latency", LATENCIES, (value) =>
      filter({ min_latency: value }),
    );
    this.bad = el("p", { class: "bad", role: "alert" });
    this.body = el("tbody", { id: "calls" });
    this.headRow = el("tr");
    this.foot = el("div", { class: "pager" });
    this.total = el("p", { class: "unit" });
    this.build(main);
    this.keys = { Escape: () => change({ open: undefined }) };
    this.readChoices();
  }

  build(main) {
    const title = el("h1", {}, "MCP logs ", unit("every tools/call that passed through"));
    main.append(
      el("div", { class: "page-head" }, title, this.periodHost),
      this.figures,
      el("div", { class: "filters" }, this.search.box, this.selects, this.latency, this.total),
      this.bad,
      el("table", { class: "managed calls" }, el("thead", {}, this.headRow), this.body),
      this.foot,
    );
  }

  onAddress() {
    const state = address();
    const period = readPeriod(state, "24h");
    redraw(this.periodHost, periodControl(period, filter, PRESETS));
    if (document.activeElement !== this.search.input)
      this.search.input.value = state.content_search ?? "";
    this.latency.value = state.min_latency ?? "";
    const question = JSON.stringify({ ...state, open: undefined });
    if (question === this.shown) return this.showOpen();
    this.shown = question;
    this.drawChoices();
    return this.read(state, period);
  }

  async readChoices() {
    try {
      this.choices = await getJson("api/mcp-logs/filterdata", {}, this.signal);
      this.drawChoices();
    } catch {
      /* the lists stay as they are: the log itself reports what is wrong */
    }
  }

  drawChoices() {
    const state = address();
    const values = {
      tool_names: (this.choices.tool_names ?? []).map((name) => [name, name]),
      server_labels: (this.choices.server_labels ?? []).map((name) => [name, name]),
      status: ["success", "error", "processing"].map((name) => [name, name]),
      virtual_key_ids: (this.choices.virtual_keys ?? []).map(({ id, name }) => [id, name ?? id]),
    };
    for (const made of this.selects) {
      const given = state[made.id];
      const options = values[made.id];
      const label = CHOICES[made.id];
      const all =
        made.id === "status" ? "All statuses" : `All ${label.toLowerCase()}s (${options.length})`;
      const isKnown = !given || options.some(([value]) => value === given);
      const more = isKnown ? [] : [[given, given]];
      made.replaceChildren(...[["", all], ...options, ...more].map(option));
      made.value = given ?? "";
    }
  }

  async read(state, period) {
    const signal = this.reads.next();
    const query = {
      ...Object.fromEntries(PARAMETERS.map((name) => [name, state[name]])),
      limit: PAGE,
      start_time: new Date(period.since).toISOString(),
      end_time: period.name === null ? new Date(period.until).toISOString() : undefined,
    };
    try {
      const answer = await getJson("api/mcp-logs", query, signal);
      if (signal.aborted) return;
      this.bad.textContent = "";
      this.draw(answer);
    } catch (error) {
      this.bad.textContent = errorText(error) ?? "";
    }
  }

  draw({ logs, pagination, stats, has_logs: hasLogs }) {
    this.figures.replaceChildren(...statistics(stats));
    this.total.textContent = countOf(pagination.total_count, "log");
    redraw(this.headRow, ...COLUMNS.map((name) => headCell(name, pagination)));
    this.body.replaceChildren(...logs.flatMap((log) => rows(log)));
    this.showOpen();
    const { offset, total_count: total } = pagination;
    const end = offset + logs.length;
    const none = hasLogs
      ? "No calls match"
      : "No tool calls yet. Point an MCP client at a route and call a tool.";
    const note = logs.length ? `${count(offset + 1)}–${count(end)} of ${count(total)}` : none;
    const newer = () => change({ offset: Math.max(0, offset - PAGE) || undefined });
    const older = () => change({ offset: offset + PAGE });
    this.foot.replaceChildren(...pager(note, offset > 0 && newer, end < total && older));
  }

  /** Open the row that the address names, and close the others. */
  showOpen() {
    const { open } = address();
    for (const inside of this.body.querySelectorAll("tr.inside")) {
      const isOpen = inside.dataset.inside === open;
      inside.hidden = !isOpen;
      setOpen(inside.previousElementSibling, isOpen);
      if (isOpen) inside.dispatchEvent(new Event("open"));
    }
  }
}

function statistics(totals) {
  const { total_executions: total, success_rate, average_latency, total_cost, sampled } = totals;
  const failed = Math.round(total * (1 - success_rate / 100));
  return [
    statistic(
      "Executions",
      [count(total), ""],
      sampled ? ofSample({ sampled }) : "that match the filters",
    ),
    statistic(
      "Success rate",
      total ? [success_rate.toFixed(2), "%"] : UNKNOWN,
      failed ? `${count(failed)} failed` : "none failed",
    ),
    statistic(
      "Average latency",
      duration(total ? average_latency * 1000 : null),
      "until the response message",
    ),
    statistic(
      "Total cost",
      [total_cost ? money(total_cost) : "$0", ""],
      total_cost ? "of tools with a price" : "set prices with tool_cost_usd",
    ),
  ];
}

function headCell(name, { sort_by: sortBy, order }) {
  const key = SORTED_BY[name];
  const isChosen = key !== undefined && key === sortBy;
  const isDescending = order === "desc";
  const next = isChosen && isDescending ? "asc" : "desc";
  const arrow = isChosen ? (isDescending ? " ↓" : " ↑") : "";
  const sort = () => filter({ sort_by: key, order: next });
  return el(
    "th",
    {
      scope: "col",
      class: ["Latency", "Cost"].includes(name) ? "figure" : null,
      "aria-sort": isChosen ? (isDescending ? "descending" : "ascending") : null,
    },
    key ? button([name, arrow], sort, { class: "link sort", "data-name": name }) : name,
  );
}

/** The row of a call, and the row below it that shows its details when it is open. */
function rows(log) {
  const toggle = () =>
    change({ open: address().open === log.id ? undefined : log.id }, { isStep: false });
  const row = expandableRow({ class: "call", "data-call": log.id }, toggle, cells(log));
  const cell = el("td", { colspan: COLUMNS.length });
  const inside = el("tr", { class: "inside", "data-inside": log.id, hidden: true }, cell);
  inside.addEventListener("open", () => cell.append(callDetails(log)), { once: true });
  return [row, inside];
}

function cells(log) {
  const time = moment(Date.parse(log.timestamp) * 1000);
  const code = log.status === "error" ? errorCode(log) : null;
  const { arguments: given } = log;
  return [
    el("td", { class: "mono", title: time.title }, time.date + time.clock, unit(time.ms)),
    el("td", { class: `mono status ${MARKS[log.status] ?? ""}` }, gradeMark(), log.status),
    el("td", { class: "mono" }, log.tool_name),
    el("td", { class: "mono unit" }, log.server_label),
    el(
      "td",
      { class: "mono args" },
      code && [el("code", { class: "chip error" }, String(code)), " "],
      typeof given === "string" ? given : JSON.stringify(given ?? null),
    ),
    el("td", {}, log.virtual_key_name ?? unit("–")),
    el(
      "td",
      { class: "figure" },
      (log.latency ?? null) === null ? unit("–") : quantity(duration(log.latency * 1000)),
    ),
    el("td", { class: "figure" }, costText(log.cost ?? null)),
  ];
}

function costText(cost) {
  if (cost === null) return "–";
  return cost === 0 ? unit("$0") : money(cost);
}
