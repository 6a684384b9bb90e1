// Lines over time: percentiles, named at their right end, and small lines without axes. Where nothing was measured the
// line breaks.

import { svg } from "./svg.js";

export const LINES = ["p50", "p95", "p99"];

/** Split points into runs without holes; a point alone becomes a short dash. */
function runsOf(points) {
  const runs = [[]];
  for (const point of points) {
    if (point === null) {
      if (runs.at(-1).length) runs.push([]);
    } else runs.at(-1).push(point);
  }
  return runs
    .filter((run) => run.length)
    .map((run) =>
      run.length > 1
        ? run
        : [
            [run[0][0] - 1.5, run[0][1]],
            [run[0][0] + 1.5, run[0][1]],
          ],
    );
}

/** Points as a path; null breaks the line. */
export const pathOf = (points) =>
  runsOf(points)
    .map((run) => "M" + run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L"))
    .join("");

/** Where a percentile stands in each step; null where nothing was measured. */
const pointsOf = (buckets, name, { left, right, y }) =>
  buckets.map(({ duration_ms: found }, index) =>
    found[name] === null
      ? null
      : [left + ((index + 0.5) / buckets.length) * (right - left), y(found[name])],
  );

/** The p95 of the period before, in the place of this one. */
export const lineBefore = ({ buckets }, place) =>
  svg("path", { d: pathOf(pointsOf(buckets, "p95", place)), class: "line-before" });

/** The percentiles of /api/histogram between two edges of a drawing; `y(ms)` is where a duration stands. */
export function percentileLines({ buckets }, place) {
  const ends = [];
  const lines = LINES.map((name) => {
    const points = pointsOf(buckets, name, place);
    const last = points.findLast((point) => point !== null);
    if (last) ends.push([name, last[1]]);
    return [name, pathOf(points)];
  });
  return {
    paths: ["halo", "line"].flatMap((kind) =>
      lines.map(([name, d]) => svg("path", { d, class: `${kind}-${name}` })),
    ),
    ends: endLabels(ends, place.right + 6),
  };
}

/** Names at the right end, moved apart so that they can be read. */
function endLabels(ends, x) {
  ends.sort((a, b) => a[1] - b[1] || b[0].localeCompare(a[0]));
  for (let index = 1; index < ends.length; index += 1)
    ends[index][1] = Math.max(ends[index][1], ends[index - 1][1] + 12);
  return ends.map(([name, y]) => svg("text", { x, y: y + 4, class: `axis name-${name}` }, name));
}

/** A small line of numbers without axes, for figures that only show their shape; null breaks it. Whole, it reaches both ends. */
export function spark(values, { width = 150, height = 28, kind = "line", isWhole = false } = {}) {
  const max = Math.max(...values.filter((value) => value !== null), 0) || 1;
  const drawing = svg("svg", { width, height, class: "spark", "aria-hidden": "true" });
  const step = width / Math.max(1, values.length);
  if (kind === "area") {
    const top = (value) => (height - 1 - (value / max) * (height - 3)).toFixed(1);
    const steps = values.map(
      (value, index) => `V${top(value ?? 0)}H${((index + 1) * step).toFixed(1)}`,
    );
    drawing.append(
      svg("path", { class: "bar-ok", d: `M0,${height - 1}${steps.join("")}V${height - 1}Z` }),
    );
  } else if (kind === "line") {
    const x = (index) =>
      isWhole ? (index * width) / Math.max(1, values.length - 1) : (index + 0.5) * step;
    drawing.append(
      svg("path", {
        class: "line-p95",
        d: pathOf(
          values.map((value, index) =>
            value === null ? null : [x(index), height - 2 - (value / max) * (height - 4)],
          ),
        ),
      }),
    );
  } else {
    values.forEach((value, index) => {
      if (value > 0)
        drawing.append(
          svg("rect", {
            x: index * step,
            y: height - 1 - (value / max) * (height - 2),
            width: Math.max(1, step - 1),
            height: Math.max(1.5, (value / max) * (height - 2)),
            class: `bar-${kind}`,
          }),
        );
    });
  }
  drawing.append(
    svg("line", { x1: 0, x2: width, y1: height - 0.5, y2: height - 0.5, class: "base" }),
  );
  return drawing;
}
