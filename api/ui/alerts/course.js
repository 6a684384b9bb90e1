// The course of a figure: what an alert would have seen over the last day, or over twelve of its windows if that is longer.
//
// Steps are as long as the window where the API has so many; of longer ones a count or a cost is that of a window on average.

import { getJson } from "../lib/api.js";
import { narrowed } from "../lib/filter.js";
import { nameOf as nameOfRow, searchFor } from "../endpoints/rows.js";

const DAY_S = 86_400;
const WINDOWS = 12;
const MAX_STEPS = 500; // of a histogram
const MAX_SUMS = 24; // each is a request
const MAX_LINES = 3;

/** @typedef {{name: string, values: (number | null)[]}} Line */

/**
 * Read the course of a figure: {since, until} in ms, the length of its steps, and a line for each value.
 * @param {{query: string, figure: string, of: string, by: string, window_s: number}} alert
 */
export async function readCourse(alert, signal) {
  const span = Math.max(DAY_S, WINDOWS * alert.window_s);
  const until = Date.now();
  const period = { since: iso(until - span * 1000), until: iso(until) };
  const groups = await readGroups(alert, period, signal);
  const read = alert.figure === "cost" ? readCosts : readSteps;
  const parts = await Promise.all(
    groups.map(({ query }) => read({ ...alert, query }, period, span, signal)),
  );
  const lines = parts.map(({ values }, index) => ({ name: groups[index].name, values }));
  return { ...parts[0], lines };
}

const iso = (ms) => new Date(ms).toISOString();

/** The searches of the lines: one, or of a field the most frequent values. */
async function readGroups({ query, by }, period, signal) {
  if (!by) return [{ name: "", query }];
  const search = { query: query || undefined, by, limit: MAX_LINES * 2, ...period };
  const { rows } = await getJson("api/top", search, signal);
  const found = rows
    .map((row) => ({ name: textOf(row), query: searchFor(row, by, query) }))
    .filter((group) => group.query !== null)
    .slice(0, MAX_LINES);
  return found.length ? found : [{ name: "", query }];
}

const textOf = (row) =>
  [nameOfRow(row)]
    .flat()
    .map((part) => part.textContent ?? part)
    .join("");

/** Read figures of which a histogram tells. The last step is left out, which has not ended. */
async function readSteps({ query, figure, of, window_s: window }, period, span, signal) {
  const buckets = Math.max(1, Math.min(MAX_STEPS, Math.floor(span / window)));
  const read = (search) =>
    getJson("api/histogram", { query: search || undefined, buckets, ...period }, signal);
  const [all, part] = await Promise.all([
    read(query),
    figure === "share" ? read(narrowed(query, of)) : null,
  ]);
  const scale = window / all.step_s;
  const counts = all.buckets.map(({ exchanges }) => exchanges);
  const valueAt = {
    count: (index) => counts[index] * scale,
    share: (index) => (counts[index] ? part.buckets[index].exchanges / counts[index] : null),
    change: (index) => (counts[index - 1] ? counts[index] / counts[index - 1] : null),
  };
  const percentileAt = (index) => all.buckets[index].duration_ms[figure];
  const values = counts.map((_, index) => (valueAt[figure] ?? percentileAt)(index));
  const begun = Date.parse(all.buckets[0]?.start ?? all.since);
  const isWhole = begun + counts.length * all.step_s * 1000 <= Date.parse(all.until) + 1;
  if (!isWhole && values.length > 1) values.pop();
  return courseOf(begun, all.step_s, values, all.complete && (part?.complete ?? true));
}

/** Read what calls cost, step by step. */
async function readCosts({ query, window_s: window }, period, span, signal) {
  const steps = Math.max(1, Math.min(MAX_SUMS, Math.floor(span / window)));
  const since = Date.parse(period.since);
  const step = span / steps;
  const values = [];
  let isComplete = true;
  for (let index = 0; index < steps; index += 1) {
    const [from, to] = [index, index + 1].map((edge) => iso(since + edge * step * 1000));
    const search = { query: query || undefined, since: from, until: to };
    const { usage, complete } = await getJson("api/summary", search, signal);
    values.push(((usage?.cost_usd ?? 0) * window) / step);
    isComplete &&= complete;
  }
  return courseOf(since, step, values, isComplete);
}

const courseOf = (since, step, values, isComplete) => ({
  since,
  until: since + values.length * step * 1000,
  step,
  values,
  isComplete,
});
