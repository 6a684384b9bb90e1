// The course of a figure as lines over time, with the threshold across and a mark at each step that lies beyond it.

import { el } from "../lib/dom.js";
import { LINES, pathOf } from "../lib/line-chart.js";
import { drawAtWidth, hiddenTable, niceMax, partsOf, svg, timeLabels } from "../lib/svg.js";
import { valueOf } from "./figures.js";

const HEIGHT_PX = 160;
const TOP_PX = 16;
const BOTTOM_PX = HEIGHT_PX - 18;
const LEFT_PX = 64; // "1,000 times"

/** Whether a value lies beyond the threshold of an alert. */
export const isBeyond = ({ above, below }, value) =>
  value !== null && (above !== null ? value > above : value < below);

export class CourseChart {
  constructor(host, signal) {
    this.host = host;
    this.course = null;
    this.alert = null;
    this.redraw = drawAtWidth(host, (width) => this.draw(width), signal);
    host.classList.add("chart");
  }

  /** Show a course, and the threshold of an alert in it. */
  set(course, alert) {
    this.course = course;
    this.alert = alert;
    this.redraw();
  }

  draw(width) {
    if (!this.course) return;
    const { lines, since, until } = this.course;
    const limit = this.alert.above ?? this.alert.below;
    const values = lines.flatMap((line) => line.values).filter((value) => value !== null);
    const max = niceMax(Math.max(...values, limit * 1.1, 0));
    const steps = Math.max(1, ...lines.map((line) => line.values.length));
    const x = (index) => LEFT_PX + ((index + 0.5) / steps) * (width - LEFT_PX);
    const y = (value) => BOTTOM_PX - (value / max) * (BOTTOM_PX - TOP_PX);
    const drawing = svg(
      "svg",
      { width, height: HEIGHT_PX, "aria-hidden": "true" },
      this.grid(max, y, width),
      lines.map((line, index) => this.line(line, index, x, y)),
      this.threshold(limit, y, width),
      timeLabels(since, until, {
        left: LEFT_PX,
        right: width,
        y: HEIGHT_PX - 4,
        count: width < 500 ? 2 : 5,
      }),
    );
    this.host.replaceChildren(drawing, this.legend(), this.table());
  }

  grid(max, y, width) {
    const parts = partsOf(max);
    return Array.from({ length: parts + 1 }, (_, part) => {
      const value = (max * part) / parts;
      return [
        svg("line", { x1: LEFT_PX, x2: width, y1: y(value), y2: y(value), class: "grid" }),
        svg(
          "text",
          { x: LEFT_PX - 6, y: y(value) + 4, "text-anchor": "end", class: "axis" },
          valueOf(value, this.alert.figure),
        ),
      ];
    });
  }

  line({ values }, index, x, y) {
    const points = values.map((value, step) => (value === null ? null : [x(step), y(value)]));
    const beyond = points.filter((point, step) => point && isBeyond(this.alert, values[step]));
    return [
      svg("path", { class: `line-${CLASSES[index]}`, d: pathOf(points) }),
      beyond.map(([cx, cy]) => svg("circle", { class: "beyond", cx, cy, r: 2.5 })),
    ];
  }

  threshold(limit, y, width) {
    const at = y(limit);
    const text = valueOf(limit, this.alert.figure);
    return [
      svg("line", { x1: LEFT_PX, x2: width, y1: at, y2: at, class: "threshold" }),
      svg(
        "text",
        { x: width - 4, y: at - 4, "text-anchor": "end", class: "axis threshold-name" },
        text,
      ),
    ];
  }

  /** Names of the lines, where each is one of a field's values. */
  legend() {
    const named = this.course.lines.filter(({ name }) => name);
    return el(
      "div",
      { class: "legend" },
      named.map(({ name }, index) => [
        el(
          "span",
          {},
          svg(
            "svg",
            { width: 20, height: 8, "aria-hidden": "true" },
            svg("path", { d: "M0,4H20", class: `line-${CLASSES[index]}` }),
          ),
          ` ${name}`,
        ),
      ]),
    );
  }

  table() {
    const { lines, since, step } = this.course;
    const rows = (lines[0]?.values ?? []).map((_, index) => [
      new Date(since + index * step * 1000).toISOString(),
      ...lines.map(({ values }) =>
        values[index] === null ? "–" : valueOf(values[index], this.alert.figure),
      ),
    ]);
    const names = lines.map(({ name }) => name || this.alert.figure);
    return hiddenTable("Course of the figure", ["From", ...names], rows);
  }
}

const CLASSES = [LINES[1], LINES[0], LINES[2]]; // the strongest line first
