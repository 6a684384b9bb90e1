// What went wrong, in plain words: what happened, whose side, and what to do next. Pure.

const KEY_FIXES = {
  __proto__: null, // looked up by words from outside
  missing_token: ["No api-key header was sent.", "Add the header — api-key: sk_<your-secret>"],
  invalid_token: [
    "The key matches none.",
    "Re-check the value; the key may have been deleted, or you copied a stray space",
  ],
  disabled: ["The key is disabled.", "Toggle it back on, or use a different key"],
  expired: [
    "The key has expired.",
    "Create a new key with a future expiry and switch traffic over",
  ],
  scope_denied: [
    "The key lacks the scope for this route.",
    "Edit the key and add the missing scope",
  ],
  agent_denied: [
    "The key does not allow this agent.",
    "Add the agent to the key’s allowlist, or set Agent Access to All Agents",
  ],
};
export const keyFix = (code) => KEY_FIXES[code]?.[1] ?? null;

const seconds = (us) =>
  us === null || us === undefined
    ? "its limit"
    : `${(us / 1_000_000).toFixed(us < 10_000_000 ? 1 : 0)} s`;

const OURS = {
  __proto__: null,
  upstream_refused: (r) => [
    `${r.upstream ?? "The upstream"} refused the connection.`,
    "Nothing listens there: start the service, or correct the upstream of the route.",
  ],
  upstream_unresolved: () => [
    "The upstream’s host name leads nowhere.",
    "Correct the upstream of the route, or the name service of this machine.",
  ],
  upstream_untrusted: (r) => [
    `The certificate of ${r.upstream ?? "the upstream"} is not trusted.`,
    "Set upstream_ca_file on the route to the authority that signed it.",
  ],
  upstream_reset: (r) => [
    `${r.upstream ?? "The upstream"} closed the connection before it answered.`,
    "It may have crashed, or its keep-alive is shorter than upstream_keep_alive_s.",
  ],
  upstream_bad_response: (r) => [
    `${r.upstream ?? "The upstream"} did not answer with valid HTTP.`,
    "The answer could not be read; look at the service on that port.",
  ],
  upstream_timeout: (r) => [
    `The upstream took longer than ${seconds(r.duration_us)} to answer.`,
    `${r.upstream ?? "It"} accepted the request and was given up on: timeout_first_byte_s in [proxy.limits].`,
  ],
  no_route: () => ["No route matches this path.", "sidelog config show lists the routes."],
  loop_detected: () => ["The request came back to sidelog.", "The upstream points at this proxy."],
  overloaded: () => [
    "sidelog had no connection left for this request.",
    "See max_connections in [proxy.limits].",
  ],
  keys_unavailable: () => [
    "The keys could not be read, so nothing was let through.",
    "Open Health: the store is away.",
  ],
  header_too_large: () => [
    "The request head is larger than allowed.",
    "See max_header_bytes in [proxy.limits].",
  ],
  body_too_large: () => [
    "The request body is larger than allowed.",
    "See max_body_bytes in [proxy.limits].",
  ],
  timeout_headers: () => [
    "The client did not finish its request head in time.",
    "See timeout_headers_s in [proxy.limits].",
  ],
  timeout_body: () => [
    "The client stopped sending its body.",
    "See timeout_body_idle_s in [proxy.limits].",
  ],
  bad_request: () => [
    "The request was not valid HTTP.",
    "sidelog answered it itself; it never reached the upstream.",
  ],
};
const OUTCOMES = {
  __proto__: null,
  upstream_error: (r) => [
    `${r.upstream ?? "The upstream"} broke off or could not be reached.`,
    null,
  ],
  upstream_timeout: OURS.upstream_timeout,
  client_closed: (r) => [
    r.first_byte_us === null
      ? "The client left before an answer came."
      : "The client left before the answer was complete.",
    "The upstream is not to blame.",
  ],
  rejected: () => ["sidelog answered this request itself.", "It never reached the upstream."],
  truncated: () => [
    "The answer ended before it was complete.",
    "The upstream closed the connection early.",
  ],
  worker_lost: () => [
    "The worker process died during this exchange.",
    "What it had noted is shown.",
  ],
  shutdown: () => ["sidelog was stopped during this exchange.", null],
};

/** {what, next} for a record that needs a person; null for one that went well. */
export function plainWords(record) {
  if (record.kind === "event") return null;
  const pair = find(record);
  return pair ? { what: pair[0], next: pair[1] } : null;
}

function find(record) {
  if (record.auth_code in KEY_FIXES) return KEY_FIXES[record.auth_code];
  const make = OURS[record.error_type] ?? OUTCOMES[record.outcome];
  if (make) return make(record);
  const who = record.provider ?? record.upstream ?? "The upstream";
  if (record.status >= 500)
    return [
      `${who} answered ${record.status}.`,
      "The error is its own: the answer below says more.",
    ];
  if (record.status === 429)
    return [
      `${who} limits how often it may be asked.`,
      "Look for retry-after in the answer’s headers.",
    ];
  if (record.status >= 400)
    return [`${who} refused this request with ${record.status}.`, "The answer below says why."];
  if (record.error_type) return [`${who} failed inside a ${record.status} answer.`, null];
  return null;
}
