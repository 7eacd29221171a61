import { slug } from './text.js';

/** The products of the shop, each found by its id: the slug of its name. */
export class Catalog {
  #products = new Map();

  add({ name, priceCents, category, vat = 'reduced', weightGrams = 0 }) {
    const id = slug(name);
    if (id === '') throw new RangeError('a product needs a name');
    if (this.#products.has(id)) throw new RangeError(`${id} is already in the catalog`);
    if (!Number.isInteger(priceCents) || priceCents < 0) throw new RangeError(`${id} has no price in whole cents: ${priceCents}`);
    const product = Object.freeze({ id, name, priceCents, category, vat, weightGrams });
    this.#products.set(id, product);
    return product;
  }

  get(id) {
    const product = this.#products.get(id);
    if (!product) throw new RangeError(`${id} is not in the catalog`);
    return product;
  }

  reprice(id, priceCents) {
    const product = Object.freeze({ ...this.get(id), priceCents });
    this.#products.set(id, product);
    return product;
  }

  get size() {
    return this.#products.size;
  }

  all() {
    return [...this.#products.values()];
  }

  inCategory(category) {
    return this.all().filter((product) => product.category === category);
  }
}
