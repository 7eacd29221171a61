import { bulkPrice } from './discount.js';

/** What a customer has taken so far. */
export class Cart {
  #quantities = new Map();
  #catalog;

  constructor(catalog) {
    this.#catalog = catalog;
  }

  /** Puts pieces in, or with a negative number takes them out. */
  add(id, pieces = 1) {
    this.#catalog.get(id);
    const quantity = (this.#quantities.get(id) ?? 0) + pieces;
    if (quantity < 0) throw new RangeError(`there are not ${-pieces} of ${id} in the cart`);
    if (quantity === 0) this.#quantities.delete(id);
    else this.#quantities.set(id, quantity);
    return this;
  }

  quantityOf(id) {
    return this.#quantities.get(id) ?? 0;
  }

  get pieces() {
    return [...this.#quantities.values()].reduce((sum, quantity) => sum + quantity, 0);
  }

  get weightGrams() {
    return this.lines().reduce((sum, line) => sum + line.product.weightGrams * line.quantity, 0);
  }

  /** One line per product, in the order they were first taken. */
  lines() {
    return [...this.#quantities].map(([id, quantity]) => {
      const product = this.#catalog.get(id);
      return { product, quantity, totalCents: bulkPrice(product.priceCents, quantity) };
    });
  }

  get subtotalCents() {
    return this.lines().reduce((sum, line) => sum + line.totalCents, 0);
  }

  merge(other) {
    for (const { product, quantity } of other.lines()) this.add(product.id, quantity);
    return this;
  }
}
