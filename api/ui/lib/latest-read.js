// Of the reads of a page only the latest counts: a new one gives up the one before.

export class LatestRead {
  /** Reads also end with `signal`, that of the page. */
  constructor(signal) {
    this.pageSignal = signal;
    this.controller = null;
    this.signal = null; // of the latest read
  }

  /** Give up the read before; returns the signal of the new one. */
  next() {
    this.controller?.abort();
    this.controller = new AbortController();
    this.signal = AbortSignal.any([this.pageSignal, this.controller.signal]);
    return this.signal;
  }
}
