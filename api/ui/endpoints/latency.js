// What the charts over time show, read at once: counts and percentiles by steps of time, and the heat map of the same.

import { getJson } from "../lib/api.js";

const COLUMNS = 60;
const ROWS = 24; // as many as the eye can distinguish

/** Read both for a filter: the histogram, and the heat map or null. */
export async function readLatency(query, signal) {
  const answer = await getJson("api/heatmap", { ...query, columns: COLUMNS, rows: ROWS }, signal);
  return { histogram: answer, heat: heatOf(answer) };
}

/**
 * The answer as a heat map; null when it is empty.
 * @returns {import("../lib/heat.js").Heat | null}
 */
function heatOf({ buckets, step_s: step, rows, counts }) {
  if (!rows.length) return null;
  return {
    since: Date.parse(buckets[0].start),
    stepMs: step * 1000,
    rows: rows.map(({ min_ms: low, max_ms: high }) => ({ low, high: high ?? Infinity })),
    columns: counts,
  };
}
