// The filtered records as a file to download.

import { toQuery } from "../lib/api.js";
import { openDialog } from "../lib/dialog.js";
import { button, el } from "../lib/dom.js";

const FORMATS = [
  ["ndjson", "one JSON object per line"],
  ["csv", "for spreadsheets; formulas are neutralised"],
  ["har", "for the network panel of a browser, with bodies"],
];

const COLUMNS = [
  "started_at",
  "status",
  "method",
  "host",
  "path",
  "duration_us",
  "error_type",
  "id",
];

/** Offer the records that match these parameters of the API; CSV has fields of heads and bodies that are columns. */
export function openExport(parameters, fields = []) {
  const links = FORMATS.map(([format, text]) => {
    const columns = fields.length && format === "csv" ? [...COLUMNS, ...fields].join() : undefined;
    const href = "api/export" + toQuery({ ...parameters, format, fields: columns });
    const label = el("strong", {}, format.toUpperCase());
    return el("li", {}, el("a", { href, download: `sidelog.${format}` }, label, " ", text));
  });
  return openDialog("Export the filtered records", (close) => [
    el("ul", { class: "exports" }, links),
    el(
      "div",
      { class: "buttons end" },
      button("Close", () => close()),
    ),
  ]);
}
