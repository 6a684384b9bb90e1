// A row of the endpoints: its name leads to its requests, its line over time to its view.

import { toQuery } from "../lib/api.js";
import { COLUMNS } from "./columns.js";
import { button, el, unit } from "../lib/dom.js";
import { endpointText, endpointTitle } from "./name.js";
import { narrowed, term } from "../lib/filter.js";
import { spark } from "../lib/line-chart.js";

const WORDS = { __proto__: null, client_ip: "ip", user_agent: "ua" }; // where a search calls a group otherwise
const PARTS = /^(?:path|user_agent|(?:request_|response_)?header\..*)$/; // of these a search takes a part

/** What a row is called in the address. */
export const keyOf = (row) => [row.method, row.value].filter((part) => part !== null).join(" ");

/** The search for the requests of a row, within a filter; null where none can say it: no value, or a part of one. */
export function searchFor({ method, value }, by, filter = "") {
  if (!value || value.endsWith("…")) return null;
  const word = term(WORDS[by] ?? by, value, { exactly: PARTS.test(by) });
  return narrowed(filter, method === null ? word : `${term("method", method)} ${word}`);
}

/** Where the requests of a search are, in the period of an address. */
export const requestsOf = (filter, { period, since, until }) =>
  "requests" + toQuery({ filter, period: since ? undefined : period, since, until });

export const nameOf = (row) =>
  row.method === null
    ? (endpointText(row.value) ?? "–")
    : [unit(`${row.method} `), endpointText(row.value) ?? "–"];

/** The row of the table, with `columns` behind its name and its line over time. */
export function tableRow(row, { by, columns, sort, state, open }) {
  const search = searchFor(row, by, state.filter);
  const name = nameOf(row);
  const isOpen = keyOf(row) === state.open;
  const line = spark(row.series ?? [], { width: 96, height: 20, kind: "area", isWhole: true });
  const opening = button(line, open, {
    class: "link over-time",
    "aria-label": `${keyOf(row) || "without a value"} over time`,
    "aria-expanded": String(isOpen),
    disabled: search === null,
  });
  return el(
    "tr",
    { "aria-current": isOpen ? "true" : null },
    el(
      "td",
      { class: "name", title: endpointTitle(row.value) ?? "" },
      search === null ? name : el("a", { href: requestsOf(search, state) }, name),
    ),
    el("td", { class: "line" }, opening),
    columns.map((column) => {
      const cell = COLUMNS[column].cell(row);
      cell.dataset.column = column;
      cell.dataset.label = COLUMNS[column].label;
      cell.classList.toggle("sorted", column === sort);
      return cell;
    }),
  );
}
