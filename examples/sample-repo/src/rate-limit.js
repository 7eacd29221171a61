import { setTimeout as sleep } from 'node:timers/promises';

/** Lets at most `count` calls start within any `windowMs`; the others wait for their turn, in their order. */
export class RateLimit {
  #startsMs = [];
  #last = Promise.resolve();

  constructor({ count, windowMs }) {
    this.count = count;
    this.windowMs = windowMs;
  }

  /** How long a call that comes now would wait, if nobody waits before it. */
  waitMs(nowMs = performance.now()) {
    if (this.#startsMs.length < this.count) return 0;
    return Math.max(0, this.#startsMs[0] + this.windowMs - nowMs);
  }

  async run(call) {
    const turn = this.#last.then(() => this.#takeTurn());
    this.#last = turn;
    await turn;
    return call();
  }

  async #takeTurn() {
    // A timer may be early by a fraction of a millisecond: look again.
    for (let waitMs = this.waitMs(); waitMs > 0; waitMs = this.waitMs()) await sleep(waitMs);
    this.#startsMs.push(performance.now());
    if (this.#startsMs.length > this.count) this.#startsMs.shift();
  }
}
