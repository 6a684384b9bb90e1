// Which tool gave a result: most APIs name it in the call alone, which has the same id. Pure but for the parts it names.

export class CallNames {
  constructor() {
    this.names = new Map(); // id of a call → name of its tool
  }

  /** Note the calls of some messages, and name the results among them, of calls that were noted now or before. */
  read(messages) {
    for (const { parts } of messages)
      for (const part of parts) {
        if (part.kind === "call" && part.id) this.names.set(part.id, part.name);
        if (part.kind === "result" && !part.name) part.name = this.names.get(part.id) ?? "";
      }
  }
}
