// The text of a stored body, and what it says as JSON. Pure.

import { parseJson } from "../lib/format.js";

/** Read JSON; null when it is none. */
export const readJson = (text) => {
  try {
    return parseJson(text);
  } catch {
    return null;
  }
};

/** What is stored of a body from its beginning; null when it is no text. */
export const bodyText = (message) =>
  message?.body && message.body.encoding === "utf-8" && !message.body.omitted
    ? message.body.head + (message.body.truncated ? "" : message.body.tail)
    : null;
