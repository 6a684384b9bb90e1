// Bytes as offsets, hex and characters, sixteen a line. Pure.

const MAX_BYTES = 16_384; // the whole body is a download away

/** Read base64 as bytes. */
export const bytesOf = (base64) =>
  Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));

/** Write the lines. */
export function hexLines(all) {
  const bytes = all.slice(0, MAX_BYTES);
  const lines = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = [...bytes.slice(at, at + 16)];
    const codes = row.map((byte) => byte.toString(16).padStart(2, "0"));
    const halves = [codes.slice(0, 8).join(" "), codes.slice(8).join(" ")].join("  ").padEnd(48);
    const text = row
      .map((byte) => (byte >= 32 && byte < 127 ? String.fromCharCode(byte) : "·"))
      .join("");
    lines.push(`${at.toString(16).padStart(6, "0")}  ${halves}  ${text}`);
  }
  if (all.length > MAX_BYTES) lines.push(`… ${all.length - MAX_BYTES} more bytes in the download`);
  return lines.join("\n");
}
