// The requests page: what is in the address is what is shown. Filters, histogram, log, live mode, and the sheet.

import { button, el, redraw, write } from "../lib/dom.js";
import { openNewAlert } from "../alerts/new-alert.js";
import { BarChart } from "../lib/bar-chart.js";
import { Facets } from "../list/facets.js";
import { ApiError, errorText, getJson } from "../lib/api.js";
import { Live } from "../list/live.js";
import { LiveBar } from "../list/live-bar.js";
import { footOf, skeleton } from "../list/foot.js";
import { LoadedRecords } from "../list/loaded-records.js";
import { Sought } from "../list/sought.js";
import { openExport } from "../list/export-dialog.js";
import { LatestRead } from "../lib/latest-read.js";
import { fixedState, periodControl, readPeriod } from "../lib/time-range.js";
import { parametersOf } from "../lib/filter.js";
import { countOf } from "../lib/format.js";
import { address, change } from "../lib/address.js";
import { headRow, narrowRow, noticeRow, readColumns, recordRow } from "../list/rows.js";
import { isField } from "../list/fields.js";
import { openColumnChooser } from "../list/columns.js";
import { groupControl, showGroups } from "../list/groups.js";
import { enterView, openViews } from "../list/views.js";
import { CompareChoice } from "./compare-choice.js";
import { FieldReads } from "../list/live-fields.js";
import { arranged } from "../list/layout.js";
import { moveBy, shortcuts } from "../list/shortcuts.js";
import { searchBox } from "../lib/search-box.js";
import { ofSample } from "../record/sample.js";
import { Sheet } from "../record/sheet.js";
import { VirtualRows } from "../list/virtual-rows.js";

const NARROW = matchMedia("(max-width: 1000px)");
const BESIDE = matchMedia("(min-width: 1101px)");
const WIDE = matchMedia("(min-width: 1500px)");
const HEIGHTS = { wide: 28, narrow: 52 };

export class Page {
  constructor(main, signal) {
    this.signal = signal;
    this.loaded = new LoadedRecords();
    this.reads = new LatestRead(signal);
    this.shownQuestion = null;
    this.shownLook = null;
    this.failure = null;
    this.isLoadingOlder = false;
    this.total = null; // how many records match; null: not known
    this.fieldReads = new FieldReads();
    this.build(main);
    this.virtual = new VirtualRows(this.log, this.body, (item) => this.row(item));
    this.sought = new Sought(this);
    this.live = new Live({
      add: (items) => this.add(items),
      refresh: () => this.loadNewest(),
      draw: () => this.drawLive(),
    });
    this.chart = new BarChart(this.chartHost, {
      height: 62,
      hasAxis: false,
      signal,
      zoom: (since, until) => change(fixedState(since, until)),
    });
    this.log.addEventListener("scroll", () => this.isNearEnd() && this.loadOlder());
    for (const media of [NARROW, BESIDE])
      media.addEventListener("change", () => this.drawColumns(), { signal });
    signal.addEventListener("abort", () => {
      this.live.stop();
      this.virtual.stop();
    });
    this.keys = shortcuts(this);
  }

  build(main) {
    this.box = searchBox({
      submit: (filter) => this.ask({ filter }),
      open: (id) => change({ record: id }),
    });
    this.periodHost = el("div", { class: "period-host" });
    this.liveButton = button(["Go live ", el("kbd", {}, "L")], () => this.toggleLive(), {
      id: "live",
    });
    this.filtersButton = button(["Filters ", el("kbd", {}, "F")], () => this.toggleFacets(), {
      id: "filters",
    });
    const columns = button("Columns", () => this.chooseColumns(), { id: "columns" });
    const views = button("Views", () => this.openViews(), { id: "open-views" });
    this.grouping = groupControl((by) => change({ by, record: undefined, live: undefined }));
    this.choice = new CompareChoice(this);
    const exporting = button("Export", () => this.export(), { id: "export" });
    const alerting = button("Alert", () => openNewAlert(this.state.filter ?? "", this.state.by), {
      id: "alert",
      title: "Alert on this search …",
    });
    this.panel = el("aside", { class: "facets", id: "facets", "aria-label": "Filters" });
    this.facets = new Facets(
      this.panel,
      (text) => this.setFilter(text),
      () => this.toggleFacets(),
    );
    this.chartHost = el("div", { class: "mini-chart" });
    this.bar = new LiveBar({
      pause: () => this.live.pause(),
      resume: () => this.live.resume(),
      stop: () => change({ live: undefined }),
    });
    this.head = el("thead");
    this.body = el("tbody", { id: "rows" });
    this.table = el("table", { id: "table" }, this.head, this.body);
    this.foot = el("div", { class: "foot", id: "foot" });
    this.sum = el("p", { class: "unit sum", id: "sum", role: "status" });
    this.groupHost = el("div", { class: "group-host" });
    this.log = el(
      "section",
      { class: "log", "aria-label": "Records", tabindex: -1 },
      this.groupHost,
      this.table,
      this.foot,
    );
    const close = () => this.close();
    const move = (step) => moveBy(this, step);
    const compareWith = (record) => this.choice.begin(record);
    this.sheet = new Sheet({ close, move, compareWith, signal: this.signal });
    main.append(...arranged(this, { columns, views, exporting, alerting }));
  }

  onAddress() {
    const state = address();
    this.state = state;
    if (state.view !== undefined) {
      this.openView(state.view);
      return;
    }
    this.period = readPeriod(state, "1h");
    this.box.set(state.filter ?? "");
    redraw(
      this.periodHost,
      periodControl(this.period, (some) => this.ask(some)),
    );
    this.panel.hidden = !this.showsFacets();
    this.filtersButton.setAttribute("aria-pressed", String(!this.panel.hidden));
    this.drawColumns();
    this.grouping.set(state.by);
    this.liveButton.disabled = Boolean(state.by);
    const fields = state.by ? [] : this.fields();
    const question = JSON.stringify([
      ...[state.filter, state.period, state.since, state.until, state.by],
      fields,
    ]);
    if (question !== this.shownQuestion) {
      this.shownQuestion = question;
      this.renew();
    }
    if (state.live === "1" && !state.by) this.live.start(this.parameters());
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
  /** Change what is asked for, or ask the same again. */
  ask(some) {
    const before = this.shownQuestion;
    change(some);
    if (before === this.shownQuestion) this.renew();
  }

  parameters() {
    return parametersOf(this.state.filter);
  }

  renew() {
    const signal = this.reads.next();
    this.loaded.clear();
    this.failure = this.total = null;
    this.box.complain("");
    const parameters = this.parameters();
    if (this.live.isOn) this.live.follow();
    const later = setTimeout(() => this.drawSkeleton(), 150);
    const reading = this.state.by ? this.group(parameters, signal) : this.loadNewest();
    reading.finally(() => clearTimeout(later));
    getJson(
      "api/histogram",
      { ...parameters, ...this.period.parameters, buckets: 120 },
      signal,
    ).then(
      (data) => {
        this.chart.set(data);
        this.chartHost.title = ofSample(data);
        this.total = totalOf(data);
        this.drawTotal();
        if (!this.state.by && !this.loaded.isEmpty) this.drawFoot();
      },
      (error) => this.fail(error),
    );
    if (!this.panel.hidden) this.loadFacets(signal);
  }

  async group(parameters, signal) {
    const query = { ...parameters, ...this.period.parameters, by: this.state.by };
    try {
      await showGroups(this.groupHost, query, this.state.filter, signal);
      if (signal.aborted) return;
      this.table.hidden = true;
      this.foot.replaceChildren();
    } catch (error) {
      this.fail(error);
    }
  }

  /** Put what a view says into the address. */
  openView(name) {
    const complain = (text) => this.box.complain(text);
    enterView(name, this.signal, complain).catch((error) => this.fail(error));
  }

  openViews() {
    openViews(this.state, (state) => change(state));
  }

  /** The columns that are read of heads and bodies. */
  fields() {
    return readColumns(this.state.columns).filter(isField);
  }

  loadFacets(signal = this.reads.signal) {
    this.facetsOf = this.shownQuestion;
    this.facets
      .read(this.state.filter ?? "", this.period, signal)
      .catch((error) => this.fail(error));
  }

  /** Load a page of records; null when it failed or is no longer wanted. */
  async page(more) {
    const { signal } = this.reads;
    /** @type {Record<string, unknown>} */
    const query = {
      ...this.parameters(),
      ...this.period.parameters,
      limit: this.sought.pageRows,
      ...more,
    };
    const fields = this.fields();
    if (fields.length) query.fields = fields.join();
    try {
      const answer = await this.loaded.timed(getJson("api/records", query, signal));
      return signal.aborted ? null : answer;
    } catch (error) {
      this.fail(error);
      return null;
    }
  }

  /** Whether older records are to be loaded, for the last of the loaded ones are nearly in sight. */
  isNearEnd() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const canGoOn = this.loaded.isComplete && this.failure === null && !this.state.by;
    return canGoOn && scrollHeight - scrollTop < 3 * clientHeight;
  }

  async loadNewest() {
    const answer = await this.page({ in_flight: true });
    if (!answer) return;
    this.loaded.setNewest(answer);
    await this.drawPage();
  }

  async loadOlder() {
    if (this.isLoadingOlder || !this.loaded.cursor) return;
    this.isLoadingOlder = true;
    const answer = await this.page({ cursor: this.loaded.cursor });
    this.isLoadingOlder = false;
    if (!answer) return;
    this.loaded.appendOlder(answer);
    await this.drawPage();
  }

  /** Draw what was loaded, and go on where nothing was found yet. */
  async drawPage(look = {}) {
    this.draw(look);
    this.sought.goOn();
    if (this.loaded.goesOn) return this.loadOlder();
  }

  add(items) {
    const draw = (shown) => this.loaded.add(shown) && this.drawPage({ holds: true });
    this.fieldReads.add(items, this.fields(), this.reads.signal, draw);
  }

  fail(error) {
    const text = errorText(error);
    if (text === null) return;
    if (error instanceof ApiError && error.status === 400) {
      this.box.complain(text);
      this.foot.replaceChildren();
      this.live.stop(); // the stream of such a search is refused, too
      this.drawLive();
    } else {
      this.failure = text;
      this.drawFoot();
    }
  }

  columns() {
    return readColumns(this.state.columns);
  }

  /** Whether rows have two lines: on a narrow screen, and beside an open record, which leaves no room for columns. */
  hasTwoLines() {
    return NARROW.matches || (this.state.record !== undefined && BESIDE.matches);
  }

  drawColumns() {
    const isNarrow = this.hasTwoLines();
    const look = (isNarrow ? "narrow " : "") + this.columns().join();
    if (look === this.shownLook) return;
    this.shownLook = look;
    const columns = this.columns();
    this.head.replaceChildren(headRow(columns));
    const isMany = columns.length > 9 && !isNarrow;
    this.table.style.minWidth = isMany ? `${columns.length * 112}px` : "";
    this.table.className = isNarrow ? "narrow" : "";
    this.virtual.renew(isNarrow ? HEIGHTS.narrow : HEIGHTS.wide);
  }

  row(item) {
    if (item.record.isNotice) return noticeRow(item.record, this.columns());
    const { record } = item;
    const open = (one) => this.choice.open(one);
    const row = this.hasTwoLines()
      ? narrowRow(record, readColumns(this.state.columns), open)
      : recordRow(record, this.columns(), open);
    if (record.isNew) {
      row.classList.add("new");
      record.isNew = false;
    }
    this.choice.mark(row);
    return row;
  }

  draw({ holds = false } = {}) {
    this.groupHost.replaceChildren();
    const { items } = this.loaded;
    this.table.hidden = items.length === 0;
    this.table.setAttribute("aria-rowcount", items.length + 1);
    this.virtual.set(items, { holds });
    this.markOpen();
    this.drawFoot();
  }

  drawSkeleton() {
    this.table.hidden = true;
    this.groupHost.replaceChildren();
    this.foot.replaceChildren(skeleton());
  }

  drawFoot() {
    const retry = () => this.renew();
    const setFilter = (text) => this.setFilter(text);
    const loadOlder = () => this.loadOlder();
    this.foot.replaceChildren(...[footOf(this, { retry, setFilter, loadOlder })].flat());
  }

  /** How many records match, unless they become more while one looks. */
  drawTotal() {
    const isKnown = this.total !== null && !this.live.isOn;
    write(this.sum, isKnown ? countOf(this.total, "record") : "");
  }

  drawLive() {
    this.drawTotal();
    this.liveButton.setAttribute("aria-pressed", String(this.live.isOn));
    this.bar.draw(this.live);
  }

  showRecord(id) {
    let known = this.virtual.items.find((item) => item.record.id === id)?.record;
    this.sheet.show(id, known, (record) => {
      if (record.id !== id) change({ record: record.id }, { isStep: false });
      this.chart.setMark(record.started_at_us / 1000);
      if (!known) this.sought.seek((known = record));
      else if (known.in_flight && !record.in_flight) this.add([record]);
    });
  }

  markOpen() {
    for (const row of this.body.querySelectorAll("tr[data-id]")) this.choice.mark(row);
    if (!this.panel.hidden && this.facetsOf !== this.shownQuestion && this.reads.signal)
      this.loadFacets();
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

  chooseColumns() {
    openColumnChooser(this.state.columns, (columns) => change({ columns }, { isStep: false }));
  }

  export() {
    openExport({ ...this.parameters(), ...this.period.parameters }, this.fields());
  }
}

/** How many records the steps of a histogram count; null where it does not count all, or only estimates. */
const totalOf = ({ complete, sampled, buckets }) =>
  complete && !sampled
    ? buckets.reduce((sum, { exchanges, events }) => sum + exchanges + events, 0)
    : null;
