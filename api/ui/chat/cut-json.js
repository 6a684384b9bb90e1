// JSON of which something is missing: its beginning as far as it goes, and the items that its end has whole (RFC 8259).
//
// Pure, one pass over the text. A beginning is what was written: a name, number or word that may go on is left out, a
// text ends where it was cut. An end is read backwards, from the last bracket, where no text can be open.

import { readJson } from "./body.js";

const HIGH_SURROGATE = /\\u[dD][89abAB]/y;

/**
 * The beginning of a JSON text: {value, path}, or null when it is none.
 *
 * `path` leads to what was cut, names and numbers from the outside; it is empty when nothing is missing.
 */
export function beginningOf(text) {
  const open = []; // what has not ended: {end: its bracket, at: the name or number of the member that is read}
  let kept = 0; // behind the last value that is whole
  let rest = "";
  for (let at = 0; at < text.length; at += 1) {
    const sign = text[at];
    const inside = open.at(-1);
    if (sign === '"') {
      const { end, isWhole } = stringAt(text, at);
      if (inside?.at !== null) {
        if (!isWhole) rest = '"';
        kept = end;
      } else if (isWhole) inside.at = readJson(text.slice(at, end)) ?? "";
      if (!isWhole) break;
      at = end - 1;
    } else if (sign === "{" || sign === "[") {
      open.push(sign === "{" ? { end: "}", at: null } : { end: "]", at: 0 });
      kept = at + 1;
    } else if (sign === "}" || sign === "]") {
      open.pop();
      kept = at + 1;
    } else if (sign === "," && inside) {
      inside.at = inside.end === "]" ? inside.at + 1 : null;
      kept = at;
    }
  }
  const ends = open.map(({ end }) => end).reverse();
  const value = readJson(text.slice(0, kept) + rest + ends.join(""));
  return value === null ? null : { value, path: open.map(({ at }) => at) };
}

/** Where the string that begins here ends, or the last character of it that is whole. */
function stringAt(text, start) {
  let at = start + 1;
  while (at < text.length && text[at] !== '"') {
    const width = text[at] !== "\\" ? 1 : text[at + 1] === "u" ? 6 : 2;
    HIGH_SURROGATE.lastIndex = at;
    const needed = width === 6 && HIGH_SURROGATE.test(text) ? 12 : width; // half a character is none
    if (at + needed > text.length) return { end: at, isWhole: false };
    at += width;
  }
  return at < text.length ? { end: at + 1, isWhole: true } : { end: at, isWhole: false };
}

/** The objects at the end of an array that is a member of the whole, when its beginning is missing; else none. */
export function lastItemsOf(text) {
  const open = []; // the brackets whose opposites have not been met, from the outside
  let items = [];
  let end = 0;
  for (let at = text.length - 1; at >= 0; at -= 1) {
    const sign = text[at];
    if (sign === '"') at = startOfString(text, at);
    else if (sign === "}" || sign === "]") {
      open.push(sign);
      if (open.length === 2) items = [];
      if (open.length === 3) end = at + 1;
    } else if (sign === "{" || sign === "[") {
      open.pop();
      if (sign === "{" && open.length === 2) items.push(text.slice(at, end));
    }
  }
  return open[0] === "}" && open[1] === "]" ? items.reverse().map(readJson) : [];
}

/** Where the string began that ends here; before the text when that is missing. */
function startOfString(text, end) {
  for (let at = end - 1; at >= 0; at -= 1) {
    if (text[at] !== '"') continue;
    let first = at; // of the backslashes before it: an even number escapes nothing
    while (text[first - 1] === "\\") first -= 1;
    if ((at - first) % 2 === 0) return at;
    at = first;
  }
  return -1;
}
