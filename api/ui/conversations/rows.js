// A line of the list: what a conversation is about, with which models and tools, and what its calls add up to.

import { button, el, expandableRow, gradeMark, quantity, unit } from "../lib/dom.js";
import { outcomeText } from "../lib/explanations.js";
import { count, countOf, duration, durationText, moment, money } from "../lib/format.js";

const US_PER_MS = 1000;
const SHOWN_TOOLS = 3;

/** Names with how often, the most frequent first: `read_file 12, bash 3`. */
const countsText = (counts) =>
  Object.entries(counts)
    .map(([name, number]) => `${name} ${count(number)}`)
    .join(", ");

/** A sum of calls of which some may be unknown: those are said beside it, and nothing known is no zero. */
export function sum(text, known, turns, noun) {
  if (known === 0) return unit(noun === "price" ? "no price" : "–");
  const missing = turns - known;
  return missing > 0 ? [text, unit(` + ${count(missing)} without ${noun}`)] : text;
}

const costSum = ({ cost_usd: cost, counted, priced, turns }) =>
  sum(cost === 0 ? "$0" : money(cost), priced, turns, counted > 0 ? "price" : "usage");

function callerText({ project, container, client, key, user_agent: agent }) {
  const named = key && (key.name ?? key.id);
  return [project, container, client, named].filter(Boolean).join(" · ") || agent || "";
}

function lastCell({ ended_at: ended }) {
  const time = moment(Date.parse(ended) * US_PER_MS);
  return el("td", { class: "mono last", title: time.title }, time.date + time.clock);
}

function aboutCell(conversation) {
  const { title } = conversation;
  const caller = callerText(conversation);
  const about = title ?? unit("first text not kept");
  return el("td", { class: "about", title: title ?? null }, about, caller && unit(` ${caller}`));
}

function modelsCell({ models }) {
  const names = Object.keys(models);
  const more = names.length > 1 && unit(` +${names.length - 1}`);
  return el("td", { class: "mono models", title: countsText(models) }, names[0] ?? unit("–"), more);
}

function toolsCell({ tools }) {
  const names = Object.keys(tools);
  const rest = names.length - SHOWN_TOOLS;
  return el(
    "td",
    { class: "mono tools-called", title: countsText(tools) },
    names.slice(0, SHOWN_TOOLS).join(", ") || unit("–"),
    rest > 0 && unit(` +${rest}`),
  );
}

/** A call that was cut has a status like any other, which says nothing of it. */
function whyOf({ error_type: error, status, outcome }) {
  return error ?? (outcome === "ok" ? status : outcomeText(outcome));
}

function failedCell({ failed, failure }) {
  if (failed === 0) return el("td", { class: "failed-turns" }, unit("–"));
  const newest = failure && whyOf(failure);
  return el(
    "td",
    { class: "failed-turns error", title: newest && `the newest: ${newest}` },
    gradeMark(),
    count(failed),
    newest && [" ", el("code", { class: "chip error" }, String(newest))],
  );
}

const figure = (name, content) => el("td", { class: `figure ${name}` }, content);
const tokensCell = (name, { turns, counted, ...conversation }) =>
  figure(name, counted ? count(conversation[`${name}_tokens`]) : unit("–"));

export const COLUMNS = {
  "Last call": lastCell,
  About: aboutCell,
  Model: modelsCell,
  "Tools called": toolsCell,
  Failed: failedCell,
  Turns: ({ turns, sampled }) =>
    figure("turns", [
      count(turns),
      sampled && SAMPLED(),
      el("span", { class: "noun" }, turnsNoun(turns)),
    ]),
  Input: (conversation) => tokensCell("input", conversation),
  Output: (conversation) => tokensCell("output", conversation),
  Cost: (conversation) => figure("cost", shortCost(conversation)),
  Duration: ({ duration_ms: ms }) => figure("duration", quantity(duration(ms * US_PER_MS))),
};

const SAMPLED = () =>
  el("abbr", { title: "Of a sample: a rule of capture keeps a share of such calls" }, "*");
const turnsNoun = (turns) => (turns === 1 ? " turn" : " turns");

/** The cost in a narrow column: `+` where calls without a price come on top of it. */
function shortCost({ cost_usd: cost, counted, priced, turns }) {
  if (priced === 0) return unit(counted > 0 ? "no price" : "–");
  const missing = turns - priced;
  const more =
    missing > 0 && el("abbr", { title: `${countOf(missing, "call")} without price` }, "+");
  return [cost === 0 ? unit("$0") : money(cost), more];
}

/** What can be most first, and in words; without one, the newest. */
export const SORTS = {
  "": "Newest first",
  cost: "Highest cost first",
  turns: "Most turns first",
  failures: "Most failures first",
  tokens: "Most tokens first",
  duration: "Longest first",
};
const SORTED_BY = {
  "Last call": "",
  Failed: "failures",
  Turns: "turns",
  Input: "tokens",
  Output: "tokens",
  Cost: "cost",
  Duration: "duration",
};
const FIGURES = ["Turns", "Input", "Output", "Cost", "Duration"];

/** The heads of the columns; those that can be sorted by call `choose`. */
export const headRow = (sort, choose) =>
  Object.keys(COLUMNS).map((name) => {
    const by = SORTED_BY[name];
    const isChosen = by === sort;
    return el(
      "th",
      {
        scope: "col",
        class: FIGURES.includes(name) ? "figure" : null,
        "aria-sort": isChosen ? "descending" : null,
      },
      by === undefined
        ? name
        : button([name, isChosen ? " ↓" : ""], () => choose(by), {
            class: "link sort",
            title: SORTS[by],
            "data-name": name,
          }),
    );
  });

/** The row of a conversation; a click calls `toggle`. */
export const conversationRow = (conversation, toggle) =>
  expandableRow(
    { class: "conversation", "data-conversation": conversation.id },
    toggle,
    Object.values(COLUMNS).map((cell) => cell(conversation)),
  );

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

/** What a conversation adds up to; `linkTo` makes the link to its newest failure, where there is a way to it. */
export function factsOf(conversation, linkTo = null) {
  const { turns, counted, tools, failed_tools: badTools, models, failure, failed } = conversation;
  const tokens = `${input(conversation)}, ${output(conversation)}`;
  const shown = [
    ["About", conversation.title],
    ["Models", countsText(models)],
    ["Tools called", countsText(tools)],
    ["Tools failed", countsText(badTools)],
    ["Tokens", sum(tokens, counted, turns, "usage")],
    ["Cost", costSum(conversation)],
    ["Duration", spanText(conversation)],
    [
      "Failed",
      failure && [
        `${count(failed)} of ${countOf(turns, "turn")}`,
        linkTo && [", the newest ", linkTo(failure, "here")],
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
