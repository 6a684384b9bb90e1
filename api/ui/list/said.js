// What responses say of why a request failed, for rows whose record does not hold it: read from the JSON of their bodies.

import { isBad } from "../lib/explanations.js";
import { withFields } from "./live-fields.js";

const PLACES = ["error.message", "detail", "message", "error", "errors.0.message", "title"];
const NAMES = PLACES.map((place) => `response_body.${place}`);
const isText = (field) => field?.state === "known" && !/^[[{]/.test(field.value);

/** Note what the responses of some records say; answers which say something. */
export async function readSaid(records, signal) {
  const isAsked = (record) => isBad(record) && !record.in_flight && !record.data?.error_message;
  const asked = new Map(records.filter(isAsked).map((record) => [record.id, record]));
  const found = await withFields([...asked.values()], NAMES, signal);
  for (const { id, fields = {} } of found)
    asked.get(id).said = NAMES.map((name) => fields[name]).find(isText)?.value;
  return new Set(found.map(({ id }) => asked.get(id)).filter(({ said }) => said));
}
