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

  /** All of them, newest first. */
  get all() {
    return [...this.inFlight, ...this.stored];
  }

  /** The rows of all of them; a key changes with what its row shows. */
  get items() {
    const { all } = this;
    return all.map((record, index) => ({
      key: [record.id, record.in_flight ? "*" : "", ...Object.keys(record.fields ?? {})].join(""),
      record,
      isFleeting: record.in_flight,
      isEarlier: index + 1 < all.length && record.started_at_us < all[index + 1].started_at_us,
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
    const stored = [...kept, ...fresh.filter((record) => !record.in_flight)];
    this.stored = stored.sort((a, b) => (b.seq ?? 0) - (a.seq ?? 0));
  }

  /** Take the page behind the cursor. */
  appendOlder({ records, next_cursor: cursor, complete }) {
    const known = idsOf(this.stored);
    this.stored = [...this.stored, ...records.filter((record) => !known.has(record.id))];
    this.cursor = cursor;
    this.isComplete = complete;
    if (this.stored.length >= MAX_ROWS) this.cut();
  }

  /** Hold no more than so many: what is older cannot be reached from here. */
  cut() {
    this.stored = this.stored.slice(0, MAX_ROWS);
    this.isCut = this.cursor !== null || this.isCut;
    this.cursor = null;
  }

  /** Put live items on top; returns whether any was new. */
  prepend(items) {
    const known = idsOf(this.stored.slice(0, RECENT));
    const newest = this.stored[0]?.seq; // a notice stays in its place
    const fresh = items
      .filter((item) => !known.has(item.id))
      .map((item) => ({ seq: newest, ...item, isNew: true, arrival: (this.arrivals += 1) }));
    if (!fresh.length) return false;
    const ids = idsOf(fresh);
    this.inFlight = this.inFlight.filter((record) => !ids.has(record.id));
    this.stored = [...fresh, ...this.stored];
    if (this.stored.length > MAX_ROWS) {
      this.isCut = true;
      this.cut();
    }
    return true;
  }
}
