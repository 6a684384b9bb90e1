// The numbers of a heat map: how many requests began in a step of time and took about as long. Ranges of durations
// include both ends, as those of the API and of a search do.

import { clockText, count, countOf, dayText, durationText } from "./format.js";

/**
 * @typedef {object} Heat
 * @property {number} since ms
 * @property {number} stepMs
 * @property {{low: number, high: number}[]} rows ranges of durations, ms, the shortest first; the last may have no end
 * @property {number[][]} columns for each step of time, how many requests each row has
 *
 * @typedef {{columns: [number, number], rows: [number, number]}} Area first and last of both
 */

export const SHADES = 7;

export const largest = (heat) =>
  Math.max(0, ...heat.columns.map((column) => Math.max(0, ...column)));

/** The shade of a count, from 1: by its logarithm, so that a single slow request is seen beside thousands. */
export const shadeOf = (number, most) =>
  most <= 1 ? SHADES : 1 + Math.round(((SHADES - 1) * Math.log(number)) / Math.log(most));

/** How many requests an area has. */
function sumOf({ columns }, area) {
  let total = 0;
  for (const column of columns.slice(area.columns[0], area.columns[1] + 1))
    for (const number of column.slice(area.rows[0], area.rows[1] + 1)) total += number;
  return total;
}

/** Where a cursor begins: at the cell with most requests; null when there is none. */
export function fullest({ columns }) {
  const found = { column: -1, row: -1, number: 0 };
  columns.forEach((numbers, column) =>
    numbers.forEach((number, row) => {
      if (number > found.number) Object.assign(found, { column, row, number });
    }),
  );
  return found.number ? found : null;
}

/** What an area stands for: both ends in time and in duration. */
export const boundsOf = (heat, area) => ({
  since: heat.since + area.columns[0] * heat.stepMs,
  until: heat.since + (area.columns[1] + 1) * heat.stepMs,
  low: heat.rows[area.rows[0]].low,
  high: heat.rows[area.rows[1]].high,
});

const inUs = (ms) => durationText(ms * 1000);

function rangeText({ low, high }) {
  if (!(low > 0)) return `up to ${inUs(high)}`;
  return high === Infinity ? `over ${inUs(low)}` : `${inUs(low)} – ${inUs(high)}`;
}

/** `11:42 – 11:43 · 120 ms – 131 ms · 34 requests` */
export function areaText(heat, area) {
  const bounds = boundsOf(heat, area);
  const isLong = heat.stepMs * heat.columns.length > 86_400_000;
  const text = heat.stepMs < 60_000 ? clockText : (time) => dayText(time, isLong);
  const time = `${text(new Date(bounds.since))} – ${text(new Date(bounds.until))}`;
  return `${time} · ${rangeText(bounds)} · ${countOf(sumOf(heat, area), "request")}`;
}

/** The search for requests that took so long. */
export function durationTerms({ low, high }) {
  const exact = (ms) => `${Number(ms.toFixed(3))}ms`; // to the µs
  return high === Infinity ? `duration:>=${exact(low)}` : `duration:${exact(low)}..${exact(high)}`;
}

/** A line for each step of time that has requests: how many, what most of them took, what the slowest took. */
export function describe(heat) {
  const rangeOf = (row) => rangeText(heat.rows[row]);
  return heat.columns.flatMap((column, index) => {
    const total = column.reduce((sum, number) => sum + number, 0);
    if (!total) return [];
    const most = column.indexOf(Math.max(...column));
    const slowest = column.findLastIndex((number) => number > 0);
    const start = new Date(heat.since + index * heat.stepMs).toISOString();
    return [[start, count(total), rangeOf(most), rangeOf(slowest)]];
  });
}
