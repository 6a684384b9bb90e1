// What was sent to a model, read from the stored request: OpenAI (its endpoints, and over a WebSocket), Anthropic,
// Gemini, Ollama. Pure.
//
// Of a request that was cut there is the beginning, and the last messages where its end has them. One of another form
// gives null: the raw view is always there.

import { blocksOf } from "./blocks.js";
import { bodyText, readJson } from "./body.js";
import { beginningOf, lastItemsOf } from "./cut-json.js";
import { isObject, listOf, messageOf, readMessage } from "./parts.js";
import { toolNames } from "./tools.js";

const SYSTEM = ["system", "instructions", "systemInstruction", "system_instruction"];
const LISTS = ["messages", "contents", "input", "inputs", "prompt"];
const LISTS_OF_PARTS = new Set(["content", "parts"]);
const WHAT_IT_SAYS = new Set(
  (
    "text content thinking input arguments output action summary tool_calls " +
    "functionCall functionResponse executableCode codeExecutionResult"
  ).split(" "),
);

/**
 * What was sent; null when it cannot be read.
 *
 * {messages, later, tools, follows, isCut, isOpen}: `later` are messages behind a gap, `isOpen` says that there were
 * more, `follows` is the response that the provider holds what was said before by.
 */
export function sentIn(record) {
  const text = bodyText(record.request);
  if (text === null) return null;
  const { truncated: isCut, tail } = record.request.body;
  const found = isCut ? beginningOf(text) : { value: readJson(text), path: [] };
  if (!isObject(found?.value)) return null;
  const { body, path } = requestOf(found);
  const name = LISTS.find((one) => body[one] !== undefined && body[one] !== null);
  const list = name === undefined ? null : itemsOf(body[name]);
  const system = SYSTEM.filter((one) => body[one]);
  const tools = toolsOf(body, list);
  const isPart = isCut || found.value.type === "response.create"; // what was said may be elsewhere
  if (list === null && !(isPart && system.length + tools.length)) return null;
  const said = (list ?? []).filter((item) => !isAboutTools(item)).map(messageIn);
  const instructions = system.map((one) => messageOf("system", body[one]?.parts ?? body[one]));
  if (isCut)
    markCut(path[0] === name ? said : path[0] === system.at(-1) ? instructions : [], path.slice(1));
  return {
    messages: [...instructions, ...said].filter(saysSomething).map(apart),
    later: isCut ? lastMessages(tail).filter(saysSomething).map(apart) : [],
    tools,
    follows: followedBy(body),
    isCut,
    isOpen: isCut && (name === undefined || path[0] === name),
  };
}

/** What was said before is with the provider, under this name; null where it is not. */
function followedBy({ previous_response_id: response, previous_interaction_id: interaction }) {
  const name = response ?? interaction;
  return typeof name === "string" ? name : null;
}

/** The request itself: a message over a WebSocket may have it inside. */
function requestOf({ value, path }) {
  if (value.type !== "response.create" || !isObject(value.response)) return { body: value, path };
  return { body: value.response, path: path.slice(1) };
}

const itemsOf = (content) => (Array.isArray(content) ? content : [{ role: "user", content }]);

const messageIn = (item) => (isObject(item) ? readMessage(item) : messageOf("user", item));
const saysSomething = (message) => message.parts.length > 0;

function toolsOf(body, items) {
  const later = listOf(items).filter((item) => isAboutTools(item));
  return [body, ...later].flatMap(({ tools }) => toolNames(tools));
}

const isAboutTools = (item) => item?.type === "additional_tools";

/** Say of the last part that the cut went through it, where `path` leads into what it says and not beside that. */
function markCut(messages, path) {
  const part = messages.at(-1)?.parts.at(-1);
  if (!part) return;
  const inItem = typeof path[0] === "number" ? path.slice(1) : path;
  const isInList = LISTS_OF_PARTS.has(inItem[0]) && typeof inItem[1] === "number";
  const inPart = isInList ? inItem.slice(2) : inItem;
  if (path.length === 0 || WHAT_IT_SAYS.has(inPart[0])) part.isCut = true;
}

/** The messages at the end of a request; items of another list are none. */
function lastMessages(text) {
  const items = lastItemsOf(text);
  return items.every(isMessage) ? items.map(messageIn) : [];
}

const isMessage = (item) =>
  isObject(item) &&
  (typeof item.role === "string" ||
    /^(message|reasoning|thought|user_input|model_output|function_result|.*_call|.*_call_output)$/.test(
      String(item.type),
    ));

/** What a program put into a person's turn is apart from what the person said. */
const apart = (message) =>
  message.role !== "user"
    ? message
    : { role: message.role, parts: message.parts.flatMap((part) => blocksIn(part)) };

function blocksIn(part) {
  if (part.kind !== "text") return [part];
  const parts = blocksOf(part.text, part.isCut === true);
  if (part.isCut && parts.length) parts.at(-1).isCut = true;
  return parts;
}
