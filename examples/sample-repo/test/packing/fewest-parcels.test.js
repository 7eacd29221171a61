import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fewestParcels, packParcels } from '../../src/packing.js';
import { between, seededRandom } from '../../support/random.js';

test('trying everything finds what packing by weight misses', () => {
  const weights = [4_100, 4_000, 3_900, 3_100, 3_000, 2_900, 3_000, 3_000, 3_000];
  assert.equal(fewestParcels(weights, 10_000), 3);
});

test('packing by weight needs at most a few parcels more than the best way', () => {
  const random = seededRandom(18);
  for (let round = 0; round < 120; round += 1) {
    const weights = Array.from({ length: 20 }, () => between(random, 1_400, 5_200));
    const things = weights.map((weightGrams, id) => ({ id, weightGrams }));
    const best = fewestParcels(weights, 10_000);
    const packed = packParcels(things, 10_000).length;
    assert.ok(packed >= best && packed <= Math.ceil((best * 11) / 9) + 1, `${packed} parcels where ${best} would do`);
  }
});
