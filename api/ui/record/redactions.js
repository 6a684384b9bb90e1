// What was redacted in a record, rule by rule: each leads to the records that it was found in, and says how to stop it.

import { el } from "../lib/dom.js";
import { count } from "../lib/format.js";
import { term } from "../lib/filter.js";
import { toQuery } from "../lib/api.js";

const BY_NAME = "name:";
const OTHER = "other"; // all beyond a number of ids

/** How the settings switch off what took something out; null where they are too many to name. */
function remedy(id) {
  if (id === OTHER) return null;
  const [setting, value] = id.startsWith(BY_NAME)
    ? ["except", id.slice(BY_NAME.length)]
    : ["disable", id];
  return `To keep this in records: [redact] ${setting} = [${JSON.stringify(value)}]`;
}

export function redactionsLine({ redactions }) {
  const found = Object.entries(redactions ?? {});
  if (!found.length) return [];
  const linked = ([id, places], index) => [
    index > 0 && ", ",
    el(
      "a",
      {
        href: "requests" + toQuery({ filter: term("redacted", id), period: "7d" }),
        title: remedy(id),
      },
      id,
    ),
    ` (${count(places)})`,
  ];
  return [el("p", { class: "unit under redactions" }, "Redacted: ", found.flatMap(linked))];
}
