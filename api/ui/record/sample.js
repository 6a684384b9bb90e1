// What rules of capture that keep a share do to records and figures, in words.

import { el } from "../lib/dom.js";
import { term } from "../lib/filter.js";
import { toQuery } from "../lib/api.js";

/** A mark beside a record that stands for several; null for all others. */
export function weightMark({ weight }) {
  if (!(weight > 1)) return null;
  return el(
    "span",
    { class: "tag", title: `Stands for ${weight} requests of a sample` },
    `×${weight}`,
  );
}

/** A line below a record that stands for several. */
export function standsFor({ weight }) {
  if (!(weight > 1)) return [];
  const href = "requests" + toQuery({ filter: term("weight", ">1") });
  const link = el("a", { href }, "a sample");
  const text = `Stands for ${weight} requests: of these, a rule of capture keeps `;
  return [el("p", { class: "unit under" }, text, link)];
}

/** What is said beside figures of an answer that are estimates; empty beside others. */
export const ofSample = ({ sampled }, before = "") =>
  sampled ? `${before}estimated of a sample` : "";
