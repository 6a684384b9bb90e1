// Live mode of the log: takes records from the shared stream, holds them while paused, and reports what was missed.

import { el } from "../lib/dom.js";
import { clockText, count } from "../lib/format.js";
import { RecordStream } from "../lib/record-stream.js";

const MAX_NEWS = 5000; // held while paused; after that only the newest page is read again
const DRAW_MS = 150;

export class Live {
  /** `add(items)` puts items before the log, `refresh()` reads its newest page again, `draw()` shows the bar. */
  constructor({ add, refresh, draw }) {
    this.add = add;
    this.refresh = refresh;
    this.drawBar = draw;
    this.stopping = null;
    this.query = "";
    this.reset();
  }

  reset() {
    this.isPaused = false;
    this.since = null;
    this.news = [];
    this.isFull = false;
    this.isLost = false;
    this.lostAt = null;
    this.ended = null;
    this.queue = [];
    this.lastId = null;
    this.hadContact = false;
  }

  get isOn() {
    return this.stopping !== null;
  }

  /** Take what these parameters find from now on; a pause goes on over another search. */
  start(parameters) {
    const query = new URLSearchParams(parameters).toString();
    if (this.isOn && this.query === query) return;
    const { isPaused, since } = this;
    this.stop();
    Object.assign(this, { query, isPaused, since });
    this.stopping = new AbortController();
    this.stream = new RecordStream(
      (kind, data, id) => this.take(kind, data, id),
      this.stopping.signal,
      query,
    );
    this.timer = setInterval(() => {
      if (this.isPaused) this.drawBar();
    }, 1000);
  }

  /** Go on below a list that is read anew: it has all that came before. */
  follow() {
    this.news = [];
    this.queue = [];
    this.isFull = false;
  }

  stop() {
    this.stopping?.abort();
    this.stopping = null;
    clearInterval(this.timer);
    this.reset();
  }

  pause() {
    this.isPaused = true;
    this.since = Date.now();
    this.news = [];
    this.isFull = false;
    this.drawBar();
  }

  resume() {
    this.isPaused = false;
    if (this.isFull) this.refresh();
    else this.add(this.news.toReversed());
    this.news = [];
    this.isFull = false;
    this.drawBar();
  }

  take(kind, data, id) {
    if (id) this.lastId = id;
    if (kind === "record") return this.hold(data);
    if (kind === "lost") {
      this.lostAt ??= Date.now();
      this.isLost = true;
    } else if (kind === "back") {
      if (!this.hadContact || (this.lostAt && !this.lastId))
        this.refresh(); // what came between the list and the stream, or before its first record
      else if (this.lostAt) this.hold(resumedNotice(this.lostAt, this.lastId));
      this.hadContact = true;
      this.lostAt = null;
      this.isLost = false;
    } else if (kind === "gap") this.hold(gapNotice(data));
    else if (kind === "reset") {
      this.hold(resetNotice(data));
      this.refresh();
    } else if (kind === "ended")
      this.ended = `Container ${data.containerId} was destroyed, with its records.`;
    this.drawBar();
    if (this.ended) this.stopping?.abort();
  }

  hold(item) {
    if (this.isPaused) {
      if (this.news.length < MAX_NEWS) this.news.push(item);
      else this.isFull = true;
      return;
    }
    this.queue.push(item);
    if (this.queue.length > 1) return;
    setTimeout(() => {
      const items = this.queue.splice(0);
      if (this.isOn) this.add(items.reverse());
    }, DRAW_MS);
  }
}

let notices = 0;
const notice = (grade, content) => ({
  isNotice: true,
  id: `notice-${(notices += 1)}`,
  grade,
  content,
  level: "info",
  started_at_us: Date.now() * 1000,
  ended_at_us: Date.now() * 1000,
});

function resumedNotice(lostAt, lastId) {
  const [from, to] = [clockText(new Date(lostAt)), clockText(new Date())];
  return notice(
    "resumed",
    () =>
      `Connection to sidelog lost at ${from}, restored at ${to}, resumed after entry ${lastId ? count(lastId) : "0"}. Nothing was missed.`,
  );
}

function gapNotice(data) {
  return notice("gap", () => [
    el(
      "strong",
      {},
      data.count === null
        ? "Records are missing here "
        : `${count(data.count)} records are missing here `,
    ),
    el("code", { class: "chip" }, data.reason ?? "gap"),
    " All requests were proxied; only their log records are missing. ",
    el("a", { href: "health" }, "Open Health"),
  ]);
}

const resetNotice = (data) =>
  notice(
    "resumed",
    () =>
      `The stream restarted (${data.reason ?? "another store"}). Records below this line are older.`,
  );
