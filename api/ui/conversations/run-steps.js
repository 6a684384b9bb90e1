// The calls of a run as steps: bodies put together again, and what is new in each. Pure.

import { answerOf } from "../chat/answer.js";
import { CallNames } from "../chat/call-names.js";
import { sentIn } from "../chat/sent.js";

const textOf = (message) => JSON.stringify(message);

/** Reads steps in their order; each may need the one before. */
export class Steps {
  constructor() {
    this.body = ""; // of the request before
    this.known = []; // messages that were sent before, as texts
    this.answered = null; // what the model said last, as a text
    this.names = new CallNames(); // of the calls so far: what was said before may be with the provider
  }

  /** A page of steps begins anew: its first request body is whole. */
  read(page) {
    this.body = "";
    return page.map((step) => this.step(step));
  }

  step(record) {
    this.restore(record.request?.body);
    const sent = sentIn(record);
    const answer = answerOf(record);
    const messages = sent ? [...sent.messages, ...sent.later] : [];
    const texts = messages.map(textOf);
    const before = this.sharedWith(texts);
    const isOwn = before > 0 && texts[before] === this.answered;
    const from = before + (isOwn ? 1 : 0);
    if (sent) this.known = texts;
    if (answer) this.answered = textOf({ role: "assistant", parts: answer.parts });
    this.names.read([...messages, ...(answer ? [answer] : [])]); // behind the comparison of texts
    return {
      record,
      answer,
      isCut: sent?.isCut ?? false,
      before: messages.slice(0, from),
      fresh: messages.slice(from),
    };
  }

  /** How many messages are those of the request before. */
  sharedWith(texts) {
    const at = texts.findIndex((text, index) => text !== this.known[index]);
    return at < 0 ? Math.min(texts.length, this.known.length) : at;
  }

  restore(body) {
    if (!body || body.same_head === undefined) return;
    const { length } = this.body;
    body.head =
      this.body.slice(0, body.same_head) + body.head + this.body.slice(length - body.same_tail);
    this.body = body.head;
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
