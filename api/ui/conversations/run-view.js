// A run of an agent, step by step: what is new in each request, what the model answered, which tools it called and what
// they gave, cost, tokens and time. Drawn alike on its page and in a file that was saved.

import { preformatted, turn } from "../chat/tab.js";
import { el, gradeMark, quantity, unit } from "../lib/dom.js";
import { codeOf, outcomeText } from "../lib/explanations.js";
import {
  count,
  countOf,
  duration,
  grade,
  jsonText,
  moment,
  money,
  percent,
} from "../lib/format.js";
import { hiddenTable, svg } from "../lib/svg.js";
import { factsOf } from "./rows.js";
import { Steps, timeOf } from "./run-steps.js";

const US_PER_MS = 1000;
const SHORT = 600;
const MAX_TITLE = 80;
const STRIP = { width: 1000, height: 28, least: 3 };
/** Steps that failed, or say or show that a tool did. */
const FAILED = ".error, .warn, :has(.mcp-call.error, > .turn .tool-part.error)";
const JOINED = {
  request: "names this call",
  trace: "of the same trace",
  session: "of the same session",
  time: "asked for just before",
};

export class RunView {
  /** `linkTo` makes the address of a record; null where there is none to go to. */
  constructor(linkTo = null) {
    this.linkTo = linkTo;
    this.steps = new Steps();
    this.records = [];
    this.ended = 0; // when the newest step ended, µs
    this.facts = el("div");
    this.strip = el("div", { class: "run-time" });
    this.list = el("ol", { class: "run-steps" });
    this.host = el("div", { class: "run" }, this.facts, this.strip, this.list);
  }

  /** Add a page of the run. */
  add({ steps, ...conversation }) {
    const before = this.records.length;
    const read = this.steps.read(steps);
    this.list.append(...read.map((step, index) => this.step(step, before + index)));
    this.records.push(...steps);
    this.facts.replaceChildren(factsOf(conversation));
    this.drawTime();
  }

  step(step, index) {
    const { record, answer, before, fresh, isCut } = step;
    const error = answer?.error ?? record.error_message;
    return el(
      "li",
      { class: `run-step ${grade(record)}`, tabindex: -1, "data-id": record.id },
      this.head(record, index),
      before.length > 0 && folded(before),
      fresh.map(({ role, parts }) => turn(role, parts, SHORT)),
      isCut && el("p", { class: "cut" }, "a part of this request was not kept"),
      answer?.parts.length > 0 && turn("assistant", answer.parts, Infinity),
      error && el("p", { class: "complaint error" }, el("strong", {}, error)),
      !answer && !error && el("p", { class: "unit" }, "No answer that can be shown as a chat"),
      record.mcp_calls.map(mcpCall),
    );
  }

  head(record, index) {
    const time = moment(record.started_at_us);
    const waited = index ? record.started_at_us - this.ended : 0;
    this.ended = record.started_at_us + (record.duration_us ?? 0);
    const why = codeOf(record);
    const status = `${record.status ?? "–"}`;
    return el(
      "header",
      {},
      el("h2", {}, `Step ${count(index + 1)}`),
      el("span", { class: `mono status ${grade(record)}` }, gradeMark(), status),
      why && el("code", { class: "chip error" }, why),
      record.outcome !== "ok" && el("span", { class: "error" }, outcomeText(record.outcome)),
      el("span", { class: "mono" }, record.model ?? ""),
      record.finish_reason && unit(`stop: ${record.finish_reason}`),
      el("span", { class: "figure" }, quantity(duration(record.duration_us))),
      waited > 0 && unit(`after ${duration(waited).join("\u00a0")}`),
      unit(tokens(record)),
      el("span", { class: "figure" }, cost(record)),
      el("span", { class: "mono at", title: time.title }, this.link(record, time.clock)),
    );
  }

  link(record, text) {
    return this.linkTo ? el("a", { href: this.linkTo(record.id) }, text) : text;
  }

  drawTime() {
    const { spans, begun, ended, model, tool, rest } = timeOf(this.records);
    const scale = STRIP.width / Math.max(1, ended - begun);
    const isBad = ({ record }) => Number(grade(record) !== "info"); // those are drawn over the others
    const bars = spans
      .toSorted((a, b) => isBad(a) - isBad(b))
      .map(({ kind, from, us, record }) =>
        svg("rect", {
          class: `${kind} ${kind === "model" ? grade(record) : ""}`,
          x: (from - begun) * scale,
          y: kind === "model" ? 0 : STRIP.height / 2,
          width: Math.max(STRIP.least, us * scale),
          height: STRIP.height / 2 - 1,
        }),
      );
    const shares = [
      ["models", model],
      ["MCP tools", tool],
      ["the client, its own tools and waiting", rest],
    ].filter(([, us]) => Number(us) > 0);
    const texts = shares.map(([name, us]) => [
      name,
      duration(us).join("\u00a0"),
      percent(us, ended - begun).join("\u00a0"),
    ]);
    this.strip.replaceChildren(
      svg(
        "svg",
        {
          viewBox: `0 0 ${STRIP.width} ${STRIP.height}`,
          preserveAspectRatio: "none",
          "aria-hidden": "true",
        },
        bars,
      ),
      el(
        "p",
        {},
        texts.map(([name, us, share]) => el("span", {}, `${name} ${us}, ${share}`)),
      ),
      hiddenTable("Where time went", ["What", "Time", "Share"], texts),
    );
  }

  /** Go `by` steps on, or to the next that failed. */
  move(by, isFailure = false) {
    const steps = /** @type {HTMLElement[]} */ ([...this.list.children]);
    const at = steps.indexOf(document.activeElement?.closest(".run-step"));
    const isWanted = (step) => !isFailure || step.matches(FAILED);
    const found =
      by > 0
        ? steps.slice(at + 1).find(isWanted)
        : steps.slice(0, Math.max(at, 0)).findLast(isWanted);
    if (!found) return false;
    found.focus({ preventScroll: true });
    found.scrollIntoView({ block: "start" });
    return true;
  }

  /** What keys do, on its page and in a file. */
  get keys() {
    const [next, previous] = [() => this.move(1), () => this.move(-1)];
    return {
      j: next,
      ArrowDown: next,
      k: previous,
      ArrowUp: previous,
      e: () => this.move(1, true),
    };
  }
}

/** What was sent before, drawn when it is opened. */
function folded(messages) {
  const box = el(
    "details",
    { class: "as-before" },
    el("summary", {}, `${countOf(messages.length, "message")} as before`),
  );
  const draw = () => box.append(...messages.map(({ role, parts }) => turn(role, parts, SHORT)));
  box.addEventListener("toggle", draw, { once: true });
  return box;
}

function mcpCall(call) {
  const isBad = call.status === "error";
  const name = [call.server_label, call.tool_name].filter(Boolean).join(" · ");
  const texts = [
    ["Arguments", call.arguments],
    ["Result", call.result],
    ["Error", (call.result ?? null) === null ? call.error_details : null],
  ].filter(([, value]) => value !== null && value !== undefined);
  return el(
    "details",
    { class: `mcp-call ${isBad ? "error" : ""}`, open: isBad },
    el(
      "summary",
      {},
      el("span", { class: "tag" }, "MCP"),
      " ",
      el("code", {}, el("strong", {}, name)),
      isBad && [" ", el("code", { class: "chip error" }, "failed")],
      " ",
      quantity(duration(call.latency === null ? null : call.latency * US_PER_MS)),
      " ",
      unit(JOINED[call.joined_by]),
    ),
    texts.map(([title, value]) => [
      el("p", { class: "unit" }, title),
      preformatted(jsonText(value), SHORT),
    ]),
  );
}

/** What a run is called: by the first words of its user. */
export const runTitle = ({ title }) =>
  title ? `Run: ${title.length > MAX_TITLE ? `${title.slice(0, MAX_TITLE - 1)}…` : title}` : "Run";

const tokens = ({ input_tokens: input, output_tokens: output, cache_read_tokens: cached }) =>
  (input ?? output ?? null) === null
    ? "no usage"
    : `${count(input ?? 0)} in${cached ? ` (${count(cached)} cached)` : ""}, ${count(output ?? 0)} out`;

const cost = ({ cost_usd: usd }) =>
  (usd ?? null) === null ? unit("no price") : usd === 0 ? unit("$0") : money(usd);
