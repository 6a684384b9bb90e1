// Numbers and times as a person reads them: number and unit apart, unknown is an en dash and never 0.

const THIN = "\u202f";
const DAY_MS = 86400000;

export const UNKNOWN = ["–", ""];

export function count(number) {
  return String(number).replace(/\B(?=(\d{3})+$)/g, THIN);
}

/** [number, unit] of a duration in µs. */
export function duration(us) {
  if (us === null || us === undefined) return UNKNOWN;
  if (us < 1000) return [(us / 1000).toFixed(us < 100 ? 2 : 1), "ms"];
  if (us < 10_000) return [(us / 1000).toFixed(1), "ms"];
  if (us < 1_000_000) return [String(Math.round(us / 1000)), "ms"];
  if (us < 120_000_000) return [(us / 1_000_000).toFixed(2), "s"];
  return [String(Math.round(us / 60_000_000)), "min"];
}

/** [number, unit] of a size in bytes, decimal. */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return UNKNOWN;
  for (const [limit, divisor, unit] of [[1e3, 1, "B"], [1e6, 1e3, "kB"], [1e9, 1e6, "MB"], [Infinity, 1e9, "GB"]]) {
    if (bytes < limit) return [divisor === 1 ? String(bytes) : (bytes / divisor).toFixed(1), unit];
  }
  return UNKNOWN;
}

export const sizeText = (bytes) => size(bytes).join("\u00a0").trim();
export const durationText = (us) => duration(us).join("\u00a0").trim();

const pad = (number, width = 2) => String(number).padStart(width, "0");

/** {date, clock, ms, title} of a start in µs: local, with the date when it is not today, UTC in the title. */
export function moment(us) {
  const time = new Date(us / 1000);
  const isToday = Math.abs(Date.now() - time) < DAY_MS && time.getDate() === new Date().getDate();
  const date = isToday ? "" : `${pad(time.getDate())} ${time.toLocaleString("en", { month: "short" })} `;
  const clock = `${pad(time.getHours())}:${pad(time.getMinutes())}:${pad(time.getSeconds())}`;
  const local = `${time.getFullYear()}-${pad(time.getMonth() + 1)}-${pad(time.getDate())} ${clock}`;
  const ms = `.${pad(time.getMilliseconds(), 3)}`;
  return { date, clock, ms, title: `${local}${ms} local, ${time.toISOString()}` };
}

/** Which mark a record gets: the shape tells it without colour. */
export function grade(record) {
  if (record.in_flight) return "flying";
  if (record.level === "error" || record.level === "warn" || record.level === "debug") return record.level;
  return "info";
}

/** Indent JSON without touching its tokens: large numbers and repeated keys stay as they were sent. */
export function prettyJson(text) {
  JSON.parse(text); // throws when it is none
  let out = "", depth = 0;
  const line = () => "\n" + "  ".repeat(depth);
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gs)) {
    if (token === "{" || token === "[") { depth += 1; out += token + line(); }
    else if (token === "}" || token === "]") { depth -= 1; out = out.trimEnd(); out += (/[{[]$/.test(out) ? "" : line()) + token; }
    else if (token === ",") out += token + line();
    else out += token === ":" ? ": " : token;
  }
  return out;
}
