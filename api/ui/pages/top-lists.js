// The lists of the overview: reasons of failures, models, tools, routes, keys. Shares are drawn on the rows' own rules.

import { el, gradeMark, unit } from "../lib/dom.js";
import { count, countOf, money, short } from "../lib/format.js";
import { endpointTitle } from "../endpoints/name.js";
import { nameOf, searchFor } from "../endpoints/rows.js";
import { percentileOf } from "../endpoints/columns.js";
import { term } from "../lib/filter.js";
import { spark } from "../lib/line-chart.js";
import { ofSample } from "../record/sample.js";

const ROWS = 6;
export const LEVELS = ["error", "warn"];

/** Group values by a name, largest first: [[name, members]]. */
function grouped(values, nameOf) {
  const groups = new Map();
  for (const value of values) {
    const name = nameOf(value);
    if (name !== null) groups.set(name, [...(groups.get(name) ?? []), value]);
  }
  return [...groups].sort((a, b) => b[1].length - a[1].length);
}

function list(title, note, head, rows, { wide = false } = {}) {
  return el(
    "section",
    { class: wide ? "list wide" : "list" },
    el("div", { class: "section-head" }, el("h2", {}, title, " ", unit(note))),
    el(
      "table",
      {},
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          head.map((name, index) =>
            el("th", { scope: "col", class: index ? "figure" : null }, name),
          ),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );
}

function shareRow(cells, share) {
  const row = el("tr", { class: "share" }, cells);
  row.style.setProperty("--share", `${Math.min(100, share * 100).toFixed(1)}%`);
  return row;
}

const cell = (...content) => el("td", {}, content);
const number = (...content) => el("td", { class: "figure" }, content);

/** The groups of /api/top?by=failure, by the level of their records: errors stand before refusals. */
export function failing(answers, link) {
  const rows = LEVELS.flatMap((level) =>
    (answers[level]?.rows ?? [])
      .slice(0, ROWS)
      .map((row, _, shown) => failureRow(row, level, link, shown)),
  );
  const isNone = rows.length === 0;
  const none = el(
    "tr",
    {},
    el("td", { colspan: 5, class: "unit" }, "Nothing failed in this period"),
  );
  const cut = Object.values(answers).find((answer) => !answer.complete);
  const groups = Object.values(answers).reduce((sum, { values }) => sum + values, 0);
  const sampled = Object.values(answers).some((answer) => answer.sampled);
  const first = rows.length < groups ? `the most frequent of ${count(groups)}` : "errors first";
  const part = first + ofSample({ sampled }, ", ");
  const section = list(
    "What is failing",
    cut ? `of the newest ${countOf(cut.seen, "failure")}` : part,
    ["Status", "Reason", "Where", "Over time", "Count"],
    isNone ? none : rows.flat(),
    { wide: true },
  );
  section.classList.add("failing");
  if (!isNone)
    section
      .querySelector(".section-head")
      .append(el("a", { href: link("level:error,warn") }, "Open in Requests"));
  return section;
}

const hasSamePlace = (a, b) =>
  ["method", "value", "status", "error"].every((name) => a[name] === b[name]);

/** What failed with one reason at one endpoint, below it what was said; of these rows its link names this one alone. */
function failureRow(row, level, link, rows) {
  const { message } = row;
  const isOneOfSome = rows.some((other) => other !== row && hasSamePlace(other, row));
  const filter = [
    searchFor(row, "endpoint"),
    row.status !== null && `status:${row.status}`,
    row.error !== null && term("error", row.error),
    message === null ? isOneOfSome && "-message:*" : term("message", message),
    `level:${level}`,
  ];
  const where = nameOf(row);
  const line = spark(row.series ?? [], { width: 96, height: 18, kind: "area", isWhole: true });
  const shown = el(
    "tr",
    {},
    el("td", { class: `status ${level}` }, gradeMark(), String(row.status ?? "–")),
    cell(
      el(
        "a",
        { href: link(filter.filter(Boolean).join(" ")) },
        el("code", { class: `chip ${level}` }, row.error ?? "error"),
      ),
    ),
    el("td", { class: "where", title: endpointTitle(row.value) ?? "" }, where),
    number(line),
    number(count(row.exchanges)),
  );
  if (message === null) return [shown];
  const said = el("td", { class: "message", colspan: 4, title: message }, message);
  return [shown, el("tr", { class: "said" }, el("td"), said)];
}

export function modelList({ models, calls }, link) {
  if (!models.length) return null;
  const rows = models
    .slice(0, ROWS)
    .map((one) =>
      shareRow(
        [
          cell(
            one.model
              ? el("a", { href: link(term("model", one.model)) }, one.model)
              : unit(one.provider),
          ),
          number(count(one.calls)),
          number(short(one.input_tokens + one.output_tokens)),
          number(one.priced ? money(one.cost_usd, 2) : unit("no price")),
        ],
        one.calls / models[0].calls,
      ),
    );
  return list("Models", countOf(calls, "call"), ["Model", "Calls", "Tokens", "Cost"], rows);
}

export function toolList(logs, total) {
  const groups = grouped(logs, (log) => log.tool_name);
  if (!groups.length) return null;
  const most = groups[0][1].length;
  const rows = groups.slice(0, ROWS).map(([name, members]) => {
    const failed = members.filter((log) => log.status === "error").length;
    return shareRow(
      [
        cell(el("a", { href: `mcp-logs?tool_names=${encodeURIComponent(name)}` }, name)),
        number(count(members.length)),
        number(failed ? el("span", { class: "bad" }, count(failed)) : unit("0")),
      ],
      members.length / most,
    );
  });
  const section = list(
    "Tools",
    total > logs.length ? `of the newest ${count(logs.length)} calls` : countOf(total, "call"),
    ["Tool", "Calls", "Failed"],
    rows,
  );
  section
    .querySelector(".section-head")
    .append(el("a", { href: "mcp-logs" }, `All ${groups.length}`));
  return section;
}

export function topList(title, name, values, total, link, look = {}) {
  if (!values?.length) return null;
  return list(
    title,
    "",
    [title.slice(0, -1), "Requests", "Share"],
    values.slice(0, ROWS).map((value) =>
      shareRow(
        [
          cell(
            el(
              "a",
              {
                href: link(term(name, value.value)),
              },
              value.value,
            ),
          ),
          number(count(value.count ?? 0)),
          number(`${((100 * (value.count ?? 0)) / Math.max(1, total)).toFixed(1)} %`),
        ],
        (value.count ?? 0) / Math.max(1, values[0].count ?? 1),
      ),
    ),
    look,
  );
}

/** The endpoints of /api/endpoints, each leading to its requests. */
export function endpointList({ rows, values, seen, complete: isComplete }, link) {
  if (!rows.length) return null;
  const most = rows[0].exchanges;
  const section = list(
    "Endpoints",
    isComplete ? "" : `of the newest ${countOf(seen, "request")}`,
    ["Endpoint", "Requests", "5xx", "p95"],
    rows.slice(0, ROWS).map((row) => {
      const search = searchFor(row, "endpoint");
      const name = nameOf(row);
      const failed = row.server_errors;
      return shareRow(
        [
          el(
            "td",
            { title: row.value },
            search === null ? name : el("a", { href: link(search) }, name),
          ),
          number(count(row.exchanges)),
          number(failed ? el("span", { class: "bad" }, count(failed)) : unit("0")),
          number(percentileOf(row.duration_ms, "p95")),
        ],
        row.exchanges / most,
      );
    }),
    { wide: true },
  );
  section.classList.add("endpoints-most");
  const all = el("a", { href: link("").replace("requests", "endpoints") }, `All ${values}`);
  section.querySelector(".section-head").append(all);
  return section;
}

export function keyList(values, keys, total, link) {
  const names = new Map(keys.map((key) => [key.id, key]));
  const section = topList("Keys", "key", values, total, link, { wide: true });
  for (const anchor of section?.querySelectorAll("tbody a") ?? []) {
    const key = names.get(anchor.textContent);
    if (key) anchor.replaceChildren(key.name, unit(` ····${key.last4}`));
  }
  return section;
}
