// The panel of filters with counts: every value that records of the period have, ticked when it is in the box.

import { button, el, gradeMark } from "../lib/dom.js";
import { endpointText } from "../endpoints/name.js";
import { outcomeText } from "../lib/explanations.js";
import { count } from "../lib/format.js";
import { getJson } from "../lib/api.js";
import { parametersOf, toggled, valuesOf, without } from "../lib/filter.js";

const GROUPS = [
  ["status", "Status"],
  ["method", "Method"],
  ["level", "Level"],
  ["endpoint", "Endpoint"],
  ["route", "Route"],
  ["service", "Service"],
  ["project", "Project"],
  ["container", "Container"],
  ["client", "Client"],
  ["key", "Key"],
  ["source", "Source"],
  ["direction", "Direction"],
  ["host", "Host"],
  ["outcome", "Outcome"],
  ["provider", "Provider"],
  ["model", "Model"],
  ["finish_reason", "Finish reason"],
  ["called_tool", "Tool called"],
  ["tool_error", "Tool failed"],
  ["grpc_status", "gRPC status"],
  ["redacted", "Redacted"],
  ["error_type", "Error"],
];
const NAMED = [["conversation", "Conversation"]]; // too many values to count: shown when one is in the box
const SUMMED = new Set(["status", "route", "service", "project", "key"]);
const TOP_VALUES = 10; // of a summary: beyond them a count is not known
const FIRST = 8; // values before "more"
const GRADES = { __proto__: null, "4xx": "warn", "5xx": "error", warn: "warn", error: "error" };

/** Values with counts; those that rollups of hours do not have come from the summary, when it could count all. */
async function readCounted(parameters, names, signal) {
  const { facets } = await getJson("api/facets", { ...parameters, name: names.join(",") }, signal);
  const unknown = names.filter(
    (name) => SUMMED.has(name) && facets[name]?.some((value) => value.count === null),
  );
  if (!unknown.length) return facets;
  const summary = await getJson("api/summary", parameters, signal);
  if (!summary.complete) return facets;
  const status = Object.entries(summary.status).map(([value, number]) => ({
    value,
    count: number,
  }));
  for (const name of unknown) {
    const counts = new Map(
      (name === "status" ? status : (summary.top[name] ?? [])).map((value) => [
        value.value,
        value.count,
      ]),
    );
    const isAll = name === "status" || counts.size < TOP_VALUES;
    facets[name] = facets[name].map(({ value }) => ({
      value,
      count: counts.get(value) ?? (isAll ? 0 : null),
    }));
  }
  return facets;
}

const LEVELS = ["error", "warn", "info", "debug"];

/** Values with an order of their own keep it, whatever the counts: a class of status is found where it was. */
function inOrder(name, values) {
  if (name === "status") return values.toSorted((a, b) => (a.value < b.value ? -1 : 1));
  return name === "level"
    ? values.toSorted((a, b) => LEVELS.indexOf(a.value) - LEVELS.indexOf(b.value))
    : values;
}

/** The count of a ticked value that was not found: 0, or unknown where the findings do not cover it. */
function missingCount(name, found) {
  const isCovered = name !== "status" && name !== "conversation"; // of statuses the classes are counted
  return isCovered && found.every((value) => value.count !== null) ? 0 : null;
}

/** The grade of a value; a status has that of its class. */
const gradeOf = (name, value) => GRADES[name === "status" ? `${value[0]}xx` : value] ?? "";

export class Facets {
  /** `choose(text)` gets the box with a value put in or taken out; `close()` folds the panel away. */
  constructor(host, choose, close) {
    this.host = host;
    this.choose = choose;
    this.close = close;
    this.groups = {};
    this.open = new Set();
    this.names = new Map();
    this.text = "";
    this.isPressed = false;
    this.isDue = false;
    host.addEventListener("pointerdown", () => this.press());
  }

  /** Draw nothing until the click that a press becomes is over, wherever it ends. */
  press() {
    this.isPressed = true;
    const over = new AbortController();
    const release = () => {
      over.abort();
      this.isPressed = false;
      if (this.isDue) this.draw();
    };
    for (const end of ["pointerup", "pointercancel"])
      document.addEventListener(end, () => setTimeout(release), { signal: over.signal });
  }

  /** Read the counts; a group that is filtered by is counted as if it were not. */
  async read(text, period, signal) {
    this.text = text;
    this.host.classList.add("loading");
    const active = GROUPS.map(([name]) => name).filter((name) => valuesOf(text, name).length);
    const others = GROUPS.map(([name]) => name).filter((name) => !active.includes(name));
    const asked = [others, ...active.map((name) => [name])].map((names) => {
      const parameters = parametersOf(names.length === 1 ? without(text, names[0]) : text);
      return readCounted({ ...parameters, ...period.parameters }, names, signal);
    });
    const answers = await Promise.all(asked);
    this.groups = Object.assign({}, ...answers);
    if (this.groups.key?.length && this.names.size === 0) await this.readNames(signal);
    this.host.classList.remove("loading");
    this.draw();
  }

  async readNames(signal) {
    const { keys } = await getJson("api/request-logs", { limit: 1 }, signal);
    for (const key of keys) this.names.set(key.id, `${key.name} ····${key.last4}`);
  }

  /** Show everything anew, but not under a finger: the click would be lost with what it began on. */
  draw() {
    this.isDue = this.isPressed;
    if (this.isDue) return;
    const focused = this.host.contains(document.activeElement)
      ? /** @type {HTMLElement} */ (document.activeElement).dataset.facet
      : undefined;
    const sections = [...GROUPS, ...NAMED]
      .map(([name, label]) => this.group(name, label))
      .filter(Boolean);
    this.host.replaceChildren(
      el(
        "div",
        { class: "facets-head" },
        el("h2", {}, "Filters"),
        this.text && button("Clear", () => this.set(""), { class: "link" }),
        button("Done", () => this.close(), { class: "link narrow-only" }),
      ),
      ...(sections.length ? sections : [el("p", { class: "unit" }, "No values yet")]),
    );
    if (focused !== undefined)
      /** @type {HTMLElement | null} */ (
        this.host.querySelector(`[data-facet="${CSS.escape(focused)}"]`)
      )?.focus({ preventScroll: true });
  }

  /** Choose what is in the box; what is chosen next goes on from there, whether or not it is shown yet. */
  set(text) {
    this.text = text;
    this.choose(text);
  }

  group(name, label) {
    const ticked = valuesOf(this.text, name);
    const found = this.groups[name] ?? [];
    const missing = ticked
      .filter((value) => !found.some((other) => other.value === value))
      .map((value) => ({ value, count: missingCount(name, found) }));
    const values = inOrder(name, [...found, ...missing]);
    if (
      values.length === 0 ||
      (values.length < 2 && !ticked.length && !["status", "route"].includes(name))
    )
      return null;
    const all = this.open.has(name)
      ? values
      : values.filter((value, index) => index < FIRST || ticked.includes(value.value));
    const more = values.length - all.length;
    return el(
      "fieldset",
      {},
      el("legend", {}, label),
      all.map((value) => this.line(name, value, ticked.includes(value.value))),
      more > 0 &&
        button(
          `${more} more`,
          () => {
            this.open.add(name);
            this.draw();
          },
          { class: "link" },
        ),
    );
  }

  labelOf(name, value) {
    if (name === "outcome") return outcomeText(value);
    if (name === "endpoint") return endpointText(value);
    return (name === "key" && this.names.get(value)) || value;
  }

  line(name, { value, count: number }, isTicked) {
    const shown = this.labelOf(name, value);
    const mark =
      (name === "status" || name === "level") &&
      el("span", { class: gradeOf(name, value) }, gradeMark());
    return el(
      "label",
      { class: number === 0 ? "facet zero" : "facet", title: shown },
      el("input", {
        type: "checkbox",
        checked: isTicked,
        "data-facet": `${name}:${value}`,
        onchange: () => this.set(toggled(this.text, name, value)),
      }),
      mark,
      el("span", { class: "value" }, shown),
      el(
        "span",
        { class: "number", title: number === null ? "not counted" : null },
        number === null ? "·" : count(number),
      ),
    );
  }
}
