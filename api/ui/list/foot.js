// What stands below the list of records: rows being loaded, the end, the way to older ones, no match, or a failure.

import { change } from "../lib/address.js";
import { button, el, gradeMark } from "../lib/dom.js";
import { words } from "../lib/filter.js";
import { count } from "../lib/format.js";
import { periodLabel, PRESETS, presetState, readPeriod } from "../lib/time-range.js";

/** What stands for rows that are being loaded. */
export const skeleton = () => {
  const rows = Array.from({ length: 12 }, () => el("div"));
  return el("div", { class: "skeleton", "aria-label": "Loading" }, rows);
};

const failureFoot = (text, retry) =>
  el(
    "p",
    { class: "failed" },
    el("span", { class: "error" }, gradeMark()),
    `Could not load the records: ${text}. `,
    button("Try again", retry, { class: "link" }),
  );

/** What stands below the records of a page: `failure`, or what its `loaded` records call for. */
export function footOf({ loaded, failure, state, period, total }, { retry, setFilter, loadOlder }) {
  if (failure) return failureFoot(failure, retry);
  if (loaded.isComplete && !loaded.all.length)
    return noMatchFoot(state.filter ?? "", period, setFilter);
  if (loaded.goesOn)
    return el("p", { class: "unit" }, "Nothing found so far, searching further back …");
  return listFoot(loaded, total, loadOlder);
}

/** Below loaded records: the end of the list, or a button that loads older ones. */
function listFoot(loaded, total, loadOlder) {
  const shown = loaded.all.length;
  if (loaded.isComplete && !loaded.cursor) {
    const end = loaded.isCut ? "choose a shorter period to see older ones" : "end of the list";
    return el("p", { class: "unit" }, `${count(shown)} shown, ${end}`);
  }
  const label = loaded.isComplete ? "Load older records" : "Continue searching";
  const note = loaded.isComplete
    ? `${count(shown)} shown${total > shown ? ` of ${count(total)}` : ""}`
    : `Searched for ${Math.ceil(loaded.searchedMs / 1000)} s and found ${count(shown)}. There may be more.`;
  return [el("p", { class: "unit" }, note), button(label, loadOlder, { id: "older" })];
}

/** No record matches: which filters are set, and the two ways out. */
function noMatchFoot(text, period, setFilter) {
  const filters = words(text);
  const last = filters.at(-1);
  const wider = PRESETS.map(([name]) => name)
    .concat("30d")
    .find((name) => readPeriod({ period: name }).since < period.since - 1000);
  const chips = filters.map((word) => el("code", { class: "chip" }, word));
  const when = period.name ? `in the last ${periodLabel(period.name)}` : "in this period";
  const widen = () => change(presetState(wider));
  const remove = () => setFilter(filters.slice(0, -1).join(" "));
  return el(
    "div",
    { class: "nothing" },
    el("p", {}, el("strong", {}, last ? "No requests match " : "No requests "), chips, when),
    el(
      "div",
      { class: "buttons" },
      wider && button(`Show the last ${periodLabel(wider)}`, widen),
      last && button(`Remove ${last}`, remove),
    ),
  );
}
