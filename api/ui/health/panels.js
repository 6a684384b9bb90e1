// The panels of the health page: verdict, ledger, workers, drops, store, retention, gaps and events. Pure: values in, nodes out.

import { el, gradeMark, sectionHead, table, unit } from "../lib/dom.js";
import { ago, count, durationText, grade, moment } from "../lib/format.js";
import { ledgerBar, PARTS } from "../lib/ledger.js";

export const GAPS_PERIOD = "7d";
const MEANING = {
  stored: "committed, on disk",
  spooled: "on disk, not yet in the store",
  waiting: "in ring or queue",
  sampled: "left out by a rule of capture",
  dropped: "lost, counted by reason",
};
const REASONS = ["ring_full", "corrupt", "poison", "other_store", "message_limit"];

export const head = (title, note = "", figure = "") =>
  sectionHead(title, note, el("span", { class: "mono" }, figure));
export const binary = (bytes) =>
  bytes >= 1 << 30
    ? `${(bytes / (1 << 30)).toFixed(bytes % (1 << 30) ? 1 : 0)} GiB`
    : `${Math.round((bytes ?? 0) / (1 << 20))} MiB`;

function verdict(parts, status, samples) {
  if (parts.missing !== 0)
    return [
      "error",
      "Does not balance",
      `${count(Math.abs(parts.missing))} records are unaccounted for. This is a bug in sidelog: report it with the log.`,
    ];
  if (!status.ready && !status.draining) return ["error", "Not ready", sentence(status.reasons)];
  if (!status.storage.up)
    return [
      "error",
      "Store unavailable",
      `${count(parts.spooled)} records are in the spool. Requests are not affected.`,
    ];
  if (parts.spooled > 0)
    return [
      "warn",
      "Catching up",
      `${count(parts.spooled)} records are still in the spool${toGo(samples)}. Requests are not affected.`,
    ];
  if (status.draining) return ["warn", "Draining", "sidelog is shutting down."];
  if (status.reasons.length) return ["warn", "Degraded", sentence(status.reasons)];
  if (status.rings.some((ring) => !ring.worker_alive))
    return ["warn", "A worker is down", "It is being restarted; the records in its ring are kept."];
  if (status.rings.some((ring) => fill(ring) >= FULL))
    return [
      "warn",
      "Rings are filling",
      "Bodies are left out of records until the store catches up with the traffic.",
    ];
  const wait = status.configuration.capture.max_wait_ms;
  if (wait && status.rings.some((ring) => fill(ring) > HALF))
    return [
      "warn",
      "Slowing traffic down",
      `Records come faster than they are stored: new requests wait, each at most ${wait} ms.`,
    ];
  return ["", "Healthy", "All records received are stored or pending."];
}

function sentence(reasons) {
  const text = reasons.join("; ");
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}

/** How long the spool needs at the pace of the last samples; empty when it does not shrink. */
function toGo(samples) {
  const [from, to] = [samples.at(-6) ?? samples[0], samples.at(-1)];
  const perSecond = (from.spooled - to.spooled) / Math.max(0.001, (to.at - from.at) / 1000);
  return perSecond > 0 ? `, about ${durationText((to.spooled / perSecond) * 1e6)} to go` : "";
}

export function headline(parts, status, samples) {
  const [grade, word, text] = verdict(parts, status, samples);
  return el(
    "div",
    { class: "page-head" },
    el(
      "h1",
      {},
      "Health ",
      el("span", { class: `verdict ${grade}` }, gradeMark(), word),
      " ",
      el("span", { class: "verdict-text" }, text),
    ),
    el(
      "p",
      { class: "unit" },
      `sidelog ${status.version}, instance ${status.instance}, up ${upText(status.uptime_s)} `,
      el("a", { href: "alerts" }, "Alerts"),
    ),
  );
}

export function ledgerPart(parts) {
  const isToScale = parts.stored === parts.received;
  const shown = PARTS.filter((name) => parts[name] > 0 || name === "stored");
  return el(
    "section",
    { class: "ledger" },
    head("Ledger", "since the data directory was created", ""),
    el(
      "p",
      { class: "balance" },
      unit("received"),
      el("b", {}, count(parts.received)),
      el(
        "span",
        { class: parts.missing ? "bad" : "unit" },
        parts.missing ? "Does not balance" : "Balanced, checked now",
      ),
    ),
    el("div", { class: "line" }),
    ledgerBar(parts),
    !isToScale &&
      el(
        "p",
        { class: "unit small" },
        "not to scale: stored is shortened at // so that the small parts stay visible",
      ),
    el(
      "dl",
      { class: "ledger-parts" },
      shown.map((name) =>
        el(
          "div",
          {},
          el("dt", {}, name),
          el(
            "dd",
            { class: name === "dropped" && parts.dropped ? "number error" : "number" },
            count(parts[name]),
          ),
          el("dd", { class: "unit" }, MEANING[name]),
        ),
      ),
    ),
  );
}

const HALF = 0.5; // of a ring: new requests wait
const FULL = 0.75; // bodies are truncated
const FULLER = 0.9; // bodies are left out
const fill = (ring) => ring.used_bytes / Math.max(1, ring.capacity_bytes);
const upText = (seconds) =>
  seconds === null || seconds === undefined ? "–" : ago(Date.now() - seconds * 1000);
const orDash = (value) => (value === null || value === undefined ? unit("–") : count(value));
const quietZero = (value) => (value ? el("span", { class: "bad" }, count(value)) : unit("0"));

function ringGauge(ring, name) {
  const share = fill(ring);
  const grade = share >= FULLER ? " error" : share >= FULL ? " warn" : "";
  const meter = el(
    "span",
    {
      class: "meter" + grade,
      role: "meter",
      "aria-valuenow": Math.round(share * 100),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
      "aria-label": `Ring of ${name}`,
    },
    el("span"),
  );
  meter.firstChild.style.width = `${Math.max(share * 100, share > 0 ? 1 : 0)}%`;
  const note =
    share >= FULLER
      ? "no bodies"
      : share >= FULL
        ? "bodies truncated"
        : ring.worker_alive
          ? ""
          : "worker down, reading what is left";
  return [
    meter,
    el("span", { class: "mono" }, `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`),
    unit(` ${note}`),
  ];
}

export function workers(status) {
  const names = [
    "Process",
    "PID",
    "Up",
    "In flight",
    "Requests",
    "Refused",
    status.rings.length ? `Ring, ${binary(status.rings[0].capacity_bytes)} each` : "Queue",
  ];
  const figures = (...values) =>
    values.map((value, index) =>
      el("td", { class: "figure", "data-label": names[index + 1] }, value),
    );
  const rows = status.rings.map((ring, index) =>
    el(
      "tr",
      {},
      el("td", { title: `ring ${ring.source}` }, `worker ${index + 1}`),
      figures(
        ring.pid ?? "–",
        upText(ring.uptime_s),
        orDash(ring.in_flight),
        orDash(ring.requests),
        quietZero(ring.refused),
      ),
      el("td", { class: "gauge" }, ringGauge(ring, `worker ${index + 1}`)),
    ),
  );
  const { writer, collector = {} } = status;
  const queue = `${count(writer.waiting_records)} waiting, queue of ${binary(status.configuration.storage.queue_max_bytes)}${writer.is_full ? ", full" : ""}`;
  rows.push(
    el(
      "tr",
      {},
      el("td", {}, "collector"),
      figures(collector.pid ?? "–", upText(collector.uptime_s), unit("–"), unit("–"), unit("–")),
      el("td", { class: "gauge" }, queue),
    ),
  );
  const note =
    status.configuration.proxy.data_port !== false
      ? "marks at 75 % (bodies truncated) and 90 % (no bodies)"
      : "none: no data port, it shows what others record";
  return el(
    "section",
    {},
    head("Workers", note),
    table({ class: "managed processes" }, names, el("tbody", {}, rows), names.slice(1, 6)),
  );
}

export const facts = (pairs) =>
  el(
    "dl",
    { class: "facts" },
    pairs.map(([name, value, note = ""]) => [
      el("dt", {}, name),
      el("dd", { class: "mono" }, value, unit(" ", note)),
    ]),
  );

export function dropped(reasons) {
  const names = [...new Set([...REASONS, ...Object.keys(reasons)])];
  return el(
    "section",
    {},
    head("Dropped", "by reason"),
    el(
      "dl",
      { class: "reasons" },
      names.map((name) =>
        el(
          "div",
          { class: reasons[name] ? "bad" : "unit" },
          el("dt", { class: "mono" }, name),
          el("dd", { class: "mono" }, count(reasons[name] ?? 0)),
        ),
      ),
    ),
  );
}

const EXPLAINED = {
  __proto__: null,
  ring_full: "the ring was full",
  ring_lost: "a ring was lost with the machine",
  other_boot: "the machine went down",
  spool_full: "the spool was full",
};

/** Where records are missing, newest first. */
export function gaps(records) {
  const rows = records.map((record) => {
    const start = moment(record.started_at_us);
    const { count: number, minCount, reason } = record.data ?? {};
    const known = minCount ? `at least ${count(minCount)}` : "unknown";
    return el(
      "tr",
      {},
      el("td", { class: "mono", title: start.title }, start.date + start.clock),
      el(
        "td",
        { class: "figure" },
        el(
          "span",
          { class: "bad" },
          number === null || number === undefined ? known : count(number),
        ),
      ),
      el("td", { class: "mono" }, String(reason ?? record.name)),
      el("td", { class: "unit" }, EXPLAINED[reason] ?? ""),
    );
  });
  return el(
    "section",
    { class: "events" },
    sectionHead(
      "Gaps",
      "missing records, last 7 days",
      el(
        "a",
        { href: `requests?filter=kind:event level:error&period=${GAPS_PERIOD}` },
        "Open in Requests",
      ),
    ),
    rows.length
      ? el("table", { class: "managed" }, el("tbody", {}, rows))
      : el("p", { class: "unit" }, "No records are missing"),
  );
}

/** Internal events: what retention removed, containers and records erased. */
export function events(records) {
  const rows = records.map((record) => {
    const start = moment(record.started_at_us);
    return el(
      "tr",
      {},
      el("td", { class: "mono", title: start.title }, start.date + start.clock),
      el("td", { class: "mono" }, el("span", { class: grade(record) }, gradeMark()), record.name),
      el("td", { class: "mono unit" }, JSON.stringify(record.data ?? null)),
    );
  });
  return el(
    "section",
    { class: "events" },
    sectionHead(
      "Events",
      "retention, erasures and other internal events",
      el("a", { href: "requests?filter=kind:event&period=7d" }, "Open in Requests"),
    ),
    rows.length
      ? el("table", { class: "managed" }, el("tbody", {}, rows))
      : el("p", { class: "unit" }, "None yet"),
  );
}

export const batches = (writer) =>
  el(
    "section",
    {},
    head("Batches", "since start"),
    facts([
      ...Object.entries(writer.batches).map(([name, number]) => [name, count(number)]),
      ...(writer.records_escaped
        ? [["Stored with escaped text", count(writer.records_escaped), "records"]]
        : []),
      ["Quarantined", count(writer.records_quarantined), "records"],
    ]),
  );
