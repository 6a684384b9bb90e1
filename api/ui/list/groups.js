// The records that match, grouped: how many have each value of a field, what failed, how long they took. A value leads
// to its records.

import { change } from "../lib/address.js";
import { openDialog } from "../lib/dialog.js";
import { getJson } from "../lib/api.js";
import { select } from "../lib/controls.js";
import { button, el, quantity, unit } from "../lib/dom.js";
import { endpointText, endpointTitle } from "../endpoints/name.js";
import { searchFor } from "../endpoints/rows.js";
import { count, countOf, duration, money, percent, size } from "../lib/format.js";
import { ofSample } from "../record/sample.js";
import { fieldText, isField } from "./fields.js";

const ROWS = 200;
const OTHER = "…";
const TOOL = "tool";
export const FIELDS = [
  ["", "Not grouped"],
  ["endpoint", "By endpoint"],
  ["path", "By path"],
  ["status", "By status"],
  ["method", "By method"],
  ["error", "By error"],
  ["outcome", "By outcome"],
  ["client_ip", "By client address"],
  ["user_agent", "By user agent"],
  ["key", "By key"],
  ["user", "By user"],
  ["host", "By host"],
  ["model", "By model"],
  ["provider", "By provider"],
  ["tool", "By MCP tool"],
  ["route", "By route"],
  ["service", "By service"],
  ["project", "By project"],
  ["container", "By container"],
  ["client", "By client"],
  ["instance", "By instance"],
];

/** The control that chooses the field; `choose` gets it, or undefined. */
export function groupControl(choose) {
  const control = select("group-by", "Group by", FIELDS, (by) => {
    if (by !== OTHER) return choose(by || undefined);
    set(shown);
    askField(choose);
  });
  let shown = "";
  const set = (by) => {
    shown = by ?? "";
    const isKnown = FIELDS.some(([name]) => name === shown);
    const own = isKnown ? [] : [[shown, `By ${shown}`]];
    control.replaceChildren(
      ...[...FIELDS, ...own, [OTHER, "By a header or place in a body …"]].map(([value, label]) =>
        el("option", { value }, label),
      ),
    );
    control.value = shown;
  };
  set("");
  return { control, set };
}

function askField(choose) {
  const input = el("input", { id: "group-field", placeholder: "header.x-tenant or body.user.id" });
  const bad = el("p", { class: "bad", role: "alert" });
  openDialog("Group by", (close) =>
    el(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          const name = input.value.trim();
          bad.textContent = isField(name) ? "" : "begin with header. or body.";
          if (bad.textContent) return;
          close();
          choose(name);
        },
      },
      el("label", {}, "A header, or a place in a JSON body", input),
      bad,
      el(
        "div",
        { class: "buttons end" },
        button("Cancel", () => close()),
        el("button", { class: "primary" }, "Group"),
      ),
    ),
  );
}

/** Read and draw the groups of what matches into a host; one that is chosen is added to the filter. */
export async function showGroups(host, parameters, filter, signal) {
  const answer = await getJson("api/top", { ...parameters, limit: ROWS }, signal);
  if (signal.aborted) return;
  host.replaceChildren(
    tableOf(answer, filter),
    el("p", { class: "unit groups-note" }, noteOf(answer)),
  );
}

function noteOf({ by, values, seen, complete, rows, sampled }) {
  const more = values > rows.length ? `, the ${count(rows.length)} most frequent are shown` : "";
  const part = complete
    ? ""
    : ": only the newest were looked at, for there are too many; a filter or a shorter period shows all";
  return `${countOf(values, "group")} of ${countOf(seen, by === TOOL ? "call" : "request")}${ofSample({ sampled }, ", ")}${more}${part}`;
}

function tableOf({ rows, by }, filter) {
  const hasCost = rows.some((row) => row.cost_usd > 0);
  const counts = by === TOOL ? ["Calls", "Share", "Failed"] : ["Requests", "Share", "4xx", "5xx"];
  const names = [...counts, "p50", "p95", "Bytes in", "Bytes out"];
  const label = FIELDS.find(([name]) => name === by)?.[1].replace(/^By (.)/, (_, first) =>
    first.toUpperCase(),
  );
  const heads = [label ?? by, ...names, ...(hasCost ? ["Cost"] : [])].map((name, index) =>
    el("th", { scope: "col", class: index ? "figure" : "name" }, name),
  );
  const body = rows.length
    ? rows.map((row) => rowOf(row, by, hasCost, filter))
    : el(
        "tr",
        {},
        el(
          "td",
          { colspan: heads.length, class: "unit" },
          by === TOOL ? "No calls match" : "No requests match",
        ),
      );
  return el(
    "table",
    { class: "groups", id: "groups" },
    el("thead", {}, el("tr", {}, heads)),
    el("tbody", {}, body),
  );
}

function textOf(row, by) {
  if (row.value === "") return [unit('""'), ""];
  if (by === "endpoint" && row.value !== null)
    return [endpointText(row.value), endpointTitle(row.value)];
  return fieldText(row);
}

function rowOf(row, by, hasCost, filter) {
  const search = searchFor(row, by, filter);
  const [text, title] = textOf(row, by);
  const name = row.method === null ? text : [unit(`${row.method} `), text];
  const open = () => change({ filter: search, by: undefined });
  const shown = search ? button(name, open, { class: "link", title: `Show ${title}` }) : name;
  const line = el(
    "tr",
    { class: "share" },
    el("td", { class: "name", title }, shown),
    figure(count(row.exchanges)),
    figure(quantity(percent(row.share, 1))),
    by !== TOOL && failed(row, "client_errors", "warn"),
    failed(row, "server_errors", "error"),
    latency(row.duration_ms.p50),
    latency(row.duration_ms.p95),
    figure(quantity(size(row.request_bytes))),
    figure(quantity(size(row.response_bytes))),
    hasCost && figure(row.cost_usd > 0 ? money(row.cost_usd) : unit("–")),
  );
  line.style.setProperty("--share", `${Math.min(100, row.share * 100).toFixed(1)}%`);
  return line;
}

const figure = (...content) => el("td", { class: "figure" }, content);
const latency = (ms) => figure(ms === null ? unit("–") : quantity(duration(ms * 1000)));

function failed(row, name, grade) {
  if (!row[name]) return figure(unit("–"));
  return el("td", { class: `figure ${grade}` }, quantity(percent(row[name], row.exchanges)));
}
