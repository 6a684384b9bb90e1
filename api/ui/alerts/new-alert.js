// Alert on this search: the figure's course with the threshold in it, and the settings to paste. They stay a file.

import { errorText } from "../lib/api.js";
import { copyButton, select } from "../lib/controls.js";
import { openDialog } from "../lib/dialog.js";
import { button, el, unit } from "../lib/dom.js";
import { countOf, spanText } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";
import { FIELDS } from "../list/groups.js";
import { CourseChart, isBeyond } from "./course-chart.js";
import { readCourse } from "./course.js";
import { tomlOf } from "./toml.js";

const FIGURES = [
  ["count", "Requests"],
  ["share", "Share of requests"],
  ["p50", "Duration p50"],
  ["p95", "Duration p95"],
  ["p99", "Duration p99"],
  ["change", "Change of requests"],
  ["cost", "Cost of LLM calls"],
];
const UNITS = {
  count: "",
  share: "%",
  p50: "ms",
  p95: "ms",
  p99: "ms",
  change: "times",
  cost: "$",
};
const FIRST = { count: 10, share: 5, p50: 1000, p95: 1000, p99: 1000, change: 3, cost: 1 }; // where nothing is known
const SPANS = [
  ["60", "1 min"],
  ["300", "5 min"],
  ["600", "10 min"],
  ["3600", "1 h"],
  ["86400", "1 d"],
];
const SIDES = [
  ["above", "Above"],
  ["below", "Below"],
];
const FORMATS = [
  ["standard", "Standard Webhooks"],
  ["slack", "Slack"],
  ["discord", "Discord"],
  ["teams", "Teams"],
  ["ntfy", "ntfy"],
  ["pagerduty", "PagerDuty"],
  ["alertmanager", "Alertmanager"],
];
const MARGIN = 1.25; // between what was seen and a threshold that is offered

/** Offer an alert on a filter of the list, with the field that it is grouped by. */
export async function openNewAlert(filter, by) {
  const controller = new AbortController();
  const form = new AlertForm(filter, by, controller.signal);
  await openDialog(
    "Alert on this search",
    (close) => [
      form.element,
      el(
        "div",
        { class: "buttons end" },
        button("Close", () => close()),
        copyButton("Copy", () => form.text.textContent, { class: "primary", id: "alert-copy" }),
      ),
    ],
    { isWide: true },
  );
  controller.abort();
}

class AlertForm {
  constructor(query, by, signal) {
    this.query = query;
    this.reads = new LatestRead(signal);
    this.course = null;
    this.isLimitOwn = false; // typed, not offered
    const read = () => this.read();
    const draw = () => this.draw();
    const knownBy = FIELDS.filter(([name]) => name !== "tool");
    const options = knownBy.some(([name]) => name === (by ?? "")) ? [] : [[by, `By ${by}`]];
    this.name = el("input", {
      id: "alert-name",
      maxlength: 100,
      value: nameFor(query),
      oninput: draw,
    });
    this.figure = select("alert-figure", "Figure", FIGURES, () => this.chooseFigure());
    this.of = el("input", { id: "alert-of", value: "status:5xx", onchange: read });
    this.by = select("alert-by", "Group by", [...knownBy, ...options], read);
    this.by.value = by === "tool" ? "" : (by ?? "");
    this.window = select("alert-window", "Over the last", SPANS, read);
    this.window.value = "600";
    this.side = select("alert-side", "Condition", SIDES, () => this.chooseSide());
    this.limit = el("input", { id: "alert-limit", type: "number", min: 0, step: "any" });
    this.limit.addEventListener("input", () => {
      this.isLimitOwn = true;
      this.draw();
    });
    this.lasting = select(
      "alert-for",
      "For at least",
      [["0", "immediately"], ...SPANS.slice(0, 4)],
      draw,
    );
    this.format = select("alert-format", "Format", FORMATS, draw);
    this.limitUnit = unit();
    this.ofLabel = el("label", { hidden: true }, "Share of", this.of);
    this.chartHost = el("div", { class: "course" });
    this.chart = new CourseChart(this.chartHost, signal);
    this.said = el("p", { class: "unit", role: "status" });
    this.bad = el("p", { class: "bad", role: "alert" });
    this.text = el("pre", { class: "toml", id: "alert-toml", tabindex: 0 });
    this.element = this.build();
    this.read();
  }

  build() {
    const labelled = (text, control) => el("label", {}, text, control);
    return el(
      "form",
      { onsubmit: (event) => event.preventDefault() },
      el(
        "div",
        { class: "fields" },
        el("label", { class: "whole" }, "Name", this.name),
        labelled("Figure", this.figure),
        this.ofLabel,
        labelled("Group by", this.by),
        labelled("Over the last", this.window),
        labelled("Condition", this.side),
        el("label", {}, el("span", {}, "Threshold ", this.limitUnit), this.limit),
        labelled("For at least", this.lasting),
        labelled("Format", this.format),
      ),
      this.bad,
      this.chartHost,
      this.said,
      this.text,
      el(
        "p",
        { class: "unit" },
        "Paste it into the configuration file, set ",
        el("code", {}, "ALERT_URL"),
        " to the address of the webhook, and reload. ",
        el("code", {}, "sidelog alerts test"),
        " tries it.",
      ),
    );
  }

  chooseFigure() {
    this.isLimitOwn = false;
    this.read();
  }

  chooseSide() {
    if (!this.isLimitOwn) this.offer();
    this.draw();
  }

  get alert() {
    const figure = this.figure.value;
    const limit = Number(this.limit.value) / (figure === "share" ? 100 : 1);
    const rounded = Number(limit.toPrecision(6));
    const isAbove = this.side.value === "above";
    return {
      name: this.name.value.replaceAll("/", " ").trim() || "alert",
      query: this.query,
      figure,
      of: this.of.value.trim(),
      by: this.by.value,
      window_s: Number(this.window.value),
      above: isAbove ? rounded : null,
      below: isAbove ? null : rounded,
      for_s: Number(this.lasting.value),
      format: this.format.value,
    };
  }

  /** Read the course anew, and draw it with a threshold that it did not cross. */
  async read() {
    const signal = this.reads.next();
    this.ofLabel.hidden = this.figure.value !== "share";
    this.side.disabled = this.by.value !== ""; // of values without a request nothing is known
    if (this.side.disabled) this.side.value = "above";
    this.limitUnit.textContent = UNITS[this.figure.value] && `(${UNITS[this.figure.value]})`;
    this.bad.textContent = "";
    try {
      const course = await readCourse(this.alert, signal);
      if (signal.aborted) return;
      this.course = course;
      if (!this.isLimitOwn) this.offer();
      this.draw();
    } catch (error) {
      this.bad.textContent = errorText(error) ?? "";
    } finally {
      this.reads.end(signal);
    }
  }

  offer() {
    const figure = this.figure.value;
    const scale = figure === "share" ? 100 : 1;
    const values = (this.course?.lines ?? [])
      .flatMap((line) => line.values)
      .filter((value) => value !== null)
      .map((value) => value * scale);
    const isAbove = this.side.value === "above";
    const seen = isAbove ? Math.max(...values, 0) : Math.min(...values, Infinity);
    const wanted = isAbove ? seen * MARGIN : seen / MARGIN;
    const isKnown = Number.isFinite(wanted) && wanted > 0;
    const most = figure === "share" ? 99 : Infinity;
    this.limit.value = String(Math.min(most, isKnown ? rounded(wanted) : FIRST[figure]));
  }

  draw() {
    const { alert, course } = this;
    this.text.textContent = tomlOf(alert);
    if (!course) return;
    this.chart.set(course, alert);
    const firings = course.lines.map(({ values }) => firingsOf(alert, values, course.step));
    const sum = firings.reduce((one, other) => one + other, 0);
    const span = spanText(Math.round((course.until - course.since) / 1000));
    const part = course.isComplete ? "" : " Not all of it was read within the time limit.";
    const steps = spanText(Math.round(course.step));
    this.said.textContent = `In the last ${span}, in steps of ${steps}, it would have fired ${countOf(sum, "time")}.${part}`;
  }
}

/** How often an alert fires in steps: when one lies beyond the threshold, or as many in a row as it waits for. */
function firingsOf(alert, values, step) {
  const needed = Math.max(1, Math.ceil(alert.for_s / step));
  let inRow = 0;
  return values.filter((value) => {
    inRow = isBeyond(alert, value) ? inRow + 1 : 0;
    return inRow === needed;
  }).length;
}

/** A name to begin with: the values of a search, without slashes. */
function nameFor(query) {
  const words = query.replaceAll(/[\w.]+:/g, "").replaceAll(/[/"\s]+/g, " ");
  return words.trim().slice(0, 100) || "all requests";
}

/** Two digits, for a threshold that a person reads. */
const rounded = (value) => Number(value.toPrecision(2));
