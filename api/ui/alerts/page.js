// Alerts: what fires now, and what was sent. What a message was about is one step away, and so is silence.

import { errorText, getJson, sendJson } from "../lib/api.js";
import { openDialog, toast } from "../lib/dialog.js";
import {
  actionsHead,
  button,
  el,
  gradeMark,
  redraw,
  sectionHead,
  table,
  unit,
} from "../lib/dom.js";
import { moment } from "../lib/format.js";
import { conditionOf, requestsOf, shownValue } from "./figures.js";
import { takeAlerts } from "./firing.js";

const POLL_MS = 10_000;
const NAMES = ["Alert", "State", "Figure", "Search"];
const SENT = ["Time", "Alert", "Message", "Value", "Requests", "Delivered"];
const SILENCES = [
  ["1 hour", 3600],
  ["4 hours", 14_400],
  ["1 day", 86_400],
  ["1 week", 604_800],
];

const cell = (label, name, ...content) => el("td", { class: name, "data-label": label }, content);
const time = (us) =>
  el("span", { class: "mono", title: moment(us).title }, moment(us).date + moment(us).clock);

function stateOf({
  figure,
  firing,
  pending,
  problem,
  window_s: window,
  silenced_until_us: silenced,
}) {
  const now = Date.now() * 1000;
  const fires = Object.entries(firing).map(([group, { value, sampled, since_us: since, search }]) =>
    el(
      "div",
      { class: "error" },
      gradeMark(),
      el(
        "a",
        { href: requestsOf(search, since - window * 1e6, now) },
        shownValue({ value, sampled }, figure),
      ),
      " ",
      unit(group),
      unit(" since "),
      time(since),
    ),
  );
  const waits = Object.entries(pending).map(([group, since]) =>
    el("div", { class: "unit" }, "beyond it ", group, " since ", time(since)),
  );
  const note = silenced && el("div", { class: "unit" }, "silent until ", time(silenced));
  return [fires, waits, fires.length || waits.length ? "" : unit(problem ?? "not firing"), note];
}

function alertRow(alert, silence) {
  const link = el("a", { href: `requests${queryOf(alert)}` }, alert.query || "all");
  const isSilent = alert.silenced_until_us !== null;
  const label = isSilent ? "End silence" : "Silence";
  return el(
    "tr",
    {},
    cell("", "", el("strong", {}, alert.name)),
    cell("State", "", stateOf(alert)),
    cell("Figure", "", conditionOf(alert), alert.by && unit(` by ${alert.by}`)),
    cell("Search", "", link),
    cell(
      "",
      "",
      button(label, () => silence(alert, isSilent), {
        class: "link",
        "data-name": `silence ${alert.name}`,
      }),
    ),
  );
}

const queryOf = ({ query }) => (query ? `?filter=${encodeURIComponent(query)}` : "");

/** A message; one of an earlier version does not say which requests it is about. */
function sentRow(message, figure) {
  const { at_us: at, begin_us: begin, status, value } = message;
  const about = begin
    ? el("a", { href: requestsOf(message.search, begin, at), title: "Show its requests" }, status)
    : status;
  const isFiring = status === "firing";
  const examples = message.ids.map((id, index) => [
    index ? " " : "",
    el("a", { href: `requests?record=${id}`, title: id }, `${index + 1}`),
  ]);
  return el(
    "tr",
    { title: message.id },
    cell("", "", time(at)),
    cell("Alert", "", message.alert, " ", unit(message.group)),
    cell("Message", isFiring ? "error" : "", isFiring && gradeMark(), about),
    cell("Value", "figure", value === null ? unit("–") : shownValue(message, figure)),
    cell("Requests", "", examples.length ? examples : unit("–")),
    cell("Delivered", "", message.taken_us ? time(message.taken_us) : message.problem || "waits"),
  );
}

/** Ask for how long nothing is to be sent of an alert; seconds, undefined where it was cancelled. */
const askSilence = ({ name }) =>
  openDialog(`Silence “${name}”`, (close) => [
    el("p", {}, "What begins to fire is held back, and sent afterwards if it still fires."),
    el(
      "div",
      { class: "buttons end" },
      button("Cancel", () => close()),
      SILENCES.map(([label, seconds]) => button(label, () => close(seconds))),
    ),
  ]);

export class Page {
  constructor(main, signal) {
    this.signal = signal;
    this.host = el("div", { class: "alerts" });
    this.keys = {};
    main.append(el("div", { class: "page-head" }, el("h1", {}, "Alerts")), this.host);
    const timer = setInterval(() => document.hidden || this.onAddress(), POLL_MS);
    signal.addEventListener("abort", () => clearInterval(timer));
  }

  async onAddress() {
    try {
      const answer = await getJson("api/alerts", {}, this.signal);
      takeAlerts(answer);
      this.draw(answer);
    } catch (error) {
      this.host.textContent = errorText(error) ?? this.host.textContent;
    }
  }

  draw({ alerts, waiting, history }) {
    const sent = [...waiting.toReversed(), ...history];
    const figures = Object.fromEntries(alerts.map(({ name, figure }) => [name, figure]));
    const silence = (alert, isSilent) => this.silence(alert, isSilent);
    const rows = alerts.map((alert) => alertRow(alert, silence));
    const messages = sent.map((message) => sentRow(message, figures[message.alert]));
    redraw(
      this.host,
      alerts.length
        ? table({ class: "managed processes" }, [...NAMES, actionsHead()], el("tbody", {}, rows))
        : el(
            "p",
            {},
            "There are no alerts yet. Each is a table ",
            el("code", {}, "[[alerts]]"),
            " of the configuration file. To make one, search under ",
            el("a", { href: "requests" }, "Requests"),
            " and choose Alert: it gives the lines to paste.",
          ),
      sectionHead("Sent", sent.length ? "" : "nothing yet"),
      table({ class: "managed processes" }, SENT, el("tbody", {}, messages), ["Value"]),
    );
  }

  async silence(alert, isSilent) {
    const seconds = isSilent ? 0 : await askSilence(alert);
    if (seconds === undefined) return;
    try {
      await sendJson("PUT", `api/alerts/${encodeURIComponent(alert.name)}/silence`, { seconds });
      await this.onAddress();
    } catch (error) {
      toast(errorText(error) ?? "");
    }
  }
}
