import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { fewestParcels, packParcels } from '../../src/packing.js';

test('nothing to send needs no parcel', () => {
  assert.deepEqual(packParcels([], 10_000), []);
  assert.equal(fewestParcels([], 10_000), 0);
});

test('things packed as they come in are packed like those that lie there', async () => {
  const things = [];
  for (const weightGrams of [700, 1_200, 300, 2_500]) {
    await sleep(35);
    things.push({ id: things.length, weightGrams });
  }
  assert.equal(packParcels(things, 3_000).length, 2);
});
