/** Hours in which the van can come, each for a few customers. */
export class DeliverySlots {
  #booked = new Map();

  constructor({ openingHours, perSlot = 4, slotMinutes = 60 }) {
    this.openingHours = openingHours;
    this.perSlot = perSlot;
    this.slotMinutes = slotMinutes;
  }

  /** The first `count` starts of free slots from `from` on, a whole slot of opening time each. */
  free(from, count) {
    const slotMs = this.slotMinutes * 60_000;
    const found = [];
    const lastMs = from.getTime() + 14 * 86_400_000;
    for (let ms = Math.ceil(from.getTime() / slotMs) * slotMs; ms < lastMs && found.length < count; ms += slotMs) {
      const start = new Date(ms);
      const isServed = this.openingHours.isOpen(start) && this.openingHours.isOpen(new Date(ms + slotMs - 60_000));
      if (isServed && this.left(start) > 0) found.push(start);
    }
    return found;
  }

  left(start) {
    return this.perSlot - (this.#booked.get(start.getTime())?.size ?? 0);
  }

  book(start, customer) {
    const customers = this.#booked.get(start.getTime()) ?? new Set();
    if (!customers.has(customer) && customers.size >= this.perSlot) throw new RangeError(`the slot at ${start.toISOString()} is full`);
    customers.add(customer);
    this.#booked.set(start.getTime(), customers);
  }

  cancel(start, customer) {
    return this.#booked.get(start.getTime())?.delete(customer) ?? false;
  }
}
