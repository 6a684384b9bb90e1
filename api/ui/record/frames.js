// The frames of an event stream on the line of time: a tick each, the longest silence hatched, then one row per frame.

import { el } from "../lib/dom.js";
import { durationText, sizeText } from "../lib/format.js";
import { framesOf } from "./event-stream.js";
import { marked } from "./redaction.js";

const MAX_ROWS = 500;

/** When the byte at an offset had come, µs since the start; null when that is not known. */
const timeAt = (timeline, offset) => timeline.find(([end]) => end > offset)?.[1] ?? null;

export function framesTab(record) {
  const { timeline } = record;
  const body = record.response?.body;
  const text = body && body.encoding === "utf-8" && !body.truncated ? body.head : "";
  return [
    strip(record),
    text
      ? table(framesOf(text).slice(0, MAX_ROWS), timeline)
      : el(
          "p",
          { class: "unit" },
          "The text of the frames was not kept completely, only their times.",
        ),
  ];
}

function strip(record) {
  const total = Math.max(record.duration_us ?? record.timeline.at(-1)[1], 1);
  const place = (us) => `${Math.min(100, (us / total) * 100)}%`;
  const box = el("div", {
    class: "frame-strip",
    role: "img",
    "aria-label": `${record.timeline.length} chunks over ${durationText(total)}`,
  });
  let longest = [0, 0];
  record.timeline.forEach(([, us], index) => {
    const before = index ? record.timeline[index - 1][1] : us;
    if (us - before > longest[1] - longest[0]) longest = [before, us];
    const tick = el("span", { class: "frame-tick" });
    tick.style.left = place(us);
    box.append(tick);
  });
  if (longest[1] > longest[0]) {
    const gap = el("span", { class: "frame-gap" });
    gap.style.left = place(longest[0]);
    gap.style.width = place(longest[1] - longest[0]);
    box.prepend(gap);
  }
  return el(
    "div",
    {},
    box,
    el(
      "p",
      { class: "frame-axis unit" },
      el("span", {}, "0"),
      el("span", {}, `longest gap ${durationText(longest[1] - longest[0])}`),
      el("span", {}, durationText(total)),
    ),
  );
}

function table(frames, timeline) {
  let before = null;
  return el(
    "table",
    { class: "frames" },
    el(
      "thead",
      {},
      el(
        "tr",
        {},
        ["At", "After", "Event", "Data"].map((name) => el("th", { scope: "col" }, name)),
      ),
    ),
    el(
      "tbody",
      {},
      frames.map((frame) => {
        const at = timeAt(timeline, frame.offset);
        const after = at === null || before === null ? null : at - before;
        before = at ?? before;
        return el(
          "tr",
          {},
          el("td", {}, at === null ? "–" : durationText(at)),
          el("td", { class: "unit" }, after === null ? "–" : `+${durationText(after)}`),
          el("td", {}, frame.name),
          el(
            "td",
            { class: "data" },
            el("div", { title: sizeText(frame.data.length) }, marked(frame.data)),
          ),
        );
      }),
    ),
  );
}
