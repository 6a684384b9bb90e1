// Figures of alerts as a person reads them, and where the requests are that they are about.

import { toQuery } from "../lib/api.js";
import { countOf, durationText, money, percent, spanText } from "../lib/format.js";
import { fixedState } from "../lib/time-range.js";

const VALUES = {
  __proto__: null,
  share: (value) => percent(value, 1).join(" "),
  cost: (value) => money(value, 2),
  p50: (ms) => durationText(ms * 1000),
  p95: (ms) => durationText(ms * 1000),
  p99: (ms) => durationText(ms * 1000),
  change: (value) => `${plain(value, 3)} times`,
};
const plain = (value, digits = 6) => String(Number(value.toPrecision(digits)));

/** A figure with its unit; an alert that is configured no more has left none. */
export const valueOf = (value, figure) => (VALUES[figure] ?? plain)(value);

/** The same of something that fires or was sent: one of which records stand for several is an estimate. */
export const shownValue = ({ value, sampled }, figure) =>
  valueOf(value, figure) + (sampled ? " (estimated of a sample)" : "");

/** `share of status:5xx` */
export const nameOf = ({ figure, of }) => (figure === "share" ? `share of ${of}` : figure);

/** `above 5 %` */
export function limitOf({ figure, above, below }) {
  return above === null ? `below ${valueOf(below, figure)}` : `above ${valueOf(above, figure)}`;
}

/** `share of status:5xx above 5 % over 10 min` */
export function conditionOf(alert) {
  const lasting = alert.for_s ? `, for ${spanText(alert.for_s)}` : "";
  return `${nameOf(alert)} ${limitOf(alert)} over ${spanText(alert.window_s)}${lasting}`;
}

/** Where the requests of a search are, in a period of two times in µs. */
export const requestsOf = (search, sinceUs, untilUs) =>
  "requests" + toQuery({ filter: search, ...fixedState(sinceUs / 1000, untilUs / 1000) });

/** What fires, of the answer of /api/alerts: each value of each alert, what began last first. */
export function firingOf({ alerts }) {
  return alerts
    .flatMap((alert) =>
      Object.entries(alert.firing).map(([group, { value, sampled, since_us: since, search }]) => ({
        alert,
        group,
        value,
        sampled,
        since,
        href: requestsOf(search, since - alert.window_s * 1e6, Date.now() * 1000),
        isSilent: alert.silenced_until_us !== null,
      })),
    )
    .sort((one, other) => other.since - one.since);
}

/** `2 alerts fire` */
export const firingText = (number) => `${countOf(number, "alert")} fire${number === 1 ? "s" : ""}`;
