// The record that the address names, brought into sight: the period is moved to it where it holds it not, and older pages
// are loaded until it is there.

import { change } from "../lib/address.js";
import { fixedState } from "../lib/time-range.js";

const AROUND_MS = 60_000;
const MAX_ROWS = 20_000;
const PAGE = 100;
const LARGE_PAGE = 1000;

export class Sought {
  constructor(page) {
    this.page = page;
    this.record = null; // null: none is looked for
  }

  /** How many rows to ask for at a time. */
  get pageRows() {
    return this.record === null ? PAGE : LARGE_PAGE;
  }

  /** Look for a record that no row was clicked for. */
  seek(record) {
    const { period } = this.page;
    const start = record.started_at_us / 1000;
    const isLater = period.name === null && start >= period.until;
    this.record = record;
    if (start < period.since || isLater)
      change(fixedState(start - AROUND_MS, start + AROUND_MS), { isStep: false });
    else this.goOn();
  }

  /** Show it, or load more, as long as older rows may hold it. */
  goOn() {
    const { record, page } = this;
    if (record === null || page.loaded.isEmpty) return;
    const at = page.indexOf(record.id);
    if (at >= 0) page.virtual.reveal(at, { withFocus: false });
    const { stored, cursor } = page.loaded;
    const isBehind = cursor === null || record.seq === null || stored.at(-1)?.seq < record.seq;
    const isOver = at >= 0 || isBehind || stored.length > MAX_ROWS;
    if (isOver || page.state.record !== record.id) this.record = null;
    else page.loadOlder();
  }
}
