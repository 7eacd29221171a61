import assert from 'node:assert/strict';
import { test } from 'node:test';
import { packParcels } from '../../src/packing.js';
import { between, seededRandom } from '../../support/random.js';

test('a thing goes into the fullest parcel that takes it', () => {
  const things = [6, 5, 4, 3].map((kilos) => ({ id: `${kilos}kg`, weightGrams: kilos * 1_000 }));
  assert.deepEqual(packParcels(things, 10_000), [
    { weightGrams: 10_000, things: ['6kg', '4kg'] },
    { weightGrams: 8_000, things: ['5kg', '3kg'] },
  ]);
});

test('what is heavier than a parcel may be is refused', () => {
  assert.throws(() => packParcels([{ id: 'anvil', weightGrams: 50_000 }], 10_000), { message: 'anvil weighs more than a parcel may' });
});

test('everything is packed once and no parcel is too heavy', () => {
  const random = seededRandom(17);
  for (let round = 0; round < 2_500; round += 1) {
    const things = Array.from({ length: between(random, 0, 60) }, (_, index) => ({ id: index, weightGrams: between(random, 10, 9_000) }));
    const parcels = packParcels(things, 10_000);
    assert.deepEqual(
      parcels.flatMap((parcel) => parcel.things).sort((a, b) => a - b),
      things.map((thing) => thing.id),
    );
    for (const parcel of parcels) assert.ok(parcel.weightGrams <= 10_000);
  }
});
