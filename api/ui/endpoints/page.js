// Endpoints: what requests are of one template and method, how many, what failed, how long they took, and how that
// compares with the period before. The same table groups by any other field. A name leads to the requests of its row,
// the line beside it shows the row over time.

import { address, change } from "../lib/address.js";
import { ApiError, errorText, getJson } from "../lib/api.js";
import { COLUMNS, hasFigures, NEAR, sorted } from "./columns.js";
import { select } from "../lib/controls.js";
import { button, el, redraw } from "../lib/dom.js";
import { parametersOf } from "../lib/filter.js";
import { count, countOf } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";
import { keyOf, tableRow } from "./rows.js";
import { searchBox } from "../lib/search-box.js";
import { periodControl, presetKeys, readPeriod } from "../lib/time-range.js";
import { ofSample } from "../record/sample.js";
import { EndpointView } from "./view.js";

const ROWS = 500;
const STEPS = 30;
const PRESETS = ["15m", "1h", "24h", "7d"];
const DEFAULT_SORT = "requests desc";
const GROUPS = {
  __proto__: null,
  endpoint: "Endpoint",
  path: "Path",
  client_ip: "Client address",
  user_agent: "User agent",
  key: "Key",
  status: "Status",
  host: "Host",
  model: "Model",
  route: "Route",
  service: "Service",
  project: "Project",
  client: "Client",
};
const GROUP_OPTIONS = Object.entries(GROUPS).map(([by, name]) => [by, `By ${name.toLowerCase()}`]);
const SORT_OPTIONS = [
  ["name asc", "Name"],
  ...Object.entries(COLUMNS).map(([name, { label, title }]) => [`${name} desc`, title ?? label]),
].map(([value, label]) => [value, `Sort by ${label.toLowerCase()}`]);

export class Page {
  constructor(main, signal) {
    this.reads = new LatestRead(signal);
    this.question = null; // what was asked for
    this.answer = null;
    this.periodHost = el("div");
    this.box = searchBox({
      submit: (filter) => change({ filter, open: undefined }),
      open: (id) => change({ filter: id }),
      noun: "request",
    });
    this.by = select("by", "Group", GROUP_OPTIONS, (by) =>
      change({ by, sort: undefined, open: undefined }),
    );
    this.sort = select("sort", "Sort", SORT_OPTIONS, (sort) => change({ sort }));
    this.note = el("p", { class: "unit", role: "status" });
    this.bad = el("p", { class: "bad", role: "alert" });
    this.view = new EndpointView({ close: () => change({ open: undefined }), signal });
    this.headRow = el("tr");
    this.body = el("tbody", { id: "endpoints" });
    main.append(
      el("div", { class: "page-head" }, el("h1", {}, "Endpoints"), this.periodHost),
      el("div", { class: "filters" }, this.box.form, this.by, this.sort, this.note),
      this.box.bad,
      this.bad,
      this.view.host,
      el("div", { class: "scrolling" }, [
        el("table", { class: "managed endpoints" }, el("thead", {}, this.headRow), this.body),
      ]),
    );
    this.keys = { ...presetKeys(change), Escape: () => change({ open: undefined }) };
  }

  onAddress() {
    const state = address();
    const period = readPeriod(state, "1h");
    redraw(this.periodHost, periodControl(period, change, PRESETS));
    this.box.set(state.filter ?? "");
    this.by.value = state.by ?? "endpoint";
    this.sort.value = state.sort ?? DEFAULT_SORT;
    const question = JSON.stringify({ ...state, sort: undefined, open: undefined });
    if (question === this.question) return this.draw();
    this.question = question;
    return this.read(state, period);
  }

  async read(state, period) {
    const signal = this.reads.next();
    this.box.complain("");
    const by = state.by ?? "endpoint";
    const query = {
      ...parametersOf(state.filter),
      ...period.parameters,
      by,
      limit: ROWS,
      before: 1,
      buckets: STEPS,
    };
    try {
      const answer = await getJson("api/top", query, signal);
      if (signal.aborted) return;
      this.answer = answer;
      this.bad.textContent = "";
      this.draw();
    } catch (failure) {
      const isAsked = failure instanceof ApiError && state.filter && failure.status === 400;
      const text = errorText(failure) ?? "";
      if (isAsked) this.box.complain(text);
      else this.bad.textContent = text;
    }
  }

  draw() {
    if (!this.answer) return;
    const { rows, by } = this.answer;
    const state = address();
    const [sort, order] = (state.sort ?? DEFAULT_SORT).split(" ");
    const columns = Object.keys(COLUMNS).filter((name) => hasFigures(name, rows));
    const name = sort === "name" || sort in COLUMNS ? sort : "requests";
    redraw(
      this.headRow,
      headCell("name", { label: GROUPS[by] ?? by, title: null }, name, order),
      el("th", { scope: "col" }, "Over time"),
      ...columns.map((column) => headCell(column, COLUMNS[column], name, order)),
    );
    const shown = sorted(rows, name, order);
    this.body.replaceChildren(
      ...shown.map((row) =>
        tableRow(row, { by, columns, sort: name, state, open: () => this.open(row) }),
      ),
    );
    if (!rows.length) this.body.append(noRow(columns.length + 2, state.filter));
    this.note.textContent = noteOf(this.answer);
    this.view.show(
      rows.find((row) => keyOf(row) === state.open),
      by,
      state,
    );
  }

  open(row) {
    const open = keyOf(row);
    change({ open: address().open === open ? undefined : open });
    if (address().open) this.view.focus();
  }
}

function noRow(columns, filter) {
  const text = filter ? "No requests match in this period " : "No requests in this period";
  const clear = () => change({ filter: undefined });
  const clearing = filter && button("Clear filters", clear, { class: "link" });
  return el("tr", {}, el("td", { colspan: columns, class: "unit" }, text, clearing));
}

function noteOf({ by, rows, seen, values, series, complete: isComplete, sampled }) {
  const more = values > rows.length ? `, the ${count(rows.length)} most frequent are shown` : "";
  const what = !isComplete
    ? ": only the newest requests of the period"
    : series && !series.complete
      ? ": over time only the newest of them"
      : "";
  const part = what && `${what}, there was no more time`;
  const isAlone = rows.length > 0 && rows.every((row) => row.before === null);
  const before = isAlone ? "; no comparison: the log does not reach back to the period before" : "";
  const near = rows.some((row) => row.duration_ms.estimated) ? `; ${NEAR}` : "";
  const groups = countOf(values, by === "endpoint" ? "endpoint" : "group");
  return `${groups} in ${countOf(seen, "request")}${ofSample({ sampled }, ", ")}${more}${part}${before}${near}`;
}

function headCell(name, { label, title }, sort, order) {
  const isSorted = name === sort;
  const first = name === "name" ? "asc" : "desc";
  const next = !isSorted ? first : order === "asc" ? "desc" : "asc";
  const arrow = isSorted ? (order === "asc" ? " ↑" : " ↓") : "";
  return el(
    "th",
    {
      scope: "col",
      class: name === "name" ? null : "figure",
      "aria-sort": isSorted ? (order === "asc" ? "ascending" : "descending") : "none",
    },
    button(label + arrow, () => change({ sort: `${name} ${next}` }), {
      class: "link sort",
      "data-name": name,
      title,
      "aria-label": title ? `${label}: ${title}` : null,
    }),
  );
}
