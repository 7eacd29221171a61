import assert from 'node:assert/strict';
import { test } from 'node:test';
import { reorderPoint } from '../../src/reorder.js';
import { between, seededRandom } from '../../support/random.js';

test('steady sales are ordered for the days of delivery', () => assert.equal(reorderPoint([10, 10, 10], 3), 30));

test('unsteady sales need more in reserve', () => assert.ok(reorderPoint([0, 20, 10], 3) > 30));

test('a longer delivery never lowers the point', () => {
  const random = seededRandom(21);
  for (let round = 0; round < 4_000; round += 1) {
    const sold = Array.from({ length: 60 }, () => between(random, 0, 15));
    for (let days = 1; days < 20; days += 1) assert.ok(reorderPoint(sold, days + 1) >= reorderPoint(sold, days));
  }
});
