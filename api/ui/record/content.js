// Whole content in the form that suits it: an image, the fields of a form, the parts of a multipart one, JSON.

import { el, table, unit } from "../lib/dom.js";
import { count, sizeText } from "../lib/format.js";
import { hexLines } from "./hex.js";
import { isJson, JsonTree } from "./json-tree.js";
import { marked } from "./redaction.js";

const MAX_FIELDS = 1000;
const MAX_PARTS = 100;
const MAX_LEVELS = 3; // of parts in parts
// Of the formats that are drawn; what a message says its type is may be anything.
/** @type {[string, string, RegExp][]} */
const SIGNATURES = [
  ["PNG", "image/png", /^\x89PNG\r\n\x1a\n/],
  ["JPEG", "image/jpeg", /^\xff\xd8\xff/],
  ["GIF", "image/gif", /^GIF8[79]a/],
  ["WebP", "image/webp", /^RIFF[^]{4}WEBP/],
  ["AVIF", "image/avif", /^[^]{4}ftypavi[fs]/],
];
const BLOCK = 8192; // arguments of one call

/** Bytes as a text of a character each. */
function charactersOf(bytes) {
  const pieces = [];
  for (let at = 0; at < bytes.length; at += BLOCK)
    pieces.push(String.fromCharCode(...bytes.subarray(at, at + BLOCK)));
  return pieces.join("");
}

const bytesIn = (characters) => Uint8Array.from(characters, (one) => one.charCodeAt(0));

/** Bytes as UTF-8; null when they are none. */
function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return null;
  }
}

/** The last value of a header, empty without one. */
export const headerOf = (headers, name) =>
  headers.findLast(([other]) => other.toLowerCase() === name)?.[1] ?? "";

/**
 * The way to show content for which there is a better one than text or hex.
 * @param {Uint8Array} bytes
 * @param {string | null} text
 * @param {string} type as the message names it
 * @param {number} level
 * @returns {[string, () => Node[]] | null}
 */
export function contentView(bytes, text, type, level = 0) {
  const start = charactersOf(bytes.subarray(0, 16));
  const format = SIGNATURES.find(([, , signature]) => signature.test(start));
  if (format) return ["Image", () => [image(bytes, format[0], format[1])]];
  const boundary = /^\s*multipart\/[^;]*;.*?\bboundary=(?:"([^"]+)"|([^\s;]+))/is.exec(type);
  if (boundary && level < MAX_LEVELS) {
    const parts = partsOf(charactersOf(bytes), boundary[1] ?? boundary[2]);
    if (parts.length) return ["Parts", () => partViews(parts, level + 1)];
  }
  if (text === null) return null;
  // Under any type: curl labels JSON as a form by default.
  if (isJson(text)) return ["Pretty", () => searchable(new JsonTree(text))];
  if (text && /^\s*application\/x-www-form-urlencoded\b/i.test(type))
    return ["Form", () => form(text)];
  return null;
}

/** An image, drawn: it has no address, which the content security policy would have to allow. */
function image(bytes, name, type) {
  const note = unit(`${name}, being read`);
  const host = el("figure", { class: "image" }, el("figcaption", {}, note));
  createImageBitmap(new Blob([bytes], { type })).then(
    (bitmap) => {
      const { width, height } = bitmap;
      note.textContent = `${name}, ${width} × ${height}`;
      const canvas = el("canvas", { role: "img", "aria-label": note.textContent, width, height });
      canvas.getContext("bitmaprenderer").transferFromImageBitmap(bitmap);
      host.prepend(canvas);
    },
    () => (note.textContent = `${name} that this browser cannot read`),
  );
  return host;
}

/** The fields of a form, in their order. */
function form(text) {
  const fields = [...new URLSearchParams(text)];
  const rows = fields
    .slice(0, MAX_FIELDS)
    .map(([name, value]) =>
      el("tr", {}, el("th", { scope: "row" }, marked(name)), el("td", {}, marked(value))),
    );
  const more = fields.length - rows.length;
  return [
    table({ class: "form-fields" }, ["Name", "Value"], el("tbody", {}, rows)),
    more > 0 && unit(`${count(more)} more: see Raw`),
  ].filter(Boolean);
}

/** The parts between the lines of a boundary (RFC 2046, section 5.1.1); the last may be cut off. */
function partsOf(characters, boundary) {
  const escaped = boundary.replaceAll(/[^\w]/g, "\\$&");
  const line = new RegExp(`(?:^|\\r?\\n)--${escaped}(--)?[ \\t]*(?=\\r?\\n|$)`, "g");
  const lines = [...characters.matchAll(line)];
  return lines.flatMap((found, index) => {
    if (found[1]) return [];
    const end = lines[index + 1]?.index ?? characters.length;
    return [partOf(characters.slice(found.index + found[0].length, end), index + 1 < lines.length)];
  });
}

function partOf(characters, isWhole) {
  const [, head, content] = /^((?:\r?\n[^\r\n]+)*)(?:\r?\n\r?\n|$)([^]*)$/.exec(characters) ?? [
    null,
    "",
    characters,
  ];
  const headers = (textOf(bytesIn(head)) ?? head)
    .split(/\r?\n/)
    .filter(Boolean)
    .map((line) => [line.split(":", 1)[0], line.slice(line.indexOf(":") + 1).trim()]);
  const said = headerOf(headers, "content-disposition");
  const parameter = (name) =>
    new RegExp(`;\\s*${name}="((?:[^"\\\\]|\\\\.)*)"`, "i").exec(said)?.[1] ??
    new RegExp(`;\\s*${name}=([^\\s;"]+)`, "i").exec(said)?.[1];
  return {
    name: parameter("name"),
    fileName: parameter("filename"),
    type: headerOf(headers, "content-type"),
    bytes: bytesIn(content),
    isWhole,
  };
}

function partViews(parts, level) {
  const more = parts.length - MAX_PARTS;
  return [
    ...parts.slice(0, MAX_PARTS).map((part, index) => partView(part, index + 1, level)),
    more > 0 && el("p", { class: "unit" }, `${count(more)} more parts: see Raw or the download`),
  ].filter(Boolean);
}

function partView({ name, fileName, type, bytes, isWhole }, number, level) {
  const facts = [fileName, type, sizeText(bytes.length), isWhole || "cut off"];
  const note = facts.filter((fact) => typeof fact === "string" && fact).join(" · ");
  const text = textOf(bytes);
  const view = isWhole && contentView(bytes, text, type, level);
  return el(
    "section",
    { class: "body-part" },
    el("h4", {}, marked(name ?? `Part ${number}`), " ", unit(note)),
    view ? view[1]() : plain(bytes, text),
  );
}

const plain = (bytes, text) =>
  bytes.length > 0 &&
  el(
    "pre",
    { tabindex: 0, class: text === null && "hex" },
    text === null ? hexLines(bytes) : marked(text),
  );

/** A tree with a field that marks where a word occurs. */
function searchable(tree) {
  const found = el("span", { class: "unit", role: "status" });
  const field = el("input", {
    type: "search",
    class: "find",
    placeholder: "Find in this body",
    "aria-label": "Find in this body",
    oninput: () => {
      const number = tree.find(field.value);
      found.textContent = field.value ? `${count(number)} found` : "";
    },
  });
  return [el("div", { class: "find-line" }, field, found), tree.host];
}
