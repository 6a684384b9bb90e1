// The steps of a run, each with the messages that were sent before, and where its time went. Pure.

/** Reads steps in their order: each names messages of the one before. */
export class Steps {
  constructor() {
    this.known = []; // messages that the newest request had
    this.answered = null; // what the model said last
  }

  read(page) {
    return page.map((step) => this.step(step));
  }

  step(record) {
    const { same, repeats_answer: repeatsAnswer, fresh, answer, is_cut: isCut } = record.chat;
    const before = [...this.known.slice(0, same), ...(repeatsAnswer ? [this.answered] : [])];
    if (before.length + fresh.length) this.known = [...before, ...fresh];
    if (answer) this.answered = { role: "assistant", parts: answer.parts };
    return { record, answer, isCut, before, fresh };
  }
}

/** Where the time of some records went, in µs: models, tools, and between them the client and what it waits for. */
export function timeOf(records) {
  const spans = records
    .flatMap((record) => [
      { kind: "model", from: record.started_at_us, us: record.duration_us ?? 0, record },
      ...record.mcp_calls.map((call) => ({
        kind: "tool",
        from: Date.parse(call.timestamp) * 1000,
        us: (call.latency ?? 0) * 1000,
        record,
      })),
    ])
    .sort((a, b) => a.from - b.from);
  const begun = spans[0]?.from ?? 0;
  const ended = spans.reduce((last, { from, us }) => Math.max(last, from + us), begun);
  const [model, tool] = ["model", "tool"].map((kind) => covered(spans, kind));
  return { spans, begun, ended, model, tool, rest: ended - begun - covered(spans) };
}

/** How long at least one of the spans lasted, in µs. */
function covered(spans, kind = undefined) {
  let [sum, until] = [0, -Infinity];
  for (const { from, us } of spans.filter((span) => kind === undefined || span.kind === kind)) {
    sum += Math.max(0, from + us - Math.max(from, until));
    until = Math.max(until, from + us);
  }
  return sum;
}
