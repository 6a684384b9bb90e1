// A stored body: in the form that suits it, as raw text, or hex; and what of it was kept.

import { button, el, unit } from "../lib/dom.js";
import { sizeText } from "../lib/format.js";
import { contentView, headerOf } from "./content.js";
import { cutMark, keptNote } from "./cut.js";
import { hexLines, bytesOf } from "./hex.js";
import { marked } from "./redaction.js";

const OMITTED = {
  __proto__: null,
  level: "not kept: capture level of this route",
  shed: "not kept: overload",
  coding: "not kept: it could not be decoded and so not redacted",
  retention: "deleted by retention",
};

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
  const views = viewsOf(body, headerOf(record[side].headers, "content-type"));
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
    isByNumber(body) &&
      el(
        "p",
        { class: "unit" },
        "Fields by their numbers: a schema gives them names, ",
        el("code", {}, "protobuf"),
        " of the route.",
      ),
  ].filter(Boolean);
}

/** Whether a message of gRPC was read without a schema. */
const isByNumber = ({ coding, head }) =>
  /\bprotobuf$/.test(coding ?? "") && /^\[\{"\d+":/.test(head);

/** @typedef {[string, () => Node[]]} View a name, and what makes its nodes */

/**
 * The ways to show a body, the best one first.
 * @returns {View[]}
 */
function viewsOf(body, type) {
  const dump = (end) => el("pre", { tabindex: 0, class: "hex" }, hexLines(bytesFor(body, end)));
  const ends = (make) =>
    body.truncated
      ? [body.head && make("head"), cutMark(body), body.tail && make("tail")].filter(Boolean)
      : [make("head")];
  /** @type {View} */
  const hex = ["Hex", () => ends(dump)];
  const isText = body.encoding !== "base64";
  /** @type {View} */
  const raw = ["Raw", () => ends((end) => text(body[end]))];
  const best = isShownWhole(body, type)
    ? contentView(bytesFor(body, "head"), isText ? body.head : null, type)
    : null;
  const own = best ? [withCut(best, body)] : [];
  return isText ? [...own, raw, hex] : [...own, hex];
}

/** @type {(view: View, body: any) => View} */
const withCut = ([name, make], body) => [
  name,
  () => (body.truncated ? [...make(), cutMark(body)] : make()),
];

/** Whether what was kept can be shown in its own form: all of it, or parts that end where it was cut. */
const isShownWhole = (body, type) => !body.truncated || /^\s*multipart\//i.test(type);

const bytesFor = (body, window) =>
  body.encoding === "base64" ? bytesOf(body[window]) : new TextEncoder().encode(body[window]);
const text = (content) => el("pre", { tabindex: 0 }, marked(content));
