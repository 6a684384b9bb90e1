// A record as a curl command line that repeats it; what was redacted is a placeholder to fill in.

// What curl writes itself, or what belongs to one connection only.
const LEFT_OUT = new Set([
  "host",
  "content-length",
  "connection",
  "keep-alive",
  "transfer-encoding",
  "trailer",
  "upgrade",
  "proxy-connection",
  "accept-encoding",
]);
const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
const REDACTED = /\[REDACTED(?::[0-9a-f]+)?\]/g;

const quote = (text) => "'" + text.replaceAll("'", "'\\''") + "'";

/** Write the command; the path is sent as it came, and nothing in the record can become an option. */
export function asCurl(record) {
  const query = record.query === null ? "" : "?" + record.query;
  const url = `${record.scheme}://${record.host ?? "127.0.0.1"}${record.path ?? "/"}${query}`;
  const parts = ["curl --globoff --path-as-is"];
  if (record.method === "HEAD") parts.push("--head");
  else if (record.method !== "GET" && TOKEN.test(record.method ?? ""))
    parts.push(`--request ${quote(record.method)}`);
  parts.push(`--url ${quote(url.replace(REDACTED, "REDACTED"))}`);
  for (const [name, value] of record.request?.headers ?? []) {
    if (!TOKEN.test(name) || LEFT_OUT.has(name.toLowerCase())) continue;
    parts.push(`--header ${quote(`${name}: ${value.replace(REDACTED, () => `<${name}>`)}`)}`);
  }
  const body = record.request?.body;
  if (body && body.encoding === "utf-8" && !body.truncated && !body.omitted && body.head !== "") {
    parts.push(`--data-raw ${quote(body.head)}`);
  } else if (body && body.size > 0) parts.push("--data-binary @body");
  return parts.join(" \\\n  ");
}
