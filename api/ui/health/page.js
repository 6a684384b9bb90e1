// Health: polls ledger and status, and keeps samples for the curves, which begin when the page is opened.

import { el, renew } from "../lib/dom.js";
import { clockText, count, durationText } from "../lib/format.js";
import { getJson, ApiError, errorText } from "../lib/api.js";
import { LatestRead } from "../lib/latest-read.js";
import { partsOf } from "../lib/ledger.js";
import { spark } from "../lib/line-chart.js";
import { exports } from "./export.js";
import {
  batches,
  binary,
  dropped,
  events,
  gaps,
  GAPS_PERIOD,
  head,
  headline,
  ledgerPart,
  workers,
} from "./panels.js";
import { retention, store } from "./store.js";

const POLL_MS = 2000;
const EVENTS_EVERY = 5; // polls
const EVENTS = 8;
const SAMPLES = 150; // five minutes

export class Page {
  constructor(main, signal) {
    this.main = main;
    this.reads = new LatestRead(signal);
    this.samples = [];
    this.events = [];
    this.gaps = [];
    this.polls = 0;
    this.keys = {};
    const timer = setInterval(() => {
      if (!document.hidden && !this.reads.isBusy) this.read();
    }, POLL_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  onAddress() {
    this.read();
  }

  async read() {
    const signal = this.reads.next();
    try {
      const [ledger, status] = await Promise.all([
        getJson("api/ledger", {}, signal),
        getJson("api/status", {}, signal),
      ]);
      if (this.polls % EVENTS_EVERY === 0) await this.readEvents(signal);
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
      const text = errorText(error);
      if (text && !this.samples.length)
        this.main.replaceChildren(
          el("h1", {}, "Health"),
          el(
            "p",
            { class: "failed" },
            error instanceof ApiError && error.status === 403
              ? "Health needs a token without a scope."
              : text,
          ),
        );
    } finally {
      this.reads.end(signal);
    }
  }

  /** Internal events: the newest, and the gaps of the last days; while the store is unavailable the last ones stay. */
  async readEvents(signal) {
    const events = (more) =>
      getJson("api/records", { kind: "event", limit: EVENTS, ...more }, signal).then(
        ({ records }) => records,
      );
    try {
      [this.events, this.gaps] = await Promise.all([
        events({ level: "info,warn,error" }),
        events({ level: "error", since: GAPS_PERIOD }),
      ]);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }

  draw(parts, ledger, status) {
    const { configuration } = status;
    const scrolled = this.main.scrollTop;
    renew(
      this.main,
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
          "Oldest record not yet stored",
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
      ...exports(status),
      el("div", { class: "pair" }, gaps(this.gaps), events(this.events)),
    );
    this.main.scrollTop = scrolled;
  }

  curve(title, note, read, write) {
    const values = this.samples.map(read);
    const known = values.filter((value) => value !== null);
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
      const hatch = el("span", { class: "away-hatch" }, el("span", {}, "store unavailable"));
      hatch.style.left = `${first * share}%`;
      hatch.style.width = `${Math.max(1, (last - first) * share)}%`;
      return hatch;
    });
    const most = known.length ? `max ${write(Math.max(...known))}` : "";
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
