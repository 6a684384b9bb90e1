// Which alerts fire: asked for now and then, shown in the navigation as a number after the link to their page, and handed
// to the page that is shown.

import { getJson } from "../lib/api.js";
import { $, el, gradeMark } from "../lib/dom.js";
import { firingOf, firingText } from "./figures.js";

const EVERY_MS = 10_000;
const RARELY_MS = 60_000; // where no alert is configured

const listeners = new Set();
let shown = [];
let dueAt = 0; // ms

/** Call a listener with what fires, now and whenever that was asked for again, until the signal ends it. */
export function onFiring(listener, signal) {
  listeners.add(listener);
  signal.addEventListener("abort", () => listeners.delete(listener));
  listener(shown);
}

/** Take an answer of /api/alerts. */
export function takeAlerts(answer) {
  shown = firingOf(answer);
  dueAt = Date.now() + (answer.alerts.length ? EVERY_MS : RARELY_MS);
  const names = new Set(shown.map(({ alert }) => alert.name));
  const text = names.size ? firingText(names.size) : "";
  const mark = $("firing");
  mark.hidden = !names.size;
  mark.title = text;
  const word = el("span", { class: "hidden" }, " firing");
  mark.replaceChildren(...(names.size ? [gradeMark(), String(names.size), word] : []));
  $("more").title = text;
  $("more").classList.toggle("firing", names.size > 0);
  for (const listener of listeners) listener(shown);
}

/** Ask for the alerts, where it is time to. */
export async function watchAlerts(signal) {
  if (Date.now() >= dueAt) takeAlerts(await getJson("api/alerts", {}, signal));
}
