// The API, asked with the session's cookie. Without a session the login page keeps the present address.

export class Problem extends Error {
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

/** Be told after every answer (true) and every silence (false). */
export const onContact = (listener) => listeners.add(listener);

const tell = (isThere) => listeners.forEach((listener) => listener(isThere));

async function answerOf(response) {
  tell(true);
  if (response.status === 401) {
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    return new Promise(() => {}); // the page is on its way out
  }
  if (response.status === 204) return null;
  const answer = await response.json().catch((error) => {
    if (response.ok) throw error; // cut off, or given up: never an empty answer
    return {};
  });
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}

async function reach(path, options) {
  try {
    return await fetch(path, options);
  } catch (error) {
    if (error.name !== "AbortError") tell(false);
    throw error;
  }
}

/** Write parameters as a query, leaving out what is not given. */
export function queryOf(parameters) {
  const given = Object.entries(parameters).filter(
    ([, value]) => value !== undefined && value !== null && value !== "",
  );
  return given.length ? "?" + new URLSearchParams(given) : "";
}

/** Ask for JSON; throws Problem for an answer that is an error, TypeError when there is none. */
export async function ask(path, parameters = {}, signal = undefined) {
  return answerOf(
    await reach(path + queryOf(parameters), { signal, headers: { accept: "application/json" } }),
  );
}

/** Change something; answers the JSON of the answer, null when it has none. */
export async function send(method, path, body) {
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

/** What to tell a person about a failure: null for one that was wanted. */
export function wordsFor(error) {
  if (error.name === "AbortError") return null;
  return error instanceof Problem ? error.message : "sidelog does not answer";
}
