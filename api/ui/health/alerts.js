// Alerts: what fires now, and what was sent.

import { errorText, getJson, toQuery } from "../lib/api.js";
import { el, gradeMark, sectionHead, table, unit } from "../lib/dom.js";
import { moment } from "../lib/format.js";

const NAMES = ["Alert", "State", "Figure", "Search"];
const SENT = ["Time", "Alert", "What", "Value", "Taken"];

const number = (value) => (value === null ? unit("–") : String(Number(value.toPrecision(6))));
const time = (us) =>
  el("td", { class: "mono", title: moment(us).title }, moment(us).date + moment(us).clock);
const named = (group) => (group ? [" ", unit(group)] : "");

function alertRow(alert) {
  const firing = Object.entries(alert.firing);
  const limit = alert.above === null ? `below ${alert.below}` : `above ${alert.above}`;
  const state = firing.map(([group, { value }]) => el("div", {}, number(value), named(group)));
  const silenced =
    alert.silenced_until_us && unit(` silent until ${moment(alert.silenced_until_us).clock}`);
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, alert.name),
    el(
      "td",
      { class: firing.length ? "error" : "" },
      firing.length ? [gradeMark(), state] : unit(alert.problem ?? "not firing"),
      silenced,
    ),
    el(
      "td",
      {},
      `${alert.figure} ${limit} over ${alert.window_s} s`,
      alert.by && unit(` by ${alert.by}`),
    ),
    el(
      "td",
      {},
      el("a", { href: `requests${toQuery({ filter: alert.query })}` }, alert.query || "all"),
    ),
  );
}

const sentRow = (message) =>
  el(
    "tr",
    { title: message.id },
    time(message.at_us),
    el("td", {}, message.alert, named(message.group)),
    el("td", { class: message.status === "firing" ? "error" : "" }, message.status),
    el("td", { class: "figure" }, number(message.value)),
    message.taken_us
      ? time(message.taken_us)
      : el("td", { class: "error" }, message.problem || "waits"),
  );

export class Page {
  constructor(main, signal) {
    this.signal = signal;
    this.host = el("div");
    main.append(el("div", { class: "page-head" }, el("h1", {}, "Alerts")), this.host);
    this.keys = {};
  }

  async onAddress() {
    try {
      const { alerts, waiting, history } = await getJson("api/alerts", {}, this.signal);
      const sent = [...waiting.toReversed(), ...history];
      this.host.replaceChildren(
        table({}, NAMES, el("tbody", {}, alerts.map(alertRow))),
        sectionHead("Sent", sent.length ? "" : "nothing yet"),
        table({}, SENT, el("tbody", {}, sent.map(sentRow)), ["Value"]),
      );
    } catch (error) {
      this.host.textContent = errorText(error) ?? "";
    }
  }
}
