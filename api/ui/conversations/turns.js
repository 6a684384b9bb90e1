// What an open conversation shows: what it adds up to, and its calls in order, each with a link to its record.

import { ROOT } from "../lib/address.js";
import { getJson } from "../lib/api.js";
import { copyButton } from "../lib/controls.js";
import { button, el, gradeMark, quantity, sectionHead, table, unit } from "../lib/dom.js";
import { outcomeText } from "../lib/explanations.js";
import { count, countOf, duration, durationText, grade, moment, money } from "../lib/format.js";
import { costSum, countsText, sum } from "./rows.js";

const US_PER_MS = 1000;
const PAGE = 200;
const COLUMNS = [
  ...["#", "Time", "Status", "Model", "Finish", "Tools called"],
  ...["Input", "Output", "Cost", "Duration", "Error"],
];
const FIGURES = ["#", "Input", "Output", "Cost", "Duration"];

export class Turns {
  constructor(id, signal) {
    this.id = id;
    this.signal = signal;
    this.conversation = null;
    this.cursor = null;
    this.body = el("tbody");
    this.more = el("p");
    this.host = el("div", { class: "turns" });
  }

  /** Read the conversation with its first turns. */
  async read() {
    await this.readPage();
    const { conversation } = this;
    this.host.replaceChildren(
      facts(conversation),
      sectionHead(
        "Turns",
        "",
        el("a", { href: recordsOf(conversation) }, "Show in Requests"),
        copyButton("Copy link", () => linkTo(conversation)),
      ),
      table({ class: "managed turn-list" }, COLUMNS, this.body, FIGURES),
      this.more,
    );
  }

  async readPage() {
    const path = `api/conversations/${encodeURIComponent(this.id)}`;
    const {
      calls,
      next_cursor: next,
      ...conversation
    } = await getJson(path, { limit: PAGE, cursor: this.cursor }, this.signal);
    this.conversation = conversation;
    this.cursor = next;
    const before = this.body.children.length;
    this.body.append(...calls.map((call, index) => turnRow(call, before + index + 1)));
    this.drawMore();
  }

  drawMore(failure = "") {
    const rest = this.conversation.turns - this.body.children.length;
    const load = button(`Load more turns (${count(Math.max(rest, 1))})`, () => this.loadMore());
    this.more.replaceChildren(...(this.cursor === null ? [] : [load, " ", failure]));
  }

  async loadMore() {
    try {
      await this.readPage();
    } catch (error) {
      this.drawMore(`Could not load more: ${error.message}`);
    }
  }
}

const linkTo = ({ id }) => `${ROOT}conversations?open=${encodeURIComponent(id)}`;

/** The list of its records, in a period that holds them all. */
function recordsOf({ id, started_at: started, ended_at: ended }) {
  const state = {
    filter: `conversation:${id}`,
    since: started,
    until: new Date(Date.parse(ended) + 1000).toISOString(),
  };
  return `requests?${new URLSearchParams(state)}`;
}

const spanText = ({ duration_ms: span, calls_ms: calls }) =>
  `${durationText(span * US_PER_MS)}, of which calls took ${durationText(calls * US_PER_MS)}`;

/** What a sum is made of, as far as there is any of it: ` (800 from cache)`. */
function partsText(parts) {
  const given = parts.filter(([number]) => number > 0);
  return given.length
    ? ` (${given.map(([number, name]) => `${count(number)} ${name}`).join(", ")})`
    : "";
}

const input = ({ input_tokens: all, cache_read_tokens: read, cache_write_tokens: written }) =>
  `${count(all)} in${partsText([
    [read, "from cache"],
    [written, "written to cache"],
  ])}`;
const output = ({ output_tokens: all, reasoning_tokens: thought }) =>
  `${count(all)} out${partsText([[thought, "thinking"]])}`;

function facts(conversation) {
  const { turns, counted, tools, models, failure, failed } = conversation;
  const tokens = `${input(conversation)}, ${output(conversation)}`;
  const shown = [
    ["About", conversation.title],
    ["Models", countsText(models)],
    ["Tools called", countsText(tools)],
    ["Tokens", sum(tokens, counted, turns, "usage")],
    ["Cost", costSum(conversation)],
    ["Duration", spanText(conversation)],
    [
      "Failed",
      failure && [
        `${count(failed)} of ${countOf(turns, "turn")}, the newest `,
        recordLink(failure, "here"),
      ],
    ],
    ["Conversation", el("code", {}, conversation.id)],
  ];
  return el(
    "dl",
    { class: "facts" },
    shown
      .filter(([, value]) => value)
      .map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
  );
}

const recordLink = ({ id }, ...content) =>
  el("a", { href: `requests?record=${encodeURIComponent(id)}` }, content);

const tokens = (number) => ((number ?? null) === null ? unit("–") : count(number));

function costOf({ cost_usd: cost, input_tokens: input, output_tokens: output }) {
  const isUsed = (input ?? output ?? null) !== null; // a call that was refused used nothing that has a price
  if ((cost ?? null) === null) return unit(isUsed ? "no price" : "–");
  return cost === 0 ? unit("$0") : money(cost);
}

function errorOf(call) {
  const code = call.auth_code ?? call.error_type;
  if (code) return el("code", { class: "chip error" }, code);
  return call.outcome === "ok" ? "" : outcomeText(call.outcome);
}

function turnRow(call, number) {
  const time = moment(call.started_at_us);
  const clock = [time.date + time.clock, unit(time.ms)];
  const status = [gradeMark(), String(call.status ?? "–")];
  const cells = [
    ["figure number", unit(count(number))],
    ["mono time", recordLink(call, clock), time.title],
    [`mono status ${grade(call)}`, status],
    ["mono model", call.model ?? unit("–"), call.resolved_model],
    ["mono finish", call.finish_reason ?? unit("–")],
    [
      "mono tools-called",
      call.called_tools?.join(", ") || unit("–"),
      call.called_tools?.join(", "),
    ],
    ["figure input", tokens(call.input_tokens)],
    ["figure output", tokens(call.output_tokens)],
    ["figure cost", costOf(call)],
    ["figure duration", quantity(duration(call.duration_us))],
    ["error-code", errorOf(call)],
  ];
  return el(
    "tr",
    {},
    cells.map(([name, content, title]) => el("td", { class: name, title: title ?? null }, content)),
  );
}
