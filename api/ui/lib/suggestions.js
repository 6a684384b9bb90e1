// How the word before the caret of the search box may go on: the words of the search (`GET /api/words`), their values, and
// values, headers and places in bodies that records have, of the period and of what the rest of the search finds. All is
// read through the API, so by its scope.

import { address } from "./address.js";
import { ApiError, getJson } from "./api.js";
import { isId, outside, parametersOf, written } from "./filter.js";
import { count, parseJson } from "./format.js";
import { readPeriod } from "./time-range.js";

const MAX_OFFERS = 8;
const MAX_VALUES = 1000; // of a field, the most frequent
const MAX_LOOKED_AT = 6; // records whose heads and bodies are read for names, each of another endpoint
const MAX_PLACES = 200; // in one body
const MAX_LEVELS = 5;
const KEPT_MS = 60_000;

const TOKEN = /"(?:[^"\\]|\\.)*"?|\\.|[\s()]|[^\s()"\\]+|\\/gs;
const FIELD = /^((?:request_|response_)?(?:header|body)\.)/i;
const PLACE = /^[\w-]+$/; // other names are put in quotes

let words = [];
/** @type {Map<string, {at: number, values: {value: string, count?: number}[]}>} */
const seen = new Map(); // of a question to the API what came of it

/** The word that a text ends with. */
function lastWord(text) {
  let word = "";
  for (const [token] of text.matchAll(TOKEN)) word = /^[\s()]$/.test(token) ? "" : word + token;
  return word.replace(/^-+/, "");
}

/** Take a word apart: its name, lower case but for places in bodies, and its value; undefined where it has none yet. */
function partsOf(word) {
  const [, name, value] = word.match(/^([\w.-]*)(?::(.*))?$/s) ?? [null, "", undefined];
  const isPlace = /^\w*body\./i.test(name);
  return { name: isPlace ? name : name.toLowerCase(), value };
}

const prefixOf = (name) => name.match(FIELD)?.[1].toLowerCase() ?? "";
const wordOf = (name) =>
  words.find((word) => word.name === (prefixOf(name) || name) || word.aliases.includes(name));

/** The request to the API for how a text may go on; null for none. */
function questionOf(text) {
  const { name, value } = partsOf(lastWord(text));
  if (value === undefined) return prefixOf(name) || null;
  const word = wordOf(name);
  if (!word || name === prefixOf(name)) return null;
  if (word.facet) return `${word.facet}:`;
  return word.grouped ? `${prefixOf(name) ? name : word.name}=` : null;
}

/**
 * What else must hold of a record: the search without the word before the caret, as the API takes it. Nothing where that
 * word is in brackets, or one of several alternatives.
 */
function restOf(text, after) {
  const before = text.slice(0, text.length - lastWord(text).length).replace(/-+$/, "");
  const rest = `${before} ${after}`.trim();
  const isApart = [before, rest].every((part) => !/[()]|(^|\s)(or|not)(\s|$)/i.test(outside(part)));
  return isApart ? parametersOf(rest) : {};
}

const keyOf = (question, rest) =>
  JSON.stringify([question, rest, readPeriod(address(), "24h").parameters]);
const valuesOf = (question, rest) => (question && seen.get(keyOf(question, rest))?.values) || [];

/** Read what is not known yet of how a text may go on, with another behind the caret; false when there is nothing more. */
export async function learn(text, after) {
  try {
    if (!words.length) words = (await getJson("api/words")).words;
    const question = questionOf(text);
    if (!question) return true;
    const rest = restOf(text, after);
    const key = keyOf(question, rest);
    if (Date.now() - (seen.get(key)?.at ?? 0) < KEPT_MS) return true;
    seen.set(key, { at: Date.now(), values: valuesOf(question, rest) });
    seen.set(key, { at: Date.now(), values: await readOf(question, rest) });
    return true;
  } catch {
    return false; // the box takes any text without suggestions
  }
}

/** Read what a question asks of what the rest finds, or of all where that is no search yet. */
async function readOf(question, rest) {
  const { parameters } = readPeriod(address(), "24h");
  if (Object.keys(rest).length === 0) return read(question, parameters);
  try {
    return await read(question, { ...rest, ...parameters });
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 400) throw error;
    return read(question, parameters);
  }
}

async function read(question, parameters) {
  const name = question.slice(0, -1);
  if (question.endsWith(":")) {
    const { facets } = await getJson("api/facets", { ...parameters, name });
    return facets[name];
  }
  if (question.endsWith("=")) {
    const { rows } = await getJson("api/top", { ...parameters, by: name, limit: MAX_VALUES });
    return rows.flatMap(({ state, value, count: number }) =>
      state === "known" && value ? [{ value, count: number }] : [],
    );
  }
  return (await readNames(parameters, name)).map((value) => ({ value }));
}

/** Read the names of headers, or of places in bodies, of records that differ. */
async function readNames(parameters, name) {
  const { records } = await getJson("api/records", { ...parameters, limit: 100 });
  const ids = new Map(records.map((record) => [`${record.method} ${record.endpoint}`, record.id]));
  const found = await Promise.all(
    [...ids.values()].slice(0, MAX_LOOKED_AT).map((id) => getJson(`api/records/${id}`)),
  );
  const sides = ["request", "response"].filter((side) => !/_/.test(name) || name.startsWith(side));
  const parts = found.flatMap((record) => sides.map((side) => record[side])).filter(Boolean);
  const names = parts.flatMap(name.endsWith("header") ? headersOf : placesOf);
  return [...new Set(names)].sort();
}

const headersOf = ({ headers }) => headers.map(([name]) => name.toLowerCase());

/** The places of values in a JSON body. */
function placesOf({ body }) {
  const places = [];
  const visit = (value, path) => {
    if (places.length >= MAX_PLACES || path.length > MAX_LEVELS) return;
    if (typeof value !== "object" || value === null) {
      if (path.length) places.push(path.join("."));
    } else if (Array.isArray(value)) value.slice(0, 1).forEach((item) => visit(item, [...path, 0]));
    else
      for (const [name, member] of Object.entries(value))
        visit(member, [...path, PLACE.test(name) ? name : JSON.stringify(name)]);
  };
  try {
    visit(parseJson(body.head), []);
  } catch {
    // no body, none that was kept whole, or no JSON
  }
  return places;
}

/**
 * How a text may go on: [{label, help, text, length}], where `text` replaces the last `length` characters. Behind a
 * space that is nothing, unless the reader `asks` for it. What is `after` the caret stays.
 */
export function offers(text, after, noun, { asks = false } = {}) {
  if (isId(text)) return [{ id: text.trim(), label: `Open ${noun} ${text.trim().slice(0, 12)}…` }];
  const { name, value } = partsOf(lastWord(text));
  const rest = restOf(text, after);
  if (value !== undefined) return valueOffers(text, rest, name, value);
  if (!name && !(asks && lastWord(text) === "")) return [];
  const prefix = prefixOf(name);
  const typed = prefix ? name.slice(prefix.length) : name;
  const names = prefix
    ? valuesOf(prefix, rest).map((other) => ({
        label: `${prefix}${other.value}:`,
        keys: [other.value],
      }))
    : words.map((word) => ({
        label: word.name.endsWith(".") ? word.name : `${word.name}:`,
        help: word.help,
        keys: [word.name, ...word.aliases],
      }));
  return best(names, typed).map(({ label, help }) => ({
    label,
    help,
    text: label,
    length: name.length,
  }));
}

/** The values of a word that begin with, or have, what is typed of the last of its alternatives; those seen come first. */
function valueOffers(text, rest, name, value) {
  const [, comparison, typed] = value
    .match(/(?:"(?:[^"\\]|\\.)*"?|\\.|[^",\\])*$/)[0]
    .match(/^([<>]?=?)(.*)$/s);
  const found = valuesOf(questionOf(text), rest);
  const counts = new Map(found.map((other) => [other.value, other.count]));
  const values = new Set([...counts.keys(), ...(wordOf(name)?.values ?? [])]);
  const known = [...values].map((other) => ({ value: other, keys: [other] }));
  return best(known, typed.replaceAll(/\\(.)|"/g, "$1")).map(({ value: other }) => ({
    label: `${name}:${comparison}${other}`,
    help: (counts.get(other) ?? null) === null ? undefined : count(counts.get(other)),
    text: written(other),
    length: typed.length,
  }));
}

/** Those with a key that begins with what is typed, then those that have it elsewhere; none that are typed already. */
function best(all, typed) {
  const wanted = typed.toLowerCase();
  const rank = ({ keys }) =>
    Math.min(
      ...keys
        .map((key) => key.toLowerCase().indexOf(wanted))
        .map((at) => (at < 0 ? 2 : Math.min(at, 1))),
    );
  return all
    .filter((one) => rank(one) < 2 && !(typed !== "" && one.keys[0] === typed))
    .toSorted((a, b) => rank(a) - rank(b))
    .slice(0, MAX_OFFERS);
}
