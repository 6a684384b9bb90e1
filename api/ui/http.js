// The API, asked with the session's cookie. Without a session the login page keeps the present address.

export class Problem extends Error {
  constructor(status, problem) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    this.status = status;
    this.parameter = problem.parameter ?? null;
  }
}

/** Ask for JSON; throws Problem for an answer that is an error, TypeError when there is none. */
export async function ask(path, parameters = {}, signal = undefined) {
  const query = new URLSearchParams(parameters).toString();
  const response = await fetch(query ? `${path}?${query}` : path, { signal, headers: { accept: "application/json" } });
  if (response.status === 401) {
    location.assign("/login?next=" + encodeURIComponent(location.pathname + location.search));
    return new Promise(() => {}); // the page is on its way out
  }
  const answer = await response.json();
  if (!response.ok) throw new Problem(response.status, answer);
  return answer;
}
