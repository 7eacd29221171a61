/** Does jobs with at most `atOnce` at a time, the urgent ones first, otherwise in their order. */
export class OrderQueue {
  #waiting = [];
  #running = 0;
  #idle = [];

  constructor(atOnce = 2) {
    this.atOnce = atOnce;
  }

  /** Resolves or rejects with what the job does. */
  add(job, { isUrgent = false } = {}) {
    return new Promise((resolve, reject) => {
      const entry = { job, resolve, reject, isUrgent };
      const behind = isUrgent ? this.#waiting.findIndex((other) => !other.isUrgent) : -1;
      if (behind === -1) this.#waiting.push(entry);
      else this.#waiting.splice(behind, 0, entry);
      this.#startNext();
    });
  }

  get waiting() {
    return this.#waiting.length;
  }

  /** Resolves when nothing runs and nothing waits. */
  whenIdle() {
    if (this.#running === 0 && this.#waiting.length === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idle.push(resolve));
  }

  #startNext() {
    while (this.#running < this.atOnce && this.#waiting.length > 0) {
      const { job, resolve, reject } = this.#waiting.shift();
      this.#running += 1;
      void Promise.resolve()
        .then(job)
        .then(resolve, reject)
        .finally(() => {
          this.#running -= 1;
          this.#startNext();
          if (this.#running === 0 && this.#waiting.length === 0) for (const tell of this.#idle.splice(0)) tell();
        });
    }
  }
}
