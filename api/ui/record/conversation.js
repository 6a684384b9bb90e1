// What was said in an LLM call, read from the stored bodies: OpenAI (both endpoints), Anthropic, Gemini, Ollama.
//
// Pure. A message is {role, parts}; a part is {kind: text|thinking|call|result|other, text, name, id}. A body that was
// cut or is of another form gives null: the raw view is always there.

import { framesOf } from "./event-stream.js";

const read = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};
const bodyText = (message) =>
  message?.body && message.body.encoding === "utf-8" && !message.body.omitted
    ? message.body.head + (message.body.truncated ? "" : message.body.tail)
    : null;
const json = (value) => (typeof value === "string" ? value : JSON.stringify(value, null, 2));
const textPart = (text) => ({ kind: "text", text: String(text) });

/** What was sent: {system, messages, tools}; null when it cannot be read. */
export function sentIn(record) {
  const body = read(bodyText(record.request) ?? "");
  if (body === null || typeof body !== "object") return null;
  const messages =
    body.messages ??
    body.contents ??
    (body.input === undefined
      ? body.prompt === undefined
        ? null
        : [{ role: "user", content: body.prompt }]
      : inputOf(body.input));
  if (!Array.isArray(messages)) return null;
  const system = [
    body.system ?? body.instructions ?? body.systemInstruction ?? body.system_instruction,
  ]
    .filter(Boolean)
    .map((content) => messageOf("system", content.parts ?? content));
  const tools = (body.tools ?? []).flatMap(
    (tool) =>
      tool.function?.name ??
      tool.name ??
      tool.functionDeclarations?.map((one) => one.name) ??
      tool.type ??
      [],
  );
  return {
    messages: [
      ...system,
      ...messages.map((message) =>
        message && typeof message === "object" ? readMessage(message) : messageOf("user", message),
      ),
    ],
    tools,
  };
}

const inputOf = (input) => (Array.isArray(input) ? input : [{ role: "user", content: input }]);

function readMessage(message) {
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

const messageOf = (role, content) => ({
  role: role === "developer" ? "system" : role,
  parts: (Array.isArray(content) ? content : [content])
    .filter((part) => part !== null && part !== "")
    .map(partOf),
});

function partOf(part) {
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

/** What was answered: {parts, error}; null when it cannot be read. */
export function answerOf(record) {
  const text = bodyText(record.response);
  if (text === null) return null;
  const whole = read(text);
  if (whole !== null) return wholeAnswer(Array.isArray(whole) ? whole.at(-1) : whole);
  const data = /^\s*\{/.test(text)
    ? text.split("\n").map(read)
    : framesOf(text).map((frame) => read(frame.data));
  const events = data.filter((event) => event !== null && typeof event === "object");
  return events.length ? streamAnswer(events) : null;
}

function wholeAnswer(body) {
  if (body?.error) return { parts: [], error: body.error.message ?? json(body.error) };
  const message = body?.choices?.[0]?.message ?? body?.message;
  if (message)
    return { parts: [...thinkingOf(message), ...readMessage(message).parts], error: null };
  if (body?.candidates)
    return { parts: (body.candidates[0]?.content?.parts ?? []).map(partOf), error: null };
  if (Array.isArray(body?.content)) return { parts: body.content.map(partOf), error: null };
  if (Array.isArray(body?.output))
    return {
      parts: body.output.flatMap((item) =>
        item.type === "message"
          ? (item.content ?? []).map(partOf)
          : item.type === "reasoning"
            ? []
            : [partOf(item)],
      ),
      error: null,
    };
  if (typeof body?.response === "string") return { parts: [textPart(body.response)], error: null };
  return null;
}

const thinkingOf = (message) =>
  message.reasoning_content ? [{ kind: "thinking", text: message.reasoning_content }] : [];

/** Put the pieces of a stream together, in the order in which their parts began. */
function streamAnswer(events) {
  const parts = new Map();
  let error = null;
  const add = (key, kind, text, more = {}) => {
    if (!parts.has(key)) parts.set(key, { kind, text: "", ...more });
    Object.assign(parts.get(key), more);
    parts.get(key).text += text ?? "";
  };
  for (const event of events) {
    if (event.error) error = event.error.message ?? json(event.error);
    takeAnthropic(event, add);
    takeResponses(event, add);
    for (const choice of event.choices ?? []) takeChoice(choice, add);
    for (const part of event.candidates?.[0]?.content?.parts ?? []) takeWhole(partOf(part), add);
    if (event.message && !event.type && event.message.content)
      add("text", "text", event.message.content);
    if (typeof event.response === "string") add("text", "text", event.response);
  }
  return {
    parts: [...parts.values()].filter((part) => part.text !== "" || part.kind === "call"),
    error,
  };
}

const takeWhole = (part, add) =>
  add(
    part.kind === "call" ? `call ${part.name}` : part.kind,
    part.kind,
    part.text,
    part.name ? { name: part.name } : {},
  );

function takeAnthropic(event, add) {
  if (event.type === "content_block_start") {
    const part = partOf(event.content_block ?? {});
    const kind = part.kind === "other" ? "text" : part.kind;
    add(
      event.index,
      kind,
      kind === "call" ? "" : part.kind === "other" ? "" : part.text,
      part.name ? { name: part.name, id: part.id } : {},
    );
  } else if (event.type === "content_block_delta") {
    const { delta } = event;
    add(
      event.index,
      delta.partial_json !== undefined
        ? "call"
        : delta.thinking !== undefined
          ? "thinking"
          : "text",
      delta.text ?? delta.partial_json ?? delta.thinking ?? "",
    );
  }
}

function takeResponses(event, add) {
  if (event.type === "response.output_text.delta")
    add(`text ${event.output_index}`, "text", event.delta);
  else if (event.type === "response.output_item.added" && event.item?.type === "function_call")
    add(`call ${event.output_index}`, "call", "", {
      name: event.item.name,
      id: event.item.call_id,
    });
  else if (event.type === "response.function_call_arguments.delta")
    add(`call ${event.output_index}`, "call", event.delta);
}

function takeChoice(choice, add) {
  const { delta } = choice;
  if (!delta) return typeof choice.text === "string" ? add("text", "text", choice.text) : undefined;
  if (delta.reasoning_content) add("thinking", "thinking", delta.reasoning_content);
  if (delta.content) add("text", "text", delta.content);
  for (const call of delta.tool_calls ?? []) {
    add(
      `call ${call.index}`,
      "call",
      call.function?.arguments ?? "",
      call.function?.name ? { name: call.function.name, id: call.id } : {},
    );
  }
  return undefined;
}
