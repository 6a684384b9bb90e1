// Conversations: LLM calls that belong together. A line each, the newest first unless another order is chosen; an open
// line shows its turns, and an open turn its record beside them.

import { address, change } from "../lib/address.js";
import { ApiError, errorText, getJson } from "../lib/api.js";
import { conversationRow, COLUMNS, headRow, SORTS } from "./rows.js";
import { Turns } from "./turns.js";
import { pager, select, Trail } from "../lib/controls.js";
import { button, el, redraw, setOpen, unit } from "../lib/dom.js";
import { parametersOf } from "../lib/filter.js";
import { count } from "../lib/format.js";
import { LatestRead } from "../lib/latest-read.js";
import { Sheet } from "../record/sheet.js";
import { searchBox } from "../lib/search-box.js";
import { periodControl, readPeriod } from "../lib/time-range.js";

const PAGE = 50;
const PRESETS = ["1h", "24h", "7d", "30d"];
const LENGTHS = [
  ["", "Any number of turns"],
  ["2", "2 turns and more"],
  ["10", "10 turns and more"],
  ["50", "50 turns and more"],
];
const FAILURES = [
  ["", "With or without failures"],
  ["1", "With failures"],
  ["5", "5 failures and more"],
];
const COSTS = [
  ["", "Any cost"],
  ["0.1", "$0.10 and more"],
  ["1", "$1 and more"],
  ["10", "$10 and more"],
];

export class Page {
  constructor(main, signal) {
    this.signal = signal;
    this.reads = new LatestRead(signal);
    this.question = null; // what the list was asked for
    this.listed = []; // the conversations of the page that is shown
    this.turns = null; // of the open conversation
    this.trail = new Trail();
    this.periodHost = el("div");
    this.box = searchBox({
      submit: (text) => this.filter({ filter: text }),
      open: (id) => change({ open: id }),
      noun: "conversation",
    });
    this.lengths = select("min_turns", "Turns", LENGTHS, (value) =>
      this.filter({ min_turns: value }),
    );
    this.failures = select("min_failed", "Failures", FAILURES, (least) =>
      this.filter({ min_failed: least }),
    );
    this.costs = select("min_cost_usd", "Cost", COSTS, (least) =>
      this.filter({ min_cost_usd: least }),
    );
    this.sort = select("sort", "Sort", Object.entries(SORTS), (sort) => this.filter({ sort }));
    this.bad = el("p", { class: "bad", role: "alert" });
    this.headRow = el("tr");
    this.body = el("tbody", { id: "conversations" });
    this.foot = el("div", { class: "pager" });
    const close = () => change({ record: undefined, tab: undefined });
    this.sheet = new Sheet({ close, move: (step) => this.move(step), signal });
    this.build(main);
    this.keys = {
      j: () => this.move(1),
      k: () => this.move(-1),
      c: () => this.sheet.press("curl"),
      y: () => this.sheet.press("link"),
      "[": () => this.sheet.turn(-1),
      "]": () => this.sheet.turn(1),
      Escape: () => (address().record ? close() : change({ open: undefined })),
    };
  }

  build(main) {
    const title = el("h1", {}, "Conversations ", unit("LLM calls that belong together"));
    const list = el(
      "div",
      { class: "list-side" },
      el("div", { class: "page-head" }, title, this.periodHost),
      el(
        "div",
        { class: "filters" },
        this.box.form,
        this.lengths,
        this.failures,
        this.costs,
        this.sort,
      ),
      this.box.bad,
      this.bad,
      el("table", { class: "managed conversations" }, el("thead", {}, this.headRow), this.body),
      this.foot,
    );
    main.append(list, this.sheet.host);
  }

  /** Change the address and go back to the newest conversations. */
  filter(some) {
    this.trail.clear();
    change({ ...some, cursor: undefined, open: undefined, record: undefined, tab: undefined });
  }

  onAddress() {
    const state = address();
    const period = readPeriod(state, "24h");
    redraw(
      this.periodHost,
      periodControl(period, (some) => this.filter(some), PRESETS),
    );
    this.box.set(state.filter ?? "");
    this.lengths.value = state.min_turns ?? "";
    this.failures.value = state.min_failed ?? "";
    this.costs.value = state.min_cost_usd ?? "";
    this.sort.value = state.sort ?? "";
    redraw(this.headRow, ...headRow(state.sort ?? "", (sort) => this.filter({ sort })));
    if (state.record) this.sheet.show(state.record, this.turns?.recordOf(state.record), () => {});
    else this.sheet.hide();
    this.turns?.mark(state.record);
    const question = JSON.stringify({
      ...state,
      open: undefined,
      record: undefined,
      tab: undefined,
    });
    if (question === this.question) return this.showOpen();
    this.question = question;
    return this.read(state, period);
  }

  async read(state, period) {
    const signal = this.reads.next();
    this.box.complain("");
    const { min_turns, min_failed, min_cost_usd, cursor, sort } = state;
    const least = { min_turns, min_failed, min_cost_usd };
    const query = {
      ...parametersOf(state.filter),
      ...period.parameters,
      ...least,
      cursor,
      sort,
      limit: PAGE,
    };
    try {
      const answer = await getJson("api/conversations", query, signal);
      if (signal.aborted) return;
      this.bad.textContent = "";
      this.draw(answer, state);
    } catch (failure) {
      this.fail(failure);
    }
  }

  /** What the server does not understand is said at the box, the rest above the list. */
  fail(failure) {
    const isAsked = failure instanceof ApiError && failure.status === 400;
    const text = errorText(failure) ?? "";
    if (isAsked) this.box.complain(text);
    else this.bad.textContent = text;
  }

  draw({ conversations, next_cursor: next, complete: isComplete }, state) {
    this.listed = conversations;
    this.turns = null;
    this.body.replaceChildren(...conversations.map((each) => this.row(each)));
    if (next) this.trail.follow(next, state.cursor);
    const newer = () => change({ cursor: this.trail.newer(state.cursor), open: undefined });
    const older = () => change({ cursor: next, open: undefined });
    const note = this.note(conversations.length, isComplete, state);
    const isWhole = !conversations.length && !state.cursor && !next;
    const foot = isWhole ? [note] : pager(note, state.cursor && newer, next && older);
    this.foot.replaceChildren(el("div", {}, foot[0]), ...foot.slice(1));
    this.showOpen();
  }

  /** What stands below the rows: which ones they are, or why there are none. */
  note(shown, isComplete, { filter, min_turns, min_failed, min_cost_usd: cost, cursor, sort }) {
    const least = min_turns || min_failed || cost;
    if (shown && (sort || min_failed || cost))
      return `the first ${count(shown)}${isComplete ? "" : " of the newest: the search ended at its time limit"}`;
    const more = isComplete ? "" : ". The search ended at its time limit: Older goes on";
    if (shown) return this.trail.range(cursor, shown, PAGE) + more;
    if (more) return "Nothing found so far" + more;
    if (!filter && !least && !cursor) return nothingYet();
    const clear = () =>
      this.filter({
        filter: undefined,
        min_turns: undefined,
        min_failed: undefined,
        min_cost_usd: undefined,
      });
    return ["No conversations match ", button("Clear filters", clear, { class: "link" })];
  }

  row(conversation) {
    const { id } = conversation;
    const toggle = () =>
      change(
        { open: address().open === id ? undefined : id, record: undefined, tab: undefined },
        { isStep: false },
      );
    return conversationRow(conversation, toggle);
  }

  /** Open the row that the address names, and close the one before. */
  async showOpen() {
    const { open } = address();
    if (this.turns?.id === open) return;
    this.close();
    if (!open) return;
    const turns = new Turns(open, this.signal);
    this.turns = turns;
    try {
      await turns.read();
    } catch (error) {
      if (this.turns === turns) this.bad.textContent = errorText(error) ?? "";
      return;
    }
    if (this.turns !== turns) return;
    this.bad.textContent = "";
    const { conversation } = turns;
    const read = this.row(conversation); // a conversation that goes on has more turns than when it was listed
    const row = this.rowOf(conversation.id) ?? read;
    if (row === read) this.body.prepend(row);
    else redraw(row, ...read.children);
    setOpen(row, true);
    const cell = el("td", { colspan: Object.keys(COLUMNS).length }, turns.host);
    row.after(el("tr", { class: "inside" }, cell));
    turns.mark(address().record);
  }

  /** Open the turn behind the open one, or before it. */
  async move(step) {
    const next = await this.turns?.beside(address().record, step);
    if (next) change({ record: next }, { isStep: false });
  }

  rowOf(id) {
    return [...this.body.children].find((row) => row.dataset.conversation === id);
  }

  close() {
    this.turns = null;
    this.bad.textContent = "";
    const isListed = (row) => this.listed.some(({ id }) => id === row.dataset.conversation);
    for (const row of [...this.body.children]) {
      if (isListed(row)) setOpen(row, false);
      else row.remove(); // the turns, or a row that was opened from elsewhere
    }
  }
}

function nothingYet() {
  return el(
    "div",
    { class: "nothing" },
    el("p", {}, el("strong", {}, "No conversations in this period.")),
    el("p", {}, "A call of an LLM through sidelog makes one. A later call belongs to it when"),
    el(
      "ul",
      {},
      el("li", {}, "a header or the body names the same session,"),
      el("li", {}, "it names the response before (", el("code", {}, "previous_response_id"), "),"),
      el("li", {}, "or its messages begin with those of the call before, as agents send them."),
    ),
  );
}
