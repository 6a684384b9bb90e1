// Percentiles over time on a log axis; lines are named at their right end. Where nothing was measured the line breaks.

import { durationText } from "./format.js";
import { drawAtWidth, hiddenTable, svg, timeLabels } from "./svg.js";

const LINES = ["p50", "p95", "p99"];
const DECADES = [0.1, 1, 10, 100, 1000, 10_000, 100_000, 1_000_000];
const RIGHT_PX = 34;

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

const pathOf = (points) =>
  runsOf(points)
    .map((run) => "M" + run.map(([x, y]) => `${x.toFixed(1)},${y.toFixed(1)}`).join("L"))
    .join("");

/** Put the latency chart of /api/histogram into `host`; returns the function that shows new data. */
export function latencyChart(host, { height, signal }) {
  let data = null;
  host.classList.add("chart");
  const redraw = drawAtWidth(host, (width) => data && draw(host, data, width, height), signal);
  return (answer) => {
    data = answer;
    redraw();
  };
}

function draw(host, data, width, height) {
  const left = 46,
    right = width - RIGHT_PX,
    top = 14,
    bottom = height - 18;
  const values = data.buckets
    .flatMap((bucket) => LINES.map((name) => bucket.duration_ms[name]))
    .filter((ms) => ms > 0);
  const low = Math.max(0.1, 10 ** Math.floor(Math.log10(Math.min(...values, 10))));
  const high = Math.max(low * 100, 10 ** Math.ceil(Math.log10(Math.max(...values, 1000))));
  const y = (ms) =>
    bottom - (Math.log10(Math.max(ms, low) / low) / Math.log10(high / low)) * (bottom - top);
  const drawing = svg("svg", { width, height, "aria-hidden": "true" });
  for (const decade of DECADES.filter((ms) => ms >= low && ms <= high)) {
    drawing.append(
      svg("line", { x1: left, x2: right, y1: y(decade), y2: y(decade), class: "grid" }),
      svg(
        "text",
        { x: left - 6, y: y(decade) + 4, "text-anchor": "end", class: "axis" },
        axisText(decade),
      ),
    );
  }
  const ends = [];
  for (const name of LINES) {
    const points = data.buckets.map((bucket, index) => {
      const ms = bucket.duration_ms[name];
      return ms === null
        ? null
        : [left + ((index + 0.5) / data.buckets.length) * (right - left), y(ms)];
    });
    drawing.append(svg("path", { d: pathOf(points), class: `line-${name}` }));
    const last = points.filter(Boolean).at(-1);
    if (last) ends.push([name, last[1]]);
  }
  drawing.append(
    ...endLabels(ends, right + 6),
    svg("line", { x1: left, x2: right, y1: bottom + 0.5, y2: bottom + 0.5, class: "base" }),
    ...timeLabels(Date.parse(data.since), Date.parse(data.until), {
      left,
      right,
      y: height - 4,
      count: width < 500 ? 3 : 5,
    }),
  );
  const rows = data.buckets
    .filter((bucket) => bucket.duration_ms.p50 !== null)
    .map((bucket) => [
      bucket.start,
      ...LINES.map((name) => durationText(bucket.duration_ms[name] * 1000)),
    ]);
  host.replaceChildren(drawing, hiddenTable("Latency over time", ["From", ...LINES], rows));
}

const axisText = (ms) => (ms >= 1000 ? `${ms / 1000}\u00a0s` : `${ms}\u00a0ms`);

/** Names at the right end, moved apart so that they can be read. */
function endLabels(ends, x) {
  ends.sort((a, b) => a[1] - b[1]);
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
