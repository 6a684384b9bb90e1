// What a model answered, whole or as a stream of pieces: OpenAI (both endpoints), Anthropic, Gemini, Ollama. Pure.
//
// A body that is of another form gives null: the raw view is always there.

import { framesOf } from "../record/event-stream.js";
import { bodyText, readJson } from "./body.js";
import { json, partOf, readMessage, textPart } from "./parts.js";

/** What was answered: {parts, error}; null when it cannot be read. */
export function answerOf(record) {
  const text = bodyText(record.response);
  if (text === null) return null;
  const whole = readJson(text);
  if (whole !== null) return wholeAnswer(Array.isArray(whole) ? whole.at(-1) : whole);
  const data = /^\s*\{/.test(text)
    ? text.split("\n").map(readJson)
    : framesOf(text).map((frame) => readJson(frame.data));
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
