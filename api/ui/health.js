// Health: the ledger as a picture, then rings, queue, spool, store and retention. Curves begin when the page is opened.

import { el } from "./dom.js";
import { ago, clockText, count, durationText, grade, moment, sizeText } from "./format.js";
import { ask, Problem, wordsFor } from "./http.js";
import { ledgerBar, PARTS, partsOf } from "./ledger.js";
import { spark } from "./lines.js";

const POLL_MS = 2000;
const EVENTS_EVERY = 5; // polls
const EVENTS = 8;
const SAMPLES = 150; // five minutes
const MEANING = { stored: "committed, on disk", spooled: "on disk, not yet in the store", waiting: "ring and queue", dropped: "counted, lost" };
const REASONS = ["ring_full", "spool_full", "io_error", "poison", "corrupt", "too_large", "shutdown_deadline", "other_store"];

export function mount(main, signal) {
  const page = new HealthPage(main, signal);
  page.read();
  return page;
}

class HealthPage {
  constructor(main, signal) {
    Object.assign(this, { main, signal, samples: [], events: [], polls: 0 });
    this.keys = {};
    const timer = setInterval(() => { if (!document.hidden) this.read(); }, POLL_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  async read() {
    try {
      const [ledger, status] = await Promise.all([ask("/api/ledger", {}, this.signal), ask("/api/status", {}, this.signal)]);
      if (this.polls % EVENTS_EVERY === 0) this.events = (await ask("/api/records", { kind: "event", level: "info,warn,error", limit: EVENTS }, this.signal)).records;
      this.polls += 1;
      this.samples = [...this.samples, { at: Date.now(), flush: status.writer.last_flush_s * 1000, spooled: ledger.spooled, oldest: status.writer.oldest_unstored_s, waiting: ledger.waiting }].slice(-SAMPLES);
      this.draw(partsOf(ledger), ledger, status);
    } catch (error) {
      const text = wordsFor(error);
      if (text && !this.samples.length) this.main.replaceChildren(el("h1", {}, "Health"), el("p", { class: "failed" }, error instanceof Problem && error.status === 403 ? "Health is for callers from whom nothing is hidden: this token has a scope." : text));
    }
  }

  draw(parts, ledger, status) {
    const { configuration } = status;
    const scrolled = this.main.scrollTop;
    this.main.replaceChildren(headline(parts, status), ledgerPart(parts),
      el("div", { class: "pair uneven" }, workers(status), dropped(ledger.dropped)),
      el("div", { class: "thirds" }, this.curve("Flush time", "last batch", (sample) => sample.flush, (value) => durationText(Math.round(value * 1000))),
        this.curve("Spool", `records, of ${binary(configuration.spool?.max_bytes)}`, (sample) => sample.spooled, count),
        this.curve("Oldest unstored", "seconds", (sample) => sample.oldest, (value) => `${value.toFixed(1)}\u00a0s`)),
      el("div", { class: "thirds" }, store(status), retention(configuration.retention), batches(status.writer)), events(this.events));
    this.main.scrollTop = scrolled;
  }

  curve(title, note, read, write) {
    const values = this.samples.map(read);
    const drawing = spark(values.length > 1 ? values : [...values, ...values], { width: 400, height: 64 });
    drawing.setAttribute("viewBox", "0 0 400 64");
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("width", "100%");
    const first = new Date(this.samples[0].at);
    return el("section", {}, head(title, note, write(values.at(-1))), drawing,
      el("p", { class: "frame-axis unit" }, el("span", {}, clockText(first)), el("span", {}, `max ${write(Math.max(...values))}`), el("span", {}, "now")));
  }
}

const head = (title, note, figure = "") => el("div", { class: "section-head" }, el("h2", {}, title, " ", el("span", { class: "unit" }, note)), el("span", { class: "mono" }, figure));
const binary = (bytes) => (bytes >= 1 << 30 ? `${(bytes / (1 << 30)).toFixed(bytes % (1 << 30) ? 1 : 0)} GiB` : `${Math.round((bytes ?? 0) / (1 << 20))} MiB`);

function verdict(parts, status) {
  if (parts.missing !== 0) return ["error", "Does not balance", `${count(Math.abs(parts.missing))} records are unaccounted for. This is a bug in sidelog: report it with the log.`];
  if (!status.storage.up) return ["error", "Store away", `${count(parts.spooled)} records are in the spool. Requests are answered as always.`];
  if (parts.spooled > 0) return ["warn", "Catching up", `${count(parts.spooled)} records are still in the spool. Requests were never held up.`];
  if (status.draining) return ["warn", "Draining", "sidelog is being stopped."];
  if (status.rings.some((ring) => !ring.worker_alive)) return ["warn", "A worker is away", "It is started again; what it had noted is kept."];
  return ["", "Well", "Everything that came is stored, or about to be."];
}

function headline(parts, status) {
  const [grade, word, text] = verdict(parts, status);
  return el("div", { class: "page-head" }, el("h1", {}, "Health ", el("span", { class: `verdict ${grade}` }, el("span", { class: "grade", "aria-hidden": "true" }), word), " ", el("span", { class: "verdict-text" }, text)),
    el("p", { class: "unit" }, `${status.version}, up ${ago(Date.now() - status.uptime_s * 1000)}, ${status.instance}`));
}

function ledgerPart(parts) {
  const isToScale = parts.stored === parts.received;
  const shown = PARTS.filter((name) => parts[name] > 0 || name === "stored");
  return el("section", { class: "ledger" }, head("Ledger", "since the data directory was made", ""),
    el("p", { class: "balance" }, el("span", { class: "unit" }, "received"), el("b", {}, count(parts.received)), el("span", { class: parts.missing ? "bad" : "unit" }, parts.missing ? "The sides differ" : "Both sides are equal, checked now")),
    el("div", { class: "line" }), ledgerBar(parts), !isToScale && el("p", { class: "unit small" }, "not to scale: stored is cut short at the //, so that the small parts are seen"),
    el("dl", { class: "ledger-parts" }, shown.map((name) => el("div", {}, el("dt", {}, name), el("dd", { class: name === "dropped" && parts.dropped ? "number error" : "number" }, count(parts[name])), el("dd", { class: "unit" }, MEANING[name])))));
}

function workers(status) {
  const rows = status.rings.map((ring, index) => {
    const share = ring.used_bytes / Math.max(1, ring.capacity_bytes);
    const meter = el("span", { class: share >= 0.9 ? "meter error" : share >= 0.75 ? "meter warn" : "meter", role: "meter", "aria-valuenow": Math.round(share * 100), "aria-valuemin": 0, "aria-valuemax": 100, "aria-label": `Ring of worker ${index + 1}` }, el("span"));
    meter.firstChild.style.width = `${Math.max(share * 100, share > 0 ? 1 : 0)}%`;
    const note = share >= 0.9 ? "no bodies" : share >= 0.75 ? "bodies cut" : ring.worker_alive ? "" : "worker away";
    return el("tr", {}, el("td", {}, `worker ${index + 1}`, el("span", { class: "unit mono" }, ` ${ring.source.slice(0, 8)}`)), el("td", { class: "figure" }, count(ring.pushed)), el("td", { class: "figure" }, ring.refused ? el("span", { class: "bad" }, count(ring.refused)) : el("span", { class: "unit" }, "0")),
      el("td", { class: "gauge" }, meter, el("span", { class: "mono" }, `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`), el("span", { class: "unit" }, ` ${note}`)));
  });
  const queue = el("tr", {}, el("td", {}, "collector"), el("td", { class: "figure" }, "–"), el("td", { class: "figure" }, "–"), el("td", {}, `${count(status.writer.waiting_records)} waiting, of at most ${binary(status.configuration.storage.queue_max_bytes)}${status.writer.is_full ? ", the queue is full" : ""}`));
  return el("section", {}, head("Workers", "marks at 75 % (bodies cut) and 90 % (no bodies)"), el("table", { class: "managed" }, el("thead", {}, el("tr", {}, ["Process", "Records", "Refused", `Ring, ${binary(status.rings[0]?.capacity_bytes)} each`].map((name, index) => el("th", { scope: "col", class: index === 1 || index === 2 ? "figure" : null }, name)))), el("tbody", {}, rows, queue)));
}

const facts = (pairs) => el("dl", { class: "facts" }, pairs.map(([name, value, note = ""]) => [el("dt", {}, name), el("dd", { class: "mono" }, value, el("span", { class: "unit" }, " ", note))]));

function dropped(reasons) {
  const names = [...new Set([...REASONS, ...Object.keys(reasons)])];
  return el("section", {}, head("Dropped", "by reason"), el("dl", { class: "reasons" }, names.map((name) => el("div", { class: reasons[name] ? "bad" : "unit" }, el("dt", { class: "mono" }, name), el("dd", { class: "mono" }, count(reasons[name] ?? 0))))));
}

function store(status) {
  const { storage } = status.configuration;
  return el("section", {}, head("Store", ""), el("p", { class: status.storage.up ? "" : "error" }, el("span", { class: "grade", "aria-hidden": "true" }), status.storage.up ? "reachable" : "away"), facts([["Where", String(storage.url)], ["Durability", storage.durability], ["Queue", binary(storage.queue_max_bytes), "then the spool"]]));
}

/** Our own events: what retention removed, containers forgotten, records erased. */
function events(records) {
  const rows = records.map((record) => {
    const start = moment(record.started_at_us);
    return el("tr", {}, el("td", { class: "mono", title: start.title }, start.date + start.clock), el("td", { class: "mono" }, el("span", { class: grade(record) }, el("span", { class: "grade", "aria-hidden": "true" })), record.name),
      el("td", { class: "mono unit" }, JSON.stringify(record.data ?? null)));
  });
  return el("section", { class: "events" }, el("div", { class: "section-head" }, el("h2", {}, "Events ", el("span", { class: "unit" }, "retention, erasures, what else sidelog did by itself")), el("a", { href: "/requests?filter=kind:event&period=7d" }, "Show in requests")),
    rows.length ? el("table", { class: "managed" }, el("tbody", {}, rows)) : el("p", { class: "unit" }, "None yet"));
}

const retention = (limits) => el("section", {}, head("Retention", ""), facts([["Records", `${limits.max_age_days} days`], ["Bodies", `${limits.body_max_age_days} days`], ["Size", limits.max_bytes ? sizeText(limits.max_bytes) : "no cap", "oldest go first"]]));
const batches = (writer) => el("section", {}, head("Batches", "since the start"), facts([...Object.entries(writer.batches).map(([name, number]) => [name, count(number)]), ["Escaped", count(writer.records_escaped), "records"], ["Quarantined", count(writer.records_quarantined), "records"]]));
