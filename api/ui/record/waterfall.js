// The phases of an exchange on a line of time: one row each; a phase that was not reached is marked.

import { el, unit } from "../lib/dom.js";
import { countOf, durationText } from "../lib/format.js";

const NARROW = matchMedia("(max-width: 640px)");

/** Cut the exchange into phases: [name, from, until, kind] in µs; null ends were not reached. */
function phasesOf(record) {
  const total = record.duration_us;
  const connect = record.connect_us;
  const sent =
    record.upstream_sent_at_us === null
      ? null
      : Math.max(0, record.upstream_sent_at_us - record.started_at_us);
  const first = record.first_byte_us;
  const failed = record.level === "error" ? "failed" : "wait";
  return [
    [
      "Connect",
      connect === null ? null : 0,
      connect,
      "wait",
      record.upstream === null ? "not connected" : "reused",
    ],
    ["Request sent", sent === null ? null : (connect ?? 0), sent, "wait", "not sent"],
    ["Waiting", sent, first ?? total, first === null ? failed : "wait", "did not start"],
    [record.stream ? "Stream" : "Body", first, total, "body", "not received"],
  ];
}

/** The phases; on a narrow screen folded, as what was said is looked for first. */
export function waterfall(record) {
  const took = record.duration_us === null ? "open" : durationText(record.duration_us);
  const note = record.stream ? streamNote(record.stream) : "";
  const total = Math.max(record.duration_us ?? 0, 1);
  const rows = phasesOf(record).map(([name, from, until, kind, absent]) => {
    if (from === null || until === null)
      return line(name, unit(record.in_flight ? "not yet" : absent), "–");
    const bar = el("span", { class: "fall " + kind });
    bar.style.left = `${Math.min(100, (from / total) * 100)}%`;
    bar.style.width = `${Math.max(0.4, Math.min(100, (Math.max(0, until - from) / total) * 100))}%`;
    return line(name, el("span", { class: "track" }, bar), durationText(Math.max(0, until - from)));
  });
  return el(
    "details",
    { class: "phases-fold", open: !NARROW.matches },
    el("summary", {}, el("strong", {}, "Phases "), took, " ", unit(note)),
    el(
      "dl",
      { class: "waterfall", "aria-label": "Phases" },
      rows,
      line("Total", unit(note), took, "sum"),
    ),
  );
}

const ENDS = {
  __proto__: null,
  error: ", ended with an error",
  cut: ", cut off by the upstream",
  client_closed: ", left by the client",
};

const line = (name, middle, figure, kind = "") =>
  el(
    "div",
    { class: kind },
    el("dt", {}, name),
    el("dd", { class: "drawn" }, middle),
    el("dd", { class: "figure" }, figure),
  );

function streamNote(stream) {
  const gap =
    stream.longest_gap_us === null ? "" : `, longest gap ${durationText(stream.longest_gap_us)}`;
  const frames = stream.frames === null ? "a stream" : countOf(stream.frames, "frame");
  return `${frames}${gap}${ENDS[stream.end] ?? ""}`;
}
