// The client of the API, with the session's cookie. Without a session the login page keeps the present address.

export class ApiError extends Error {
  constructor(status, problem) {
    super(
      problem.detail ??
        problem.title ??
        problem.error?.message ??
        problem.message ??
        `status ${status}`,
    );
    this.status = status;
    this.parameter = problem.parameter ?? null;
  }
}

const PATIENCE_MS = 10_000;
const MAX_RETRY_AFTER_S = 2; // who is to come back later shows the error

const listeners = new Set();
let waiting = 0; // requests that wait for the store, which is being opened
let waitsFor = ""; // the server's words for that

/**
 * Notify a listener after every response (true) and every failure to connect (false), and of what requests wait for,
 * null when none does.
 */
export const onConnectionChange = (listener) => listeners.add(listener);

const notify = (isThere) =>
  listeners.forEach((listener) => listener(isThere, waiting ? waitsFor : null));

async function answerOf(response) {
  notify(true);
  if (response.status === 401) {
    location.assign("login?next=" + encodeURIComponent(location.pathname + location.search));
    return new Promise(() => {}); // the page is on its way out
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch((error) => {
    if (response.ok) throw error; // cut off, or given up: never an empty answer
    return {};
  });
  if (!response.ok) throw new ApiError(response.status, answer);
  return answer;
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name !== "AbortError") notify(false);
    throw error;
  }
}

/** Milliseconds after which what was not ready is ready; null where the response says no such thing, or too long. */
function readyAfterMs(response) {
  const seconds = response.status === 503 ? response.headers.get("retry-after") : null;
  return seconds !== null && Number(seconds) <= MAX_RETRY_AFTER_S ? Number(seconds) * 1000 : null;
}

/** Wait. */
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Ask again, for a while, what is not ready in its first moments. */
async function reachWhenReady(path, options) {
  const until = Date.now() + PATIENCE_MS;
  let response = await reach(path, options);
  if (readyAfterMs(response) === null) return response;
  waiting += 1;
  try {
    while (readyAfterMs(response) !== null && Date.now() < until) {
      const afterMs = readyAfterMs(response);
      waitsFor = new ApiError(503, await response.json()).message;
      notify(true);
      await pause(afterMs);
      response = await reach(path, options);
    }
    return response;
  } finally {
    waiting -= 1;
  }
}

/** Write parameters as a query, leaving out what is not given. */
export function toQuery(parameters) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  return given.length ? "?" + new URLSearchParams(given) : "";
}

/** Get JSON; throws ApiError for an answer that is an error, TypeError when there is none. */
export async function getJson(path, parameters = {}, signal = undefined) {
  return answerOf(
    await reachWhenReady(path + toQuery(parameters), {
      signal,
      headers: { accept: "application/json" },
    }),
  );
}

/** Send JSON; returns that of the response, null when it has none. */
export async function sendJson(method, path, body) {
  const headers = {
    accept: "application/json",
    ...(body !== undefined && { "content-type": "application/json" }),
  };
  return answerOf(
    await reach(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    }),
  );
}

/** The text of a failure; null for a request that was cancelled. */
export function errorText(error) {
  if (error.name === "AbortError") return null;
  return error instanceof ApiError ? error.message : "cannot reach sidelog";
}
