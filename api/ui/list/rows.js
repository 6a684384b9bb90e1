// Rows of the log and their columns. Which columns are shown is chosen by a person and kept in the address.

import { endpointText } from "../endpoints/name.js";
import { codeOf, isBad, outcomeText, reasonOf, saidOf } from "../lib/explanations.js";
import { isMessage, isSessionCall, kindTag } from "../record/record-kind.js";
import { quantity, el, gradeMark, openableRow, unit } from "../lib/dom.js";
import {
  count,
  duration,
  grade,
  moment,
  money,
  queryText,
  size,
  targetText,
} from "../lib/format.js";
import { weightMark } from "../record/sample.js";
import { fieldCell, fieldLine, isField } from "./fields.js";

const AXIS = { from: Math.log10(1000), to: Math.log10(30_000_000) }; // µs: 1 ms to 30 s

function along(us) {
  const place = (Math.log10(Math.max(us, 1)) - AXIS.from) / (AXIS.to - AXIS.from);
  return Math.min(Math.max(place, 0.01), 1) * 100;
}

/** Draw waiting (thin) and body (thick) on a log axis; red when it failed. */
function phases(record) {
  if (record.kind === "event") return null;
  const total = record.duration_us ?? Math.max(0, Date.now() * 1000 - record.started_at_us);
  const first = Math.min(record.first_byte_us ?? total, total);
  const waiting = el("span", { class: "waiting" });
  waiting.style.width = `${along(first)}%`;
  const body = el("span", { class: "body" });
  body.style.left = waiting.style.width;
  body.style.width = `${Math.max(0, along(total) - along(first))}%`;
  const tick = el("span", { class: "tick" });
  tick.style.left = `${along(total)}%`;
  return el(
    "span",
    { class: "phase-bar " + grade(record), "aria-hidden": "true" },
    waiting,
    body,
    record.level === "error" && tick,
  );
}

/** One line about what happened: the reason of a failure, the model and tokens of a call, the text of a message. */
function detailsOf(record) {
  if (isSessionCall(record)) return codeOf(record) ?? usageOf(record);
  if (record.kind === "event") return eventDetails(record);
  return [operationOf(record), resultOf(record)].filter(Boolean).join(" · ");
}

/** The operation that the path does not show: a method of MCP and what it names, an operation of GraphQL. */
function operationOf({ data, endpoint }) {
  if (data?.mcp) return [data.mcp.method, data.mcp.name].filter(Boolean).join(" ");
  const operation = endpoint?.split("#")[1];
  return operation?.startsWith("{") ? null : operation;
}

function resultOf(record) {
  const code = reasonOf(record);
  if (record.outcome !== "ok")
    return [code, outcomeText(record.outcome), saidOf(record)].filter(Boolean).join(" · ");
  const reason = isBad(record) && [code, saidOf(record)].filter(Boolean).join(": ");
  if (reason) return reason;
  if (record.model) return usageOf(record);
  if (record.grpc) return grpcDetails(record);
  return record.shed !== "none" ? `overload: ${record.shed} not kept` : "";
}

function grpcDetails({ grpc, grpc_status: status }) {
  const messages = (number, side) => number !== null && `${count(number)} ${side}`;
  const counts = [messages(grpc.request_messages, "in"), messages(grpc.response_messages, "out")];
  return [status ?? "no status", ...(grpc.kind === "unary" ? [] : counts)]
    .filter(Boolean)
    .join(" · ");
}

function usageOf({ model, input_tokens: input, output_tokens: output }) {
  return (
    (model ?? "") + (input === null ? "" : ` · ${count(input)} in · ${count(output ?? 0)} out`)
  );
}

function eventDetails(record) {
  if (!isMessage(record)) return record.data ? JSON.stringify(record.data).slice(0, 200) : "";
  const data = record.data ?? {};
  return (
    data.text ??
    (data.base64 !== undefined ? `binary, ${data.size} B` : (data.opcode ?? "not kept"))
  );
}

function statusCell(record) {
  if (isMessage(record)) return el("td", { class: "status" }, unit("msg"));
  const status = record.in_flight ? "open" : (record.status ?? "–");
  return el("td", { class: "status " + grade(record) }, gradeMark(), String(status));
}

function startedCell(record) {
  const start = moment(record.started_at_us);
  return el(
    "td",
    { class: "started", title: start.title },
    start.date + start.clock,
    unit(start.ms),
  );
}

function methodCell(record) {
  if (!isMessage(record)) return el("td", { class: "method" }, record.method ?? "–");
  return el("td", { class: "method" }, record.data?.direction === "in" ? "↑ in" : "↓ out");
}

function eventName(record) {
  if (isSessionCall(record)) return "call over a WebSocket";
  return isMessage(record) ? (record.route_id ?? "message") : record.name;
}

/** A sign before an outgoing call; null for all others. */
const outgoingMark = ({ direction }) =>
  direction === "out" ? el("span", { class: "unit", title: "Outgoing call" }, "→ ") : null;

function pathCell(record) {
  const tag = kindTag(record);
  const name =
    targetText(record) ?? (record.kind === "event" ? eventName(record) : "invalid request");
  return el(
    "td",
    { class: "path", title: name + (record.query === null ? "" : "?" + record.query) },
    tag && el("span", { class: "tag" }, tag),
    weightMark(record),
    outgoingMark(record),
    name,
    record.query !== null && unit("?" + queryText(record.query)),
  );
}

const text = (name, value) => el("td", { class: name }, value ?? unit("–"));
const tokensOf = (record) =>
  record.input_tokens === null && record.output_tokens === null
    ? null
    : count((record.input_tokens ?? 0) + (record.output_tokens ?? 0));
const keyOf = (record) =>
  record.key_name === null ? null : [record.key_name, unit(` ····${record.key_last4 ?? ""}`)];
const sizeOf = (record) =>
  quantity(size(isMessage(record) ? record.data?.size : record.response_bytes));

const PLAIN = [
  ["host", "Host"],
  ["client_ip", "Client address"],
  ["user_agent", "User agent"],
  ["user_id", "User"],
  ["request_id", "Request id"],
  ["trace_id", "Trace id"],
  ["outcome", "Outcome"],
  ["error_type", "Error"],
  ["project", "Project"],
  ["container", "Container"],
  ["client", "Client"],
  ["upstream", "Upstream"],
  ["provider", "Provider"],
  ["finish_reason", "Finish reason"],
  ["grpc_status", "gRPC status"],
];
const plainCell = (name) => (record) => text("plain", record[name]);

export const COLUMNS = {
  __proto__: null, // looked up by words from the address
  started: ["Started", startedCell],
  status: ["Status", statusCell],
  method: ["Method", methodCell],
  path: ["Path", pathCell],
  what: [
    "Details",
    (record) => {
      const details = detailsOf(record);
      const look = record.level === "debug" ? "" : grade(record);
      return el("td", { class: `what ${look}`, title: details }, details);
    },
  ],
  endpoint: ["Endpoint", (record) => text("endpoint", endpointText(record.endpoint))],
  route: ["Route", (record) => text("route", record.route_id)],
  service: ["Service", (record) => text("service", record.service)],
  key: ["Key", (record) => text("key", keyOf(record))],
  model: ["Model", (record) => text("model", record.model)],
  tokens: ["Tokens", (record) => text("tokens", tokensOf(record))],
  ...Object.fromEntries(PLAIN.map(([name, label]) => [name, [label, plainCell(name)]])),
  cost_usd: [
    "Cost",
    (record) => text("cost_usd", record.cost_usd === null ? null : money(record.cost_usd)),
  ],
  phases: ["Phases", (record) => el("td", { class: "phases" }, phases(record))],
  size: ["Size", (record) => el("td", { class: "size" }, sizeOf(record))],
  duration: [
    "Duration",
    (record) =>
      el(
        "td",
        { class: "duration" },
        record.in_flight
          ? el("span", { class: "flying-text" }, "open")
          : record.kind === "event"
            ? ""
            : quantity(duration(record.duration_us)),
      ),
  ],
};
export const DEFAULT_COLUMNS = [
  "started",
  "status",
  "method",
  "path",
  "what",
  "route",
  "phases",
  "size",
  "duration",
];
export const FIXED = new Set(["status", "path", "duration"]);
const FIGURES = new Set(["phases", "size", "duration"]);
const MAX_FIELDS = 20;

/** Read the columns of an address: those there are, in their order, and fields of heads and bodies before the figures. */
export function readColumns(given) {
  const names = (given ?? "").split(",").map((name) => name.trim());
  const own = names.filter((name) => name in COLUMNS);
  const shown = own.length
    ? Object.keys(COLUMNS).filter((name) => own.includes(name) || FIXED.has(name))
    : DEFAULT_COLUMNS;
  const fields = [...new Set(names.filter(isField))].slice(0, MAX_FIELDS);
  const place = shown.findIndex((name) => FIGURES.has(name));
  return fields.length ? [...shown.slice(0, place), ...fields, ...shown.slice(place)] : shown;
}

/** The head of the table. */
export const headRow = (columns) =>
  el(
    "tr",
    {},
    columns.map((name) =>
      isField(name)
        ? el("th", { scope: "col", class: "field", title: name }, name)
        : el("th", { scope: "col", class: name }, COLUMNS[name][0]),
    ),
  );

/** The row of a record; `open` is called with it on click or Enter. */
export function recordRow(record, columns, open) {
  return openableRow(
    { "data-id": record.id },
    () => open(record),
    columns.map((name) => (isField(name) ? fieldCell(record, name) : COLUMNS[name][1](record))),
  );
}

/** The row of a record on a narrow screen: two lines. */
export function narrowRow(record, columns, open) {
  const start = moment(record.started_at_us);
  const tag = kindTag(record);
  const reason = detailsOf(record),
    fields = fieldLine(record, columns.filter(isField)),
    what =
      [reason, fields].filter(Boolean).join(" · ") || size(record.response_bytes).join("\u00a0");
  return openableRow(
    { "data-id": record.id, class: "two-lines" },
    () => open(record),
    statusCell(record),
    el(
      "td",
      { class: "path" },
      el(
        "span",
        { class: "line1" },
        el("span", { class: "method" }, record.method ?? "", " "),
        outgoingMark(record),
        targetText(record) ?? record.name ?? "invalid request",
        record.query !== null && unit("?" + queryText(record.query)),
      ),
      el(
        "span",
        { class: "line2 " + (reason ? grade(record) : "") },
        tag && el("span", { class: "tag" }, tag),
        weightMark(record),
        what,
      ),
    ),
    el(
      "td",
      { class: "duration" },
      el(
        "span",
        { class: "line1" },
        record.in_flight ? "open" : quantity(duration(record.duration_us)),
      ),
      el("span", { class: "line2", title: start.title }, start.clock),
    ),
  );
}

/** A row that is no record: a gap, a resumed connection, the end of the stream. */
export function noticeRow(item, columns) {
  return el(
    "tr",
    { class: "notice-row " + item.grade },
    el("td", { colspan: columns.length }, item.content()),
  );
}
