// The tab of all that is known of a record, name beside value.

import { el } from "../lib/dom.js";
import { endpointText } from "../endpoints/name.js";
import { outcomeText } from "../lib/explanations.js";

const FACTS = [
  "outcome",
  "level",
  "endpoint",
  "route_id",
  "service",
  "project",
  "container",
  "client",
  "user_id",
  "upstream",
  "client_ip",
  "user_agent",
  "http_version",
  "key_name",
  "key_id",
  "auth_code",
  "provider",
  "model",
  "resolved_model",
  "usage_state",
  "conversation",
  "request_bytes",
  "response_bytes",
  "request_id",
  "trace_id",
  "span_id",
  "source",
  "direction",
  "stage",
  "instance",
  "shed",
  "weight",
  "seq",
  "started_at",
  "ended_at",
  "upstream_sent_at",
  "upstream_done_at",
];

function factOf(record, name) {
  if (name === "outcome") return outcomeText(record.outcome);
  return name === "endpoint" ? endpointText(record.endpoint) : String(record[name]);
}

/** What a call of gRPC said of itself, each with its name. */
function grpcFacts({ grpc, grpc_status: status }) {
  if (!grpc) return [];
  const said = { ...grpc, status: status && `${status} (${grpc.status})` };
  return Object.entries(said)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => [`grpc ${name.replaceAll("_", " ")}`, String(value)]);
}

export function facts(record) {
  const usual = { shed: "none", weight: 1 };
  const isSaid = (name) => record[name] !== usual[name];
  const known = FACTS.filter((name) => (record[name] ?? "") !== "" && isSaid(name));
  return [
    el(
      "dl",
      { class: "headers" },
      [
        ...grpcFacts(record),
        ...known.map((name) => [name.replaceAll("_", " "), factOf(record, name)]),
      ].map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
    ),
  ];
}
