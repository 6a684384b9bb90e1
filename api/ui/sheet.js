// The sheet beside the list: one record in plain words, its phases, heads and bodies.

import { $, copy, el } from "./dom.js";
import { asCurl } from "./curl.js";
import { durationText, grade, moment, prettyJson, sizeText } from "./format.js";

const PLAIN = {
  upstream_error: (r) => `${r.upstream ?? "The upstream"} could not be reached, or broke off.`,
  upstream_timeout: (r) => `${r.upstream ?? "The upstream"} took longer than its time limit to answer.`,
  client_closed: () => "The client left before the answer was complete.",
  rejected: () => "sidelog answered this request itself; it never reached the upstream.",
  truncated: () => "The answer ended before it was complete.",
  worker_lost: () => "The worker process died during this exchange. What it had noted is shown.",
  shutdown: () => "sidelog was stopped during this exchange.",
};
const OMITTED = {
  level: "not kept: the capture level of this route",
  shed: "not kept: left out under pressure",
  coding: "not kept: its content coding could not be undone, so it could not be redacted",
};
const FACTS = ["route_id", "service", "project", "container", "client", "upstream", "client_ip", "key_name", "provider",
  "model", "input_tokens", "output_tokens", "request_id", "trace_id", "source", "instance", "seq"];

/** Show a record; before its payload has come, what the list row knows. */
export function drawSheet(record, close, move) {
  const sheet = $("sheet");
  sheet.replaceChildren(headline(record, close, move), ...complaint(record), timing(record), ...actions(record));
  if (record.kind === "event") sheet.append(section("Event", pre(JSON.stringify(record.data, null, 2))));
  else if ("request" in record) sheet.append(message("Request", record, "request"), message("Response", record, "response"));
  else sheet.append(el("p", { class: "unit" }, "Loading heads and bodies"));
  sheet.append(facts(record));
  sheet.hidden = false;
}

export function drawSheetError(text, close) {
  const sheet = $("sheet");
  sheet.replaceChildren(el("p", { class: "complaint error" }, text), button("Close", close));
  sheet.hidden = false;
}

const button = (label, onclick, attributes = {}) => el("button", { type: "button", onclick, ...attributes }, label);
const section = (title, ...content) => el("section", {}, el("h2", {}, title), content);
const pre = (text) => el("pre", { tabindex: 0 }, text);

function headline(record, close, move) {
  const start = moment(record.started_at_us);
  const title = record.kind === "event" ? `event ${record.name}` : `${record.method ?? ""} ${record.path ?? "unreadable request"}`;
  return el("header", {},
    el("h1", {}, el("span", { class: "status " + grade(record) }, el("span", { class: "grade", "aria-hidden": "true" }),
      record.in_flight ? "open" : String(record.status ?? "–")), " ", title,
      record.query !== null && el("span", { class: "unit" }, "?" + record.query)),
    el("p", { class: "unit", title: start.title }, `${start.date}${start.clock}${start.ms} · `, el("code", {}, record.id)),
    el("div", { class: "buttons" }, button("↑", () => move(-1), { title: "Previous (k)", "aria-label": "Previous" }),
      button("↓", () => move(1), { title: "Next (j)", "aria-label": "Next" }), button("Close", close, { title: "Esc" })));
}

function complaint(record) {
  const plain = PLAIN[record.outcome];
  if (!plain && !record.error_type) return [];
  return [el("p", { class: "complaint " + grade(record) }, plain ? plain(record) : "The answer was an error.",
    record.error_type && " ", record.error_type && el("code", { class: "chip" }, record.error_type))];
}

function timing(record) {
  const body = record.first_byte_us === null || record.duration_us === null ? null : Math.max(0, record.duration_us - record.first_byte_us);
  const lines = [["Connect", record.connect_us], ["First byte", record.first_byte_us], ["Body", body], ["Total", record.duration_us]];
  return el("dl", { class: "timing" }, lines.map(([name, us]) => [
    el("dt", {}, name), el("dd", { class: name === "Total" ? "sum" : null }, durationText(us)),
  ]));
}

function actions(record) {
  if (record.kind === "event") return [];
  const curl = button("Copy as curl", () => copy(asCurl(record), curl), { title: "c", "data-copy": "curl", disabled: !("request" in record) });
  const link = button("Copy link", () => copy(location.href, link), { title: "y", "data-copy": "link" });
  return [el("div", { class: "actions" }, curl, link)];
}

function message(title, record, side) {
  const part = record[side];
  const wire = record[side + "_bytes"];
  if (part === null) return section(title, el("p", { class: "unit" }, record.in_flight ? "not finished" : "heads and bodies are not kept"));
  return section(title, el("p", { class: "line mono" }, part.start_line ?? "no head"), headers(part.headers), bodyOf(record, side, part.body, wire));
}

function headers(pairs) {
  return el("dl", { class: "headers" }, pairs.map(([name, value]) => [
    el("dt", {}, name.toLowerCase()),
    el("dd", {}, value.split(/(\[REDACTED(?::[0-9a-f]+)?\])/).map((piece, index) =>
      index % 2 ? el("span", { class: "redacted" }, piece) : piece)),
  ]));
}

function bodyOf(record, side, body, wire) {
  if (body === null) return el("p", { class: "unit" }, wire ? `Body of ${sizeText(wire)}, not kept` : "No body");
  if (body.omitted) return el("p", { class: "unit" }, `Body of ${sizeText(body.size)}, ${OMITTED[body.omitted] ?? "not kept: " + body.omitted}`);
  const note = body.truncated ? `Body, ${sizeText(body.size)}, head and tail kept` : `Body, ${sizeText(body.size)}`;
  const save = el("a", { href: `/api/records/${record.id}/${side}-body`, download: true }, "Download");
  const title = el("p", { class: "body-title" }, note + (body.coding ? `, sent as ${body.coding}` : ""), save);
  return el("div", {}, title, ...shownBody(body, title));
}

function shownBody(body, title) {
  if (body.encoding === "base64") return [pre(hex(body.head)), ...(body.tail ? [cut(), pre(hex(body.tail))] : [])];
  if (body.truncated) return [pre(body.head), cut(), pre(body.tail)];
  let pretty;
  try { pretty = prettyJson(body.head); } catch { return [pre(body.head)]; }
  const text = pre(pretty);
  const toggle = button("Raw", () => {
    const isPretty = toggle.textContent === "Raw";
    text.textContent = isPretty ? body.head : pretty;
    toggle.textContent = isPretty ? "Pretty" : "Raw";
  }, { class: "quiet" });
  title.append(toggle);
  return [text];
}

const cut = () => el("p", { class: "cut" }, "not kept");

function hex(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0)).slice(0, 1024);
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.slice(at, at + 16)];
    const codes = row.map((byte) => byte.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    const text = row.map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${codes}  ${text}`);
  }
  return lines.join("\n");
}

function facts(record) {
  const known = FACTS.filter((name) => record[name] !== null && record[name] !== undefined);
  return section("Facts", el("dl", { class: "headers" }, known.map((name) => [
    el("dt", {}, name.replaceAll("_", " ")), el("dd", {}, String(record[name])),
  ])));
}
