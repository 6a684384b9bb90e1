// An alert as the table of the settings that makes it.

/** A text of TOML: as JSON has it, but for one control character. */
const textOf = (text) => JSON.stringify(text).replaceAll("\u007f", String.raw`\u007f`);

/** `10m` of 600 s. */
function windowText(seconds) {
  for (const [length, unit] of /** @type {[number, string][]} */ ([
    [86_400, "d"],
    [3600, "h"],
    [60, "m"],
  ]))
    if (seconds % length === 0) return `${seconds / length}${unit}`;
  return `${seconds}s`;
}

/** The lines of the settings: what differs from their defaults, and where messages go. */
export function tomlOf(alert) {
  const lines = [
    ["name", textOf(alert.name)],
    ["query", alert.query && textOf(alert.query)],
    ["figure", textOf(alert.figure)],
    ["of", alert.figure === "share" && textOf(alert.of)],
    ["by", alert.by && textOf(alert.by)],
    ["window_s", textOf(windowText(alert.window_s))],
    ["above", alert.above !== null && String(alert.above)],
    ["below", alert.below !== null && String(alert.below)],
    ["for_s", alert.for_s > 0 && textOf(windowText(alert.for_s))],
    ["url", textOf("env:ALERT_URL")],
    ["format", alert.format !== "standard" && textOf(alert.format)],
    ["secret", alert.format === "pagerduty" && textOf("env:ALERT_KEY")],
  ];
  const given = lines.filter(([, value]) => value).map(([name, value]) => `${name} = ${value}`);
  return ["[[alerts]]", ...given, ""].join("\n");
}
