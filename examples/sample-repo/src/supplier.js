import { RateLimit } from './rate-limit.js';
import { retry, within } from './retry.js';

/** Orders at a wholesaler, whose service is slow, limited and sometimes down. `send` makes the call. */
export class Supplier {
  #send;
  #limit;
  #answerMs;

  constructor(send, { callsPerWindow = 5, windowMs = 1_000, answerMs = 500 } = {}) {
    this.#send = send;
    this.#limit = new RateLimit({ count: callsPerWindow, windowMs });
    this.#answerMs = answerMs;
  }

  /** Asks for one product. The order number makes a repeated call harmless. */
  order(number, productId, pieces) {
    return retry(() => this.#limit.run(() => within(this.#answerMs, (signal) => this.#send({ number, productId, pieces }, signal))), {
      tries: 3,
      firstMs: 20,
      isWorthwhile: (error) => !(error instanceof RangeError),
    });
  }

  /** Asks for several products at once; tells which were refused and why. */
  async orderAll(orders) {
    const answers = await Promise.allSettled(orders.map(({ number, productId, pieces }) => this.order(number, productId, pieces)));
    return {
      confirmed: answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : [])),
      refused: answers.flatMap((answer, index) =>
        answer.status === 'rejected' ? [{ number: orders[index].number, reason: answer.reason.message }] : [],
      ),
    };
  }
}
