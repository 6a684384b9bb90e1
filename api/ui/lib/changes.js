// What differs between two messages, part by part, as tables: on the page that compares, and where one is sent again.

import { el, sectionHead, table, unit } from "./dom.js";
import { count, countOf } from "./format.js";

const KINDS = { added: "added", removed: "removed", type: "other type", moved: "moved" };
const IN_ANOTHER_ORDER = "in another order";

/** How many differences some parts have. */
export const differencesIn = (parts) =>
  parts.reduce((sum, part) => sum + part.changes.length + part.more, 0);

/** Write the name of a part as words. */
export const wordsOf = (name) => (name[0].toUpperCase() + name.slice(1)).replaceAll("_", " ");

/** One part: its changes, notes, and what was set apart; `sides` are the titles of its columns. */
export function partOf(part, sides = ["A", "B"]) {
  const note = part.equal ? "equal" : countOf(differencesIn([part]), "difference");
  const apart = [...new Set(part.set_apart.map(({ path }) => path))].join(", ");
  return el(
    "section",
    { "data-part": part.part },
    sectionHead(wordsOf(part.part), part.complete ? note : `${note}, not all was stored`),
    part.changes.length > 0 && changeTable(part.changes, sides),
    part.more > 0 && el("p", { class: "unit" }, `${count(part.more)} more are not shown`),
    part.notes.map((text) => el("p", { class: "unit" }, text)),
    apart &&
      el(
        "details",
        {},
        el("summary", { class: "unit" }, `Ignored: ${apart}`),
        changeTable(part.set_apart, sides),
      ),
  );
}

const changeTable = (changes, sides) =>
  table(
    { class: "changes" },
    ["Place", ...sides],
    el(
      "tbody",
      {},
      changes.map((found) => changeRow(found, sides)),
    ),
  );

function changeRow(found, [a, b]) {
  const { path, old_path: was, change: kind, times } = found;
  const notes = [
    kind === "moved" && was === null ? IN_ANOTHER_ORDER : KINDS[kind],
    was !== null && `was ${was}`,
    times > 1 && `${count(times)} times`,
  ].filter(Boolean);
  return el(
    "tr",
    { tabindex: -1 },
    el("th", { scope: "row" }, el("code", {}, path), " ", unit(notes.join(", "))),
    valueCell(found, "a", a, "added", "del"),
    valueCell(found, "b", b, "removed", "ins"),
  );
}

/** One side of a change; of a string that has segments what differs is marked, else all of it. */
function valueCell(found, side, title, other, mark) {
  const value = found[side];
  if (value === null) return el("td", { class: "none" }, "–");
  const own = found.segments.filter((piece) => piece.change !== other);
  const pieces = own.length
    ? own
    : [{ change: found.change === "moved" ? "same" : mark, text: value }];
  return el(
    "td",
    { "data-side": title },
    pieces.map(({ change: kind, text }) => (kind === "same" ? text : el(mark, {}, text))),
  );
}
