// A message as each API writes it, in one form: {role, parts}. Pure.
//
// A part is {kind: text|thinking|call|result|other, text, name, id}.

export const json = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
export const textPart = (text) => ({ kind: "text", text: String(text) });

export function readMessage(message) {
  const calls = (message.tool_calls ?? []).map((call) => ({
    kind: "call",
    name: call.function?.name ?? call.name ?? "tool",
    id: call.id,
    text: json(call.function?.arguments ?? call.arguments ?? {}),
  }));
  if (message.role === "tool" || message.type === "function_call_output") {
    return {
      role: "tool",
      parts: [
        {
          kind: "result",
          name: message.name ?? "",
          id: message.tool_call_id ?? message.call_id,
          text: json(message.content ?? message.output ?? ""),
        },
      ],
    };
  }
  if (message.type === "function_call") return { role: "assistant", parts: [partOf(message)] };
  const made = messageOf(
    message.role === "model" ? "assistant" : (message.role ?? "user"),
    message.content ?? message.parts ?? "",
  );
  return {
    role:
      made.parts.length && made.parts.every((part) => part.kind === "result") ? "tool" : made.role,
    parts: [...made.parts, ...calls],
  };
}

export const messageOf = (role, content) => ({
  role: role === "developer" ? "system" : role,
  parts: (Array.isArray(content) ? content : [content])
    .filter((part) => part !== null && part !== "")
    .map(partOf),
});

export function partOf(part) {
  if (typeof part !== "object") return textPart(part);
  if (part.type === "tool_use" || part.type === "function_call")
    return {
      kind: "call",
      name: part.name,
      id: part.id ?? part.call_id,
      text: json(part.input ?? part.arguments ?? {}),
    };
  if (part.functionCall)
    return { kind: "call", name: part.functionCall.name, text: json(part.functionCall.args ?? {}) };
  if (part.type === "tool_result")
    return {
      kind: "result",
      id: part.tool_use_id,
      name: "",
      text: Array.isArray(part.content)
        ? part.content.map((one) => one.text ?? json(one)).join("\n")
        : json(part.content ?? ""),
    };
  if (part.functionResponse)
    return {
      kind: "result",
      name: part.functionResponse.name,
      text: json(part.functionResponse.response ?? {}),
    };
  if (part.type === "thinking" || part.thought === true)
    return { kind: "thinking", text: part.thinking ?? part.text ?? "" };
  if (typeof part.text === "string") return textPart(part.text);
  return { kind: "other", text: `${part.type ?? "part"}, not shown here` };
}
