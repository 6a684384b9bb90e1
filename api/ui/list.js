// Rows of the log. A row is made once per record; only exchanges in flight are drawn anew.

import { el } from "./dom.js";
import { duration, grade, moment, size } from "./format.js";

const AXIS = { from: Math.log10(1000), to: Math.log10(30_000_000) }; // 1 ms to 30 s

const figure = ([number, unit]) => [number, el("span", { class: "unit" }, unit)];

function along(us) {
  const place = (Math.log10(Math.max(us, 1)) - AXIS.from) / (AXIS.to - AXIS.from);
  return Math.min(Math.max(place, 0.01), 1) * 100;
}

/** Draw waiting (thin) and body (thick) on a log axis; red when it failed. */
function phases(record) {
  const total = record.duration_us ?? Math.max(0, Date.now() * 1000 - record.started_at_us);
  const first = Math.min(record.first_byte_us ?? total, total);
  const waiting = el("span", { class: "waiting" });
  waiting.style.width = `${along(first)}%`;
  const body = el("span", { class: "body" });
  body.style.left = waiting.style.width;
  body.style.width = `${Math.max(0, along(total) - along(first))}%`;
  const tick = el("span", { class: "tick" });
  tick.style.left = `${along(total)}%`;
  return el("span", { class: "phase-bar " + grade(record), "aria-hidden": "true" }, waiting, body, record.level === "error" && tick);
}

export function tagOf(record) {
  if (record.provider) return "LLM";
  if (record.status === 101) return "WS";
  if (record.stream) return "SSE";
  return null;
}

/** Make the row of a record; `open` is called with it on click or Enter. */
export function makeRow(record, open) {
  const start = moment(record.started_at_us);
  const tag = tagOf(record);
  const name = record.kind === "event" ? record.name : record.path ?? "unreadable request";
  const status = record.in_flight ? "open" : record.status ?? "–";
  const cells = [
    el("td", { class: "started", title: start.title }, start.date + start.clock, el("span", { class: "unit" }, start.ms)),
    el("td", { class: "status " + grade(record) }, el("span", { class: "grade", "aria-hidden": "true" }), String(status)),
    el("td", { class: "method" }, record.method ?? "–"),
    el("td", { class: "path", title: record.error_type ?? "" }, tag && el("span", { class: "tag" }, tag), name,
      record.query !== null && el("span", { class: "unit" }, "?" + record.query)),
    el("td", { class: "route" }, record.route_id ?? "–"),
    el("td", { class: "phases" }, phases(record)),
    el("td", { class: "size" }, figure(size(record.response_bytes))),
    el("td", { class: "duration" }, figure(duration(record.duration_us))),
  ];
  const row = el("tr", { tabindex: 0, "data-id": record.id, onclick: () => open(record) }, cells);
  row.addEventListener("keydown", (event) => { if (event.key === "Enter") open(record); });
  return row;
}
