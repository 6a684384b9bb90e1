// What an open conversation shows: what it adds up to, and its calls in order, each opening its record beside them.

import { address, change, ROOT } from "../lib/address.js";
import { getJson, toQuery } from "../lib/api.js";
import { copyButton } from "../lib/controls.js";
import { button, el, gradeMark, quantity, sectionHead, table, unit } from "../lib/dom.js";
import { codeOf, outcomeText } from "../lib/explanations.js";
import { count, duration, grade, moment, money } from "../lib/format.js";
import { factsOf } from "./rows.js";

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
    this.calls = [];
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
      factsOf(conversation, recordLink),
      sectionHead(
        "Turns",
        "",
        el("a", { href: `run${toQuery({ id: conversation.id })}` }, "Open the whole run"),
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
    const before = this.calls.length;
    this.calls.push(...calls);
    this.body.append(...calls.map((call, index) => turnRow(call, before + index + 1)));
    this.drawMore();
    this.mark(address().record);
  }

  recordOf(id) {
    return this.calls.find((call) => call.id === id);
  }

  /** The id of the turn behind one, or before it; of the first where none is open. */
  async beside(id, step) {
    const at = this.calls.findIndex((call) => call.id === id) + step;
    if (at >= this.calls.length && this.cursor !== null) await this.loadMore();
    return this.calls[Math.max(at, 0)]?.id;
  }

  /** Mark the turn whose record is shown, and bring it into sight. */
  mark(id) {
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (this.body.childNodes)) {
      if (row.dataset.id !== id) row.removeAttribute("aria-current");
      else {
        row.setAttribute("aria-current", "true");
        row.scrollIntoView({ block: "nearest" });
      }
    }
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

/** Opens a record beside the turns it is one of. */
const recordLink = ({ id }, ...content) =>
  el("a", { href: `conversations${toQuery({ ...address(), record: id })}` }, content);

const tokens = (number) => ((number ?? null) === null ? unit("–") : count(number));

function costOf({ cost_usd: cost, input_tokens: input, output_tokens: output }) {
  const isUsed = (input ?? output ?? null) !== null; // a call that was refused used nothing that has a price
  if ((cost ?? null) === null) return unit(isUsed ? "no price" : "–");
  return cost === 0 ? unit("$0") : money(cost);
}

function errorOf(call) {
  const code = codeOf(call);
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
  const open = ({ target }) => target.closest("a") || change({ record: call.id });
  return el(
    "tr",
    { "data-id": call.id, onclick: open },
    cells.map(([name, content, title]) => el("td", { class: name, title: title ?? null }, content)),
  );
}
