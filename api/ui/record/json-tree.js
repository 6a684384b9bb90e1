// JSON as a tree that folds. It is read token by token, so large numbers and repeated names stay as they were sent.

import { el } from "../lib/dom.js";
import { JSON_TOKEN } from "../lib/format.js";
import { marked } from "./redaction.js";

const OPEN_LEVELS = 4;
const MAX_LEVELS = 64; // what is nested deeper is text: thousands of boxes in each other break a browser

/** Make the tree of a text that is known to be JSON. */
export function jsonTree(text) {
  const tokens = [...text.matchAll(JSON_TOKEN)].map(([token]) => token);
  const state = { tokens, at: 0 };
  return el("div", { class: "tree", tabindex: 0 }, value(state, 0));
}

function value(state, depth) {
  const token = state.tokens[state.at];
  if (isOpening(token))
    return depth < MAX_LEVELS ? branch(state, depth) : [rest(state), comma(state)];
  state.at += 1;
  return [leaf(token), comma(state)];
}

const isOpening = (token) => token === "{" || token === "[";
const isClosing = (token) => token === "}" || token === "]";

/** Take a branch as it is written. */
function rest(state) {
  const start = state.at;
  let open = 0;
  do {
    const token = state.tokens[state.at];
    open += Number(isOpening(token)) - Number(isClosing(token));
    state.at += 1;
  } while (open > 0);
  return leaf(state.tokens.slice(start, state.at).join(""));
}

/** Take the comma behind a value; it belongs to its last line, which of a branch is that of the bracket. */
function comma(state) {
  if (state.tokens[state.at] !== ",") return "";
  state.at += 1;
  return ",";
}

function leaf(token) {
  const kind = token.startsWith('"') ? "text" : "number";
  return el("span", { class: "leaf " + kind }, marked(token));
}

function branch(state, depth) {
  const opening = state.tokens[state.at];
  const closing = opening === "{" ? "}" : "]";
  state.at += 1;
  const lines = [];
  while (state.tokens[state.at] !== closing) {
    const line = el("div", { class: "line" });
    if (opening === "{") {
      line.append(el("span", { class: "name" }, state.tokens[state.at]), ": ");
      state.at += 2; // the name and its colon
    }
    line.append(...[value(state, depth + 1)].flat());
    lines.push(line);
  }
  state.at += 1;
  const end = closing + comma(state);
  if (!lines.length) return el("span", { class: "leaf" }, opening + end);
  const note = el(
    "span",
    { class: "unit folded" },
    ` ${lines.length} ${opening === "{" ? "members" : "items"} ${end}`,
  );
  return el(
    "details",
    { open: depth < OPEN_LEVELS },
    el("summary", {}, opening, note),
    el("div", { class: "inside" }, lines),
    end,
  );
}
