// What of a body was kept, in words, and the mark that stands between the ends of one that was cut.

import { el } from "../lib/dom.js";
import { sizeText } from "../lib/format.js";

/** What was kept of a body that was not left out altogether. */
export function keptNote(body) {
  const coding = [
    body.coding && `, ${body.coding} decoded`,
    body.coding_error && `, content coding not undone (${body.coding_error})`,
    body.charset && `, sent in ${body.charset}`,
  ]
    .filter(Boolean)
    .join("");
  if (!body.truncated) return `${sizeText(body.size)}, all kept${coding}`;
  const ends = [
    body.head_bytes && `first ${sizeText(body.head_bytes)}`,
    body.tail_bytes && `last ${sizeText(body.tail_bytes)}`,
  ];
  return `cut: ${ends.filter(Boolean).join(" and ") || "nothing"} of ${sizeText(body.size)} kept${coding}`;
}

/** The mark where bytes are missing; how many is known where the body had no coding on the wire. */
export function cutMark(body, ofWhat = "") {
  const missing = body.size - body.head_bytes - body.tail_bytes;
  const isKnown = !body.coding && !body.charset && missing > 0;
  return el(
    "p",
    { class: "cut" },
    isKnown
      ? `about ${sizeText(missing)}${ofWhat} were not kept`
      : `the rest${ofWhat} was not kept`,
  );
}
