// The requests page: what is in the address is what is shown. Filters, histogram, log, live mode, and the sheet.

import { el } from "../lib/dom.js";
import { BarChart } from "../lib/bar-chart.js";
import { openDialog } from "../lib/dialog.js";
import { Facets } from "./facets.js";
import { count } from "../lib/format.js";
import { ask, Problem, queryOf, wordsFor } from "../lib/api.js";
import { Live } from "./live.js";
import { liveBar } from "./live-bar.js";
import {
  fixedState,
  periodControl,
  periodLabel,
  PRESETS,
  presetState,
  readPeriod,
} from "../lib/time-range.js";
import { parse, toggled, without, words } from "../lib/filter.js";
import { address, change } from "../lib/address.js";
import {
  columnTicks,
  DEFAULT_COLUMNS,
  headRow,
  narrowRow,
  noticeRow,
  readColumns,
  recordRow,
} from "./log-rows.js";
import { searchBox } from "../lib/search-box.js";
import { Sheet } from "../record/sheet.js";
import { VirtualRows } from "../lib/virtual-rows.js";

const PAGE = 100;
const MAX_ROWS = 20_000; // older ones are a filter or a period away
const SHORT_COLUMNS = ["started", "status", "method", "path", "phases", "duration"]; // beside an open sheet
const NARROW = matchMedia("(max-width: 640px)");
const WIDE = matchMedia("(min-width: 1500px)");
const HEIGHTS = { wide: 28, narrow: 52 };

export function mount(main, signal) {
  const page = new RequestsPage(main, signal);
  page.onAddress();
  return page;
}

class RequestsPage {
  constructor(main, signal) {
    this.signal = signal;
    Object.assign(this, {
      records: [],
      flying: [],
      cursor: null,
      complete: true,
      question: null,
      shownQuestion: null,
      shownLook: null,
      hasFailed: null,
    });
    this.build(main);
    this.virtual = new VirtualRows(this.log, this.body, (item) => this.row(item));
    this.live = new Live({
      add: (items) => this.add(items),
      refresh: () => this.readNewest(),
      draw: () => this.drawLive(),
    });
    this.chart = new BarChart(this.chartHost, {
      height: 62,
      hasAxis: false,
      signal,
      zoom: (since, until) => change(fixedState(since, until)),
    });
    this.sheet = new Sheet(this.aside, {
      close: () => this.close(),
      move: (step) => this.move(step),
      signal,
    });
    NARROW.addEventListener("change", () => this.renewRows(), { signal });
    signal.addEventListener("abort", () => {
      this.live.stop();
      this.virtual.stop();
      this.question?.abort();
    });
    this.keys = this.shortcuts();
  }

  build(main) {
    this.box = searchBox({
      submit: (text) => this.setFilter(text),
      open: (id) => change({ record: id }),
      known: (name) => this.facets.known(name),
    });
    this.periodHost = el("div", { class: "period-host" });
    this.liveButton = el(
      "button",
      { type: "button", id: "live", onclick: () => this.toggleLive() },
      "Go live ",
      el("kbd", {}, "L"),
    );
    this.filtersButton = el(
      "button",
      { type: "button", id: "filters", onclick: () => this.toggleFacets() },
      "Filters ",
      el("kbd", {}, "F"),
    );
    const columns = el(
      "button",
      { type: "button", id: "columns", onclick: () => this.chooseColumns() },
      "Columns",
    );
    const exporting = el(
      "button",
      { type: "button", id: "export", onclick: () => this.export() },
      "Export",
    );
    this.panel = el("aside", { class: "facets", id: "facets", "aria-label": "Filters" });
    this.facets = new Facets(
      this.panel,
      (text) => this.setFilter(text),
      () => this.toggleFacets(),
    );
    this.chartHost = el("div", { class: "mini-chart" });
    this.bar = el("div", { id: "live-bar", role: "status" });
    this.head = el("thead");
    this.body = el("tbody", { id: "rows" });
    this.table = el("table", { id: "table" }, this.head, this.body);
    this.foot = el("div", { class: "foot", id: "foot" });
    this.log = el(
      "section",
      { class: "log", "aria-label": "Records", tabindex: -1 },
      this.table,
      this.foot,
    );
    this.aside = el("aside", {
      class: "sheet",
      id: "sheet",
      "aria-label": "Record",
      tabindex: "-1",
      hidden: true,
    });
    main.append(
      el("h1", { class: "hidden" }, "Requests"),
      el(
        "div",
        { class: "tools" },
        this.box.form,
        el(
          "div",
          { class: "tool-buttons" },
          this.filtersButton,
          columns,
          this.periodHost,
          this.liveButton,
          exporting,
        ),
        this.box.bad,
      ),
      el(
        "div",
        { class: "split" },
        this.panel,
        el("div", { class: "middle" }, this.chartHost, this.bar, this.log),
        this.aside,
      ),
    );
  }

  // --- address -----------------------------------------------------------------------------------------------

  onAddress() {
    const state = address();
    this.state = state;
    this.period = readPeriod(state, "1h");
    this.box.set(state.filter ?? "");
    this.periodHost.replaceChildren(periodControl(this.period, (some) => change(some)));
    this.panel.hidden = !this.showsFacets();
    this.filtersButton.setAttribute("aria-pressed", String(!this.panel.hidden));
    this.drawColumns();
    const question = JSON.stringify([state.filter, state.period, state.since, state.until]);
    if (question !== this.shownQuestion) {
      this.shownQuestion = question;
      this.renew();
    }
    if (state.live === "1" && this.parameters()) this.live.start(this.parameters());
    else if (this.live.isOn) this.live.stop();
    this.drawLive();
    if (state.record) this.showRecord(state.record);
    else this.sheet.hide();
    this.markOpen();
  }

  showsFacets() {
    if (this.state.facets !== undefined) return this.state.facets === "1";
    return WIDE.matches && !this.state.record;
  }

  toggleFacets() {
    change({ facets: this.panel.hidden ? "1" : "0" }, { isStep: false });
    if (!this.panel.hidden) this.panel.querySelector("input")?.focus();
  }
  toggleLive() {
    change({ live: this.live.isOn ? undefined : "1" });
  }
  setFilter(filter) {
    change({ filter });
  }

  parameters() {
    const read = parse(this.state.filter ?? "");
    this.box.complain(read.error ?? "");
    return read.error ? null : read.parameters;
  }

  // --- reading -----------------------------------------------------------------------------------------------

  renew() {
    this.question?.abort();
    this.question = new AbortController();
    Object.assign(this, {
      records: [],
      flying: [],
      cursor: null,
      complete: true,
      isFirst: true,
      hasFailed: null,
    });
    const parameters = this.parameters();
    if (!parameters) return;
    if (this.live.isOn) this.live.parameters = parameters;
    const { signal } = this.question;
    const later = setTimeout(() => this.drawSkeleton(), 150);
    this.readNewest().finally(() => clearTimeout(later));
    ask("/api/histogram", { ...parameters, ...this.period.parameters, buckets: 120 }, signal).then(
      (data) => this.chart.set(data),
      (error) => this.fail(error),
    );
    if (!this.panel.hidden) this.readFacets(signal);
  }

  readFacets(signal = this.question.signal) {
    this.facetsOf = this.shownQuestion;
    this.facets
      .read(this.state.filter ?? "", this.period, signal)
      .catch((error) => this.fail(error));
  }

  async page(more) {
    const parameters = this.parameters();
    if (!parameters) return null;
    const { signal } = this.question;
    try {
      const answer = await ask(
        "/api/records",
        { ...parameters, ...this.period.parameters, limit: PAGE, ...more },
        signal,
      );
      return signal.aborted ? null : answer;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  async readNewest() {
    const answer = await this.page({ in_flight: true });
    if (!answer) return;
    const stored = answer.records.filter((record) => !record.in_flight);
    this.flying = answer.records.filter((record) => record.in_flight);
    const known = new Set(this.records.map((record) => record.id));
    const fresh = stored.filter((record) => !known.has(record.id));
    if (this.isFirst || fresh.length === stored.length) {
      Object.assign(this, {
        records: stored,
        cursor: answer.next_cursor,
        complete: answer.complete,
        isFirst: false,
      });
    } else this.records = [...this.records, ...fresh].sort((a, b) => (b.seq ?? 0) - (a.seq ?? 0));
    this.draw();
  }

  async readOlder() {
    if (this.isReading || !this.cursor) return;
    this.isReading = true;
    const answer = await this.page({ cursor: this.cursor });
    this.isReading = false;
    if (!answer) return;
    const known = new Set(this.records.map((record) => record.id));
    this.records = [...this.records, ...answer.records.filter((record) => !known.has(record.id))];
    Object.assign(this, { cursor: answer.next_cursor, complete: answer.complete });
    this.draw();
  }

  add(items) {
    const known = new Set(this.records.slice(0, 2000).map((record) => record.id));
    const fresh = items
      .filter((item) => !known.has(item.id))
      .map((item) => ({ ...item, isNew: true }));
    if (!fresh.length) return;
    const ids = new Set(fresh.map((item) => item.id));
    this.flying = this.flying.filter((record) => !ids.has(record.id));
    this.records = [...fresh, ...this.records];
    if (this.records.length > MAX_ROWS)
      Object.assign(this, { records: this.records.slice(0, MAX_ROWS), cursor: null, isCut: true });
    this.draw({ holds: true });
  }

  fail(error) {
    const text = wordsFor(error);
    if (text === null) return;
    if (error instanceof Problem && error.status === 400) this.box.complain(text);
    else {
      this.hasFailed = text;
      this.drawFoot();
    }
  }

  // --- showing -----------------------------------------------------------------------------------------------

  columns() {
    const columns = readColumns(this.state.columns);
    return this.state.record && innerWidth > 1100
      ? columns.filter((name) => SHORT_COLUMNS.includes(name))
      : columns;
  }

  drawColumns() {
    const look = NARROW.matches ? "narrow" : this.columns().join();
    if (look === this.shownLook) return;
    this.shownLook = look;
    this.head.replaceChildren(headRow(this.columns()));
    this.table.className = NARROW.matches ? "narrow" : "";
    this.virtual.renew(NARROW.matches ? HEIGHTS.narrow : HEIGHTS.wide);
  }

  renewRows() {
    this.shownLook = null;
    this.drawColumns();
  }

  row(item) {
    if (item.record.isNotice) return noticeRow(item.record, this.columns());
    const { record } = item;
    const open = (one) => change({ record: one.id });
    const row = NARROW.matches ? narrowRow(record, open) : recordRow(record, this.columns(), open);
    if (record.isNew) {
      row.classList.add("new");
      record.isNew = false;
    }
    if (record.id === this.state.record) row.setAttribute("aria-current", "true");
    if (item.isEarlier) row.classList.add("earlier");
    return row;
  }

  draw({ holds = false } = {}) {
    const all = [...this.flying, ...this.records];
    const items = all.map((record, index) => ({
      key: record.id + (record.in_flight ? "*" : ""),
      record,
      isFleeting: record.in_flight,
      isEarlier: index + 1 < all.length && record.started_at_us < all[index + 1].started_at_us,
    }));
    this.table.hidden = items.length === 0;
    this.table.setAttribute("aria-rowcount", items.length + 1);
    this.virtual.set(items, { holds });
    this.markOpen();
    this.drawFoot();
  }

  drawSkeleton() {
    this.table.hidden = true;
    this.foot.replaceChildren(
      el(
        "div",
        { class: "skeleton", "aria-label": "Loading" },
        Array.from({ length: 12 }, () => el("div")),
      ),
    );
  }

  drawFoot() {
    const number = this.records.length + this.flying.length;
    if (this.hasFailed) {
      return this.foot.replaceChildren(
        el(
          "p",
          { class: "failed" },
          el("span", { class: "error" }, el("span", { class: "grade" })),
          `The records could not be read: ${this.hasFailed}. `,
          el("button", { type: "button", class: "link", onclick: () => this.renew() }, "Try again"),
        ),
      );
    }
    if (number === 0)
      return this.foot.replaceChildren(...(this.complete ? this.noMatch() : this.goOn(0)));
    if (!this.cursor)
      return this.foot.replaceChildren(
        el(
          "p",
          { class: "unit" },
          `${count(number)} shown, ${this.isCut ? "older ones are a shorter period away" : "end of the list"}`,
        ),
      );
    this.foot.replaceChildren(...this.goOn(number));
  }

  goOn(number) {
    const label = this.complete ? "Older records" : "Go on searching";
    const note = this.complete
      ? `${count(number)} shown`
      : `Searched for 2 s and found ${count(number)}. There may be more.`;
    return [
      el("p", { class: "unit" }, note),
      el("button", { type: "button", id: "older", onclick: () => this.readOlder() }, label),
    ];
  }

  noMatch() {
    const filters = words(this.state.filter ?? "");
    const wider = PRESETS.map(([name]) => name)
      .concat("30d")
      .find((name) => readPeriod({ period: name }).since < this.period.since - 1000);
    const button = (label, onclick) => el("button", { type: "button", onclick }, label);
    return [
      el(
        "div",
        { class: "nothing" },
        el(
          "p",
          {},
          el("strong", {}, filters.length ? "No requests match " : "No requests "),
          filters.map((word) =>
            el("code", { class: "chip" }, word.isBare ? word.value : `${word.name}:${word.value}`),
          ),
          this.period.name ? `in the last ${periodLabel(this.period.name)}` : "in this period",
        ),
        el(
          "div",
          { class: "buttons" },
          wider &&
            button(`Look at the last ${periodLabel(wider)}`, () => change(presetState(wider))),
          filters.length > 0 &&
            button(`Drop ${filters.at(-1).name}:${filters.at(-1).value}`, () =>
              this.setFilter(without(this.state.filter, filters.at(-1).name)),
            ),
        ),
      ),
    ];
  }

  drawLive() {
    this.liveButton.setAttribute("aria-pressed", String(this.live.isOn));
    this.bar.replaceChildren(
      ...(this.live.isOn || this.live.ended
        ? [
            liveBar(this.live, {
              pause: () => this.live.pause(),
              resume: () => this.live.resume(),
              stop: () => change({ live: undefined }),
            }),
          ]
        : []),
    );
  }

  // --- the open record ---------------------------------------------------------------------------------------

  showRecord(id) {
    const known = this.virtual.items.find((item) => item.record.id === id)?.record;
    this.sheet.show(id, known, (record) => {
      if (record.id !== id) change({ record: record.id }, { isStep: false });
      this.chart.setMark(record.started_at_us / 1000);
    });
  }

  markOpen() {
    for (const row of this.body.querySelectorAll("tr[data-id]")) {
      if (row.dataset.id === this.state.record) row.setAttribute("aria-current", "true");
      else row.removeAttribute("aria-current");
    }
    if (!this.panel.hidden && this.facetsOf !== this.shownQuestion && this.question)
      this.readFacets();
    if (!this.state.record) this.chart.setMark(null);
  }

  close() {
    const at = this.indexOf(this.state.record);
    change({ record: undefined, tab: undefined });
    if (at >= 0) this.virtual.reveal(at);
  }

  indexOf(id) {
    return this.virtual.items.findIndex((item) => item.record.id === id);
  }

  move(step) {
    const { items } = this.virtual;
    let at = this.indexOf(this.state.record ?? document.activeElement?.dataset?.id);
    do at += step;
    while (items[at]?.record.isNotice);
    if (at >= items.length - 5) this.readOlder();
    if (!items[at]) return;
    this.virtual.reveal(at, { withFocus: !this.aside.contains(document.activeElement) });
    if (this.state.record) change({ record: items[at].record.id }, { isStep: false });
  }

  // --- doing -------------------------------------------------------------------------------------------------

  chooseColumns() {
    const choose = (name, isOn) => {
      const shown = new Set(readColumns(this.state.columns));
      if (isOn) shown.add(name);
      else shown.delete(name);
      const text = readColumns([...shown].join()).join();
      change({ columns: text === DEFAULT_COLUMNS.join() ? undefined : text }, { isStep: false });
    };
    openDialog("Columns", (close) => [
      columnTicks(readColumns(this.state.columns), choose),
      el(
        "div",
        { class: "buttons end" },
        el("button", { type: "button", class: "primary", onclick: () => close() }, "Done"),
      ),
    ]);
  }

  export() {
    const parameters = { ...this.parameters(), ...this.period.parameters };
    const link = (format, text) =>
      el(
        "a",
        { href: "/api/export" + queryOf({ ...parameters, format }), download: `sidelog.${format}` },
        el("strong", {}, format.toUpperCase()),
        " ",
        text,
      );
    openDialog("Export what is filtered", (close) => [
      el(
        "ul",
        { class: "exports" },
        el("li", {}, link("ndjson", "one record a line")),
        el("li", {}, link("csv", "for a spreadsheet, formulas neutralised")),
        el("li", {}, link("har", "for browsers’ network tools, with bodies")),
      ),
      el(
        "div",
        { class: "buttons end" },
        el("button", { type: "button", onclick: () => close() }, "Close"),
      ),
    ]);
  }

  shortcuts() {
    const period = Object.fromEntries(
      PRESETS.map(([name], index) => [String(index + 1), () => change(presetState(name))]),
    );
    return {
      ...period,
      j: () => this.move(1),
      k: () => this.move(-1),
      ArrowDown: () => this.move(1),
      ArrowUp: () => this.move(-1),
      f: () => this.toggleFacets(),
      l: () => this.toggleLive(),
      z: () => this.chart.zoomIn(),
      Backspace: () => this.state.since && change(presetState("1h")),
      " ": () => this.live.isOn && (this.live.isPaused ? this.live.resume() : this.live.pause()),
      e: () => this.setFilter(toggled(this.state.filter ?? "", "level", "error")),
      c: () => this.sheet.press("curl"),
      y: () => this.sheet.press("link"),
      "[": () => this.sheet.turn(-1),
      "]": () => this.sheet.turn(1),
      Escape: () => (this.state.record ? this.close() : this.setFilter("")),
    };
  }
}
