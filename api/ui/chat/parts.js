// A message as each API writes it, in one form: {role, parts}. Pure.
//
// A part is {kind: text|thinking|call|result|other, text, name, id, isFailed}. All of them are texts, whatever was sent in their
// place: a body is untrusted input.

const MEDIA = {
  __proto__: null,
  image: "image",
  image_url: "image",
  input_image: "image",
  document: "file",
  file: "file",
  input_file: "file",
  audio: "audio",
  input_audio: "audio",
};

export const listOf = (value) => (Array.isArray(value) ? value : []);
export const isObject = (value) => value !== null && typeof value === "object";

/** A value as text: texts as they are, others as JSON, none as nothing. */
export function json(value) {
  if (typeof value === "string") return value;
  if (value === null || value === undefined) return "";
  try {
    return JSON.stringify(value, null, 2);
  } catch {
    return "nested too deeply to be shown"; // the sheet around it is shown
  }
}

export const textPart = (text) => ({ kind: "text", text: json(text) });
const thinkingPart = (text) => ({ kind: "thinking", text: json(text) });
/** What a provider made of the messages before, which it read in their place. */
export const summaryPart = (text) => ({ kind: "block", name: "compaction", text: json(text) });
const other = (text) => ({ kind: "other", text });
const hidden = (what) => `${what}, not shown here`;

const typeOf = (part) => (typeof part.type === "string" ? part.type : "");
const isCall = (type) => /(_call|tool_use|function\.call)$/.test(type);
const isResult = (type) =>
  type !== "model_output" && /(_output|tool_result|function[._]result)$/.test(type);
const isMade = (type) => /^(reasoning|thought|item_reference|compaction|mcp_[a-z_]+)$/.test(type);

const call = (name, id, text) => ({
  kind: "call",
  name: json(name) || "tool",
  id: json(id),
  text: json(text ?? {}),
});
const result = (name, id, content, isFailed = false) => ({
  kind: "result",
  name: json(name),
  id: json(id),
  text: contentText(content),
  ...(isFailed && { isFailed }),
});

/** Whether a tool is said to have failed: each API has a place of its own for that. */
const hasFailed = ({ is_error: isError, status, content }) =>
  isError === true || status === "error" || /_error$/.test(typeOf(content ?? {}));

/** What a tool gave, of texts and others, as one text. */
function contentText(content) {
  if (!Array.isArray(content)) return json(content);
  return content.map((piece) => pieceText(piece)).join("\n");
}

function pieceText(piece) {
  if (!isObject(piece)) return json(piece);
  if (typeof piece.text === "string") return piece.text;
  const medium = MEDIA[typeOf(piece)];
  if (medium) return hidden(medium);
  if (piece.type === "web_search_result") return `${json(piece.title)}\n${json(piece.url)}`;
  return json(piece);
}

/** Read a message of a list; one that says nothing has no parts. */
export function readMessage(message) {
  const type = typeOf(message);
  if (message.role === "tool" || message.role === "function")
    return {
      role: "tool",
      parts: [result(message.name, message.tool_call_id, message.content, hasFailed(message))],
    };
  if (isResult(type)) return { role: "tool", parts: partsOf(message) };
  if (isCall(type) || isMade(type)) return { role: "assistant", parts: partsOf(message) };
  const calls = listOf(message.tool_calls)
    .filter(isObject)
    .map((one) =>
      call(
        one.function?.name ?? one.name,
        one.id,
        one.function?.arguments ?? one.arguments ?? one.custom?.input,
      ),
    );
  const made = messageOf(
    message.role === "model" || type === "model_output" ? "assistant" : (message.role ?? "user"),
    message.content ?? message.parts ?? (isNamed(type) ? message : ""),
  );
  const isOfTool = made.parts.length > 0 && made.parts.every((part) => part.kind === "result");
  return {
    role: isOfTool && !calls.length ? "tool" : made.role,
    parts: [...thoughtsOf(message), ...made.parts, ...calls],
  };
}

const isNamed = (type) => !["", "message", "user_input", "model_output"].includes(type);

/** What a model thought before it said this, where that stands beside it. */
const thoughtsOf = ({ reasoning_content: content, reasoning, thinking }) =>
  [content ?? reasoning ?? thinking]
    .filter((text) => typeof text === "string" && text !== "")
    .map(thinkingPart);

export const messageOf = (role, content) => ({
  role: role === "developer" ? "system" : json(role),
  parts: partsOf(content),
});

/** The parts of a content, which may be one; those that say nothing are left out. */
export const partsOf = (content) =>
  (Array.isArray(content) ? content : [content])
    .filter((part) => part !== null && part !== undefined && part !== "")
    .flatMap(partsIn)
    .filter((part) => part.text !== "" || part.kind === "call" || part.kind === "result");

const partsIn = (part) => [partOf(part), ...resultsIn(part)];

/** What a tool gave that the provider called itself: it stands in the item of the call. */
export function resultsIn({ type, name, id, error, output }) {
  const given = type === "mcp_call" ? (error ?? output) : null;
  return (given ?? null) === null ? [] : [result(name, id, given, (error ?? null) !== null)];
}

export function partOf(part) {
  if (!isObject(part)) return textPart(part);
  const type = typeOf(part);
  if (isCall(type))
    return call(
      part.name ?? type.replace(/_(call|tool_use)$/, ""),
      part.call_id ?? part.tool_call_id ?? part.id,
      part.input ?? part.arguments ?? part.action,
    );
  if (isResult(type))
    return result(
      part.name,
      part.tool_use_id ?? part.call_id ?? part.tool_call_id,
      part.content ?? part.output ?? part.result ?? part.tools,
      hasFailed(part),
    );
  if (type === "reasoning" || type === "thought") return thinkingPart(summaryOf(part));
  if (type === "compaction" && typeof part.content === "string") return summaryPart(part.content);
  if (type === "redacted_thinking") return other("thinking, encrypted by the provider");
  if (type === "thinking" || part.thought === true) return thinkingPart(part.thinking ?? part.text);
  return ofGemini(part) ?? textOrOther(part, type);
}

function ofGemini(part) {
  const { functionCall, functionResponse, executableCode, codeExecutionResult } = part;
  if (isObject(functionCall)) return call(functionCall.name, functionCall.id, functionCall.args);
  if (isObject(functionResponse))
    return result(
      functionResponse.name,
      functionResponse.id,
      outputOf(functionResponse.response),
      (functionResponse.response?.error ?? null) !== null,
    );
  if (isObject(executableCode)) return call("code", "", executableCode.code);
  if (isObject(codeExecutionResult))
    return result(
      "",
      "",
      codeExecutionResult.output,
      /FAILED|DEADLINE/.test(codeExecutionResult.outcome),
    );
  const data = part.inlineData ?? part.fileData;
  return data ? other(hidden(json(data.mimeType) || "file")) : null;
}

/** What a function returned: Gemini wants an object, and most tools have but a text. */
const outputOf = (response) =>
  typeof response?.output === "string" && Object.keys(response).length === 1
    ? response.output
    : (response ?? {});

function textOrOther(part, type) {
  const text = [part.text, part.transcript, part.refusal].find((one) => typeof one === "string");
  if (text !== undefined) return textPart(text);
  return /(^|_)text$/.test(type) ? textPart("") : other(hidden(MEDIA[type] ?? (type || "part")));
}

/** What a reasoning item shows of itself: its summary, or what was thought; nothing where it is encrypted. */
const summaryOf = ({ summary, content }) =>
  (listOf(summary).length ? listOf(summary) : listOf(content))
    .map((one) => json(one?.text))
    .join("\n\n");
