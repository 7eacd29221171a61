import assert from 'node:assert/strict';
import { test } from 'node:test';
import { redeem } from '../../src/loyalty.js';

test('a hundred points pay one euro', () => {
  assert.deepEqual(redeem(250, 10_000), { cents: 200, pointsLeft: 50 });
  assert.deepEqual(redeem(99, 10_000), { cents: 0, pointsLeft: 99 });
});

test('never more is paid than the bill', () => {
  for (let billCents = 0; billCents < 900_000; billCents += 1) {
    const { cents, pointsLeft } = redeem(50_000, billCents);
    assert.ok(cents <= billCents);
    assert.equal(cents + pointsLeft, 50_000);
  }
});

test.todo('points expire after two years');
