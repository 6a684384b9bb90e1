// What the requests of an endpoint are made of: why some failed, or who called, each over time and against the period
// before. A name leads to its requests.

import { getJson } from "../lib/api.js";
import { select } from "../lib/controls.js";
import { el, sectionHead, unit } from "../lib/dom.js";
import { narrowed, parametersOf, term } from "../lib/filter.js";
import { spark } from "../lib/line-chart.js";
import { COLUMNS } from "./columns.js";
import { requestsOf, searchFor } from "./rows.js";

const ROWS = 6;
const STEPS = 30;
const CALLERS = [
  ["client_ip", "Client address"],
  ["key", "Key"],
  ["user", "User"],
  ["user_agent", "User agent"],
  ["client", "Client"],
];

class Parts {
  constructor({ title, columns, none, end = null }) {
    this.columns = columns;
    this.none = none;
    this.body = el("tbody");
    const heads = columns.map((name) =>
      el("th", { scope: "col", class: "figure", title: COLUMNS[name].title }, COLUMNS[name].label),
    );
    const names = [
      el("th", { scope: "col" }, el("span", { class: "hidden" }, title)),
      el("th", { scope: "col" }, "Over time"),
    ];
    this.host = el(
      "section",
      { class: "parts" },
      sectionHead(title, "", end),
      el("table", { class: "managed" }, el("thead", {}, el("tr", {}, names, heads)), this.body),
    );
  }

  /** Read the rows of a search, and show them by their names and the searches that they lead to. */
  async read(search, by, period, signal, describe) {
    const asked = { ...parametersOf(search), ...period.parameters };
    const query = { ...asked, by, limit: ROWS, before: 1, buckets: STEPS };
    const { rows } = await getJson("api/top", query, signal);
    if (signal.aborted) return;
    const shown = rows.map((row) => ({ row, ...describe(row) })).filter(({ name }) => name);
    this.body.replaceChildren(...shown.map((one) => this.row(one)));
    if (!shown.length)
      this.body.append(
        el("tr", {}, el("td", { class: "unit", colspan: this.columns.length + 2 }, this.none)),
      );
  }

  row({ row, name, title, href }) {
    const line = spark(row.series ?? [], { width: 96, height: 20, kind: "area", isWhole: true });
    return el(
      "tr",
      {},
      el("td", { class: "name", title }, href ? el("a", { href }, name) : name),
      el("td", { class: "line" }, line),
      this.columns.map((column) => COLUMNS[column].cell(row)),
    );
  }
}

/** Reasons of failures, most frequent first. */
export class Failures {
  constructor() {
    this.parts = new Parts({
      title: "Failures",
      columns: ["requests", "requests_change"],
      none: "Nothing failed in this period",
    });
    this.host = this.parts.host;
  }

  read(search, state, period, signal) {
    return this.parts.read(search, "failure", period, signal, (row) => {
      const { status, error, message } = row;
      const about = [
        status !== null && `status:${status}`,
        error !== null && term("error", error),
        message !== null && term("message", message),
        "level:error,warn",
      ];
      const filter = narrowed(search, about.filter(Boolean).join(" "));
      const name = [el("code", {}, error ?? "error"), message === null ? "" : unit(` ${message}`)];
      return { name, title: message ?? "", href: requestsOf(filter, state) };
    });
  }
}

/** Callers, by what the reader chooses to tell them by. */
export class Callers {
  constructor(renew) {
    this.by = select("callers", "Callers by", CALLERS, () => renew());
    this.parts = new Parts({
      title: "Callers",
      columns: ["requests", "requests_change", "server_errors", "p95", "p95_change"],
      none: "No request of this period says that",
      end: this.by,
    });
    this.host = this.parts.host;
  }

  read(search, state, period, signal) {
    const by = this.by.value;
    return this.parts.read(search, by, period, signal, (row) => {
      const filter = searchFor(row, by, search);
      return {
        name: row.value,
        title: row.value ?? "",
        href: filter === null ? null : requestsOf(filter, state),
      };
    });
  }
}
