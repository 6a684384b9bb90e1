// Two calls of language models side by side as what was said: messages of both, and what changed in each marked.

import { pairsOf, sideBySide, wordsChanged } from "../chat/alignment.js";
import { el, sectionHead } from "../lib/dom.js";
import { countOf, jsonText } from "../lib/format.js";

const MAX_SHOWN = 4000; // characters of a message that only one has, or both alike

/** The section of what was said in two calls; null where one is null. */
export function chatComparison(a, b) {
  if (a === null || b === null) return null;
  const [one, other] = [a, b].map(messagesOf);
  const rows = sideBySide(pairsOf(one, other, keyOf));
  const differing = rows.filter(([left, right]) => !isSame(left, right)).length;
  return el(
    "section",
    { "data-part": "chat" },
    sectionHead("Chat", differing ? `${countOf(differing, "message")} differ` : "equal"),
    el("div", { class: "chats" }, folded(rows)),
  );
}

/** All that was said in a call, the answer last: [{role, text}]. */
function messagesOf({ sent, answer }) {
  const messages = sent === null ? [] : [...sent.messages, ...sent.later];
  if (answer !== null) messages.push({ role: "answer", parts: answer.parts });
  return messages.map(({ role, parts }) => ({ role, text: parts.map(textOf).join("\n\n") }));
}

function textOf({ kind, name, text, has_failed: isFailed }) {
  const words = { call: "CALL", result: "RESULT", thinking: "THINKING", block: "" };
  const head = [words[kind], name, isFailed && "FAILED"].filter(Boolean).join(" ");
  const shown = kind === "call" || kind === "result" ? jsonText(text) : text;
  return head ? `${head}\n${shown}` : shown;
}

const keyOf = ({ role, text }) => `${role} ${text}`;
const isSame = (a, b) => a !== undefined && b !== undefined && keyOf(a) === keyOf(b);

/** The rows, of which those alike one after the other are folded. */
function folded(rows) {
  const nodes = [];
  let alike = [];
  const flush = () => {
    if (alike.length) nodes.push(alikeNode(alike));
    alike = [];
  };
  for (const row of rows) {
    if (isSame(row[0], row[1])) {
      alike.push(row[0]);
      continue;
    }
    flush();
    nodes.push(rowNode(row));
  }
  flush();
  return nodes;
}

function alikeNode(messages) {
  const box = el(
    "details",
    { class: "alike" },
    el("summary", {}, `${countOf(messages.length, "message")} alike`),
  );
  const draw = () => box.append(...messages.map((message) => said(message, beginning(message))));
  box.addEventListener("toggle", draw, { once: true });
  return box;
}

function rowNode([a, b]) {
  const isChanged = a !== undefined && b !== undefined;
  const pieces = isChanged ? wordsChanged(a.text, b.text) : [];
  const side = (letter, message, own, mark) => {
    if (message === undefined) return el("div", { class: "said none" }, "–");
    const text = isChanged
      ? pieces
          .filter(({ change }) => change === "same" || change === own)
          .map(({ change, text }) => (change === "same" ? text : el(mark, {}, text)))
      : el(mark, {}, beginning(message));
    return said(message, text, letter);
  };
  return el(
    "div",
    { class: "pair", tabindex: -1 },
    side("A", a, "removed", "del"),
    side("B", b, "added", "ins"),
  );
}

const said = (message, text, letter = null) =>
  el(
    "div",
    { class: "said" },
    el("p", { class: "unit", "data-side": letter }, message.role),
    el("p", {}, text),
  );

const beginning = ({ text }) =>
  text.length > MAX_SHOWN
    ? `${text.slice(0, MAX_SHOWN)}… ${countOf(text.length, "character")}`
    : text;
