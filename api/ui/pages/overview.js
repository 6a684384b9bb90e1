// The overview: rate, errors and latency; then what is failing, and the models, tools, endpoints and keys most used.

import { el, redraw, sectionHead, statistic, unit } from "../lib/dom.js";
import { BarChart } from "../lib/bar-chart.js";
import { emptyState } from "./empty-state.js";
import { count, countOf, dayText, money, percent, short } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";
import { getJson, toQuery, errorText } from "../lib/api.js";
import { durationTerms } from "../lib/heat.js";
import { LatencyChart } from "../lib/latency-chart.js";
import { onFiring } from "../alerts/firing.js";
import { firingLines } from "../alerts/firing-lines.js";
import { NEAR, percentileFigure } from "../endpoints/columns.js";
import { relative } from "../endpoints/comparison.js";
import { readLatency } from "../endpoints/latency.js";
import {
  fixedState,
  periodControl,
  periodText,
  presetKeys,
  presetMs,
  presetState,
  readPeriod,
} from "../lib/time-range.js";
import { address, change, go } from "../lib/address.js";
import { searchBox } from "../lib/search-box.js";
import { ofSample } from "../record/sample.js";
import {
  endpointList,
  failing,
  keyList,
  LEVELS,
  modelList,
  topList,
  toolList,
} from "./top-lists.js";

const RENEW_MS = 10_000;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
const PRESET = "1h";
const YOUNG = ["5m", "15m"]; // periods for a store that has not seen an hour yet
const LISTED = 6; // endpoints, and failures of a level
const STEPS = 30; // of failures over time
const SAMPLE = 300; // newest calls, from which tools are counted

export class Page {
  constructor(main, signal) {
    this.main = main;
    this.signal = signal;
    this.isEmpty = null;
    this.begunAt = null; // ms of the first exchange of a young store, 0 of an older one; null: not known yet
    this.reads = new LatestRead(signal);
    this.box = searchBox({
      submit: (filter) => go("requests", { filter }),
      open: (record) => go("requests", { record }),
    });
    this.when = el("span", { class: "unit" });
    this.periodHost = el("div");
    this.firing = el("div", { class: "firing-lines" });
    this.figures = el("dl", { class: "figures" });
    this.rate = el("div", { class: "big-chart" });
    this.latency = el("div", { class: "big-chart" });
    this.lists = el("div", { class: "lists" });
    this.bad = el("p", { class: "bad", role: "alert" });
    this.latencyChart = new LatencyChart(this.latency, {
      height: 168,
      choose: (area) =>
        go("requests", { ...fixedState(area.since, area.until), filter: durationTerms(area) }),
      signal,
    });
    this.data = el(
      "div",
      { hidden: true },
      el(
        "div",
        { class: "page-head" },
        el("h1", {}, "Overview ", this.when),
        el("div", { class: "tool-buttons" }, this.box.form, this.periodHost),
      ),
      this.box.bad,
      this.bad,
      this.firing,
      this.figures,
      el(
        "div",
        { class: "pair" },
        section(
          [
            "Requests per second",
            el(
              "span",
              { class: "legend" },
              key("", "2xx 3xx"),
              key("warn", "4xx"),
              key("error", "5xx"),
            ),
          ],
          this.rate,
        ),
        section(
          [
            "Latency ",
            unit("log scale; until the last byte, streams included"),
            this.latencyChart.legend,
          ],
          this.latency,
        ),
      ),
      this.lists,
    );
    this.empty = el("div", { hidden: true });
    main.append(this.data, this.empty);
    onFiring((shown) => redraw(this.firing, ...firingLines(shown)), signal);
    this.chart = new BarChart(this.rate, {
      height: 168,
      unit: "rate",
      signal,
      zoom: (since, until) => change(fixedState(since, until)),
    });
    const timer = setInterval(() => {
      if (!this.chart.brush && !this.latencyChart.isSelecting) this.readAgain();
    }, RENEW_MS);
    signal.addEventListener("abort", () => {
      clearInterval(timer);
      clearInterval(this.waiting);
    });
    this.keys = {
      ...presetKeys(change),
      z: () => this.chart.zoomIn(),
      Backspace: () => address().since && change(presetState("1h")),
      e: () => go("requests", { filter: "level:error,warn" }),
      l: () => go("requests", { live: "1" }),
    };
  }

  onAddress() {
    this.read();
  }

  readAgain() {
    if (!document.hidden && !this.reads.isBusy) this.read();
  }

  async read() {
    const signal = this.reads.next();
    const period = readPeriod(address(), this.preset());
    const before = timeBefore(period);
    try {
      const summary = await getJson("api/summary", period.parameters, signal);
      if (summary.exchanges === 0 && (await this.isNothingYet(signal))) return this.showEmpty();
      const [{ histogram, heat }, earlier] = await Promise.all([
        readLatency(period.parameters, signal),
        getJson("api/summary", { ...before, totals: true }, signal),
      ]);
      if (signal.aborted) return undefined;
      if (this.isAnotherPeriodBetter(period, histogram, earlier)) return this.read();
      this.showData();
      redraw(
        this.periodHost,
        periodControl(period, (some) => change(some)),
      );
      const near = summary.duration_ms.estimated ? `, ${NEAR}` : "";
      this.when.textContent = periodText(period) + ofSample(summary, ", ") + near;
      this.drawFigures(summary, earlier, period);
      this.chart.set(histogram);
      this.latencyChart.set(histogram, heat);
      this.bad.textContent =
        summary.complete && histogram.complete
          ? ""
          : "Some records were not counted within the time limit: choose a shorter period";
      await this.readLists(summary, period, signal);
    } catch (error) {
      const text = errorText(error);
      if (text) {
        this.showData();
        this.bad.textContent = `Could not load the figures: ${text}`;
      }
    } finally {
      this.reads.end(signal);
    }
    return undefined;
  }

  /** The period when the address names none: the shortest that holds all a young store has. */
  preset() {
    const age = Date.now() - (this.begunAt ?? 0);
    return YOUNG.find((name) => age < presetMs(name)) ?? PRESET;
  }

  /** Find out once how old the store is, by the first step of its first hour that has exchanges. */
  isAnotherPeriodBetter(period, histogram, earlier) {
    if (this.begunAt !== null || address().period || address().since) return false;
    const first = histogram.buckets.find((bucket) => bucket.exchanges > 0);
    this.begunAt = earlier.exchanges || !first ? 0 : Date.parse(first.start);
    return this.preset() !== period.name;
  }

  async isNothingYet(signal) {
    const { records } = await getJson("api/records", { limit: 1, kind: "all" }, signal);
    return records.length === 0;
  }

  showData() {
    if (this.isEmpty === false) return;
    this.isEmpty = false;
    clearInterval(this.waiting);
    this.empty.hidden = true;
    this.empty.replaceChildren();
    this.data.hidden = false;
  }

  showEmpty() {
    if (this.isEmpty) return;
    this.isEmpty = true;
    this.data.hidden = true;
    this.empty.hidden = false;
    emptyState(this.empty, this.signal);
    this.waiting = setInterval(() => this.readAgain(), 2000);
  }

  drawFigures(now, before, period) {
    const begun = Math.max(period.since, Date.parse(now.since ?? "") || 0); // a young store has none of before
    const rate = now.exchanges / Math.max(1, (period.until - begun) / 1000);
    const since =
      begun - period.since > MINUTE_MS ? ` since ${dayText(new Date(begun), false)}` : "";
    const bad = now.status["5xx"] ?? 0;
    const badBefore = before.status["5xx"] ?? 0;
    const share = bad / Math.max(1, now.exchanges) - badBefore / Math.max(1, before.exchanges);
    const points = `${share > 0 ? "▲" : "▼"} ${Math.abs(share * 100).toFixed(2)} pt vs the previous period`;
    this.figures.replaceChildren(
      statistic(
        "Requests",
        [rate >= 10 ? rate.toFixed(1) : rate.toFixed(2), "/s"],
        `${count(now.exchanges)} in total${since}`,
      ),
      statistic(
        "Error share",
        percent(bad, now.exchanges),
        before.exchanges && Math.abs(share) >= 0.0005 ? points : `${count(bad)} with 5xx`,
        before.exchanges && share > 0.001 ? "error" : "",
      ),
      ...["p50", "p95", "p99"].map((name) =>
        latencyFigure(name, now.duration_ms, before.duration_ms, name),
      ),
      latencyFigure("First byte p95", now.first_byte_ms, before.first_byte_ms, "p95"),
      statistic(
        "Client errors",
        percent(now.status["4xx"] ?? 0, now.exchanges),
        `${count(now.status["4xx"] ?? 0)} with 4xx`,
      ),
    );
  }

  /** Load what the lists are made of; one that fails shows the error in its place and leaves the others alone. */
  async readLists(summary, period, signal) {
    const link = (filter) =>
      "requests" +
      toQuery({
        filter,
        period: period.name ?? undefined,
        ...(period.name ? {} : period.parameters),
      });
    const [failures, tools, keys, places] = await Promise.all([
      this.readFailures(summary, period, signal).then(
        (answers) => failing(answers, link),
        unread("What is failing"),
      ),
      this.readTools(period, signal).then(
        ({ logs, pagination }) => toolList(logs, pagination.total_count),
        unread("Tools"),
      ),
      this.readKeys(summary, signal).then(
        (names) => keyList(summary.top.key, names, summary.exchanges, link),
        unread("Keys"),
      ),
      this.readPlaces(summary, period, link, signal).catch(unread("Endpoints")),
    ]);
    if (signal.aborted) return;
    if (summary.usage) this.tokens(summary.usage);
    const top = (title, name) => topList(title, name, summary.top[name], summary.exchanges, link);
    redraw(
      this.lists,
      ...[
        failures,
        summary.usage && modelList(summary.usage, link),
        tools,
        places,
        keys,
        top("Services", "service"),
        top("Projects", "project"),
      ].filter(Boolean),
    );
  }

  /** What failed, grouped; errors apart, so that many refusals leave them their rows. */
  async readFailures(summary, period, signal) {
    if (!summary.exchanges) return {};
    const query = { by: "failure", limit: LISTED, buckets: STEPS, ...period.parameters };
    const read = (level) => getJson("api/top", { ...query, level }, signal);
    const answers = await Promise.all(LEVELS.map(read));
    return Object.fromEntries(LEVELS.map((level, index) => [level, answers[index]]));
  }

  /** Where requests went: routes, or the endpoints where one route has them all. */
  async readPlaces({ top, exchanges }, period, link, signal) {
    if (top.route?.length > 1)
      return topList("Routes", "route", top.route, exchanges, link, { wide: true });
    if (!exchanges) return null;
    const answer = await getJson("api/endpoints", { ...period.parameters, limit: LISTED }, signal);
    return endpointList(answer, link);
  }

  readTools(period, signal) {
    return getJson(
      "api/mcp-logs",
      {
        start_time: new Date(period.since).toISOString(),
        end_time: new Date(period.until).toISOString(),
        limit: SAMPLE,
      },
      signal,
    );
  }

  async readKeys(summary, signal) {
    return summary.top.key?.length
      ? (await getJson("api/request-logs", { limit: 1 }, signal)).keys
      : [];
  }

  /** Tokens and cost, where models are called at all. */
  tokens({ calls, counted, priced, input_tokens, output_tokens, cost_usd }) {
    if (!calls) return;
    const note = `of ${countOf(calls, "LLM call")}`;
    this.figures.append(
      statistic(
        "Tokens",
        [short(input_tokens + output_tokens), ""],
        counted ? `${short(input_tokens)} in · ${short(output_tokens)} out` : note,
      ),
      statistic(
        "Cost",
        [priced ? money(cost_usd, 2) : "–", ""],
        priced < counted ? `${countOf(counted - priced, "call")} without a price` : note,
      ),
    );
  }
}

const key = (grade, text) =>
  el("span", {}, el("span", { class: `key ${grade}`, "aria-hidden": "true" }), text);
const section = (title, host) => el("section", {}, sectionHead(title), host);

/** The time as long before a period; of a day and more in whole hours, which are summed up already. */
function timeBefore({ since, until }) {
  const step = until - since >= DAY_MS ? HOUR_MS : 1;
  const [from, to] = [2 * since - until, since].map((ms) =>
    new Date(Math.floor(ms / step) * step).toISOString(),
  );
  return { since: from, until: to };
}

/** A section with the error of its list; null when the read was cancelled. */
const unread = (title) => (error) =>
  errorText(error) === null ? null : section(title, el("p", { class: "bad" }, errorText(error)));

/** A latency, and how it moved against the period before. */
const latencyFigure = (title, now, before, name) =>
  statistic(title, percentileFigure(now, name), relative(now[name], before[name])?.text ?? "");
