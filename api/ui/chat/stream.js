// The pieces of a streamed answer, put together in the order in which its parts began. Pure.

import {
  isObject,
  json,
  listOf,
  partOf,
  partsOf,
  readMessage,
  resultsIn,
  summaryPart,
} from "./parts.js";

/** The parts that the events of a stream make; what is empty is left out, but for calls. */
export function streamParts(events) {
  const answer = new Answer();
  for (const event of events) {
    takeAnthropic(event, answer);
    takeResponses(event, answer);
    takeInteraction(event, answer);
    takeConversation(event, answer);
    for (const choice of listOf(event.choices).filter(isObject)) takeChoice(choice, answer);
    answer.take(partsOf(listOf(event.candidates?.[0]?.content?.parts)));
    if (isObject(event.message) && !event.type) answer.take(readMessage(event.message).parts);
    if (typeof event.response === "string") answer.add("text", "text", event.response);
  }
  return answer.parts();
}

/** Parts by the key that all pieces of one part share. */
class Answer {
  constructor() {
    this.found = new Map();
  }

  /** Add a piece to the part of this key, whose kind is that of its first piece. */
  add(key, kind, text, more = {}) {
    if (!this.found.has(key)) this.found.set(key, { kind, text: "" });
    const part = this.found.get(key);
    Object.assign(part, more);
    part.text += json(text);
  }

  /** Take parts that are pieces of a text, or whole ones of their own. */
  take(parts) {
    for (const part of parts) {
      if (part.kind === "text" || part.kind === "thinking")
        this.add(part.kind, part.kind, part.text);
      else this.found.set(`whole ${this.found.size}`, part);
    }
  }

  has(key) {
    return Boolean(this.found.get(key)?.text);
  }

  parts() {
    return [...this.found.values()].filter((part) => part.text !== "" || part.kind === "call");
  }
}

function takeAnthropic({ type, index, content_block: block, delta }, answer) {
  if (type === "content_block_start" && isObject(block)) {
    const part = block.type === "compaction" ? summaryPart(block.content) : partOf(block);
    const text = part.kind === "call" ? "" : part.text; // the input of a call follows in pieces
    if (part.kind === "call" || text)
      answer.add(index, part.kind, text, part.kind === "call" ? nameOf(part) : {});
  } else if (type === "content_block_delta" && isObject(delta)) {
    if (delta.partial_json !== undefined) answer.add(index, "call", delta.partial_json);
    else if (delta.thinking !== undefined) answer.add(index, "thinking", delta.thinking);
    else if (delta.text !== undefined) answer.add(index, "text", delta.text);
    else if (delta.type === "compaction_delta")
      answer.add(index, "block", delta.content, { name: "compaction" });
  }
}

/** @param {any} part a call */
const nameOf = ({ name, id }) => ({ name, id });

const DELTAS = {
  __proto__: null,
  "response.output_text.delta": "text",
  "response.refusal.delta": "text",
  "response.output_audio_transcript.delta": "text",
  "response.reasoning_summary_text.delta": "thinking",
  "response.reasoning_text.delta": "thinking",
  "response.function_call_arguments.delta": "call",
  "response.mcp_call_arguments.delta": "call",
  "response.custom_tool_call_input.delta": "call",
};

function takeResponses({ type, output_index: index, ...event }, answer) {
  const kind = DELTAS[String(type)];
  if (kind) answer.add(`${kind} ${index}`, kind, event.delta);
  else if (type === "response.reasoning_summary_part.added" && answer.has(`thinking ${index}`))
    answer.add(`thinking ${index}`, "thinking", "\n\n");
  else if (/^response\.output_item\.(added|done)$/.test(String(type)) && isObject(event.item))
    takeItem(`call ${index}`, event.item, type.endsWith("done"), answer);
}

/** A call has its name when it begins; its text comes in pieces, or not before its end. */
function takeItem(key, item, isDone, answer) {
  const part = partOf(item);
  if (part.kind !== "call") return;
  answer.add(key, "call", isDone && !answer.has(key) ? part.text : "", nameOf(part));
  for (const { text, ...given } of isDone ? resultsIn(item) : [])
    answer.add(`result of ${key}`, "result", text, nameOf(given));
}

/** Of Gemini's interactions: a step begins, and what it says comes in pieces. */
function takeInteraction({ event_type: type, index, step, delta }, answer) {
  if (type === "step.start" && isObject(step)) {
    const { role, parts } = readMessage(step);
    for (const part of role === "user" ? [] : parts)
      answer.add(`step ${index}`, part.kind, part.text === "{}" ? "" : part.text, namesOf(part));
  } else if (type === "step.delta" && isObject(delta)) {
    const { type: kind, text, arguments: given, content } = delta;
    if (kind === "text") answer.add(`step ${index}`, "text", text);
    else if (kind === "thought_summary") answer.add(`step ${index}`, "thinking", content?.text);
    else if (/arguments/.test(kind)) answer.add(`step ${index}`, "call", given);
  }
}

/** Of Mistral's conversations. */
function takeConversation({ type, output_index: index, content, ...call }, answer) {
  if (type === "message.output.delta")
    answer.add(`output ${index}`, "text", isObject(content) ? content.text : content);
  else if (type === "function.call.delta")
    answer.add(`output ${index}`, "call", call.arguments, {
      name: json(call.name),
      id: json(call.tool_call_id),
    });
}

const namesOf = (part) => (part.kind === "call" ? nameOf(part) : {});

function takeChoice(choice, answer) {
  const { delta } = choice;
  if (!isObject(delta)) {
    if (typeof choice.text === "string") answer.add("text", "text", choice.text);
    return;
  }
  const thought = delta.reasoning_content ?? delta.reasoning;
  if (thought) answer.add("thinking", "thinking", thought);
  if (delta.content) answer.add("text", "text", delta.content);
  for (const call of listOf(delta.tool_calls).filter(isObject)) {
    const name = call.function?.name;
    answer.add(
      `call ${call.index}`,
      "call",
      call.function?.arguments,
      name ? { name: json(name), id: json(call.id) } : {},
    );
  }
}
