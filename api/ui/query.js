// The filter box: `name:value` words become the API's filters, other words a part of the path, an id opens its record.

const NAMES = ["status", "method", "path", "route", "host", "level", "service", "project", "container", "client", "key",
  "outcome", "source", "kind", "trace_id", "error_type", "min_latency_ms", "max_latency_ms"];
const LISTS = new Set(["status", "method", "route", "host", "level", "service", "project", "container", "client", "key",
  "outcome", "source", "error_type"]);
const ID = /^(?:req_[0-9a-z]{26}|[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})$/i;

export const isId = (text) => ID.test(text.trim());

/** Read the box: {parameters} for the API, or {error} with what is wrong. */
export function parse(text) {
  const parameters = {};
  for (const [, name, quoted, bare] of text.matchAll(/(?:([A-Za-z_]+):)?(?:"([^"]*)"|(\S+))/g)) {
    const value = quoted ?? bare;
    if (name !== undefined && !NAMES.includes(name)) return { error: `${name} is no filter; there are ${NAMES.join(", ")}` };
    const key = name ?? "path";
    if (!(key in parameters)) parameters[key] = value;
    else if (LISTS.has(key)) parameters[key] += "," + value;
    else return { error: `${key} is given twice` };
  }
  return { parameters };
}
