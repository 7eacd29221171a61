import assert from 'node:assert/strict';
import { test } from 'node:test';
import { levelOf, pointsFor } from '../../src/loyalty.js';

test('a level starts at its own number of points', () => {
  assert.equal(levelOf(0).name, 'regular');
  assert.equal(levelOf(499).name, 'regular');
  assert.equal(levelOf(500).name, 'silver');
  assert.equal(levelOf(2_000).name, 'gold');
});

test('whole euros count, more on higher levels', () => {
  assert.equal(pointsFor(1_099, 0), 10);
  assert.equal(pointsFor(1_199, 500), 16);
  assert.equal(pointsFor(1_000, 5_000), 20);
});

test('more points before never mean fewer points now', () => {
  for (let before = 0; before < 900_000; before += 1) assert.ok(pointsFor(4_321, before + 1) >= pointsFor(4_321, before));
});
