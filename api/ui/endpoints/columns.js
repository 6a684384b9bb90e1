// The columns of the endpoints: what each is called, what it is sorted by, and what it shows.

import { changeText, NEW, points, relative } from "./comparison.js";
import { el, unit } from "../lib/dom.js";
import { count, duration, money, size } from "../lib/format.js";

const share = (row, name) => row[name] / Math.max(1, row.exchanges);
const figure = (content, grade = "") => el("td", { class: `figure ${grade}`.trim() }, content);

/** What "≈" says. */
export const NEAR = "≈ from a histogram, at most 5 % off";

/**
 * A percentile of milliseconds, number and unit apart; "≈" where it comes from buckets.
 * @returns {[unknown, string]}
 */
export function percentileFigure(found, name) {
  const [number, unitName] = duration(found[name] === null ? null : found[name] * 1000);
  const isNear = found.estimated && found[name] !== null;
  return [isNear ? [el("abbr", { class: "unit", title: NEAR }, "≈ "), number] : number, unitName];
}

/** A percentile in a table. */
export function percentileOf(found, name) {
  const [number, unitName] = percentileFigure(found, name);
  return found[name] === null ? unit(number) : [number, unit("\u00a0", unitName)];
}

function sizeOf(bytes) {
  const [number, unitName] = size(bytes);
  return [number, unit("\u00a0", unitName)];
}

function shareText(row, name) {
  if (!row[name]) return unit("–");
  const percent = share(row, name) * 100;
  return [percent < 0.1 ? "<0.1" : percent.toFixed(1), unit(" %")];
}

/** How many more or fewer requests there were. */
export const requestsChange = ({ exchanges, before }) =>
  before === null ? null : before.exchanges ? relative(exchanges, before.exchanges) : NEW;

/** How the share of 5xx moved; null without requests before. */
export const errorsChange = (row) =>
  row.before?.exchanges
    ? points(share(row, "server_errors"), share(row.before, "server_errors"))
    : null;

export const latencyChange = ({ duration_ms: now, before }) =>
  before === null ? null : relative(now.p95, before.duration_ms.p95, { isWorse: true });

const changeColumn = (of, changeOf) => ({
  label: "Change",
  title: `Change of ${of} against the period before`,
  value: (row) => changeOf(row)?.value ?? -Infinity,
  cell: (row) => figure(changeText(changeOf(row)), changeOf(row)?.grade),
  isChange: true,
});

/** @param {number} least the share that is marked */
const shareColumn = (label, name, grade, least) => ({
  label,
  title: `Share of ${label}`,
  value: (row) => share(row, name),
  cell: (row) => figure(shareText(row, name), share(row, name) > least ? grade : ""),
});

const percentileColumn = (name) => ({
  label: name,
  value: (row) => row.duration_ms[name] ?? -1,
  cell: (row) => figure(percentileOf(row.duration_ms, name)),
});

/** Name of a column in the address → the column, in order; `name` is made by the page. */
export const COLUMNS = {
  __proto__: null,
  requests: {
    label: "Requests",
    value: (row) => row.exchanges,
    cell: (row) => figure(count(row.exchanges)),
  },
  requests_change: changeColumn("requests", requestsChange),
  client_errors: shareColumn("4xx", "client_errors", "warn", 0.1),
  server_errors: shareColumn("5xx", "server_errors", "error", 0),
  server_errors_change: changeColumn("5xx", errorsChange),
  p50: percentileColumn("p50"),
  p95: percentileColumn("p95"),
  p95_change: changeColumn("p95", latencyChange),
  size: {
    label: "Bytes out",
    value: (row) => row.response_bytes,
    cell: (row) => figure(sizeOf(row.response_bytes)),
  },
  cost: {
    label: "Cost",
    value: (row) => row.cost_usd,
    cell: (row) => figure(row.cost_usd > 0 ? money(row.cost_usd) : unit("–")),
  },
};

/** Whether a column has anything to show. */
export function hasFigures(name, rows) {
  if (name === "cost") return rows.some((row) => row.cost_usd > 0);
  return !COLUMNS[name].isChange || rows.some((row) => row.before !== null);
}

/** Rows in the order of a column; those with equal values keep the order of most requests. */
export function sorted(rows, name, order) {
  const direction = order === "asc" ? 1 : -1;
  const valueOf = name === "name" ? (row) => row.value ?? "" : COLUMNS[name].value;
  return rows.toSorted((a, b) => {
    const [one, other] = [valueOf(a), valueOf(b)];
    return (one < other ? -1 : one > other ? 1 : 0) * direction;
  });
}
