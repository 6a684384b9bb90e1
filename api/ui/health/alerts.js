// Alerts: what fires now, and what was sent.

import { errorText, getJson, toQuery } from "../lib/api.js";
import { el, gradeMark, sectionHead, table, unit } from "../lib/dom.js";
import { durationText, moment, money, percent, spanText } from "../lib/format.js";

const POLL_MS = 10_000;
const NAMES = ["Alert", "State", "Figure", "Search"];
const SENT = ["Time", "Alert", "Message", "Value", "Taken"];

const cell = (label, name, ...content) => el("td", { class: name, "data-label": label }, content);
const VALUES = {
  share: (value) => percent(value, 1).join(" "),
  cost: (value) => money(value, 2),
  p50: (ms) => durationText(ms * 1000),
  p95: (ms) => durationText(ms * 1000),
  p99: (ms) => durationText(ms * 1000),
};
const plain = (value) => String(Number(value.toPrecision(6)));
const valueOf = (value, figure) => (VALUES[figure] ?? plain)(value);
const time = (us) =>
  el("span", { class: "mono", title: moment(us).title }, moment(us).date + moment(us).clock);

function stateOf({ figure, firing, problem, silenced_until_us: silenced }) {
  const fires = Object.entries(firing).map(([group, { value, since_us: since }]) =>
    el(
      "div",
      { class: "error" },
      gradeMark(),
      valueOf(value, figure),
      " ",
      unit(group),
      unit(" since "),
      time(since),
    ),
  );
  const note = silenced && el("div", { class: "unit" }, "silent until ", time(silenced));
  return [fires.length ? fires : unit(problem ?? "not firing"), note];
}

function alertRow(alert) {
  const [side, limit] = alert.above === null ? ["below", alert.below] : ["above", alert.above];
  const what = alert.figure === "share" ? `share of ${alert.of}` : alert.figure;
  const over = spanText(alert.window_s);
  const figure = `${what} ${side} ${valueOf(limit, alert.figure)} over ${over}`;
  const link = el(
    "a",
    { href: `requests${toQuery({ filter: alert.query })}` },
    alert.query || "all",
  );
  return el(
    "tr",
    {},
    cell("", "", el("strong", {}, alert.name)),
    cell("State", "", stateOf(alert)),
    cell("Figure", "", figure, alert.by && unit(` by ${alert.by}`)),
    cell("Search", "", link),
  );
}

const sentRow = (message, figure) =>
  el(
    "tr",
    { title: message.id },
    cell("", "", time(message.at_us)),
    cell("Alert", "", message.alert, " ", unit(message.group)),
    cell("Message", message.status === "firing" ? "error" : "", message.status),
    cell("Value", "figure", message.value === null ? unit("–") : valueOf(message.value, figure)),
    cell("Taken", "", message.taken_us ? time(message.taken_us) : message.problem || "waits"),
  );

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
      const { alerts, waiting, history } = await getJson("api/alerts", {}, this.signal);
      const sent = [...waiting.toReversed(), ...history];
      const figures = Object.fromEntries(alerts.map(({ name, figure }) => [name, figure]));
      const rows = sent.map((message) => sentRow(message, figures[message.alert]));
      this.host.replaceChildren(
        alerts.length
          ? table({ class: "managed processes" }, NAMES, el("tbody", {}, alerts.map(alertRow)))
          : el("p", {}, "None are configured: ", el("code", {}, "[[alerts]]"), " in the settings."),
        sectionHead("Sent", sent.length ? "" : "nothing yet"),
        table({ class: "managed processes" }, SENT, el("tbody", {}, rows), ["Value"]),
      );
    } catch (error) {
      this.host.textContent = errorText(error) ?? this.host.textContent;
    }
  }
}
