// The records a list has loaded, pages and live ones, in the order in which they started: the server
// gives them in the order in which they ended. Pure.

const MAX_ROWS = 20_000; // older ones are a filter or a shorter period away
const SEARCH_MS = 20_000; // for which a search that has found nothing goes on by itself

/** Order by start, newest first; of equal ones those stored later. */
const byStart = (a, b) =>
  (b.started_at_us ?? 0) - (a.started_at_us ?? 0) || (b.seq ?? 0) - (a.seq ?? 0);
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
    this.arrivals = 0; // live items so far
  }

  /** Await a page; count for how long, and note what had come live when it was asked for. */
  async timed(reading) {
    const begunAt = Date.now();
    const { arrivals } = this;
    const answer = await reading;
    this.searchedMs += Date.now() - begunAt;
    return { ...answer, arrivals };
  }

  /** Whether to ask on at once: the server stopped searching, nothing was found, and that did not take long yet. */
  get goesOn() {
    const isStopped = !this.isComplete && this.cursor !== null && !this.all.length;
    return isStopped && this.searchedMs < SEARCH_MS;
  }

  /** All of them: those in flight, then the others, newest first. */
  get all() {
    return [...this.inFlight, ...this.stored];
  }

  /** The rows of all of them; a key changes with what its row shows. */
  get items() {
    return this.all.map((record) => ({
      key: [record.id, record.in_flight ? "*" : "", ...Object.keys(record.fields ?? {})].join(""),
      record,
      isFleeting: record.in_flight,
    }));
  }

  /** Take the newest page; when none of it is known, it replaces what was there when it was asked for. */
  setNewest({ records, next_cursor: cursor, complete, arrivals }) {
    const known = idsOf(this.stored);
    let kept = this.stored;
    if (this.isEmpty || !records.some((record) => !record.in_flight && known.has(record.id))) {
      kept = this.stored.filter((record) => record.arrival > arrivals);
      this.cursor = cursor;
      this.isComplete = complete;
      this.isEmpty = false;
    }
    const ids = idsOf(kept);
    const fresh = records.filter((record) => !ids.has(record.id));
    this.inFlight = fresh.filter((record) => record.in_flight);
    this.hold([...kept, ...fresh.filter((record) => !record.in_flight)]);
  }

  /** Take the page behind the cursor. */
  appendOlder({ records, next_cursor: cursor, complete }) {
    const known = idsOf(this.stored);
    this.cursor = cursor;
    this.isComplete = complete;
    this.hold([...this.stored, ...records.filter((record) => !known.has(record.id))]);
  }

  /** Hold these, but no more than so many: what is older cannot be reached from here. */
  hold(records) {
    this.stored = records.sort(byStart).slice(0, MAX_ROWS);
    if (records.length < MAX_ROWS) return;
    this.isCut = this.isCut || this.cursor !== null || records.length > MAX_ROWS;
    this.cursor = null;
  }

  /** Add live items; returns whether any was new. */
  add(items) {
    const known = idsOf(this.stored);
    const fresh = items
      .filter((item) => !known.has(item.id))
      .map((item) => ({ ...item, isNew: true, arrival: (this.arrivals += 1) }));
    if (!fresh.length) return false;
    const ids = idsOf(fresh);
    this.inFlight = this.inFlight.filter((record) => !ids.has(record.id));
    this.hold([...fresh, ...this.stored]);
    return true;
  }
}
