import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reorderPoint, simulateShelf } from '../../src/reorder.js';
import { between, seededRandom } from '../../support/random.js';

const soldPerDay = Array.from(
  { length: 120 },
  (
    (random) => () =>
      between(random, 0, 18)
  )(seededRandom(22)),
);

test('ordering at the reorder point leaves the shelf empty for few customers, in forty thousand simulated years', () => {
  const orderAt = reorderPoint(soldPerDay, 4);
  const { asked, missRate } = simulateShelf(
    { soldPerDay, deliveryDays: 4, orderAt, orderPieces: 60, days: 40_000 * 365 },
    seededRandom(23),
  );
  assert.ok(asked > 100_000_000);
  assert.ok(missRate < 0.01, `${(missRate * 100).toFixed(2)} % of the customers found the shelf empty`);
});

test('ordering at half of it turns many more away', () => {
  const orderAt = reorderPoint(soldPerDay, 4);
  const missRateAt = (point) =>
    simulateShelf({ soldPerDay, deliveryDays: 4, orderAt: point, orderPieces: 60, days: 8_000 * 365 }, seededRandom(24)).missRate;
  assert.ok(missRateAt(Math.floor(orderAt / 2)) > 10 * missRateAt(orderAt));
});
