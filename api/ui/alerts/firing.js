// Which alerts fire: asked for now and then, shown in the navigation as the number beside a mark, or as a plain link where
// alerts are configured and none fires, and handed to the page that is shown.

import { getJson } from "../lib/api.js";
import { $, gradeMark } from "../lib/dom.js";
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
  const mark = /** @type {HTMLAnchorElement} */ ($("firing"));
  mark.hidden = answer.alerts.length === 0;
  mark.classList.toggle("quiet", names.size === 0);
  mark.title = names.size ? firingText(names.size) : "";
  mark.ariaLabel = mark.title || null;
  mark.lastElementChild.className = names.size ? "error" : "";
  mark.lastElementChild.replaceChildren(
    ...(names.size ? [gradeMark(), String(names.size)] : ["Alerts"]),
  );
  for (const listener of listeners) listener(shown);
}

/** Ask for the alerts, where it is time to. */
export async function watchAlerts(signal) {
  if (Date.now() >= dueAt) takeAlerts(await getJson("api/alerts", {}, signal));
}
