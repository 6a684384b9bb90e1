// Records as they are committed and a search finds them: one event stream per browser and search, shared between tabs.
//
// The tab that holds the lock has the stream and passes it on over a channel; when it closes, the next one takes over
// behind the last id any tab has seen, so nothing is missed or delivered twice. Without locks (plain HTTP on another
// host) each tab has its own stream, and no channel.

import { ROOT } from "./address.js";

const NAME = `sidelog-records ${ROOT} `; // a host may have several sidelogs, each under a path
const RETRY_MS = 3000;
const PATH = "api/records/stream?";

export class RecordStream {
  /** `notify(kind, data, id)`: kind is record, gap, reset, ended, lost or back; `query` has the API's parameters. */
  constructor(notify, signal, query) {
    this.notify = notify;
    this.signal = signal;
    this.query = query;
    this.name = NAME + query;
    this.source = null;
    this.lastId = null;
    this.retry = 0;
    this.channel = navigator.locks ? new BroadcastChannel(this.name) : null;
    this.channel?.addEventListener("message", ({ data }) => this.take(data));
    signal.addEventListener("abort", () => this.stop());
    if (this.channel) this.shareOrLead();
    else this.open();
  }

  /** Lead, or hear what the tab says that leads, until it closes. */
  async shareOrLead() {
    const lead = () =>
      new Promise((resolve) => {
        this.release = resolve;
        if (this.signal.aborted) resolve(null);
        else this.open();
      });
    const follow = () => this.take({ kind: "back", text: null, id: null }); // it has a stream already
    try {
      const { locks } = navigator;
      await locks.request(this.name, { ifAvailable: true }, (lock) => (lock ? lead() : follow()));
      await locks.request(this.name, { signal: this.signal }, lead);
    } catch {
      // the page was left while it waited
    }
  }

  stop() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
    this.channel?.close();
    this.channel = null;
    this.release?.();
  }

  open() {
    if (this.signal.aborted) return;
    const source = new EventSource(
      PATH + this.query + (this.lastId === null ? "" : `&lastEventId=${this.lastId}`),
    );
    this.source = source;
    source.onopen = () => this.share("back", null);
    source.onmessage = (event) => this.share("record", event.data, event.lastEventId);
    source.addEventListener("gap", (event) => this.share("gap", event.data, event.lastEventId));
    source.addEventListener("reset", (event) => this.share("reset", event.data, event.lastEventId));
    source.addEventListener("scope-destroyed", (event) =>
      this.share("ended", event.data, event.lastEventId),
    );
    source.onerror = () => {
      this.share("lost", null);
      if (source.readyState !== EventSource.CLOSED) return; // it tries again by itself, with the last id
      this.retry = setTimeout(() => this.open(), RETRY_MS);
    };
  }

  share(kind, text, id = null) {
    const message = { kind, text, id };
    this.channel?.postMessage(message);
    this.take(message);
  }

  take({ kind, text, id }) {
    if (this.signal.aborted) return;
    if (kind === "reset") this.lastId = null;
    if (id) {
      if (this.lastId !== null && kind === "record" && Number(id) <= Number(this.lastId)) return; // delivered by two leaders
      this.lastId = id;
    }
    this.notify(kind, text ? JSON.parse(text) : null, id);
  }
}
