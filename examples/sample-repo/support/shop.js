import { Cart } from '../src/cart.js';
import { Catalog } from '../src/catalog.js';
import { between, pick, seededRandom } from './random.js';

/** A catalog of six products that the tests know by heart. */
export function smallCatalog() {
  const catalog = new Catalog();
  catalog.add({ name: 'Rye bread', priceCents: 349, category: 'bakery', weightGrams: 800 });
  catalog.add({ name: 'Oat milk', priceCents: 219, category: 'drinks', weightGrams: 1_050 });
  catalog.add({ name: 'Apple', priceCents: 60, category: 'fruit', weightGrams: 180 });
  catalog.add({ name: 'Strawberry jam', priceCents: 425, category: 'jars', weightGrams: 450 });
  catalog.add({ name: 'Dish soap', priceCents: 189, category: 'household', vat: 'standard', weightGrams: 560 });
  catalog.add({ name: 'Newspaper', priceCents: 380, category: 'press', vat: 'reduced', weightGrams: 240 });
  return catalog;
}

export function cartOf(quantities, catalog = smallCatalog()) {
  const cart = new Cart(catalog);
  for (const [id, quantity] of Object.entries(quantities)) cart.add(id, quantity);
  return cart;
}

const KINDS = ['Olive oil', 'Honey', 'Pasta', 'Basmati rice', 'Chickpeas', 'Tomato soup', 'Green tea', 'Coffee', 'Cheddar', 'Butter'];
const MAKERS = ['Hillside', 'Old Mill', 'Harbour', 'Sunfield', 'Brook', 'Granny Ida', 'Meadow', 'Castle', 'Juniper', 'Red Barn'];

/** A catalog of as many products as wanted, always the same ones. */
export function largeCatalog(count, seed = 7) {
  const random = seededRandom(seed);
  const catalog = new Catalog();
  for (let number = 1; number <= count; number += 1) {
    catalog.add({
      name: `${pick(random, MAKERS)} ${pick(random, KINDS)} ${number}`,
      priceCents: between(random, 45, 2_500),
      category: pick(random, ['pantry', 'drinks', 'dairy']),
      vat: pick(random, ['reduced', 'standard']),
      weightGrams: between(random, 50, 2_000),
    });
  }
  return catalog;
}

/** A cart that a customer might fill: one to five pieces each of some products, short of any bulk discount. */
export function randomCart(random, catalog) {
  const cart = new Cart(catalog);
  const products = catalog.all();
  for (let count = between(random, 1, 8); count > 0; count -= 1) {
    const { id } = pick(random, products);
    if (cart.quantityOf(id) === 0) cart.add(id, between(random, 1, 5));
  }
  return cart;
}
