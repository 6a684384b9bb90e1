// Numbers and times as a person reads them: number and unit apart, unknown is an en dash and never 0.

import { partsOf, zoneName } from "./zone.js";

const THIN = "\u202f";
const DAY_MS = 86400000;

/** @typedef {[number, number, string]} Scale below the limit: the divisor and the unit */

/** @type {Scale[]} */
const SIZES = [
  [1e3, 1, "B"],
  [1e6, 1e3, "kB"],
  [1e9, 1e6, "MB"],
  [Infinity, 1e9, "GB"],
];
/** @type {Scale[]} */
const AGES = [
  [120, 1, "s"],
  [7200, 60, "min"],
  [172800, 3600, "h"],
  [Infinity, 86400, "d"],
];

/** @typedef {[string, string]} Quantity a number and its unit */

/** @type {Quantity} */
export const UNKNOWN = ["–", ""];

export function count(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** What a request asked for: the path, of an outgoing call behind its host; null where it was unreadable. */
export function targetText({ direction, host, path }) {
  return direction === "out" && path?.startsWith("/") ? host + path : path;
}

/** `1 call`, `2 calls`. */
export const countOf = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;

/**
 * A duration in µs.
 * @returns {Quantity}
 */
export function duration(us) {
  if (us === null || us === undefined) return UNKNOWN;
  if (us === 0) return ["0", "ms"];
  if (us < 1000) return [(us / 1000).toFixed(us < 100 ? 2 : 1), "ms"];
  if (us < 10_000) return [(us / 1000).toFixed(1), "ms"];
  if (us < 1_000_000) return [String(Math.round(us / 1000)), "ms"];
  if (us < 100_000_000) return [(us / 1_000_000).toFixed(2), "s"];
  if (us < 120_000_000) return [(us / 1_000_000).toFixed(1), "s"];
  return [String(Math.round(us / 60_000_000)), "min"];
}

/**
 * A size in bytes, decimal.
 * @returns {Quantity}
 */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return UNKNOWN;
  for (const [limit, divisor, unit] of SIZES) {
    if (bytes < limit) return [divisor === 1 ? String(bytes) : (bytes / divisor).toFixed(1), unit];
  }
  return UNKNOWN;
}

export const sizeText = (bytes) => size(bytes).join("\u00a0").trim();
export const durationText = (us) => duration(us).join("\u00a0").trim();

/** A large number in three digits and a magnitude: `1.284 M`. */
export function short(number) {
  if (number < 10_000) return count(number);
  if (number < 1_000_000) return `${(number / 1000).toFixed(1)}\u00a0k`;
  return `${(number / 1_000_000).toFixed(3)}\u00a0M`;
}

/**
 * Share of a whole in percent, with enough digits to differ from zero.
 * @returns {Quantity}
 */
export function percent(part, whole) {
  if (!whole) return UNKNOWN;
  const value = (100 * part) / whole;
  return [value === 0 ? "0" : value < 10 ? value.toFixed(2) : value.toFixed(1), "%"];
}

/** Money: four digits for one call, two for a sum of ten cents and more; what is less than a digit can show says so. */
export function money(usd, digits = 4) {
  if (usd === null || usd === undefined) return "no price";
  const shown = usd > 0 && usd < 0.1 ? Math.max(digits, 4) : digits;
  const least = 10 ** -shown;
  return usd > 0 && usd < least / 2 ? `<$${least.toFixed(shown)}` : `$${usd.toFixed(shown)}`;
}

/** How long ago, in one unit. */
export const ago = (ms) => spanText(Math.max(0, Math.round((Date.now() - ms) / 1000)));

/** A span of whole seconds, in one unit. */
export function spanText(seconds) {
  for (const [limit, divisor, unit] of AGES) {
    if (seconds < limit) return `${Math.floor(seconds / divisor)}\u00a0${unit}`;
  }
  return "";
}

const pad = (number, width = 2) => String(number).padStart(width, "0");

const MONTHS = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(" ");
const clockOf = ({ hours, minutes, seconds }) => `${pad(hours)}:${pad(minutes)}:${pad(seconds)}`;

/** {date, clock, ms, title} of a start in µs: in the zone shown, with the date when it is not today, UTC in the title. */
export function moment(us) {
  const time = new Date(us / 1000);
  const parts = partsOf(time);
  const isToday =
    Math.abs(Date.now() - time.getTime()) < DAY_MS && parts.day === partsOf(new Date()).day;
  const date = isToday ? "" : `${pad(parts.day)} ${MONTHS[parts.month]} `;
  const clock = clockOf(parts);
  const shown = `${parts.year}-${pad(parts.month + 1)}-${pad(parts.day)} ${clock}`;
  const ms = `.${pad(parts.ms, 3)}`;
  return { date, clock, ms, title: `${shown}${ms} ${zoneName(time)}, ${time.toISOString()}` };
}

/** `11:42:07` of a Date, in the zone shown. */
export const clockText = (time) => clockOf(partsOf(time));

/** `20 Nov 11:42` of a Date, in the zone shown; for the ends of axes and periods. */
export function dayText(time, withDay = true) {
  const { day, month, hours, minutes } = partsOf(time);
  const clock = `${pad(hours)}:${pad(minutes)}`;
  return withDay ? `${day} ${MONTHS[month]} ${clock}` : clock;
}

/** `20 Nov` of a Date, in the zone shown. */
export function shortDay(time) {
  const { day, month } = partsOf(time);
  return `${day} ${MONTHS[month]}`;
}

/** `20 Nov 2026` of an ISO date, in UTC: the day that is given for the end of a key. */
export function dayOf(text) {
  const time = new Date(text);
  return `${time.getUTCDate()} ${MONTHS[time.getUTCMonth()]} ${time.getUTCFullYear()}`;
}

/** The mark of a record, which can be read by its shape, without colour. */
export function grade(record) {
  if (record.in_flight) return "flying";
  if (record.level === "error" || record.level === "warn" || record.level === "debug")
    return record.level;
  return "info";
}

/** A query as it is read: percent-decoded, but for what would change its parts or the line it stands in. */
export const queryText = (query) =>
  query.replace(/(?:%[0-9a-f]{2})+/gi, (coded) => {
    try {
      return decodeURIComponent(coded).replace(/[&=#%+\p{C}\p{Z}]/gu, (character) =>
        character === " " ? " " : encodeURIComponent(character),
      );
    } catch {
      return coded; // another charset
    }
  });

/** A value as indented JSON; text that is none stays as it is. */
export function jsonText(value) {
  const text = typeof value === "string" ? value : JSON.stringify(value ?? null);
  try {
    return prettyJson(text);
  } catch {
    return text;
  }
}

/** The tokens of JSON; a text is one, whatever its length. */
export const JSON_TOKEN = /"[^"\\]*(?:\\.[^"\\]*)*"|[{}[\],:]|[^\s{}[\],:"]+/gs;
const NOT_FINITE = /^-?(?:NaN|Infinity)$/;
const MAX_INDENT = 64; // levels: 64 KiB of brackets within each other would be a gigabyte of spaces

/** Read JSON, also with the numbers that Python writes and JSON has not: they are null. */
export function parseJson(text) {
  const isPython = text.includes("NaN") || text.includes("Infinity");
  const known = (token) => (NOT_FINITE.test(token) ? "null" : token);
  return JSON.parse(isPython ? text.replace(JSON_TOKEN, known) : text);
}

/** Indent JSON without touching its tokens: large numbers and repeated keys stay as they were sent. */
export function prettyJson(text) {
  parseJson(text); // throws when it is none
  const pieces = []; // joined at the end: to look at what is written already took minutes for 1 MB
  let depth = 0,
    last = "";
  for (const [token] of text.matchAll(JSON_TOKEN)) {
    const isEnd = token === "}" || token === "]";
    const isFirst = last === "{" || last === "[";
    if (isEnd) depth -= 1;
    if (isEnd ? !isFirst : isFirst || last === ",")
      pieces.push("\n", "  ".repeat(Math.min(depth, MAX_INDENT)));
    pieces.push(token === ":" ? ": " : token);
    if (token === "{" || token === "[") depth += 1;
    last = token;
  }
  return pieces.join("");
}
