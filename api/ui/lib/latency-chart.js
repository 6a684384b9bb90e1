// Latency over time on a log axis: a heat map of how many requests took how long, and the percentiles as lines above it.
// A click leads to the requests of a cell, a drag or Shift and arrows select more of them.

import { button, el } from "./dom.js";
import { durationText } from "./format.js";
import { areaText, boundsOf, describe, fullest, largest, SHADES, shadeOf } from "./heat.js";
import { lineBefore, LINES, percentileLines } from "./line-chart.js";
import { drawAtWidth, hiddenTable, svg, timeLabels } from "./svg.js";

const RIGHT_PX = 34;
const LEFT_PX = 54; // "0.01 ms"
const TOP_PX = 14;
const LEAST_DRAG_PX = 4;
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };

const order = (a, b) => /** @type {[number, number]} */ (a < b ? [a, b] : [b, a]);

/** Put the chart into `host`. `choose({since, until, low, high})` is called with what was chosen, all in ms. */
export class LatencyChart {
  constructor(host, { height, choose, signal }) {
    this.host = host;
    this.bottom = height - 18;
    this.height = height;
    this.choose = choose;
    this.histogram = null;
    this.heat = null;
    this.before = null;
    this.from = null; // the cell a selection begins at
    this.to = null; // the cell under the cursor
    this.isSelecting = false;
    this.legend = el("span", { class: "shades" });
    this.label = el("div", { class: "brush-label", role: "status", hidden: true });
    this.redraw = drawAtWidth(host, (width) => this.draw(width), signal);
    host.classList.add("chart", "latency-chart");
    host.dataset.arrows = "";
    host.tabIndex = 0;
    host.setAttribute("role", "group");
    host.addEventListener("keydown", (event) => this.onKey(event));
    host.addEventListener("pointerdown", (event) => this.onPress(event));
    host.addEventListener("pointermove", (event) => this.onHover(event));
    host.addEventListener("pointerleave", () => !this.isSelecting && this.point(null));
    this.label.addEventListener("pointerdown", (event) => event.stopPropagation());
  }

  /** Show the answer of /api/histogram, a heat map where there is one, and the period before. */
  set(histogram, heat, before = null) {
    this.histogram = histogram;
    this.heat = heat;
    this.before = before?.buckets.some(({ exchanges }) => exchanges) ? before : null;
    this.isSelecting = false;
    this.from = this.to = null;
    this.redraw();
  }

  get since() {
    return Date.parse(this.histogram.since);
  }
  get until() {
    return Date.parse(this.histogram.until);
  }
  get right() {
    return this.width - RIGHT_PX;
  }

  /** Where a time stands. */
  x(ms) {
    const share = (ms - this.since) / (this.until - this.since);
    return LEFT_PX + Math.min(1, Math.max(0, share)) * (this.right - LEFT_PX);
  }

  /** Where a duration stands. */
  y(ms) {
    const share = Math.log10(Math.min(Math.max(ms, this.low), this.high) / this.low);
    return this.bottom - (share / Math.log10(this.high / this.low)) * (this.bottom - TOP_PX);
  }

  draw(width) {
    this.width = width;
    if (!this.histogram) return;
    this.scale();
    const place = { left: LEFT_PX, right: this.right, y: (ms) => this.y(ms) };
    const { ends, paths } = percentileLines(this.histogram, place);
    this.cursor = svg("rect", { class: "cursor" });
    const drawing = svg(
      "svg",
      { width, height: this.height, "aria-hidden": "true" },
      this.shades(),
      this.grid(),
      this.before && lineBefore(this.before, place),
      paths,
      ends,
      svg("line", {
        x1: LEFT_PX,
        x2: this.right,
        y1: this.bottom + 0.5,
        y2: this.bottom + 0.5,
        class: "base",
      }),
      timeLabels(this.since, this.until, {
        left: LEFT_PX,
        right: this.right,
        y: this.height - 4,
        count: width < 500 ? 3 : 5,
      }),
      this.cursor,
    );
    this.host.replaceChildren(drawing, this.label, ...this.tables());
    this.drawLegend();
    this.drawCursor();
  }

  /** Choose both ends of the axis: whole decades around everything that is shown. */
  scale() {
    const values = this.histogram.buckets.flatMap(({ duration_ms: found }) =>
      LINES.map((name) => found[name]).filter((ms) => ms > 0),
    );
    for (const { duration_ms: found } of this.before?.buckets ?? [])
      if (found.p95 > 0) values.push(found.p95);
    for (const { low, high } of this.heat?.rows ?? [])
      values.push(...[low, high].filter((ms) => ms > 0 && ms < Infinity));
    const ends = values.length ? [Math.min(...values), Math.max(...values)] : [1, 1000];
    this.low = 10 ** Math.max(-2, Math.floor(Math.log10(ends[0]) + 1e-9));
    this.high = Math.max(this.low * 10, 10 ** Math.ceil(Math.log10(ends[1]) - 1e-9));
  }

  /** A path for each shade: a hundred columns of cells stay a few nodes. */
  shades() {
    if (!this.heat) return [];
    const { columns, rows, since, stepMs } = this.heat;
    const most = largest(this.heat);
    const paths = Array(SHADES + 1).fill("");
    columns.forEach((column, index) => {
      const x1 = this.x(since + index * stepMs).toFixed(1);
      const x2 = this.x(since + (index + 1) * stepMs).toFixed(1);
      column.forEach((number, row) => {
        if (!number) return;
        const [y1, y2] = [this.y(rows[row].high), this.y(rows[row].low)].map((y) => y.toFixed(1));
        paths[shadeOf(number, most)] += `M${x1},${y1}H${x2}V${y2}H${x1}Z`;
      });
    });
    return paths.map((d, shade) => d && svg("path", { d, class: `shade-${shade}` }));
  }

  grid() {
    const decades = Math.round(Math.log10(this.high / this.low));
    const parts = decades > 2 ? [1] : [1, 2, 5];
    const values = Array.from({ length: decades + 1 }, (_, decade) =>
      parts.map((part) => Number((this.low * 10 ** decade * part).toPrecision(3))),
    );
    return values
      .flat()
      .filter((ms) => ms <= this.high * 1.001)
      .map((ms) => [
        svg("line", { x1: LEFT_PX, x2: this.right, y1: this.y(ms), y2: this.y(ms), class: "grid" }),
        svg(
          "text",
          { x: LEFT_PX - 6, y: this.y(ms) + 4, "text-anchor": "end", class: "axis" },
          axisText(ms),
        ),
      ]);
  }

  drawLegend() {
    const most = this.heat ? largest(this.heat) : 0;
    this.legend.replaceChildren(
      ...(most
        ? [
            "1 ",
            ...Array.from({ length: SHADES }, (_, index) =>
              el("span", { class: `shade shade-${index + 1}`, "aria-hidden": "true" }),
            ),
            ` ${most} a cell`,
          ]
        : []),
      this.before ? el("span", { class: "before" }, "┄ p95 before") : "",
    );
    this.host.setAttribute(
      "aria-label",
      "Latency over time. Arrow keys move over the cells, with Shift they select, Enter shows the requests.",
    );
  }

  tables() {
    const rows = this.histogram.buckets
      .filter(({ duration_ms: found }) => found.p50 !== null)
      .map(({ start, duration_ms: found }) => [
        start,
        ...LINES.map((name) => durationText(found[name] * 1000)),
      ]);
    const earlier = (this.before?.buckets ?? [])
      .filter(({ duration_ms: found }) => found.p95 !== null)
      .map(({ start, duration_ms: found }) => [start, durationText(found.p95 * 1000)]);
    const cells = this.heat && ["From", "Requests", "Most took", "The slowest took"];
    return [
      hiddenTable("Latency over time", ["From", ...LINES], rows),
      earlier.length > 0 && hiddenTable("In the period before", ["From", "p95"], earlier),
      cells && hiddenTable("How many requests took how long", cells, describe(this.heat)),
    ].filter(Boolean);
  }

  /** The selected area; a cell alone is one. */
  get area() {
    if (!this.to) return null;
    const from = this.from ?? this.to;
    return {
      columns: order(from.column, this.to.column),
      rows: order(from.row, this.to.row),
    };
  }

  drawCursor() {
    if (!this.cursor) return; // not drawn yet: its width is not known
    const { area } = this;
    this.label.hidden = !area;
    this.cursor.toggleAttribute("hidden", !area);
    if (!area) return;
    const { since, until, low, high } = boundsOf(this.heat, area);
    const box = { x: this.x(since), y: this.y(high) };
    const size = { width: this.x(until) - box.x, height: this.y(low) - box.y };
    for (const [name, value] of Object.entries({ ...box, ...size }))
      this.cursor.setAttribute(name, value.toFixed(1));
    this.label.replaceChildren(
      areaText(this.heat, area),
      this.isSelecting
        ? button(["Show ", el("kbd", {}, "↵")], () => this.take(), { class: "link" })
        : "",
    );
    this.label.style.left = `${Math.max(0, Math.min(box.x - 20, this.width - this.label.offsetWidth))}px`;
    this.label.classList.toggle("below", box.y < this.height / 2);
  }

  take() {
    if (this.area) this.choose(boundsOf(this.heat, this.area));
  }

  /** Move the cursor to a cell, or away; a selection stays as it is. */
  point(cell) {
    this.to = cell;
    this.from = null;
    this.drawCursor();
  }

  cellAt({ clientX, clientY }) {
    const box = this.host.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top];
    const { columns, rows, since, stepMs } = this.heat;
    const time = this.since + ((x - LEFT_PX) / (this.right - LEFT_PX)) * (this.until - this.since);
    const share = (this.bottom - y) / (this.bottom - TOP_PX);
    const ms = this.low * (this.high / this.low) ** Math.min(Math.max(share, 0), 1);
    const row = rows.findIndex(({ high }) => ms <= high);
    return {
      column: Math.min(Math.max(Math.floor((time - since) / stepMs), 0), columns.length - 1),
      row: row < 0 ? rows.length - 1 : row,
    };
  }

  isInside({ clientX, clientY }) {
    const box = this.host.getBoundingClientRect();
    const [x, y] = [clientX - box.left, clientY - box.top];
    return this.heat && x >= LEFT_PX && x <= this.right && y >= TOP_PX && y <= this.bottom;
  }

  onHover(event) {
    if (this.isSelecting || event.pointerType !== "mouse") return;
    this.point(this.isInside(event) ? this.cellAt(event) : null);
  }

  onPress(event) {
    if (event.button || event.target.closest("button") || !this.isInside(event)) return;
    const start = this.cellAt(event);
    const isFar = (now) =>
      Math.hypot(now.clientX - event.clientX, now.clientY - event.clientY) >= LEAST_DRAG_PX;
    const move = (now) => {
      if (!isFar(now)) return;
      this.isSelecting = true;
      this.from = start;
      this.to = this.cellAt(now);
      this.drawCursor();
    };
    const end = (now) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      removeEventListener("pointercancel", end);
      if (now.type === "pointercancel" || isFar(now)) return;
      this.isSelecting = now.pointerType !== "mouse";
      this.point(start);
      if (!this.isSelecting) this.take();
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
    addEventListener("pointercancel", end);
  }

  onKey(event) {
    if (!this.heat) return;
    const isOurs = this.isSelecting && (event.key === "Enter" || event.key === "Escape");
    const step = STEPS[event.key];
    if (!isOurs && !step) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") return this.take();
    if (event.key === "Escape") {
      this.isSelecting = false;
      return this.point(null);
    }
    this.isSelecting = true;
    if (!this.to) return this.point(fullest(this.heat));
    this.from = event.shiftKey ? (this.from ?? this.to) : null;
    const { columns, rows } = this.heat;
    this.to = {
      column: Math.min(Math.max(this.to.column + step[0], 0), columns.length - 1),
      row: Math.min(Math.max(this.to.row + step[1], 0), rows.length - 1),
    };
    this.drawCursor();
  }
}

const axisText = (ms) => (ms >= 1000 ? `${ms / 1000}\u00a0s` : `${ms}\u00a0ms`);
