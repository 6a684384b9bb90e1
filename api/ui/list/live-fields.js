// Rows come without heads and bodies: fields of live records are asked for by their ids.

import { getJson } from "../lib/api.js";
import { isSessionCall } from "../record/record-kind.js";

const MAX_RECORDS = 50; // the newest of a batch; a search has at most 100 values

/** Hands items on in the order in which they came, whichever answer is the first. */
export class FieldReads {
  constructor() {
    this.last = Promise.resolve();
  }

  /** Call `take` with the items and their fields, unless the signal ends that. */
  add(items, fields, signal, take) {
    const reading = withFields(items, fields, signal);
    this.last = this.last.then(async () => {
      const shown = await reading;
      if (!signal.aborted) take(shown);
    });
  }
}

/** The items with the fields that are columns; without them where they could not be read. */
async function withFields(items, fields, signal) {
  const ids = items
    .filter((item) => !item.isNotice && (item.kind === "exchange" || isSessionCall(item)))
    .slice(0, MAX_RECORDS)
    .map((item) => item.id);
  if (!fields.length || !ids.length) return items;
  const since = new Date(
    Math.min(...items.map((item) => item.started_at_us ?? Infinity)) / 1000 - 1,
  );
  const query = {
    query: `id:${ids.join()}`,
    kind: "all",
    fields: fields.join(),
    limit: MAX_RECORDS,
  };
  try {
    const { records } = await getJson(
      "api/records",
      { ...query, since: since.toISOString() },
      signal,
    );
    const found = new Map(records.map((record) => [record.id, record.fields]));
    return items.map((item) =>
      found.has(item.id) ? { ...item, fields: found.get(item.id) } : item,
    );
  } catch {
    return items; // the cells say that they were not read
  }
}
