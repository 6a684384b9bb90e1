// What was said in a call of a language model, as the API tells it: {sent, answer}, either of which may be null.

import { getJson } from "../lib/api.js";

/** The chat of a record; null where it is no such call, or cannot be read. */
export async function readChat({ id, provider }, signal) {
  if (!provider || provider === "mcp") return null;
  try {
    const chat = await getJson(`api/records/${encodeURIComponent(id)}/chat`, {}, signal);
    return chat.sent === null && chat.answer === null ? null : chat;
  } catch {
    return null; // the raw view is always there
  }
}
