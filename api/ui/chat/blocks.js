// Texts of a person's turn that a program has put there: whole elements, as agents write them. Pure, one pass.
//
// `<system-reminder>…</system-reminder>` begins a line, and its name has words with marks between them, which no element
// of HTML has. Of such elements, those around what the person said are left as they are.

const TAG = /<(\/?)([A-Za-z][\w-]*)(?:[ \t][^<>\n]{0,200})?>/g;
const OF_PROGRAM = /^\w+[-_][\w-]+$|^INSTRUCTIONS$/;
const OF_PERSON =
  /^(?:user[-_](?:query|prompt|message|input|request)|command-(?:name|message|args)|bash-input)$/;

/** The parts of a text: {kind: "text"|"block", text, name}; a block that has no end is one where the text was cut. */
export function blocksOf(text, isCut) {
  const tags = [...text.matchAll(TAG)];
  const lastEnds = new Map(tags.filter(([, slash]) => slash).map((tag) => [tag[2], tag.index]));
  const parts = [];
  let open = null; // the tag that began a block
  let from = 0; // where what has not been filed begins
  const file = (until, name) => {
    const inside = text
      .slice(from, until)
      .trimEnd()
      .replace(/^\s*\n/, "");
    if (name) parts.push({ kind: "block", name, text: inside.trim() });
    else if (inside) parts.push({ kind: "text", text: inside });
  };
  for (const tag of tags) {
    const [whole, slash, name] = tag;
    const end = tag.index + whole.length;
    if (open !== null) {
      if (!slash || name !== open) continue;
      file(tag.index, name);
      open = null;
    } else {
      const beginsLine = tag.index === from || text[tag.index - 1] === "\n";
      const ends = isCut || (lastEnds.get(name) ?? -1) > tag.index;
      if (slash || !beginsLine || !ends || !OF_PROGRAM.test(name) || OF_PERSON.test(name)) continue;
      file(tag.index, null);
      open = name;
    }
    from = end;
  }
  file(text.length, open);
  return parts;
}
