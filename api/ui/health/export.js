// The panels of the health page for the export to OpenTelemetry, one a signal. Pure: values in, nodes out.

import { el, gradeMark } from "../lib/dom.js";
import { count, durationText } from "../lib/format.js";
import { facts, head } from "./panels.js";

const UNITS = { traces: "spans", logs: "log records" };

/** The panels, in a row; none where no endpoint is configured. */
export function exports(status) {
  const shown = status.otel ?? [];
  return shown.length ? [el("div", { class: "pair" }, shown.map(exported))] : [];
}

function exported(signal) {
  const unitName = UNITS[signal.signal] ?? "";
  const failures = Object.values(signal.failures).reduce((sum, number) => sum + number, 0);
  return el(
    "section",
    {},
    head(`OpenTelemetry ${signal.signal}`, "since start"),
    el("p", { class: signal.problem ? "error" : "" }, gradeMark(), signal.problem ?? "no problems"),
    facts([
      ["Exported", count(signal.exported), unitName],
      ["Waiting", count(signal.waiting_records), "records"],
      ["Lag", durationText(Math.round(signal.lag_s * 1e6))],
      ["Refused", count(signal.rejected), `${unitName}, passed over`],
      ["Missed", count(signal.missed_records), "records deleted before they were sent"],
      ["Failed requests", count(failures), "sent again, or in parts"],
    ]),
  );
}
