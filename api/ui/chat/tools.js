// The names of the tools that a model was offered. Pure.

import { isObject, json, listOf } from "./parts.js";

/** Names of tools, also of those inside a namespace or a list of declarations; what has none is its own kind. */
export const toolNames = (tools) =>
  listOf(tools)
    .filter(isObject)
    .flatMap((tool) => {
      const inside = tool.functionDeclarations ?? tool.function_declarations ?? tool.tools;
      if (Array.isArray(inside)) return toolNames(inside);
      const name = tool.function?.name ?? tool.name ?? tool.server_label;
      return name === undefined ? kindOf(tool) : json(name);
    });

/** `{type: "web_search"}` of OpenAI, `{googleSearch: {}}` of Gemini; nothing where a cut took the name away. */
const kindOf = ({ type, ...rest }) =>
  ["function", "custom", "namespace"].includes(type) ? [] : (type ?? Object.keys(rest).slice(0, 1));
