/** How many of each product lie in the shop, and how many of those are promised to someone. */
export class Stock {
  #onHand = new Map();
  #held = new Map();
  #nextHold = 1;

  receive(id, pieces) {
    if (!Number.isInteger(pieces) || pieces < 1) throw new RangeError(`${pieces} pieces of ${id} cannot be received`);
    this.#onHand.set(id, this.onHand(id) + pieces);
  }

  onHand(id) {
    return this.#onHand.get(id) ?? 0;
  }

  available(id) {
    let promised = 0;
    for (const hold of this.#held.values()) promised += hold.get(id) ?? 0;
    return this.onHand(id) - promised;
  }

  /** Promises all of `wanted` (product id to pieces) or nothing of it. Returns a number to sell or release it by. */
  hold(wanted) {
    for (const [id, pieces] of Object.entries(wanted)) {
      if (this.available(id) < pieces) throw new RangeError(`only ${this.available(id)} of ${id} left, ${pieces} wanted`);
    }
    const number = this.#nextHold;
    this.#nextHold += 1;
    this.#held.set(number, new Map(Object.entries(wanted)));
    return number;
  }

  release(number) {
    return this.#held.delete(number);
  }

  sell(number) {
    const hold = this.#held.get(number);
    if (!hold) throw new RangeError(`nothing is held under ${number}`);
    for (const [id, pieces] of hold) this.#onHand.set(id, this.onHand(id) - pieces);
    this.#held.delete(number);
  }
}
