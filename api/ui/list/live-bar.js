// The bar of the live mode: running, or paused since when, with how many came since and how many of them are bad.

import { button, el, gradeMark, put, redraw, unit, write } from "../lib/dom.js";
import { clockText, count } from "../lib/format.js";
import { spark } from "../lib/line-chart.js";

const SPARK_MS = 1000;
const SPARKS = 40;

/** What a live mode is at: "" where there is none, else what its bar looks like. */
const lookOf = ({ isOn, isPaused, isLost, ended }) => {
  if (ended) return "ended";
  if (!isOn) return "";
  if (isPaused) return "paused";
  return isLost ? "lost" : "live";
};

export class LiveBar {
  /** `pause`, `resume` and `stop` are what its buttons do. */
  constructor({ pause, resume, stop }) {
    // Both buttons of a pause stand in one place: who presses it may press it again.
    const toggle = { "data-name": "toggle" };
    this.pause = button(["Pause ", el("kbd", {}, "Space")], pause, toggle);
    this.resume = button(["Resume ", el("kbd", {}, "Space")], resume, {
      class: "primary",
      ...toggle,
    });
    this.stop = button(["Stop ", el("kbd", {}, "L")], stop, { class: "quiet" });
    this.close = button("Close", stop);
    this.look = "";
    this.news = el("span", { class: "news" });
    this.pace = el("span");
    this.seconds = unit();
    this.status = el("p", { class: "hidden", role: "status" }); // read aloud, and not each second
    this.bar = el("div");
    this.host = el("div", { id: "live-bar" }, this.status, this.bar);
  }

  /** Draw the bar of `live`: {isOn, isPaused, since, news, isFull, isLost, ended}. */
  draw(live) {
    const look = lookOf(live);
    if (look !== this.look) {
      this.look = look;
      const parts = look ? this.parts(look, live) : [];
      redraw(this.bar, ...parts);
      this.bar.className = look && `live-bar ${look}`;
      write(this.status, parts.find((part) => part.matches("strong"))?.textContent ?? "");
    }
    if (look === "paused") this.count(live);
  }

  parts(look, live) {
    if (look === "ended") return this.ended(live);
    if (look === "paused") return this.paused(live);
    const isLost = look === "lost";
    return isLost
      ? this.running("dot away", "Reconnecting to sidelog")
      : this.running("dot", "Live");
  }

  ended({ ended }) {
    return [el("strong", {}, "The stream has ended."), el("span", {}, ended), this.close];
  }

  running(dot, text) {
    return [
      el("span", { class: dot, "aria-hidden": "true" }),
      el("strong", {}, text),
      unit("newest first, as they are stored"),
      el("span", { class: "space" }),
      this.pause,
      this.stop,
    ];
  }

  paused({ since }) {
    return [
      el("span", { class: "pause-mark", "aria-hidden": "true" }),
      el("strong", {}, `Paused at ${clockText(new Date(since))}`),
      this.news,
      el("span", { class: "space" }),
      this.pace,
      this.seconds,
      this.resume,
      this.stop,
    ];
  }

  /** What has changed since the pause was drawn. */
  count(live) {
    const bad = live.news.filter((record) => record.level === "error").length;
    const refused = live.news.filter((record) => record.level === "warn").length;
    this.news.replaceChildren();
    put(this.news, [
      el("b", {}, count(live.news.length) + (live.isFull ? "+" : "")),
      " new since",
      bad > 0 && el("span", { class: "error" }, " ", gradeMark(), count(bad)),
      refused > 0 && el("span", { class: "warn" }, " ", gradeMark(), count(refused)),
    ]);
    this.pace.replaceChildren(spark(pace(live), { width: 160, height: 22, kind: "ok" }));
    write(this.seconds, `${Math.round((Date.now() - live.since) / 1000)} s`);
  }
}

/** How many came in each second of the pause, of the last ones. */
function pace(live) {
  const counts = Array(SPARKS).fill(0);
  const now = Date.now();
  for (const record of live.news) {
    const index = SPARKS - 1 - Math.floor((now - record.ended_at_us / 1000) / SPARK_MS);
    if (index >= 0 && index < SPARKS) counts[index] += 1;
  }
  return counts;
}
