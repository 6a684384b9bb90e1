// Of the reads of a page only the latest counts: a new one gives up the one before.

const PATIENCE_MS = 60_000; // after which an answer is no longer waited for

export class LatestRead {
  /** Reads also end with `signal`, that of the page. */
  constructor(signal) {
    this.pageSignal = signal;
    this.controller = null;
    this.signal = null; // of the latest read
    this.begunAt = -Infinity; // ms; of the latest read, until it has ended
  }

  /** Whether an answer is waited for: what comes by itself is not asked for again before. */
  get isBusy() {
    return Date.now() - this.begunAt < PATIENCE_MS;
  }

  /** Give up the read before; returns the signal of the new one. */
  next() {
    this.controller?.abort();
    this.controller = new AbortController();
    this.signal = AbortSignal.any([this.pageSignal, this.controller.signal]);
    this.begunAt = Date.now();
    return this.signal;
  }

  /** The read of this signal has ended, in whatever way. */
  end(signal) {
    if (signal === this.signal) this.begunAt = -Infinity;
  }
}
