// Headers and places in JSON bodies as columns: their names, as the search has them, and their cells.

import { el, unit } from "../lib/dom.js";
import { isSessionCall } from "../record/record-kind.js";

const FIELD = /^(?:(?:request_|response_)?(?:header|body))\.[^,\s]{1,180}$/;
const WHY = {
  __proto__: null,
  null: ["null", "The JSON says null."],
  absent: ["–", "It is not there."],
  not_json: ["no JSON", "The body is no JSON."],
  cut: ["cut", "The body was too long to be stored whole."],
  not_kept: ["not kept", "Heads or bodies of this request are not stored, or not any more."],
};

/** Whether a name is that of a header or of a place in a body: `header.x-tenant`, `body.user.id`. */
export const isField = (name) => FIELD.test(name);

/** The value of a field, or why there is none. */
export function fieldText(field) {
  if (!field) return [unit("·"), "Not read of live records; load the page anew to see it."];
  if (field.state === "known") return [field.value, field.value];
  const [text, why] = WHY[field.state] ?? WHY.absent;
  return [unit(text), why];
}

/** The cell of a field in a list. */
export function fieldCell(record, name) {
  const hasNone = record.kind === "event" && !isSessionCall(record);
  const [content, title] = hasNone ? [unit("–"), ""] : fieldText(record.fields?.[name]);
  return el("td", { class: "field", title }, content);
}

/** One line of all fields that have a value, for narrow screens. */
export const fieldLine = (record, names) =>
  names
    .filter((name) => record.fields?.[name]?.state === "known")
    .map((name) => record.fields[name].value)
    .join(" · ");
