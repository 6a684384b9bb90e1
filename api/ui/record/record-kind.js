// The kind of a record, for its outlined tag. Pure.

/** Whether it is the message that ends an LLM call, of a WebSocket session with a model. */
export const isSessionCall = (record) => record.kind === "event" && Boolean(record.provider);

const MESSAGES = { __proto__: null, websocket_message: "WS", grpc_message: "gRPC" };

/** Whether it is a message of a WebSocket or of a gRPC stream. */
export const isMessage = (record) => record.kind === "event" && record.name in MESSAGES;

/** The kind tag of a record; plain HTTP has none. */
export function kindTag(record) {
  if (isSessionCall(record)) return "LLM";
  if (record.kind === "event") return MESSAGES[record.name] ?? "EVENT";
  if (record.provider === "mcp" || /(^|\/)mcp\/?$/.test(record.path ?? "")) return "MCP";
  if (record.provider) return "LLM";
  if (record.grpc) return "gRPC";
  if (record.status === 101) return "WS";
  return record.stream ? "SSE" : null;
}
