// The filter box: `name:value` words alone become the API's filters; everything else is a search (docs/search.md), which
// the server reads. An id opens its record.

const PARAMETERS = [
  "status",
  "method",
  "path",
  "endpoint",
  "route",
  "host",
  "level",
  "service",
  "project",
  "container",
  "client",
  "key",
  "outcome",
  "source",
  "provider",
  "model",
  "finish_reason",
  "called_tool",
  "tool_error",
  "grpc_status",
  "redacted",
  "conversation",
  "tool",
  "q",
  "kind",
  "trace_id",
  "error_type",
  "min_latency_ms",
  "max_latency_ms",
];
/** Parameter → the members of a record that it filters by. */
const FIELDS = {
  method: "method",
  route: "route_id",
  host: "host",
  level: "level",
  service: "service",
  project: "project",
  container: "container",
  client: "client",
  key: "key_id",
  outcome: "outcome",
  source: "source",
  error_type: "error_type",
  provider: "provider",
  model: ["model", "resolved_model"],
  finish_reason: "finish_reason",
  called_tool: "called_tools",
  tool_error: "failed_tools",
  grpc_status: "grpc_status",
  redacted: "redactions",
  conversation: "conversation",
  endpoint: "endpoint",
};
/** Parameters that messages pass, which are events, as exchanges do. */
const OF_MESSAGES = ["conversation", "finish_reason", "called_tool", "tool_error", "redacted"];
/** Parameters that take several values. */
const LISTS = new Set(["status", "tool", ...Object.keys(FIELDS)]);
const ID = /^(?:req_[0-9a-z]{26}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;
const HEX = /^[0-9a-f]{32}$/i;
const VALUE = String.raw`(?:"(?:[^"\\]|\\.)*"|\\.|[^\s"\\])+`;
const WORD = new RegExp(String.raw`(?<![\w.(-])([A-Za-z_]+):(${VALUE})`, "g");
const ALTERNATIVE = /(?:"(?:[^"\\]|\\.)*"|\\.|[^,"\\])+/g;
// A comma between quotes is part of a value: only a search can say that.
const PLAIN = /^(?:\s*[a-z_]+:(?:"[^"\\,]*"(?=\s|$)|(?![<>=,-])[^\s"()*\\]+(?=\s|$)))*\s*$/;

// Of other paths, the server knows how clients encode them.
const AS_SENT = /^[\w.~!$&'()*+,;=:@/-]*$/;

/** Whether the text is a record's id; 32 hex digits may also be a trace id. */
export const isId = (text) => ID.test(text.trim()) || HEX.test(text.trim());

const meant = (raw) => raw.replaceAll(/\\(.)|"/g, (_, literal) => literal ?? "");

/** The words of a text, with each value as it is written and as it is meant. */
const read = (text) =>
  [...text.matchAll(WORD)].map(([, name, raw]) => ({ name, raw, value: meant(raw) }));

/** Whether the text is a list of the API's filters, so that facets can show what it filters by. */
function isPlain(text) {
  if (!PLAIN.test(text)) return false;
  const found = read(text);
  const isParameter = ({ name, value }) =>
    PARAMETERS.includes(name) &&
    !/\.\./.test(value) &&
    (LISTS.has(name) || !value.includes(",")) &&
    !(name === "path" && value.includes("?")) &&
    !(name === "client" && /^[0-9a-f.:]+(\/|$)/i.test(value));
  return new Set(found.map(({ name }) => name)).size === found.length && found.every(isParameter);
}

/** The words of the box: [{name, value}]; a search is one, without a name of its own. */
export const words = (text) =>
  isPlain(text)
    ? read(text).map(({ name, value }) => ({ name, value }))
    : [{ name: "query", value: text, isBare: true }];

/** What of a search stands neither in quotes nor in brackets. */
export function outside(text) {
  let rest = text.replaceAll(/"(?:[^"\\]|\\.)*"/g, "");
  while (/\([^()]*\)/.test(rest)) rest = rest.replaceAll(/\([^()]*\)/g, "");
  return rest;
}

/** The part of a search behind its last bracket, of which each word must hold by itself. */
function lastPart(text) {
  const part = text.slice(text.lastIndexOf(")") + 1);
  return /(^|\s)(or|not)(\s|$)/i.test(part) ? "" : part;
}

/** Read the box: {parameters} for the API, or {error} with what is wrong; the server checks a search. */
export function parse(text) {
  const parameters = {};
  if (!isPlain(text)) return { parameters: { query: text } };
  for (const { name, value } of words(text)) {
    if (name.endsWith("_ms") && !/^[0-9]+$/.test(value))
      return { error: `${name} must be whole milliseconds, for example 1500` };
    if (
      name === "status" &&
      !/^([1-5]xx|[1-9][0-9][0-9])(,([1-5]xx|[1-9][0-9][0-9]))*$/i.test(value)
    ) {
      return { error: "status must be a code or a class, for example 404 or 5xx" };
    }
    parameters[name] = value;
  }
  return { parameters };
}

const quote = (value) => `"${value.replaceAll(/["\\]/g, "\\$&")}"`;
/** A value as it is written in a search, in quotes where it would read an end, a pattern, a comparison or a range. */
export const written = (value) => (/[\s"(),*\\]|^[<>=]|\.\./.test(value) ? quote(value) : value);

/** A filter as it is written in the box; `exactly`: where a search matches a part by default. */
export const term = (name, value, { exactly = false } = {}) =>
  `${name}:${exactly ? "=" : ""}${written(value)}`;

/** The alternatives of a filter in the box, as they are written. */
const alternatives = (text, name) =>
  read(isPlain(text) ? text : lastPart(text))
    .filter((word) => word.name === name)
    .flatMap(({ raw }) => (LISTS.has(name) ? (raw.match(ALTERNATIVE) ?? []) : [raw]));

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
export function narrowed(text, words) {
  if (!text) return words;
  return `${/(^|\s)or(\s|$)/i.test(outside(text)) ? `(${text})` : text} ${words}`;
}

/** The box without a filter. */
export function without(text, name) {
  if (name === "query" && !isPlain(text)) return "";
  const end = isPlain(text) ? text : lastPart(text);
  const start = text.slice(0, text.length - end.length);
  const found = new RegExp(`(^|\\s)${name}:${VALUE}`, "g");
  return (start + end.replace(found, "")).trim();
}

/** Whether only the server can decide what passes: a list row does not contain it. */
export const needsServer = (parameters) =>
  "tool" in parameters ||
  "q" in parameters ||
  "query" in parameters ||
  ("path" in parameters && !AS_SENT.test(parameters.path));

/** @type {Record<string, (value: string) => string>} */
const CASES = {
  __proto__: null,
  method: (value) => value.toUpperCase(),
  redacted: (value) => value.toLowerCase(),
};

/** Redactions by their ids; other values are what they are. */
const namesOf = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? Object.keys(value) : value;

/** Whether a record that came by the stream passes the filter, as the API would judge it. */
export function matches(record, parameters) {
  if ("query" in parameters) return true; // the server has judged
  const isOfMessages = OF_MESSAGES.some((name) => name in parameters);
  const kind = parameters.kind ?? (isOfMessages ? "all" : "exchange");
  if (kind !== "all" && record.kind !== kind) return false;
  for (const [name, fields] of Object.entries(FIELDS)) {
    if (!(name in parameters)) continue;
    const wanted = parameters[name].split(",").map((value) => CASES[name]?.(value) ?? value);
    const values = [fields].flat().flatMap((field) => namesOf(record[field]));
    if (!values.some((value) => wanted.includes(value))) return false;
  }
  if (
    "status" in parameters &&
    !parameters.status
      .toLowerCase()
      .split(",")
      .some((wanted) => statusMatches(record.status, wanted))
  )
    return false;
  if (
    "path" in parameters &&
    AS_SENT.test(parameters.path) &&
    !(record.path ?? "").toLowerCase().includes(parameters.path.toLowerCase())
  )
    return false;
  if (
    "trace_id" in parameters &&
    record.trace_id !== parameters.trace_id.replaceAll("-", "").toLowerCase()
  )
    return false;
  if ("min_latency_ms" in parameters && record.duration_us < parameters.min_latency_ms * 1000)
    return false;
  return !("max_latency_ms" in parameters && record.duration_us > parameters.max_latency_ms * 1000);
}

const statusMatches = (status, wanted) =>
  wanted.endsWith("xx")
    ? Math.floor(status / 100) === Number(wanted[0])
    : status === Number(wanted);
