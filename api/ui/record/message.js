// One half of an exchange: start line, headers with redactions marked, body, trailers.

import { el, unit } from "../lib/dom.js";
import { bodyView } from "./body.js";
import { count } from "../lib/format.js";
import { marked, REDACTED } from "./redaction.js";

export function messageTab(record, side) {
  const part = record[side];
  if (part === null)
    return [
      el(
        "p",
        { class: "unit" },
        record.in_flight
          ? "Not finished yet"
          : "Headers and bodies are not kept: capture level of this route, or retention",
      ),
    ];
  if (part.start_line === null && part.headers.length === 0) return withoutHead(record, side);
  const redacted = part.headers.filter(([, value]) => REDACTED.test(value)).length;
  const note =
    part.headers.length === 0
      ? "none kept"
      : `${count(part.headers.length)}${redacted ? `, ${redacted} redacted` : ""}`;
  return [
    ...(side === "response" ? refusedHead(record) : []),
    el("p", { class: "start-line" }, part.start_line ?? "no head"),
    el("h3", {}, "Headers ", unit(note)),
    fieldList(part.headers, (name) =>
      name === "api-key" && record.key_name ? ` ${record.key_name} ····${record.key_last4}` : null,
    ),
    ...bodyView(record, side),
    ...trailers(record, side),
  ];
}

/** What came from the upstream and was no response; what follows it is our own. */
function refusedHead({ data }) {
  const head = data?.refused_response_head;
  if (!head) return [];
  const escaped = (character) => `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
  return [
    el("h3", {}, "Received from the upstream ", unit("refused; sidelog responded in its place")),
    el("pre", { tabindex: 0 }, head.replaceAll(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f]/g, escaped)),
  ];
}

/** A message of a WebSocket session has no head, and one whose exchange failed may have none. */
function withoutHead(record, side) {
  if (record.kind === "event" && record[side].body === null)
    return [el("p", { class: "unit" }, "This message was not kept")];
  return bodyView(record, side);
}

/** Fields behind a chunked body; some have a meaning in a head only and were not passed on. */
function trailers(record, side) {
  const fields = record[side].trailers ?? [];
  if (!fields.length) return [];
  const dropped = record.data?.[side + "_trailers_dropped"] ?? [];
  return [
    el("h3", {}, "Trailers ", unit(count(fields.length))),
    fieldList(fields, (name) => (dropped.includes(name) ? " not passed on" : null)),
  ];
}

/** `noteOf(name)` is what is said behind the value of a lower-case name, or null. */
function fieldList(fields, noteOf) {
  return el(
    "dl",
    { class: "headers" },
    fields.map(([name, value]) => {
      const note = noteOf(name.toLowerCase());
      return [el("dt", {}, name.toLowerCase()), el("dd", {}, marked(value), note && unit(note))];
    }),
  );
}
