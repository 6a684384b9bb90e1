// What is read of a record beside it: one in flight again until it has ended, and the command that repeats it.

import { ApiError, getJson, pause } from "../lib/api.js";

const EVERY_MS = 2000;

/** Return the record once its status is known or it has ended; null when it is not wanted any more or cannot be read. */
export async function nextState(record, signal) {
  for (;;) {
    await pause(EVERY_MS);
    if (signal.aborted) return null;
    if (document.hidden) continue;
    try {
      const read = await getJson(`api/records/${encodeURIComponent(record.id)}`, {}, signal);
      if (!read.in_flight || read.status !== record.status) return read;
    } catch (error) {
      // 404: it has ended and is not stored yet
      if (error instanceof ApiError && error.status !== 404) return null;
    }
  }
}

/** Return the curl command of a record and its notes, {} where they cannot be read; early, as a browser may not copy what a click waits for. */
export async function readCurl({ id }, signal) {
  try {
    return await getJson(`api/records/${encodeURIComponent(id)}/curl`, {}, signal);
  } catch {
    return {};
  }
}
