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

const listeners = new Set();

/** Notify a listener after every response (true) and every failure to connect (false). */
export const onConnectionChange = (listener) => listeners.add(listener);

const notify = (isThere) => listeners.forEach((listener) => listener(isThere));

async function answerOf(response) {
  notify(true);
  if (response.status === 401) {
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
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
    await reach(path + toQuery(parameters), { signal, headers: { accept: "application/json" } }),
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
