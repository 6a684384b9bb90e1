// Health: the ledger as a picture, then rings, queue, spool, store and retention. Curves begin when the page is opened.

import { el } from "../lib/dom.js";
import { ago, clockText, count, durationText, grade, moment, sizeText } from "../lib/format.js";
import { ask, Problem, wordsFor } from "../lib/api.js";
import { ledgerBar, PARTS, partsOf } from "../lib/ledger.js";
import { spark } from "../lib/line-chart.js";

const POLL_MS = 2000;
const EVENTS_EVERY = 5; // polls
const EVENTS = 8;
const GAPS_PERIOD = "7d";
const SAMPLES = 150; // five minutes
const MEANING = {
  stored: "committed, on disk",
  spooled: "on disk, not yet in the store",
  waiting: "ring and queue",
  dropped: "counted, lost",
};
const REASONS = [
  "ring_full",
  "spool_full",
  "io_error",
  "poison",
  "corrupt",
  "too_large",
  "shutdown_deadline",
  "other_store",
];

export function mount(main, signal) {
  const page = new HealthPage(main, signal);
  page.read();
  return page;
}

class HealthPage {
  constructor(main, signal) {
    Object.assign(this, { main, signal, samples: [], events: [], gaps: [], polls: 0 });
    this.keys = {};
    const timer = setInterval(() => {
      if (!document.hidden) this.read();
    }, POLL_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  async read() {
    try {
      const [ledger, status] = await Promise.all([
        ask("/api/ledger", {}, this.signal),
        ask("/api/status", {}, this.signal),
      ]);
      if (this.polls % EVENTS_EVERY === 0) await this.readEvents();
      this.polls += 1;
      const { last_flush_s: flush, oldest_unstored_s: oldest } = status.writer;
      this.samples = [
        ...this.samples,
        {
          at: Date.now(),
          flush: status.storage.up ? flush * 1000 : null,
          spooled: ledger.spooled,
          oldest,
          isAway: !status.storage.up,
        },
      ].slice(-SAMPLES);
      this.draw(partsOf(ledger), ledger, status);
    } catch (error) {
      const text = wordsFor(error);
      if (text && !this.samples.length)
        this.main.replaceChildren(
          el("h1", {}, "Health"),
          el(
            "p",
            { class: "failed" },
            error instanceof Problem && error.status === 403
              ? "Health is for callers from whom nothing is hidden: this token has a scope."
              : text,
          ),
        );
    }
  }

  /** Our own events: the newest, and the gaps of the last days; with a store that is away the last ones stay. */
  async readEvents() {
    const events = (more) =>
      ask("/api/records", { kind: "event", limit: EVENTS, ...more }, this.signal).then(
        ({ records }) => records,
      );
    try {
      [this.events, this.gaps] = await Promise.all([
        events({ level: "info,warn,error" }),
        events({ level: "error", since: GAPS_PERIOD }),
      ]);
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
    }
  }

  draw(parts, ledger, status) {
    const { configuration } = status;
    const scrolled = this.main.scrollTop;
    this.main.replaceChildren(
      headline(parts, status, this.samples),
      ledgerPart(parts),
      el("div", { class: "pair uneven" }, workers(status), dropped(ledger.dropped)),
      el(
        "div",
        { class: "thirds" },
        this.curve(
          "Flush time",
          "last batch",
          (sample) => sample.flush,
          (value) => durationText(Math.round(value * 1000)),
        ),
        this.curve(
          "Spool",
          `records, of ${binary(configuration.spool?.max_bytes)}`,
          (sample) => sample.spooled,
          count,
        ),
        this.curve(
          "Oldest unstored",
          "",
          (sample) => sample.oldest,
          (value) => `${value.toFixed(1)}\u00a0s`,
        ),
      ),
      el(
        "div",
        { class: "thirds" },
        store(status),
        retention(configuration.retention, status.retention ?? {}),
        batches(status.writer),
      ),
      el("div", { class: "pair" }, gaps(this.gaps), events(this.events)),
    );
    this.main.scrollTop = scrolled;
  }

  curve(title, note, read, write) {
    const values = this.samples.map(read),
      known = values.filter((value) => value !== null);
    const away = this.samples.map((sample) => sample.isAway);
    const drawing = spark(values.length > 1 ? values : [...values, ...values], {
      width: 400,
      height: 64,
      isWhole: true,
    });
    drawing.setAttribute("viewBox", "0 0 400 64");
    drawing.setAttribute("preserveAspectRatio", "none");
    drawing.setAttribute("width", "100%");
    const share = 100 / Math.max(1, away.length - 1);
    const hatches = runs(away).map(([first, last]) => {
      const hatch = el("span", { class: "away-hatch" }, el("span", {}, "store away"));
      hatch.style.left = `${first * share}%`;
      hatch.style.width = `${Math.max(1, (last - first) * share)}%`;
      return hatch;
    });
    const most = known.length ? `at most ${write(Math.max(...known))}` : "";
    return el(
      "section",
      {},
      head(title, note, known.length ? write(known.at(-1)) : "–"),
      el("div", { class: "curve" }, drawing, hatches),
      el(
        "p",
        { class: "frame-axis unit" },
        el("span", {}, clockText(new Date(this.samples[0].at))),
        el("span", {}, most),
        el("span", {}, "now"),
      ),
    );
  }
}

/** Where a list is true: [[first, last]]. */
function runs(flags) {
  const found = [];
  flags.forEach((flag, index) => {
    if (flag && flags[index - 1]) found.at(-1)[1] = index;
    else if (flag) found.push([index, index]);
  });
  return found;
}

const head = (title, note, figure = "") =>
  el(
    "div",
    { class: "section-head" },
    el("h2", {}, title, " ", el("span", { class: "unit" }, note)),
    el("span", { class: "mono" }, figure),
  );
const binary = (bytes) =>
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
  if (!status.storage.up)
    return [
      "error",
      "Store away",
      `${count(parts.spooled)} records are in the spool. Requests are answered as always.`,
    ];
  if (parts.spooled > 0)
    return [
      "warn",
      "Catching up",
      `${count(parts.spooled)} records are still in the spool${toGo(samples)}. Requests were never held up.`,
    ];
  if (status.draining) return ["warn", "Draining", "sidelog is being stopped."];
  if (status.rings.some((ring) => !ring.worker_alive))
    return ["warn", "A worker is away", "It is started again; what it had noted is kept."];
  if (status.rings.some((ring) => fill(ring) >= FULL))
    return [
      "warn",
      "Rings are filling",
      "Records are kept without bodies until the store is faster than the traffic.",
    ];
  return ["", "Well", "Everything that came is stored, or about to be."];
}

/** How long the spool needs at the pace of the last samples; empty when it does not shrink. */
function toGo(samples) {
  const [from, to] = [samples.at(-6) ?? samples[0], samples.at(-1)];
  const perSecond = (from.spooled - to.spooled) / Math.max(0.001, (to.at - from.at) / 1000);
  return perSecond > 0 ? `, about ${durationText((to.spooled / perSecond) * 1e6)} to go` : "";
}

function headline(parts, status, samples) {
  const [grade, word, text] = verdict(parts, status, samples);
  return el(
    "div",
    { class: "page-head" },
    el(
      "h1",
      {},
      "Health ",
      el(
        "span",
        { class: `verdict ${grade}` },
        el("span", { class: "grade", "aria-hidden": "true" }),
        word,
      ),
      " ",
      el("span", { class: "verdict-text" }, text),
    ),
    el(
      "p",
      { class: "unit" },
      `sidelog ${status.version}, instance ${status.instance}, up ${upText(status.uptime_s)}`,
    ),
  );
}

function ledgerPart(parts) {
  const isToScale = parts.stored === parts.received;
  const shown = PARTS.filter((name) => parts[name] > 0 || name === "stored");
  return el(
    "section",
    { class: "ledger" },
    head("Ledger", "since the data directory was made", ""),
    el(
      "p",
      { class: "balance" },
      el("span", { class: "unit" }, "received"),
      el("b", {}, count(parts.received)),
      el(
        "span",
        { class: parts.missing ? "bad" : "unit" },
        parts.missing ? "The sides differ" : "Both sides are equal, checked now",
      ),
    ),
    el("div", { class: "line" }),
    ledgerBar(parts),
    !isToScale &&
      el(
        "p",
        { class: "unit small" },
        "not to scale: stored is cut short at the //, so that the small parts are seen",
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

const FULL = 0.75,
  FULLER = 0.9; // of a ring: bodies are cut, then left out
const fill = (ring) => ring.used_bytes / Math.max(1, ring.capacity_bytes);
const upText = (seconds) =>
  seconds === null || seconds === undefined ? "–" : ago(Date.now() - seconds * 1000);
const orDash = (value) =>
  value === null || value === undefined ? el("span", { class: "unit" }, "–") : count(value);
const quietZero = (value) =>
  value ? el("span", { class: "bad" }, count(value)) : el("span", { class: "unit" }, "0");

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
        ? "bodies cut"
        : ring.worker_alive
          ? ""
          : "worker away, being read to its end";
  return [
    meter,
    el("span", { class: "mono" }, `${(share * 100).toFixed(share < 0.1 ? 1 : 0)} %`),
    el("span", { class: "unit" }, ` ${note}`),
  ];
}

function workers(status) {
  const names = [
    "Process",
    "PID",
    "Up",
    "In flight",
    "Requests",
    "Refused",
    `Ring, ${binary(status.rings[0]?.capacity_bytes)} each`,
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
  const queue = `${count(writer.waiting_records)} waiting, of at most ${binary(status.configuration.storage.queue_max_bytes)}${writer.is_full ? ", the queue is full" : ""}`;
  rows.push(
    el(
      "tr",
      {},
      el("td", {}, "collector"),
      figures(
        collector.pid ?? "–",
        upText(collector.uptime_s),
        orDash(null),
        orDash(null),
        orDash(null),
      ),
      el("td", { class: "gauge" }, queue),
    ),
  );
  return el(
    "section",
    {},
    head("Workers", "marks at 75 % (bodies cut) and 90 % (no bodies)"),
    el(
      "table",
      { class: "managed processes" },
      el(
        "thead",
        {},
        el(
          "tr",
          {},
          names.map((name, index) =>
            el("th", { scope: "col", class: index > 0 && index < 6 ? "figure" : null }, name),
          ),
        ),
      ),
      el("tbody", {}, rows),
    ),
  );
}

const facts = (pairs) =>
  el(
    "dl",
    { class: "facts" },
    pairs.map(([name, value, note = ""]) => [
      el("dt", {}, name),
      el("dd", { class: "mono" }, value, el("span", { class: "unit" }, " ", note)),
    ]),
  );

function dropped(reasons) {
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

function store(status) {
  const { storage, retention: limits } = status.configuration;
  const used = status.retention?.used_bytes;
  return el(
    "section",
    {},
    head("Store", ""),
    el(
      "p",
      { class: status.storage.up ? "" : "error" },
      el("span", { class: "grade", "aria-hidden": "true" }),
      status.storage.up ? "reachable" : "away",
    ),
    facts(
      [
        ["Where", String(storage.url)],
        used
          ? ["Size", sizeText(used), limits.max_bytes ? `of ${sizeText(limits.max_bytes)}` : ""]
          : null,
        ["Durability", storage.durability],
        ["Queue", binary(storage.queue_max_bytes), "then the spool"],
      ].filter(Boolean),
    ),
  );
}

const EXPLAINED = {
  __proto__: null,
  ring_full: "the ring was full",
  ring_lost: "a ring was lost with its machine",
  other_boot: "the machine went down",
  spool_full: "the spool was full",
};

/** Where records are missing, newest first. */
function gaps(records) {
  const rows = records.map((record) => {
    const start = moment(record.started_at_us),
      { count: number, reason } = record.data ?? {};
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
          number === null || number === undefined ? "unknown" : count(number),
        ),
      ),
      el("td", { class: "mono" }, String(reason ?? record.name)),
      el("td", { class: "unit" }, EXPLAINED[reason] ?? ""),
    );
  });
  return el(
    "section",
    { class: "events" },
    el(
      "div",
      { class: "section-head" },
      el("h2", {}, "Gaps ", el("span", { class: "unit" }, "records that are missing, last 7 days")),
      el(
        "a",
        { href: `/requests?filter=kind:event level:error&period=${GAPS_PERIOD}` },
        "Show in requests",
      ),
    ),
    rows.length
      ? el("table", { class: "managed" }, el("tbody", {}, rows))
      : el("p", { class: "unit" }, "None: the log is whole"),
  );
}

/** Our own events: what retention removed, containers forgotten, records erased. */
function events(records) {
  const rows = records.map((record) => {
    const start = moment(record.started_at_us);
    return el(
      "tr",
      {},
      el("td", { class: "mono", title: start.title }, start.date + start.clock),
      el(
        "td",
        { class: "mono" },
        el("span", { class: grade(record) }, el("span", { class: "grade", "aria-hidden": "true" })),
        record.name,
      ),
      el("td", { class: "mono unit" }, JSON.stringify(record.data ?? null)),
    );
  });
  return el(
    "section",
    { class: "events" },
    el(
      "div",
      { class: "section-head" },
      el(
        "h2",
        {},
        "Events ",
        el("span", { class: "unit" }, "retention, erasures, what else sidelog did by itself"),
      ),
      el("a", { href: "/requests?filter=kind:event&period=7d" }, "Show in requests"),
    ),
    rows.length
      ? el("table", { class: "managed" }, el("tbody", {}, rows))
      : el("p", { class: "unit" }, "None yet"),
  );
}

function retention(limits, state) {
  const since = (ms) => (ms ? [ago(ms), "ago"] : ["–", ""]);
  return el(
    "section",
    {},
    head("Retention", ""),
    facts([
      ["Records", days(limits.max_age_days)],
      ["Bodies", days(limits.body_max_age_days)],
      [
        "Size",
        limits.max_bytes ? sizeText(limits.max_bytes) : "no cap",
        limits.max_bytes ? "oldest go first" : "",
      ],
      ["Oldest", ...since(state.oldest_ms)],
      ["Last look", ...since(state.looked_at_ms)],
      [
        "Behind",
        durationText(Math.round((state.lag_s ?? 0) * 1e6)),
        state.rows_purged ? `${count(state.rows_purged)} removed since the start` : "",
      ],
    ]),
  );
}
const days = (number) => (number ? `${number} days` : "for ever");
const batches = (writer) =>
  el(
    "section",
    {},
    head("Batches", "since the start"),
    facts([
      ...Object.entries(writer.batches).map(([name, number]) => [name, count(number)]),
      ["Escaped", count(writer.records_escaped), "records"],
      ["Quarantined", count(writer.records_quarantined), "records"],
    ]),
  );
