// Counts over time as stacked bars with a brush: 2xx and 3xx at the bottom, then 4xx, then 5xx on top.

import { button, el } from "./dom.js";
import { clockText, count, countOf, dayText, percent } from "./format.js";
import { drawAtWidth, hiddenTable, niceMax, partsOf, svg, timeLabels } from "./svg.js";

const good = (status) =>
  (status["1xx"] ?? 0) + (status["2xx"] ?? 0) + (status["3xx"] ?? 0) + (status.none ?? 0);
/** @type {[string, (status: Record<string, number>) => number][]} */
const STACK = [
  ["ok", good],
  ["warn", (status) => status["4xx"] ?? 0],
  ["error", (status) => status["5xx"] ?? 0],
];
const STEP_KEYS = { ArrowLeft: -1, ArrowRight: 1 };
const LEAST_DRAG_PX = 4;

/** Put a chart into `host`. `zoom(since, until)` is called with what was brushed. */
export class BarChart {
  constructor(host, { height, hasAxis = true, unit = "count", zoom, signal }) {
    this.host = host;
    this.height = height;
    this.hasAxis = hasAxis;
    this.unit = unit;
    this.zoom = zoom;
    this.data = null;
    this.brush = null; // [first, last] bucket
    this.mark = null; // ms
    this.redraw = drawAtWidth(
      host,
      (width) => {
        this.width = width;
        this.draw();
      },
      signal,
    );
    host.classList.add("chart");
    host.dataset.arrows = "";
    host.tabIndex = 0;
    host.setAttribute("role", "group");
    host.addEventListener("keydown", (event) => this.onKey(event));
    host.addEventListener("pointerdown", (event) => this.onPointer(event));
  }

  /** Show the answer of /api/histogram. */
  set(data) {
    this.data = data;
    this.brush = null;
    this.redraw();
  }

  setMark(ms) {
    this.mark = ms;
    this.redraw();
  }

  get left() {
    return this.hasAxis ? 34 : 0;
  }
  get bottom() {
    return this.height - 18;
  }
  get top() {
    return this.hasAxis ? 14 : 4;
  }
  get since() {
    return Date.parse(this.data.since);
  }
  get until() {
    return Date.parse(this.data.until);
  }
  x(index) {
    return this.left + (index / this.data.buckets.length) * (this.width - this.left);
  }
  at(x) {
    return Math.min(
      this.data.buckets.length - 1,
      Math.max(
        0,
        Math.floor(((x - this.left) / (this.width - this.left)) * this.data.buckets.length),
      ),
    );
  }
  timeOf(index) {
    return this.since + index * this.data.step_s * 1000;
  }

  draw() {
    if (!this.data) return;
    const { buckets, step_s: step } = this.data;
    const scale = this.unit === "rate" ? 1 / step : 1;
    const max = niceMax(Math.max(...buckets.map((bucket) => bucket.exchanges), 0) * scale);
    const y = (value) => this.bottom - (value / max) * (this.bottom - this.top);
    const drawing = svg("svg", { width: this.width, height: this.height, "aria-hidden": "true" });
    if (this.hasAxis) drawing.append(...this.grid(max, y));
    buckets.forEach((bucket, index) => drawing.append(...this.bar(bucket, index, y, scale)));
    drawing.append(
      svg("line", {
        x1: this.left,
        x2: this.width,
        y1: this.bottom + 0.5,
        y2: this.bottom + 0.5,
        class: "base",
      }),
    );
    drawing.append(
      ...timeLabels(this.since, this.until, {
        left: this.left,
        right: this.width,
        y: this.height - 4,
        count: this.width < 500 ? 3 : 5,
      }),
    );
    if (this.mark !== null && this.mark >= this.since && this.mark <= this.until)
      drawing.append(...this.markLine());
    if (this.brush) drawing.append(...this.brushLines());
    this.host.replaceChildren(drawing, ...(this.brush ? [this.brushLabel()] : []), this.table());
    this.host.setAttribute(
      "aria-label",
      `Requests over time, ${count(this.total(0, buckets.length - 1).all)} in all. Arrow keys brush, Enter zooms.`,
    );
  }

  grid(max, y) {
    const parts = partsOf(max);
    return Array.from({ length: parts + 1 }, (_, part) => {
      const value = (max * part) / parts;
      const text = Number.isInteger(value) ? count(value) : String(Number(value.toPrecision(2)));
      return [
        part > 0 &&
          svg("line", { x1: this.left, x2: this.width, y1: y(value), y2: y(value), class: "grid" }),
        svg(
          "text",
          { x: this.left - 6, y: y(value) + 4, "text-anchor": "end", class: "axis" },
          text,
        ),
      ];
    })
      .flat()
      .filter(Boolean);
  }

  bar(bucket, index, y, scale) {
    const x = this.x(index),
      width = Math.max(1, this.x(index + 1) - x - (this.width > 500 ? 1.5 : 1));
    let below = 0;
    return STACK.map(([name, read]) => {
      const value = read(bucket.status) * scale;
      if (value <= 0) return null;
      const from = y(below);
      below += value;
      const height = Math.max(1.5, from - y(below));
      return svg("rect", { x, y: from - height, width, height, class: `bar-${name}` });
    }).filter(Boolean);
  }

  markLine() {
    const x =
      this.left + ((this.mark - this.since) / (this.until - this.since)) * (this.width - this.left);
    return [
      svg("line", { x1: x, x2: x, y1: 2, y2: this.bottom, class: "mark-line" }),
      svg("circle", { cx: x, cy: 4, r: 3, class: "mark-dot" }),
    ];
  }

  brushLines() {
    const [x1, x2] = [this.x(this.brush[0]), this.x(this.brush[1] + 1)];
    const middle = (this.top + this.bottom) / 2;
    return [
      svg("rect", {
        x: x1,
        y: this.top,
        width: x2 - x1,
        height: this.bottom - this.top,
        class: "brush",
      }),
      ...[x1, x2].flatMap((x) => [
        svg("line", { x1: x, x2: x, y1: this.top, y2: this.bottom, class: "brush-edge" }),
        svg("rect", {
          x: x - 3,
          y: middle - 8,
          width: 6,
          height: 16,
          rx: 1,
          class: "brush-handle",
        }),
      ]),
    ];
  }

  brushLabel() {
    const [from, to] = [
      new Date(this.timeOf(this.brush[0])),
      new Date(this.timeOf(this.brush[1] + 1)),
    ];
    const time =
      to.getTime() - from.getTime() < 300_000 ? clockText : (moment) => dayText(moment, false);
    const { all, bad } = this.total(...this.brush);
    const label = el(
      "div",
      { class: "brush-label" },
      `${time(from)} – ${time(to)} `,
      bad > 0
        ? el("strong", { class: "bad" }, `${percent(bad, all).join("\u202f")} errors `)
        : `${countOf(all, "request")} `,
      button(["Zoom ", el("kbd", {}, "↵")], () => this.zoomIn(), { class: "link" }),
    );
    label.style.left = `${Math.min(Math.max(this.x(this.brush[0]) - 20, 0), Math.max(0, this.width - 250))}px`;
    label.addEventListener("pointerdown", (event) => event.stopPropagation());
    return label;
  }

  total(first, last) {
    const sums = { all: 0, bad: 0 };
    for (const bucket of this.data.buckets.slice(first, last + 1)) {
      sums.all += bucket.exchanges;
      sums.bad += bucket.status["5xx"] ?? 0;
    }
    return sums;
  }

  table() {
    const busy = this.data.buckets.filter((bucket) => bucket.exchanges > 0);
    return hiddenTable(
      "Requests by status over time",
      ["From", "2xx 3xx", "4xx", "5xx"],
      busy.map((bucket) => [bucket.start, ...STACK.map(([, read]) => read(bucket.status))]),
    );
  }

  /** Where a brush from the keyboard begins: around the fullest bar. */
  busiest(last) {
    const counts = this.data.buckets.map((bucket) => bucket.exchanges);
    const at = counts.indexOf(Math.max(...counts));
    return [Math.max(0, at - 2), Math.min(last, at + 2)];
  }

  zoomIn() {
    if (this.brush) this.zoom(this.timeOf(this.brush[0]), this.timeOf(this.brush[1] + 1));
  }

  onPointer(event) {
    if (!this.data || !this.width || event.button || event.target.closest("button")) return;
    const x0 = this.host.getBoundingClientRect().left;
    const start = event.clientX;
    const move = (now) => {
      if (Math.abs(now.clientX - start) < LEAST_DRAG_PX) return;
      this.brush = [this.at(start - x0), this.at(now.clientX - x0)].sort((a, b) => a - b);
      this.redraw();
    };
    const end = (now) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      if (Math.abs(now.clientX - start) < LEAST_DRAG_PX && this.brush) {
        this.brush = null;
        this.redraw();
      }
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end); // a touch that became a scroll
  }

  onKey(event) {
    if (!this.data) return;
    const last = this.data.buckets.length - 1;
    if (event.key === "Enter" && this.brush) {
      event.preventDefault();
      event.stopPropagation();
      return this.zoomIn();
    }
    if (event.key === "Escape" && this.brush) {
      event.preventDefault();
      event.stopPropagation();
      this.brush = null;
      return this.redraw();
    }
    const step = STEP_KEYS[event.key];
    if (!step) return;
    event.preventDefault();
    if (!this.brush) this.brush = this.busiest(last);
    else {
      const edge = event.shiftKey ? 0 : 1;
      this.brush[edge] = Math.min(last, Math.max(0, this.brush[edge] + step));
      this.brush.sort((a, b) => a - b);
    }
    this.redraw();
  }
}
