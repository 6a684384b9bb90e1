// One endpoint, or one value of another group, over time: its figures against the period before, its requests, how long
// they took, why some failed, and who called. What is brushed in the bars becomes the period; a cell of the latencies
// leads to its requests.

import { change, go } from "../lib/address.js";
import { BarChart } from "../lib/bar-chart.js";
import { errorText, getJson } from "../lib/api.js";
import { errorsChange, latencyChange, percentileFigure, requestsChange } from "./columns.js";
import { button, el, sectionHead, statistic } from "../lib/dom.js";
import { parametersOf } from "../lib/filter.js";
import { count, percent } from "../lib/format.js";
import { durationTerms } from "../lib/heat.js";
import { LatencyChart } from "../lib/latency-chart.js";
import { LatestRead } from "../lib/latest-read.js";
import { readLatency } from "./latency.js";
import { Callers, Failures } from "./parts.js";
import { fixedState, readPeriod } from "../lib/time-range.js";
import { ofSample } from "../record/sample.js";
import { keyOf, nameOf, requestsOf, searchFor } from "./rows.js";

const HEIGHT = 150;

export class EndpointView {
  constructor({ close, signal }) {
    this.reads = new LatestRead(signal);
    this.question = null; // what is shown
    this.state = null; // of the address when that was asked for
    this.search = "";
    this.title = el("h2", { tabindex: -1 });
    this.link = el("a", {}, "All its requests");
    this.figures = el("dl", { class: "figures" });
    this.bad = el("p", { class: "bad", role: "alert" });
    const [bars, latency] = [
      el("div", { class: "chart-host" }),
      el("div", { class: "chart-host" }),
    ];
    const zoom = (since, until) => change(fixedState(since, until));
    this.bars = new BarChart(bars, { height: HEIGHT, unit: "rate", zoom, signal });
    this.latency = new LatencyChart(latency, {
      height: HEIGHT,
      choose: (area) => this.showRequests(area),
      signal,
    });
    this.failures = new Failures();
    this.callers = new Callers(() => this.read());
    this.host = el(
      "section",
      { class: "endpoint-view", hidden: true },
      el(
        "div",
        { class: "section-head" },
        this.title,
        this.link,
        button("Close", close, { class: "link" }),
      ),
      this.figures,
      this.bad,
      el(
        "div",
        { class: "pair" },
        el("div", {}, sectionHead("Requests per second"), bars),
        el("div", {}, sectionHead("Latency", "log scale", this.latency.legend), latency),
      ),
      el("div", { class: "pair" }, this.failures.host, this.callers.host),
    );
  }

  /** Show a row of the table; none closes the view. */
  show(row, by, state) {
    this.host.hidden = !row;
    if (!row) {
      this.reads.next();
      this.question = null;
      return;
    }
    this.search = searchFor(row, by, state.filter);
    this.title.replaceChildren(...[nameOf(row)].flat());
    this.link.setAttribute("href", requestsOf(this.search, state));
    this.drawFigures(row);
    const question = JSON.stringify([keyOf(row), { ...state, sort: undefined }]);
    if (question === this.question) return;
    this.question = question;
    this.state = state;
    this.isCompared = row.before !== null;
    this.read();
  }

  async read() {
    const signal = this.reads.next();
    const { search, state } = this;
    const period = readPeriod(state, "1h");
    const query = parametersOf(search);
    try {
      const { histogram, heat } = await readLatency({ ...query, ...period.parameters }, signal);
      const before = this.isCompared ? await readBefore(query, histogram, signal) : null;
      if (signal.aborted) return;
      this.bad.textContent = histogram.complete
        ? ofSample(histogram)
        : "Only the newest requests are drawn, there was no more time: choose a shorter period";
      this.bars.set(histogram);
      this.latency.set(histogram, heat, before);
      await this.failures.read(search, state, period, signal);
      await this.callers.read(search, state, period, signal);
    } catch (error) {
      this.bad.textContent = errorText(error) ?? "";
    }
  }

  drawFigures(row) {
    const { duration_ms: taken } = row;
    this.figures.replaceChildren(
      figureOf("Requests", [count(row.exchanges), ""], requestsChange(row)),
      figureOf("Error share", percent(row.server_errors, row.exchanges), errorsChange(row)),
      figureOf("Client errors", percent(row.client_errors, row.exchanges)),
      figureOf("p50", percentileFigure(taken, "p50")),
      figureOf("p95", percentileFigure(taken, "p95"), latencyChange(row)),
      figureOf("p99", percentileFigure(taken, "p99")),
    );
  }

  showRequests({ since, until, low, high }) {
    const filter = `${this.search} ${durationTerms({ low, high })}`.trim();
    go("requests", { ...fixedState(since, until), filter });
  }

  focus() {
    this.title.focus();
    this.host.scrollIntoView({ block: "nearest" });
  }
}

/** Read the same of the period before the one that a histogram has, in as many steps. */
function readBefore(query, { since, until, buckets }, signal) {
  const start = Date.parse(since);
  const begun = new Date(2 * start - Date.parse(until)).toISOString();
  const asked = { ...query, since: begun, until: since, buckets: buckets.length };
  return getJson("api/histogram", asked, signal);
}

/** A figure, and how it moved against the period before. */
const figureOf = (name, figure, change = null) =>
  statistic(name, figure, change && `${change.text} vs before`, change?.grade);
