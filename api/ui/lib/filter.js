// The filter box: `name:value` words become the API's filters, other words a part of the path, an id opens its record.

export const NAMES = [
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
  "tool",
  "q",
  "kind",
  "trace_id",
  "error_type",
  "min_latency_ms",
  "max_latency_ms",
];
const LISTS = new Set([
  "status",
  "method",
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
  "error_type",
  "provider",
  "model",
  "finish_reason",
  "called_tool",
  "tool",
]);
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
  endpoint: "endpoint",
};
const ID = /^(?:req_[0-9a-z]{26}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;
const HEX = /^[0-9a-f]{32}$/i;
const WORD = /(?:([A-Za-z_]+):)?(?:"([^"]*)"|(\S+))/g;

/** Whether the text is a record's id; 32 hex digits may also be a trace id. */
export const isId = (text) => ID.test(text.trim()) || HEX.test(text.trim());

/** The words of the box: [{name, value}]; a bare word is a path. */
export function words(text) {
  return [...text.matchAll(WORD)].map(([, name, quoted, bare]) => ({
    name: name ?? "path",
    value: quoted ?? bare,
    isBare: name === undefined,
  }));
}

/** Read the box: {parameters} for the API, or {error} with what is wrong. */
export function parse(text) {
  const parameters = {};
  for (const { name, value } of words(text)) {
    if (!NAMES.includes(name))
      return { error: `${name} is not a filter; use one of ${NAMES.join(", ")}` };
    if (name.endsWith("_ms") && !/^[0-9]+$/.test(value))
      return { error: `${name} must be whole milliseconds, for example 1500` };
    if (
      name === "status" &&
      !/^([1-5]xx|[1-9][0-9][0-9])(,([1-5]xx|[1-9][0-9][0-9]))*$/i.test(value)
    ) {
      return { error: "status must be a code or a class, for example 404 or 5xx" };
    }
    if (!(name in parameters)) parameters[name] = value;
    else if (LISTS.has(name)) parameters[name] += "," + value;
    else return { error: `${name} is given twice` };
  }
  return { parameters };
}

const write = ({ name, value, isBare = false }) =>
  (isBare ? "" : `${name}:`) + (/[\s"]/.test(value) ? `"${value.replaceAll('"', "")}"` : value);

/** The values a filter has in the box. */
export const valuesOf = (text, name) =>
  words(text)
    .filter((word) => word.name === name)
    .flatMap((word) => (LISTS.has(name) ? word.value.split(",") : [word.value]));

/** The box with a value of a filter put in, or taken out when it was there. */
export function toggled(text, name, value) {
  const values = valuesOf(text, name);
  const others = words(text).filter((word) => word.name !== name);
  const wanted = values.includes(value)
    ? values.filter((other) => other !== value)
    : [...values, value];
  return [...others.map(write), ...wanted.map((one) => write({ name, value: one }))].join(" ");
}

/** The box without a filter. */
export const without = (text, name) =>
  words(text)
    .filter((word) => word.name !== name)
    .map(write)
    .join(" ");

/** Whether only the server can tell what passes: a list row does not say it. */
export const needsServer = (parameters) => "tool" in parameters || "q" in parameters;

/** Whether a record that came by the stream passes the filter, as the API would judge it. */
export function matches(record, parameters) {
  const kind = parameters.kind ?? "exchange";
  if (kind !== "all" && record.kind !== kind) return false;
  for (const [name, fields] of Object.entries(FIELDS)) {
    if (!(name in parameters)) continue;
    const wanted = parameters[name]
      .split(",")
      .map((value) => (name === "method" ? value.toUpperCase() : value));
    const values = [fields].flat().flatMap((field) => record[field]);
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
