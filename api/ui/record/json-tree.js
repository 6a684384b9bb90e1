// JSON as a tree that folds. It is read token by token, so large numbers and repeated names stay as they were sent; of a
// large one a part is drawn, and the rest where it is opened or found.

import { button, el } from "../lib/dom.js";
import { count, JSON_TOKEN, parseJson } from "../lib/format.js";
import { marked } from "./redaction.js";

const OPEN_LEVELS = 4;
const MAX_LEVELS = 64; // what is nested deeper is text: thousands of boxes in each other break a browser
const FIRST_LINES = 2000; // beyond them branches begin folded, and are drawn when they are opened
const STEP_LINES = 500; // of one branch, drawn at a time
const MAX_HITS = 500; // that are marked

/** Whether a text is an object or an array of JSON. */
export function isJson(text) {
  if (!/^\s*[[{]/.test(text)) return false;
  try {
    parseJson(text);
    return true;
  } catch {
    return false;
  }
}

const isOpening = (token) => token === "{" || token === "[";
const isClosing = (token) => token === "}" || token === "]";

function leaf(token) {
  const kind = token.startsWith('"') ? "text" : isOpening(token[0]) ? "" : "number";
  return el("span", { class: "leaf " + kind }, marked(token));
}

/** The tree of a text that is known to be JSON. */
export class JsonTree {
  constructor(text) {
    this.tokens = [...text.matchAll(JSON_TOKEN)].map(([token]) => token);
    this.parents = new Int32Array(this.tokens.length); // the opening bracket around each token, or -1
    this.ends = new Int32Array(this.tokens.length); // the closing bracket of each opening one
    this.sizes = new Int32Array(this.tokens.length); // how many commas it has
    this.measure();
    this.branches = new Map(); // by opening bracket, those that are drawn
    this.elements = new Map(); // of names and values, by token
    this.lines = 0;
    this.hits = [];
    this.host = el("div", { class: "tree", tabindex: 0 }, this.value(0, 0));
  }

  measure() {
    const open = [];
    this.tokens.forEach((token, at) => {
      if (isClosing(token)) this.ends[open.pop()] = at;
      const parent = open.at(-1) ?? -1;
      this.parents[at] = parent;
      if (token === ",") this.sizes[parent] += 1;
      if (isOpening(token)) open.push(at);
    });
  }

  endOf(at) {
    return isOpening(this.tokens[at]) ? this.ends[at] : at;
  }

  /** A value and the comma behind it, which of a branch is on the line of its bracket. */
  value(at, depth) {
    const end = this.endOf(at);
    const comma = this.tokens[end + 1] === "," ? "," : "";
    if (end > at + 1 && depth < MAX_LEVELS) return this.branch(at, depth, comma);
    const element = leaf(this.tokens.slice(at, end + 1).join(""));
    this.elements.set(at, element);
    return [element, comma];
  }

  branch(start, depth, comma) {
    const [opening, closing] = [this.tokens[start], this.tokens[this.ends[start]]];
    const size = this.sizes[start] + 1;
    const noun = opening === "{" ? "members" : "items";
    const note = el("span", { class: "unit folded" }, ` ${size} ${noun} ${closing}${comma}`);
    const isDrawn = this.lines < FIRST_LINES;
    const branch = { start, depth, next: start + 1, left: size };
    branch.more = button("", () => this.draw(branch), { class: "link", hidden: true });
    branch.inside = el("div", { class: "inside" }, branch.more);
    const ontoggle = () => branch.next === start + 1 && this.draw(branch);
    branch.box = el(
      "details",
      { open: isDrawn && depth < OPEN_LEVELS, ontoggle },
      el("summary", {}, opening, note),
      branch.inside,
      closing + comma,
    );
    this.branches.set(start, branch);
    if (isDrawn) this.draw(branch);
    return branch.box;
  }

  /** Draw more lines of a branch: at least those up to a token. */
  draw(branch, to = -1) {
    const end = this.ends[branch.start];
    for (let step = STEP_LINES; branch.next < end && (step > 0 || branch.next <= to); step -= 1)
      branch.more.before(this.line(branch));
    branch.more.hidden = branch.left === 0;
    branch.more.textContent = branch.left ? `${count(branch.left)} more` : "";
  }

  line(branch) {
    const line = el("div", { class: "line" });
    let at = branch.next;
    if (this.tokens[branch.start] === "{") {
      const name = el("span", { class: "name" }, this.tokens[at]);
      this.elements.set(at, name);
      line.append(name, ": ");
      at += 2; // the name and its colon
    }
    const end = this.endOf(at);
    branch.next = end + (this.tokens[end + 1] === "," ? 2 : 1);
    branch.left -= 1;
    this.lines += 1;
    line.append(...[this.value(at, branch.depth + 1)].flat());
    return line;
  }

  /** Mark the names and values that have a word, and show the first; returns how many there are. */
  find(text) {
    for (const element of this.hits.splice(0)) element.classList.remove("hit");
    const word = text.toLowerCase();
    let number = 0;
    if (word)
      this.tokens.forEach((token, at) => {
        if (/^[{}[\],:]$/.test(token) || !token.toLowerCase().includes(word)) return;
        number += 1;
        if (this.hits.length < MAX_HITS) this.mark(at);
      });
    this.hits[0]?.scrollIntoView({ block: "nearest" });
    return number;
  }

  mark(at) {
    const around = [];
    for (let parent = this.parents[at]; parent >= 0; parent = this.parents[parent])
      around.unshift(parent);
    for (const start of around) {
      const branch = this.branches.get(start);
      if (!branch) break; // nested so deep that it is text
      if (branch.next <= at) this.draw(branch, at);
      branch.box.open = true;
    }
    const place = [...around, at].findLast((start) => this.elements.has(start));
    const element = this.elements.get(place);
    element.classList.add("hit");
    this.hits.push(element);
  }
}

/** Make the tree of a text that is known to be JSON. */
export const jsonTree = (text) => new JsonTree(text).host;
