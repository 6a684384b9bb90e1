// What was sent to a model, read from the stored request: OpenAI (both endpoints), Anthropic, Gemini, Ollama. Pure.
//
// A body that was cut or is of another form gives null: the raw view is always there.

import { bodyText, readJson } from "./body.js";
import { messageOf, readMessage } from "./parts.js";

/** What was sent: {system, messages, tools}; null when it cannot be read. */
export function sentIn(record) {
  const body = readJson(bodyText(record.request) ?? "");
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
