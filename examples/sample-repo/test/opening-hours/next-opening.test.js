import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OpeningHours } from '../../src/opening-hours.js';

const week = {
  monday: [
    ['08:00', '12:00'],
    ['14:00', '18:00'],
  ],
  thursday: [['10:00', '16:00']],
};
const at = (text) => new Date(`${text}Z`);

describe('the next opening', () => {
  const hours = new OpeningHours(week, ['2026-03-05']);

  test('is now, when the shop is open', () => assert.deepEqual(hours.nextOpening(at('2026-03-02T09:00:00')), at('2026-03-02T09:00:00')));

  test('may be later on the same day', () => assert.deepEqual(hours.nextOpening(at('2026-03-02T12:15:00')), at('2026-03-02T14:00:00')));

  test('passes over a closed day', () => assert.deepEqual(hours.nextOpening(at('2026-03-03T09:00:00')), at('2026-03-09T08:00:00')));

  test('does not exist for a shop that never opens', () =>
    assert.equal(new OpeningHours({}).nextOpening(at('2026-03-03T09:00:00')), undefined));

  test('is always an open moment', () => {
    const start = at('2026-01-01T00:00:00').getTime();
    for (let step = 0; step < 25_000; step += 1) {
      const next = hours.nextOpening(new Date(start + step * 17 * 60_000));
      assert.ok(hours.isOpen(next));
    }
  });
});
