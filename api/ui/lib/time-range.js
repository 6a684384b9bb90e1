// Which time is looked at: a preset that moves on with the clock, or two fixed ends. Both stand in the address. A day
// and more begin with a whole hour, of which everything is summed up already: every count is known, and none costs a scan.

import { el } from "./dom.js";
import { dayText, shortDay } from "./format.js";
import { parseTyped, partsOf, zoneName } from "./zone.js";
import { openDialog } from "./dialog.js";

export const PRESETS = [
  ["15m", 900],
  ["1h", 3600],
  ["3h", 10800],
  ["24h", 86400],
  ["7d", 604800],
];
const HOUR_MS = 3_600_000,
  DAY_MS = 24 * HOUR_MS;
const LABELS = {
  "5m": "5 m",
  "15m": "15 m",
  "1h": "1 h",
  "3h": "3 h",
  "24h": "24 h",
  "7d": "7 d",
  "30d": "30 d",
};
const SECONDS = { __proto__: null, "5m": 300, ...Object.fromEntries(PRESETS), "30d": 2592000 };

/** The length of a preset. */
export const presetMs = (name) => SECONDS[name] * 1000;

/** Read the period of an address: its name (null when its ends are fixed), both ends in ms, and the API's words for it. */
export function readPeriod(state, preset = "1h") {
  const since = Date.parse(state.since ?? "");
  const until = Date.parse(state.until ?? "");
  if (since < until) {
    return {
      name: null,
      since,
      until,
      parameters: { since: new Date(since).toISOString(), until: new Date(until).toISOString() },
    };
  }
  const name = state.period in SECONDS ? state.period : preset;
  const now = Date.now(),
    length = SECONDS[name] * 1000;
  if (length < DAY_MS)
    return { name, since: now - length, until: now, parameters: { since: name } };
  const start = Math.floor((now - length) / HOUR_MS) * HOUR_MS;
  return { name, since: start, until: now, parameters: { since: new Date(start).toISOString() } };
}

/** A preset as it is written on its button. */
export const periodLabel = (name) => LABELS[name].replace(" ", "\u00a0");

/** The state for a preset or for fixed ends. */
export const presetState = (name) => ({ period: name, since: undefined, until: undefined });
export const fixedState = (since, until) => ({
  period: undefined,
  since: new Date(since).toISOString(),
  until: new Date(until).toISOString(),
});

/** `20 Nov 08:42 – 11:42` */
export function periodText({ since, until }) {
  const [from, to] = [new Date(since), new Date(until)];
  return `${dayText(from)} – ${dayText(to, shortDay(from) !== shortDay(to))}`;
}

/** Shortcuts for the presets: `1` is the shortest. */
export const presetKeys = (choose) =>
  Object.fromEntries(
    PRESETS.map(([name], index) => [String(index + 1), () => choose(presetState(name))]),
  );

/** The segmented control. */
export function periodControl(period, choose, names = PRESETS.map(([name]) => name)) {
  const shown =
    period.name === null || names.includes(period.name) ? names : [period.name, ...names];
  const button = (label, isOn, onclick) =>
    el("button", { type: "button", "aria-pressed": String(isOn), onclick }, label);
  return el(
    "div",
    { class: "segments periods", role: "group", "aria-label": "Period" },
    shown.map((name) =>
      button(LABELS[name], name === period.name, () => choose(presetState(name))),
    ),
    button("Custom", period.name === null, () => askPeriod(period, choose)),
  );
}

const typedText = (ms) => partsOf(new Date(ms)).iso;

function askPeriod(period, choose) {
  const field = (name, ms) =>
    el("input", { type: "datetime-local", step: 1, name, required: true, value: typedText(ms) });
  const since = field("since", period.since),
    until = field("until", period.until);
  const bad = el("p", { class: "bad", role: "alert" });
  openDialog("Period", (close) =>
    el(
      "form",
      {
        onsubmit: (event) => {
          event.preventDefault();
          const [from, to] = [parseTyped(since.value), parseTyped(until.value)];
          if (!(from < to)) {
            bad.textContent = "the end must be after the start";
            return;
          }
          close();
          choose(fixedState(from, to));
        },
      },
      el("label", {}, `From (${zoneName()})`, since),
      el("label", {}, `Until (${zoneName()})`, until),
      bad,
      el(
        "div",
        { class: "buttons end" },
        el("button", { type: "button", onclick: () => close() }, "Cancel"),
        el("button", { class: "primary" }, "Show"),
      ),
    ),
  );
}
