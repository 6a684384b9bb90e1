// Redactions in text become marked boxes, so that they do not look like sent text.

import { el } from "../lib/dom.js";

export const REDACTED = /(\[REDACTED(?::[0-9a-f]+)?\])/;

/** Text with redactions as marked boxes. */
export function marked(text) {
  return text
    .split(REDACTED)
    .map((piece, index) =>
      index % 2
        ? el("span", { class: "redacted", title: "removed before it was stored" }, piece)
        : piece,
    );
}
