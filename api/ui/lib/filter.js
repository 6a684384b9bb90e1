// The text of the filter box is a search (docs/search.md), which only the server reads. Here its words are put in, taken
// out and quoted. An id opens its record.

const ID = /^(?:req_[0-9a-z]{26}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;
const HEX = /^[0-9a-f]{32}$/i;
const VALUE = String.raw`(?:"(?:[^"\\]|\\.)*"|\\.|[^\s"\\])+`;
const WORD = new RegExp(String.raw`(?<![\w.(-])([A-Za-z_]+):(${VALUE})`, "g");
const ALTERNATIVE = /(?:"(?:[^"\\]|\\.)*"|\\.|[^,"\\])+/g;
const LITERAL = /"(?:[^"\\]|\\.)*"|\\./g;
const OPERATOR = /(^|\s)(or|not)(\s|$)/i;
const SIMPLE = /^(?!.*\.\.)[\p{L}\p{N}_./:@%{}-]+$/u;

/** Whether the text is a record's id; 32 hex digits may also be a trace id. */
export const isId = (text) => ID.test(text.trim()) || HEX.test(text.trim());

/** The parameters of the API that ask for what the box has. */
export const parametersOf = (text) => (text?.trim() ? { query: text } : {});

const meant = (raw) => raw.replaceAll(/\\(.)|"/g, (_, literal) => literal ?? "");

/** A text of the same length without what is quoted. */
const masked = (text) => text.replaceAll(LITERAL, (literal) => "_".repeat(literal.length));

/** What of a search stands neither in quotes nor in brackets. */
export function outside(text) {
  let rest = masked(text);
  while (/\([^()]*\)/.test(rest)) rest = rest.replaceAll(/\([^()]*\)/g, "");
  return rest;
}

/** The words of a search that must all hold, as they are written; one with brackets or alternatives is a single word. */
export function words(text) {
  const whole = text.trim();
  if (/[()]/.test(masked(whole)) || OPERATOR.test(masked(whole))) return [whole];
  return whole.match(new RegExp(VALUE, "g")) ?? [];
}

/** Where the part of a search begins of which each word must hold by itself: behind its last bracket. */
function lastPartOf(text) {
  const start = masked(text).lastIndexOf(")") + 1;
  return OPERATOR.test(masked(text).slice(start)) ? text.length : start;
}

/** A value as it is written in a search, in quotes where it could be read as something else. */
export const written = (value) =>
  SIMPLE.test(value) ? value : `"${value.replaceAll(/["\\]/g, "\\$&")}"`;

/** A filter as it is written in the box; `exactly`: where a search matches a part by default. */
export const term = (name, value, { exactly = false } = {}) =>
  `${name}:${exactly ? "=" : ""}${written(value)}`;

/** The alternatives of a filter in the box, as they are written. */
const alternatives = (text, name) =>
  [...text.slice(lastPartOf(text)).matchAll(WORD)]
    .filter(([, other]) => other === name)
    .flatMap(([, , raw]) => raw.match(ALTERNATIVE) ?? []);

/** The values a filter has in the box. */
export const valuesOf = (text, name) => alternatives(text, name).map(meant);

/** The box with a value of a filter put in, or taken out when it was there; others stay as they are written. */
export function toggled(text, name, value) {
  const found = alternatives(text, name);
  const kept = found.filter((other) => meant(other) !== value);
  const wanted = kept.length < found.length ? kept : [...found, written(value)];
  const others = without(text, name);
  return wanted.length ? narrowed(others, `${name}:${wanted.join(",")}`) : others;
}

/** A search of which some words must hold as well. */
export function narrowed(text, more) {
  if (!text) return more;
  return `${/(^|\s)or(\s|$)/i.test(outside(text)) ? `(${text})` : text} ${more}`;
}

/** The box without a filter. */
export function without(text, name) {
  const start = lastPartOf(text);
  const found = new RegExp(`(^|\\s)${name}:${VALUE}`, "g");
  return (text.slice(0, start) + text.slice(start).replace(found, "")).trim();
}
