// What a model answered, as a document or as a stream: OpenAI (its endpoints, and over a WebSocket), Anthropic, Gemini,
// Ollama. Pure.
//
// A body that is of another form gives null: the raw view is always there.

import { framesOf } from "../record/event-stream.js";
import { bodyText, readJson } from "./body.js";
import { beginningOf } from "./cut-json.js";
import { isObject, json, listOf, partOf, partsOf, readMessage, textPart } from "./parts.js";
import { streamParts } from "./stream.js";

const LINES = /^\s*\{/;

/** What was answered: {parts, error}; null when it cannot be read. */
export function answerOf(record) {
  const text = bodyText(record.response);
  if (text === null) return null;
  const whole = readJson(text);
  if (whole !== null) return documentAnswer(whole);
  const events = eventsIn(text);
  if (events.length) return streamAnswer(events);
  const found = record.response.body.truncated ? beginningOf(text) : null;
  return found && documentAnswer(found.value);
}

/** The events of a stream, or of lines; none where the first line is no event: then it is a document. */
function eventsIn(text) {
  const data = LINES.test(text)
    ? text.trimStart().split("\n")
    : framesOf(text).map((frame) => frame.data);
  const events = data.map(readJson);
  return LINES.test(text) && !isObject(events[0]) ? [] : events.filter(isObject);
}

/** A list is what Gemini streams where events were not asked for. */
function documentAnswer(body) {
  if (!Array.isArray(body)) return isObject(body) ? wholeAnswer(body) : null;
  const events = body.filter(isObject);
  return events.length ? streamAnswer(events) : null;
}

function streamAnswer(events) {
  const parts = streamParts(events);
  const last = parts.length ? null : wholeAnswer(events.at(-1));
  const error = events.map(errorIn).findLast((one) => one !== null) ?? null;
  return { parts: last?.parts ?? parts, error };
}

function wholeAnswer(body) {
  const error = errorIn(body);
  if (error !== null) return { parts: [], error };
  const parts = partsIn(responseIn(body));
  return parts && { parts, error: null };
}

/** The response itself: the event that ends one has it inside. */
const responseIn = (body) =>
  typeof body.type === "string" && body.type.startsWith("response.") && isObject(body.response)
    ? body.response
    : body;

/** What went wrong, where this says so. */
function errorIn(body) {
  const response = responseIn(body);
  const error = response.error ?? response.status_details?.error;
  if (error) return json(error.message ?? error);
  return body.type === "error" && body.message ? json(body.message) : null;
}

/** The parts of a document; null when it is no answer. */
function partsIn(body) {
  const message = body.choices?.[0]?.message ?? body.message;
  if (isObject(message)) return readMessage(message).parts;
  if (body.candidates) return partsOf(listOf(body.candidates[0]?.content?.parts));
  if (Array.isArray(body.content)) return partsOf(body.content);
  const steps = body.steps ?? body.outputs;
  if (Array.isArray(steps)) return stepParts(steps);
  if (Array.isArray(body.output)) return body.output.filter(isObject).flatMap(itemParts);
  if (typeof body.response === "string") return [textPart(body.response)];
  return liveParts(body);
}

const itemParts = (item) => partsOf(item.type === "message" ? listOf(item.content) : item);

/** Of an interaction of Gemini's, or a conversation of Mistral's: what was asked may be among its steps. */
const stepParts = (steps) =>
  steps
    .map((step) => readMessage(isObject(step) ? step : {}))
    .filter(({ role }) => role !== "user")
    .flatMap(({ parts }) => parts);

/** Of a message of Gemini's Live. */
function liveParts({ serverContent, toolCall }) {
  const said = listOf(serverContent?.modelTurn?.parts);
  const calls = listOf(toolCall?.functionCalls).map((functionCall) => partOf({ functionCall }));
  const parts = [...partsOf(said), ...calls];
  return parts.length ? parts : null;
}
