// What fires, as lines above the figures of the overview.

import { el, gradeMark, unit } from "../lib/dom.js";
import { ago, count } from "../lib/format.js";
import { limitOf, nameOf, shownValue } from "./figures.js";

const LINES = 5;

/** A line for each value that fires, what began last first; of more, their number. */
export function firingLines(firing) {
  const lines = firing.slice(0, LINES).map(lineOf);
  const more = firing.length - LINES;
  if (more > 0)
    lines.push(el("p", {}, el("a", { href: "alerts" }, `${count(more)} more values fire`)));
  return lines;
}

function lineOf({ alert, group, value, sampled, since, href, isSilent }) {
  const notes = [` ${limitOf(alert)}, for ${ago(since / 1000)}`, isSilent && ", silent"];
  return el(
    "p",
    {},
    el("span", { class: "error" }, gradeMark()),
    el("a", { href: "alerts" }, el("strong", {}, alert.name)),
    group && [" ", group],
    ": ",
    nameOf(alert),
    " ",
    el("a", { href }, shownValue({ value, sampled }, alert.figure)),
    unit(notes.filter(Boolean)),
  );
}
