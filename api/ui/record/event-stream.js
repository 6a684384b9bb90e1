// Event streams as text, cut into frames. Pure.

/** Split an event stream into frames: [{offset, name, data}], offsets in bytes of the shown text. */
export function framesOf(text) {
  const frames = [];
  const encoder = new TextEncoder();
  let offset = 0;
  for (const block of text.split(/(?<=\r?\n\r?\n)/)) {
    const lines = block.split(/\r?\n/);
    const fields = (name) =>
      lines
        .filter((line) => line.startsWith(name + ":"))
        .map((line) => line.slice(name.length + 1).replace(/^ /, ""));
    const data = fields("data");
    if (data.length || fields("event").length)
      frames.push({ offset, name: fields("event")[0] ?? "message", data: data.join("\n") });
    offset += encoder.encode(block).length;
  }
  return frames;
}
