// The lists of the overview: reasons of failures, models, tools, routes, keys. Shares are drawn on the rows' own rules.

import { el, gradeMark, unit } from "../lib/dom.js";
import { ago, count, countOf, grade, money, short } from "../lib/format.js";
import { nameOf, searchFor } from "../endpoints/rows.js";
import { percentileOf } from "../endpoints/columns.js";
import { term } from "../lib/filter.js";
import { reasonOf } from "../lib/explanations.js";
import { kindTag } from "../lib/record-kind.js";

const ROWS = 6;

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

export function failing(records, link, isCut) {
  const reason = (record) =>
    reasonOf(record) ?? (record.outcome === "ok" ? `http_${record.status}` : record.outcome);
  const groups = grouped(records, (record) => `${record.level} ${record.status} ${reason(record)}`);
  groups.sort(
    (a, b) =>
      Number(b[1][0].level === "error") - Number(a[1][0].level === "error") ||
      b[1].length - a[1].length,
  );
  const rows = groups.slice(0, ROWS + 2).map(([, members]) => {
    const where = grouped(members, (record) => record.path)[0]?.[0] ?? "";
    const newest = members.find((record) => record.path === where) ?? members[0];
    const code = reason(newest);
    const tag = kindTag(newest);
    const filter = [
      newest.status === null ? "" : `status:${newest.status}`,
      newest.error_type
        ? term("error_type", newest.error_type)
        : newest.outcome === "ok"
          ? ""
          : `outcome:${newest.outcome}`,
      `level:${newest.level}`,
    ]
      .join(" ")
      .trim();
    return el(
      "tr",
      {},
      el("td", { class: "status " + grade(newest) }, gradeMark(), String(newest.status ?? "–")),
      cell(el("a", { href: link(filter) }, el("code", { class: `chip ${newest.level}` }, code))),
      el(
        "td",
        { class: "where", title: where },
        tag && el("span", { class: "tag" }, tag),
        unit(`${newest.method ?? ""} `),
        where,
      ),
      number(count(members.length)),
      number(unit(ago(newest.started_at_us / 1000))),
    );
  });
  if (!rows.length)
    rows.push(
      el("tr", {}, el("td", { colspan: 5, class: "unit" }, "Nothing failed in this period")),
    );
  const note = isCut ? `of the newest ${records.length} failures and refusals` : "errors first";
  const section = list(
    "What is failing",
    note,
    ["Status", "Reason", "Where", "Count", "Last"],
    rows,
    { wide: true },
  );
  section.classList.add("failing");
  if (records.length)
    section
      .querySelector(".section-head")
      .append(el("a", { href: link("level:error,warn") }, "Open in Requests"));
  return section;
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
