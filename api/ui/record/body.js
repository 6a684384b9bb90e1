// A stored body: pretty JSON that folds and can be searched, raw text, or hex; and what of it was kept.

import { button, el, unit } from "../lib/dom.js";
import { prettyJson, sizeText } from "../lib/format.js";
import { cutMark, keptNote } from "./cut.js";
import { hexLines, bytesOf } from "./hex.js";
import { jsonTree } from "./json-tree.js";
import { marked } from "./redaction.js";

const OMITTED = {
  __proto__: null,
  level: "not kept: capture level of this route",
  shed: "not kept: overload",
  coding: "not kept: it could not be decoded and so not redacted",
  retention: "deleted by retention",
};
const MAX_TREE = 262_144; // characters; larger bodies are shown as text

export function bodyView(record, side) {
  const body = record[side].body;
  const wire = record[side + "_bytes"];
  if (body === null)
    return [el("h3", {}, "Body ", unit(wire ? `${sizeText(wire)}, not kept` : "none sent"))];
  if (body.omitted)
    return [
      el(
        "h3",
        {},
        "Body ",
        unit(`${sizeText(body.size)}, ${OMITTED[body.omitted] ?? "not kept: " + body.omitted}`),
      ),
    ];
  const host = el("div", { class: "body" });
  const views = viewsOf(body);
  const buttons = views.map(([name, make]) =>
    button(
      name,
      (event) => {
        for (const other of buttons)
          other.setAttribute("aria-pressed", String(other === event.currentTarget));
        host.replaceChildren(...make());
      },
      { class: "link", "data-view": name.toLowerCase() },
    ),
  );
  const save = el(
    "a",
    { href: `api/records/${record.id}/${side}-body`, download: `${record.id}-${side}-body` },
    "Download",
  );
  buttons[0].setAttribute("aria-pressed", "true");
  host.replaceChildren(...views[0][1]());
  return [
    el(
      "h3",
      { class: "body-title" },
      el("span", {}, "Body ", unit(keptNote(body))),
      el("span", { class: "views" }, buttons, save),
    ),
    host,
  ];
}

/** @typedef {[string, () => Node[]]} View a name, and what makes its nodes */

/**
 * The ways to show a body, the best one first.
 * @returns {View[]}
 */
function viewsOf(body) {
  const dump = (end) => el("pre", { tabindex: 0, class: "hex" }, hexLines(bytesFor(body, end)));
  const ends = (make) =>
    body.truncated
      ? [body.head && make("head"), cutMark(body), body.tail && make("tail")].filter(Boolean)
      : [make("head")];
  /** @type {View} */
  const hex = ["Hex", () => ends(dump)];
  if (body.encoding === "base64") return [hex];
  /** @type {View} */
  const raw = ["Raw", () => ends((end) => text(body[end]))];
  const pretty = body.truncated ? null : prettyView(body.head);
  return pretty ? [["Pretty", pretty], raw, hex] : [raw, hex];
}

const bytesFor = (body, window) =>
  body.encoding === "base64" ? bytesOf(body[window]) : new TextEncoder().encode(body[window]);
const text = (content) => el("pre", { tabindex: 0 }, marked(content));

/** The way to show JSON; null when it is none. */
function prettyView(content) {
  if (!/^\s*[[{]/.test(content)) return null;
  let pretty;
  try {
    pretty = prettyJson(content);
  } catch {
    return null;
  }
  if (content.length > MAX_TREE) return () => [text(pretty)];
  return () => searchable(jsonTree(content));
}

/** A tree with a field that marks where a word occurs. */
function searchable(tree) {
  const found = el("span", { class: "unit" });
  const field = el("input", {
    type: "search",
    class: "find",
    placeholder: "Find in this body",
    "aria-label": "Find in this body",
    oninput: () => {
      const word = field.value.toLowerCase();
      let number = 0;
      for (const leaf of tree.querySelectorAll(".leaf, .name")) {
        const isHit = word !== "" && leaf.textContent.toLowerCase().includes(word);
        leaf.classList.toggle("hit", isHit);
        if (!isHit) continue;
        number += 1;
        for (let box = leaf.closest("details"); box; box = box.parentElement.closest("details"))
          box.open = true;
      }
      found.textContent = word ? `${number} found` : "";
      tree.querySelector(".hit")?.scrollIntoView({ block: "nearest" });
    },
  });
  return [el("div", { class: "find-line" }, field, found), tree];
}
