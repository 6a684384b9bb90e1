// How a figure moved against the period before. The arrow and the number say it; a grade only marks what got worse.

import { unit } from "../lib/dom.js";

const STEADY_PERCENT = 5; // less is not worth an arrow
const STEADY_POINTS = 0.05;
const WORSE_PERCENT = 20; // more of a latency is marked
const WORSE_POINTS = 0.1; // more of an error share is marked
const MOST_PERCENT = 1000;

/** @typedef {{text: string, grade: string, value: number}} Change `value` is what it is sorted by */

/** @type {Change} */
export const NEW = { text: "new", grade: "", value: Infinity };
/** @type {Change} */
const STEADY = { text: "steady", grade: "", value: 0 };

const arrow = (value) => (value > 0 ? "▲" : "▼");

/**
 * A change in percent; null when one of both is not known.
 * @returns {Change | null}
 */
export function relative(now, before, { isWorse = false } = {}) {
  if (now === null || before === null || before === undefined) return null;
  const percent = (100 * (now - before)) / Math.max(before, 0.001);
  if (Math.abs(percent) < STEADY_PERCENT) return { ...STEADY, value: percent };
  const shown = percent > MOST_PERCENT ? ">1\u202f000" : Math.round(Math.abs(percent));
  return {
    text: `${arrow(percent)} ${shown} %`,
    grade: isWorse && percent > WORSE_PERCENT ? "warn" : "",
    value: percent,
  };
}

/**
 * A change between two shares, from 0 to 1, in percentage points.
 * @returns {Change}
 */
export function points(now, before) {
  const moved = 100 * (now - before);
  if (Math.abs(moved) < STEADY_POINTS) return { ...STEADY, value: moved };
  return {
    text: `${arrow(moved)} ${Math.abs(moved).toFixed(moved > -10 && moved < 10 ? 2 : 1)} pt`,
    grade: moved > WORSE_POINTS ? "error" : "",
    value: moved,
  };
}

/** A change as it stands in a table. */
export const changeText = (change) =>
  change === null || change.value === 0 || change === NEW || change.text === "steady"
    ? unit(change?.text ?? "–")
    : change.text;
