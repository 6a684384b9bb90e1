// The messages of a WebSocket session or of a gRPC stream, both directions on one line of time.

import { button, el, unit } from "../lib/dom.js";
import { count, countOf, durationText, moment, money, sizeText } from "../lib/format.js";
import { getJson, errorText } from "../lib/api.js";
import { bytesOf, hexLines } from "./hex.js";
import { isJson, jsonTree } from "./json-tree.js";
import { marked } from "./redaction.js";

const PAGE = 200;
const SHOWN_BYTES = 64; // of a binary message
const SHOWN_CHARACTERS = 600; // of a text; the rest is a click away
const LINE_CHARACTERS = 160; // of JSON that is folded
const OMITTED = {
  __proto__: null,
  shed: "not kept: overload",
  level: "not kept at this capture level",
  coding: "not readable: it could not be inflated",
  context: "not readable: an earlier message, which it refers to, was not kept whole",
};
const UNREADABLE = {
  __proto__: null,
  in: "the client sent what is no frame",
  out: "the server sent what is no frame",
  both: "both sides sent what is no frame",
};
const COLUMNS = ["At", "Direction", "Kind", "Size", "Message"];

export function messagesTab(record, signal) {
  const body = el("tbody", { id: "messages" });
  const note = el("p", { class: "unit messages-note", role: "status" }, "Loading messages");
  const more = button("Load more messages", () => read(), { hidden: true });
  let cursor = null,
    number = 0;

  async function read() {
    more.disabled = true;
    try {
      let page;
      do {
        page = await getJson(
          `api/records/${encodeURIComponent(record.id)}/messages`,
          { limit: PAGE, ...(cursor && { cursor }) },
          signal,
        );
        cursor = page.next_cursor;
      } while (cursor && !page.messages.length); // where a trace has several sessions
      number += page.messages.length;
      body.append(...page.messages.map((message) => row(message, record)));
      note.textContent = number
        ? countOf(number, "message") + (cursor ? " so far" : "")
        : "No messages were kept";
      const dropped = record.data?.messages_dropped;
      const unreadable = UNREADABLE[record.data?.messages_unreadable];
      if (unreadable) note.textContent += ` · ${unreadable}: what followed was not kept`;
      else if (dropped) note.textContent += ` · ${count(dropped)} more passed too fast to be kept`;
      more.hidden = cursor === null;
    } catch (error) {
      note.textContent = errorText(error) ?? "";
      more.hidden = false;
    }
    more.disabled = false;
  }

  read();
  const head = COLUMNS.map((name) => el("th", { scope: "col" }, name));
  return [
    note,
    el("table", { class: "frames messages" }, el("thead", {}, el("tr", {}, head)), body),
    more,
  ];
}

function row(message, record) {
  const isIn = message.direction === "in";
  return el(
    "tr",
    { class: isIn ? "in" : "out" },
    el(
      "td",
      { title: moment(message.at_us).title },
      durationText(Math.max(0, message.at_us - record.started_at_us)),
    ),
    el("td", {}, isIn ? "↑ in" : "↓ out"),
    el("td", {}, message.opcode ?? "–"),
    el("td", {}, sizeText(message.size), inflatedNote(message)),
    el(
      "td",
      { class: "data" },
      gapNote(message),
      contentOf(message),
      cutNote(message),
      callNote(message),
    ),
  );
}

const inflatedNote = ({ inflated_size: inflated }) =>
  inflated === null
    ? null
    : el("div", { class: "unit", title: "inflated" }, `→ ${sizeText(inflated)}`);

function contentOf(message) {
  if (message.omitted !== null) return unit(OMITTED[message.omitted] ?? message.omitted);
  if (message.base64 !== null)
    return hexLines(
      bytesOf(message.base64.slice(0, Math.ceil(SHOWN_BYTES / 3) * 4)).slice(0, SHOWN_BYTES),
    );
  if (message.count > 1) return unit(`${count(message.count)} of these, one after the other`);
  const code = message.code === null ? "" : `code ${message.code} `;
  const text = message.text ?? "";
  return [code, !message.truncated && isJson(text) ? folded(text) : shortened(text)];
}

/** JSON on a line, which opens as a tree. */
function folded(text) {
  const line = text.length > LINE_CHARACTERS ? `${text.slice(0, LINE_CHARACTERS)}…` : text;
  const box = el("details", { class: "json" }, el("summary", {}, marked(line)));
  box.addEventListener("toggle", () => box.append(jsonTree(text)), { once: true });
  return box;
}

function shortened(text) {
  if (text.length <= SHOWN_CHARACTERS) return marked(text);
  const box = el("span", {}, marked(text.slice(0, SHOWN_CHARACTERS)), "… ");
  const showAll = () => box.replaceChildren(...marked(text));
  box.append(button(`Show all ${count(text.length)} characters`, showAll, { class: "link" }));
  return box;
}

const gapNote = (message) =>
  message.follows_gap && el("div", { class: "unit" }, "messages before this one were not recorded");

/** What the response used that this message ends. */
function callNote({ usage_state: state, model, ...used }) {
  if (!state) return null;
  const tokens = [
    [used.input_tokens, "in"],
    [used.output_tokens, "out"],
  ].filter(([number]) => number !== null);
  const parts = [
    model ?? "unknown model",
    ...tokens.map(([number, way]) => `${count(number)} ${way}`),
    ...(tokens.length ? [] : [state]),
    ...(used.cost_usd === null ? [] : [money(used.cost_usd)]),
  ];
  return el("div", { class: "unit call-note" }, parts.flat().join(" · "));
}

const cutNote = (message) =>
  message.truncated &&
  el("div", { class: "unit cut-note" }, `cut: first ${sizeText(message.kept)} kept`);
