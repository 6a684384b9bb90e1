// Endpoints: what requests are of one template and method, how many, what failed, how long they took, and how that
// compares with the period before. The same table groups by any other field. A row leads to its requests.

import { address, change } from "../lib/address.js";
import { errorText, getJson, toQuery } from "../lib/api.js";
import { select } from "../lib/controls.js";
import { button, el, quantity, unit } from "../lib/dom.js";
import { count, countOf, duration, money, size } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";
import { periodControl, readPeriod } from "../lib/time-range.js";

const ROWS = 500;
const PRESETS = ["15m", "1h", "24h", "7d"];
const FIELDS = [
  ["endpoint", "By endpoint"],
  ["path", "By path"],
  ["client_ip", "By client address"],
  ["user_agent", "By user agent"],
  ["key", "By key"],
  ["status", "By status"],
  ["host", "By host"],
  ["model", "By model"],
  ["route", "By route"],
  ["service", "By service"],
  ["project", "By project"],
  ["client", "By client"],
];
const FILTERS = new Set(
  ["endpoint", "path", "key", "status", "host", "model", "route"].concat([
    "service",
    "project",
    "client",
  ]),
);
const share = (row, name) => row[name] / row.exchanges;
const SORTED_BY = {
  __proto__: null,
  name: ["Name", (row) => row.value ?? ""],
  requests: ["Requests", (row) => row.exchanges],
  before: ["Before", (row) => row.before?.exchanges ?? -1],
  client_errors: ["4xx", (row) => share(row, "client_errors")],
  server_errors: ["5xx", (row) => share(row, "server_errors")],
  p50: ["p50", (row) => row.duration_ms.p50 ?? -1],
  p95: ["p95", (row) => row.duration_ms.p95 ?? -1],
  size: ["Bytes out", (row) => row.response_bytes],
  cost: ["Cost", (row) => row.cost_usd],
};

export class Page {
  constructor(main, signal) {
    this.reads = new LatestRead(signal);
    this.shown = null; // what was asked for
    this.answer = null;
    this.periodHost = el("div");
    this.by = select("by", "Group", FIELDS, (by) => change({ by, sort: undefined }));
    this.note = el("p", { class: "unit" });
    this.bad = el("p", { class: "bad", role: "alert" });
    this.headRow = el("tr");
    this.body = el("tbody", { id: "endpoints" });
    main.append(
      el("div", { class: "page-head" }, el("h1", {}, "Endpoints"), this.periodHost),
      el("div", { class: "filters" }, this.by, this.note),
      this.bad,
      el("div", { class: "scrolling" }, [
        el("table", { class: "managed endpoints" }, el("thead", {}, this.headRow), this.body),
      ]),
    );
  }

  onAddress() {
    const state = address();
    const period = readPeriod(state, "1h");
    this.periodHost.replaceChildren(periodControl(period, change, PRESETS));
    this.by.value = state.by ?? "endpoint";
    const question = JSON.stringify({ ...state, sort: undefined });
    if (question === this.shown) return this.draw();
    this.shown = question;
    return this.read(state, period);
  }

  async read(state, period) {
    const signal = this.reads.next();
    const query = { ...period.parameters, by: state.by ?? "endpoint", limit: ROWS };
    try {
      this.answer = await getJson("/api/top", query, signal);
      if (signal.aborted) return;
      this.bad.textContent = "";
      this.draw();
    } catch (error) {
      this.bad.textContent = errorText(error) ?? "";
    }
  }

  draw() {
    if (!this.answer) return;
    const { rows, by, seen, values, complete } = this.answer;
    const [sort, order] = (address().sort ?? "requests desc").split(" ");
    const [, valueOf] = SORTED_BY[sort] ?? SORTED_BY.requests;
    const sorted = rows.toSorted((a, b) => {
      const [one, other] = [valueOf(a), valueOf(b)];
      return (one < other ? -1 : one > other ? 1 : 0) * (order === "asc" ? 1 : -1);
    });
    const hasCost = rows.some((row) => row.cost_usd > 0);
    const columns = Object.keys(SORTED_BY).filter((name) => name !== "cost" || hasCost);
    this.headRow.replaceChildren(...columns.map((name) => headCell(name, sort, order)));
    this.body.replaceChildren(...sorted.map((row) => tableRow(row, by, columns)));
    if (!rows.length)
      this.body.append(
        el(
          "tr",
          {},
          el("td", { colspan: columns.length, class: "unit" }, "No requests in this period"),
        ),
      );
    const more = values > rows.length ? `, the ${count(rows.length)} most frequent are shown` : "";
    const part = complete ? "" : `: only the newest requests of the period, there was no more time`;
    this.note.textContent = `${count(values)} of ${countOf(seen, "request")}${more}${part}`;
  }
}

function headCell(name, sort, order) {
  const [label] = SORTED_BY[name];
  const isSorted = name === sort;
  const next = isSorted && order === "desc" ? "asc" : "desc";
  return el(
    "th",
    {
      scope: "col",
      class: name === "name" ? null : "figure",
      "aria-sort": isSorted ? (order === "asc" ? "ascending" : "descending") : "none",
    },
    button(
      isSorted ? `${label} ${order === "asc" ? "↑" : "↓"}` : label,
      () => change({ sort: `${name} ${next}` }),
      { class: "link sort" },
    ),
  );
}

function tableRow(row, by, columns) {
  const cells = {
    __proto__: null,
    name: () => el("td", { class: "name", title: row.value ?? "" }, nameOf(row, by)),
    requests: () => figure(count(row.exchanges)),
    before: () => figure(row.before ? changeOf(row) : unit("–")),
    client_errors: () => shareCell(row, "client_errors", "warn"),
    server_errors: () => shareCell(row, "server_errors", "error"),
    p50: () => latency(row.duration_ms.p50),
    p95: () => latency(row.duration_ms.p95),
    size: () => figure(quantity(size(row.response_bytes))),
    cost: () => figure(row.cost_usd > 0 ? money(row.cost_usd) : unit("–")),
  };
  return el(
    "tr",
    {},
    columns.map((name) => cells[name]()),
  );
}

const figure = (...content) => el("td", { class: "figure" }, content);
const latency = (ms) => figure(ms === null ? unit("–") : quantity(duration(ms * 1000)));

function shareCell(row, name, grade) {
  if (!row[name]) return figure(unit("–"));
  const percent = share(row, name) * 100;
  return el(
    "td",
    { class: `figure ${grade}` },
    percent < 0.1 ? "<0.1" : percent.toFixed(1),
    unit(" %"),
  );
}

/** How many there were in the period before, and how much more or less there are now. */
function changeOf(row) {
  const was = row.before.exchanges;
  if (!was) return unit("new");
  const percent = Math.round((row.exchanges / was - 1) * 100);
  return [`${percent > 0 ? "+" : percent < 0 ? "−" : "±"}${Math.abs(percent)}`, unit(" %")];
}

function nameOf(row, by) {
  const text = row.value ?? "–";
  const shown = row.method === null ? text : [unit(`${row.method} `), text];
  if (row.value === null || !FILTERS.has(by)) return shown;
  const state = address();
  const word = /[\s"]/.test(text) ? `"${text.replaceAll('"', "")}"` : text;
  const words = [row.method === null ? "" : `method:${row.method}`, `${by}:${word}`];
  const query = toQuery({
    filter: words.join(" ").trim(),
    period: state.period,
    since: state.since,
    until: state.until,
  });
  return el("a", { href: "/requests" + query }, shown);
}
