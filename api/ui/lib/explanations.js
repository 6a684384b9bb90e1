// What went wrong: what happened, on whose side, and what to do next. Pure.

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

/** Which of its three times was up. */
function timedOut(record) {
  if (record.upstream === null)
    return [
      `No connection to the upstream was ready within ${seconds(record.duration_us)}.`,
      "Correct the upstream of the route, or see what drops its packets; the limit is timeout_connect_s in [proxy.limits].",
    ];
  if (record.status === 101)
    return [
      `${record.upstream} stopped reading the WebSocket.`,
      "See timeout_write_stall_s in [proxy.limits].",
    ];
  if (record.first_byte_us !== null)
    return [
      `${record.upstream} fell silent in the middle of the response.`,
      "See timeout_upstream_idle_s in [proxy.limits].",
    ];
  return [
    `The upstream took longer than ${seconds(record.duration_us)} to respond.`,
    `${record.upstream} accepted the request but sent no response in time; see timeout_first_byte_s in [proxy.limits].`,
  ];
}

const OURS = {
  __proto__: null,
  upstream_refused: () => [
    "No connection to the upstream could be opened.",
    "Start the service, or correct the upstream of the route: its address, its port, http or https.",
  ],
  upstream_unresolved: () => [
    "The host name of the upstream could not be resolved.",
    "Correct the upstream of the route, or check DNS on this machine.",
  ],
  upstream_untrusted: (r) => [
    `The certificate of ${r.upstream ?? "the upstream"} is not trusted.`,
    r.direction === "out"
      ? "Add the authority that signed it by upstream_ca in [egress]."
      : "Set upstream_ca_file on the route to the authority that signed it, or upstream to the name that it is for.",
  ],
  upstream_reset: (r) =>
    r.first_byte_us === null
      ? [
          `${r.upstream ?? "The upstream"} closed the connection before sending a complete response head.`,
          "It may have crashed, its keep-alive timeout may be shorter than upstream_keep_alive_s, or its port expects TLS.",
        ]
      : [
          `${r.upstream ?? "The upstream"} closed the ${r.status === 101 ? "WebSocket without a close frame" : "connection in the middle of the response"}.`,
          "It may have crashed, or reached a time limit of its own.",
        ],
  upstream_bad_response: (r) => [
    `${r.upstream ?? "The upstream"} sent an invalid HTTP response.`,
    "Check which service is listening on that port.",
  ],
  upstream_timeout: timedOut,
  no_route: () => ["No route matches this path.", "sidelog config show lists the routes."],
  loop_detected: () => [
    "The request was sent back to sidelog.",
    "The upstream points at this proxy.",
  ],
  egress_denied: () => [
    "The port of outgoing calls does not serve this client, or never leads to this address.",
    "See clients and hosts in [egress].",
  ],
  certificate_rejected: (r) => [
    `The program does not trust the authority by which sidelog reads ${r.host ?? "this host"}.`,
    "sidelog ca says what programs need; a host under tunnel in [egress] stays unread.",
  ],
  overloaded: () => [
    "A limit on connections was reached.",
    "See max_connections and upstream_max_connections in [proxy.limits].",
  ],
  keys_unavailable: () => [
    "The keys could not be read, so the request was refused.",
    "Open Health: the store is unavailable.",
  ],
  header_too_large: () => [
    "The request headers exceed the limit.",
    "See max_header_bytes in [proxy.limits].",
  ],
  body_too_large: () => [
    "The request body exceeds the limit.",
    "See max_body_bytes in [proxy.limits].",
  ],
  timeout_headers: () => [
    "Timed out waiting for the rest of the request headers.",
    "See timeout_headers_s in [proxy.limits].",
  ],
  timeout_body: () => [
    "Timed out waiting for more of the request body.",
    "See timeout_body_idle_s in [proxy.limits].",
  ],
  http2_unsupported: () => [
    "The client spoke HTTP/2, as gRPC does; on this port it is off.",
    "See http2 in [proxy], or let the client use HTTP/1.1.",
  ],
  http2_protocol_error: () => [
    "The client broke a rule of HTTP/2, so its stream or its connection was ended.",
    "What is left of its request is shown; it was not sent on as complete.",
  ],
  http2_flood: () => [
    "The client's HTTP/2 connection was ended: it sent frames that only made work.",
    "Resets, PINGs and empty frames count against what it gets done.",
  ],
  stream_refused: () => [
    "Too many requests over HTTP/2 were running, the limit of connections.",
    "See max_connections in [proxy.limits].",
  ],
  grpc_needs_http2: () => [
    "The call is gRPC, which needs HTTP/2; the upstream was spoken to in HTTP/1.1.",
    "See upstream_protocol in [[routes]].",
  ],
  tls_on_plain_port: () => [
    "The client spoke TLS; this port has none.",
    "Let it use http://. Clients of container registries try https first, and then do so by themselves.",
  ],
  client_stalled: () => [
    "The client stopped reading the response, so its connection was closed.",
    "See timeout_write_stall_s in [proxy.limits].",
  ],
  bad_request: () => [
    "The request was not valid HTTP.",
    "sidelog refused it; it was not sent to the upstream.",
  ],
};
const OUTCOMES = {
  __proto__: null,
  upstream_error: (r) => [
    `${r.upstream ?? "The upstream"} closed the connection or could not be reached.`,
    null,
  ],
  upstream_timeout: OURS.upstream_timeout,
  client_closed: (r) => [
    r.first_byte_us === null
      ? "The client disconnected before the response started."
      : "The client disconnected before the response was complete.",
    "This is not an error of the upstream.",
  ],
  rejected: () => ["sidelog refused this request.", "It was not sent to the upstream."],
  truncated: () => [
    "The response ended before it was complete.",
    "The upstream closed the connection early.",
  ],
  worker_lost: () => [
    "The worker process died during this exchange.",
    "What had been recorded by then is shown.",
  ],
  shutdown: () => ["sidelog was stopped during this exchange.", null],
};

const OUTCOME_TEXTS = {
  __proto__: null, // looked up by words from outside
  ok: "completed",
  rejected: "refused by sidelog",
  upstream_error: "upstream failed",
  upstream_timeout: "upstream timed out",
  client_closed: "client disconnected",
  truncated: "response incomplete",
  worker_lost: "worker died",
  shutdown: "sidelog was stopped",
};

/** How an exchange ended, for people; filters and exports keep the machine's word. */
export const outcomeText = (outcome) => OUTCOME_TEXTS[outcome] ?? String(outcome);

/** What was said of why it failed, as a chip shows it: a code, or which limit it was above; null where nothing was. */
export const reasonOf = (record) =>
  record.data?.rate_limit
    ? `rate limit: ${record.data.rate_limit}`
    : (record.auth_code ?? record.error_type);

/** The code of a call that failed, with the tools where they did: `tool_error: run`; null of others. */
export function codeOf({ auth_code: refused, error_type: error, failed_tools: tools }) {
  if (error === "tool_error" && tools?.length) return `${error}: ${[...new Set(tools)].join(", ")}`;
  return refused ?? error ?? null;
}

/** Whether something went wrong with an exchange. */
export const isBad = ({ kind, level }) =>
  kind === "exchange" && (level === "error" || level === "warn");

const PHRASES = {
  __proto__: null, // RFC 9110
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  412: "Precondition Failed",
  413: "Content Too Large",
  415: "Unsupported Media Type",
  422: "Unprocessable Content",
  429: "Too Many Requests",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** What a failed exchange said of why: in words of its own, or else those of its status. */
export const saidOf = (record) =>
  record.error_message ??
  record.data?.error_message ??
  record.message ??
  (reasonOf(record) ? null : PHRASES[record.status]);

/** {what, next} for a record that needs attention; null for one that succeeded. */
export function explain(record) {
  if (record.kind === "event") return null;
  const pair = find(record);
  return pair ? { what: pair[0], next: pair[1] } : null;
}

function rateLimited(record, who) {
  const limit = record.data?.rate_limit;
  const after = record.response?.headers.find(([name]) => name.toLowerCase() === "retry-after");
  const isSeconds = after && /^\d+$/.test(after[1]);
  return [
    limit
      ? `${who} is rate limiting: its limit of ${limit} is used up.`
      : `${who} is rate limiting.`,
    isSeconds
      ? `It asks to wait ${after[1]} s (retry-after).`
      : after
        ? "See retry-after in the response headers."
        : "It did not say how long to wait: there is no retry-after.",
  ];
}

function find(record) {
  if (record.auth_code in KEY_FIXES) return KEY_FIXES[record.auth_code];
  const make = OURS[record.error_type] ?? OUTCOMES[record.outcome];
  if (make) return make(record);
  const who = record.provider ?? record.upstream ?? "The upstream";
  if (record.status >= 500)
    return [
      `${who} returned ${record.status}.`,
      "The error came from the upstream; see the response below.",
    ];
  if (record.status === 429) return rateLimited(record, who);
  if (record.status >= 400)
    return [`${who} refused this request with ${record.status}.`, "See the response below."];
  if (!record.error_type) return null;
  if (record.data?.error_in === "request") {
    const names = new Set(record.failed_tools);
    const tools = names.size > 1 ? "tools" : "tool";
    return [`The ${tools} ${[...names].join(", ")} failed before this call.`, "See the request."];
  }
  const call = record.tools?.find(({ status }) => status === "error");
  return call
    ? toolFailed(call)
    : [`${who} reported an error in a ${record.status} response.`, "See the response below."];
}

function toolFailed({ tool_name: name, error_details: details }) {
  const said = details?.error?.message;
  return [said ? `The tool ${name} failed: ${said}` : `The tool ${name} failed.`, null];
}
