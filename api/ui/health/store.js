// The panels of the health page about the store: where it is, its replicas, what is kept. Pure: values in, nodes out.

import { el, gradeMark } from "../lib/dom.js";
import { ago, count, countOf, durationText, sizeText } from "../lib/format.js";
import { binary, facts, head } from "./panels.js";

export function store(status) {
  const { storage, retention: limits } = status.configuration;
  const used = status.retention?.used_bytes;
  const words = status.text_index;
  const [problem, word] = stateOf(status.storage);
  return el(
    "section",
    {},
    head("Store", ""),
    el("p", { class: problem }, gradeMark(), word),
    facts(
      [
        ["URL", String(storage.url)],
        used
          ? ["Size", sizeText(used), limits.max_bytes ? `of ${sizeText(limits.max_bytes)}` : ""]
          : null,
        words
          ? ["Index of words", sizeText(words.size_bytes ?? 0), waitingText(words.waiting_records)]
          : null,
        ["Durability", storage.durability],
        ["Queue", binary(storage.queue_max_bytes), "then the spool"],
        ...(status.storage.replicas ?? []).map(replicaFact),
      ].filter(Boolean),
    ),
  );
}

function stateOf({ up, warning }) {
  if (!up) return ["error", "unavailable"];
  if (warning) return ["warn", warning];
  return ["", "reachable"];
}

const REPLICA_STATE = {
  __proto__: null,
  whole: "has everything",
  left_out: "left out until it has caught up",
  away: "away",
  unknown: "no coordinator",
};

function replicaFact(replica) {
  const word = REPLICA_STATE[replica.state] ?? replica.state;
  const shown = replica.state === "whole" ? word : el("span", { class: "bad" }, word);
  const behind = replica.waiting ? `, ${count(replica.waiting)} steps to take` : "";
  return [
    `Replica ${replica.name || replica.host}`,
    shown,
    replica.reason ?? `${replica.host}${behind}`,
  ];
}

const waitingText = (records) => (records ? `${countOf(records, "record")} not yet indexed` : "");

export function retention(limits, state) {
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
        limits.max_bytes ? sizeText(limits.max_bytes) : "no limit",
        state.rows_trimmed || state.bodies_trimmed
          ? `${count(state.rows_trimmed)} records and ${count(state.bodies_trimmed)} bodies removed for it since start`
          : limits.max_bytes
            ? "oldest are deleted first"
            : "",
      ],
      ["The log reaches back to", ...since(state.reaches_back_ms ?? state.oldest_ms)],
      ["Last run", ...since(state.looked_at_ms)],
      [
        "Retention lag",
        durationText(Math.round((state.lag_s ?? 0) * 1e6)),
        state.rows_purged ? `${count(state.rows_purged)} removed since start` : "",
      ],
    ]),
  );
}
const days = (number) => (number ? countOf(number, "day") : "forever");
