// One half of an exchange: start line, headers with redactions marked, body.

import { el, unit } from "../lib/dom.js";
import { bodyView } from "./body.js";
import { count } from "../lib/format.js";
import { marked, REDACTED } from "../lib/redaction.js";

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
  const redacted = part.headers.filter(([, value]) => REDACTED.test(value)).length;
  const note =
    part.headers.length === 0
      ? "none kept"
      : `${count(part.headers.length)}${redacted ? `, ${redacted} redacted` : ""}`;
  return [
    el("p", { class: "start-line" }, part.start_line ?? "no head"),
    el("h3", {}, "Headers ", unit(note)),
    el(
      "dl",
      { class: "headers" },
      part.headers.map(([name, value]) => [
        el("dt", {}, name.toLowerCase()),
        el(
          "dd",
          {},
          marked(value),
          name.toLowerCase() === "api-key" &&
            record.key_name &&
            unit(` ${record.key_name} ····${record.key_last4}`),
        ),
      ]),
    ),
    ...bodyView(record, side),
  ];
}
