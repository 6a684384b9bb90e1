// The records a list has loaded: a newest page, older pages below it, live records above. Pure.

const MAX_ROWS = 20_000; // older ones are a filter or a shorter period away
const SEARCH_MS = 20_000; // for which a search that has found nothing goes on by itself
const RECENT = 2000; // among which a live record may already be

const idsOf = (records) => new Set(records.map((record) => record.id));

export class LoadedRecords {
  constructor() {
    this.clear();
  }

  clear() {
    this.stored = [];
    this.inFlight = [];
    this.cursor = null;
    this.isComplete = true; // false: the server stopped searching at its time budget
    this.isCut = false;
    this.isEmpty = true;
    this.searchedMs = 0;
  }

  /** Await a page, and count for how long. */
  async timed(reading) {
    const begunAt = Date.now();
    const answer = await reading;
    this.searchedMs += Date.now() - begunAt;
    return answer;
  }

  /** Whether to ask on at once: the server stopped searching, nothing was found, and that did not take long yet. */
  get goesOn() {
    const isStopped = !this.isComplete && this.cursor !== null && !this.all.length;
    return isStopped && this.searchedMs < SEARCH_MS;
  }

  /** All of them, newest first. */
  get all() {
    return [...this.inFlight, ...this.stored];
  }

  /** Take the newest page; when none of it is known, it replaces what was there. */
  setNewest({ records, next_cursor: cursor, complete }) {
    const stored = records.filter((record) => !record.in_flight);
    this.inFlight = records.filter((record) => record.in_flight);
    const known = idsOf(this.stored);
    const fresh = stored.filter((record) => !known.has(record.id));
    if (this.isEmpty || fresh.length === stored.length) {
      this.stored = stored;
      this.cursor = cursor;
      this.isComplete = complete;
      this.isEmpty = false;
    } else this.stored = [...this.stored, ...fresh].sort((a, b) => (b.seq ?? 0) - (a.seq ?? 0));
  }

  /** Take the page behind the cursor. */
  appendOlder({ records, next_cursor: cursor, complete }) {
    const known = idsOf(this.stored);
    this.stored = [...this.stored, ...records.filter((record) => !known.has(record.id))];
    this.cursor = cursor;
    this.isComplete = complete;
  }

  /** Put live items on top; returns whether any was new. */
  prepend(items) {
    const known = idsOf(this.stored.slice(0, RECENT));
    const fresh = items
      .filter((item) => !known.has(item.id))
      .map((item) => ({ ...item, isNew: true }));
    if (!fresh.length) return false;
    const ids = idsOf(fresh);
    this.inFlight = this.inFlight.filter((record) => !ids.has(record.id));
    this.stored = [...fresh, ...this.stored];
    if (this.stored.length > MAX_ROWS) {
      this.stored = this.stored.slice(0, MAX_ROWS);
      this.cursor = null;
      this.isCut = true;
    }
    return true;
  }
}
