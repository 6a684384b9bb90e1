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

// A terminal that is pasted into takes these for keys: an escape, a line that ends, a program that is to stop.
const CONTROL = /[\0-\x08\x0b-\x1f\x7f-\x9f]/;
const ESCAPED = /[\\'\0-\x08\x0b-\x1f\x7f-\x9f]/g;

const octal = (byte) => `\\${byte.toString(8).padStart(3, "0")}`;
const escape = (character) => [...new TextEncoder().encode(character)].map(octal).join("");

/** A text as one word of a shell. `$'…'` is of bash and zsh; it holds no quote, so that another shell ends it there, too. */
const quote = (text) =>
  CONTROL.test(text)
    ? `$'${text.replace(ESCAPED, escape)}'`
    : "'" + text.replaceAll("'", "'\\''") + "'";

/** Write the command; the path is sent as it came, and nothing in the record can become an option. */
export function asCurl(record) {
  const query = record.query === null ? "" : "?" + record.query;
  const url = `${record.scheme}://${record.host ?? "127.0.0.1"}${record.path ?? "/"}${query}`;
  const headers = record.request?.headers ?? [];
  const data = dataOf(record.request?.body, headers);
  const isUsual = record.method === "GET" && !data.length; // with data, curl sends a POST
  const parts = ["curl --globoff --path-as-is"];
  if (record.method === "HEAD") parts.push("--head");
  else if (!isUsual && TOKEN.test(record.method ?? ""))
    parts.push(`--request ${quote(record.method)}`);
  parts.push(`--url ${quote(url.replace(REDACTED, "REDACTED"))}`);
  const isDecoded = record.request?.body?.coding && !record.request.body.omitted;
  for (const [name, value] of headers) {
    if (!TOKEN.test(name) || LEFT_OUT.has(name.toLowerCase())) continue;
    if (isDecoded && name.toLowerCase() === "content-encoding") continue;
    const shown = value.replace(REDACTED, () => `<${name}>`);
    parts.push(`--header ${quote(shown === "" ? `${name};` : `${name}: ${shown}`)}`);
  }
  return [...parts, ...data].join(" \\\n  ");
}

/** The body as options, none where there is none; curl would name a type of its own where none was sent. */
function dataOf(body, headers) {
  if (!body || !(body.size > 0)) return [];
  const isText =
    body.encoding === "utf-8" &&
    !body.truncated &&
    !body.omitted &&
    !body.charset &&
    body.head !== "";
  const data =
    isText && !body.head.includes("\0") ? `--data-raw ${quote(body.head)}` : "--data-binary @body";
  const isTyped = headers.some(([name]) => name.toLowerCase() === "content-type");
  return isTyped ? [data] : ["--header 'Content-Type:'", data];
}
