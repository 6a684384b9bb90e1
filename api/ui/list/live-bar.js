// The bar of the live mode: running, or paused since when, with how many came since and how many of them are bad.

import { button, el, gradeMark, unit } from "../lib/dom.js";
import { clockText, count } from "../lib/format.js";
import { spark } from "../lib/line-chart.js";

const SPARK_MS = 1000;
const SPARKS = 40;

/** Draw the bar. `live` is {isPaused, since, news, isLost, ended}. */
export function liveBar(live, { pause, resume, stop }) {
  if (live.ended)
    return el(
      "div",
      { class: "live-bar ended" },
      el("strong", {}, "The stream has ended. "),
      live.ended,
      button("Close", stop),
    );
  if (!live.isPaused) {
    return el(
      "div",
      { class: "live-bar" },
      el("span", { class: live.isLost ? "dot away" : "dot", "aria-hidden": "true" }),
      el("strong", {}, live.isLost ? "Reconnecting to sidelog" : "Live"),
      unit("newest first, as they are stored"),
      el("span", { class: "space" }),
      button(["Pause ", el("kbd", {}, "Space")], pause),
      button(["Stop ", el("kbd", {}, "L")], stop, { class: "quiet" }),
    );
  }
  const bad = live.news.filter((record) => record.level === "error").length;
  const refused = live.news.filter((record) => record.level === "warn").length;
  const seconds = Math.round((Date.now() - live.since) / 1000);
  return el(
    "div",
    { class: "live-bar paused" },
    el("span", { class: "pause-mark", "aria-hidden": "true" }),
    el("strong", {}, `Paused at ${clockText(new Date(live.since))}`),
    el(
      "span",
      { class: "news" },
      el("b", {}, count(live.news.length) + (live.isFull ? "+" : "")),
      " new since",
      bad > 0 && el("span", { class: "error" }, " ", gradeMark(), count(bad)),
      refused > 0 && el("span", { class: "warn" }, " ", gradeMark(), count(refused)),
    ),
    el("span", { class: "space" }),
    spark(pace(live), { width: 160, height: 22, kind: "ok" }),
    unit(`${seconds} s`),
    button(["Resume ", el("kbd", {}, "Space")], resume, { class: "primary" }),
    button(["Stop ", el("kbd", {}, "L")], stop, { class: "quiet" }),
  );
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
