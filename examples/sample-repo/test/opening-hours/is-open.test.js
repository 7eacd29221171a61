import assert from 'node:assert/strict';
import { test } from 'node:test';
import { OpeningHours } from '../../src/opening-hours.js';

const hours = new OpeningHours(
  {
    monday: [
      ['08:00', '12:30'],
      ['14:00', '18:00'],
    ],
    saturday: [['09:00', '13:00']],
  },
  ['2026-04-06'],
);
const at = (text) => new Date(`${text}Z`);

test('the shop is open from its first minute to just before its last', () => {
  assert.equal(hours.isOpen(at('2026-03-02T07:59:59')), false);
  assert.equal(hours.isOpen(at('2026-03-02T08:00:00')), true);
  assert.equal(hours.isOpen(at('2026-03-02T12:29:59')), true);
  assert.equal(hours.isOpen(at('2026-03-02T12:30:00')), false);
  assert.equal(hours.isOpen(at('2026-03-02T14:00:00')), true);
});

test('a holiday is a closed day', () => assert.equal(hours.isOpen(at('2026-04-06T10:00:00')), false));

test('over a year it is open as long as its hours say', () => {
  let openMinutes = 0;
  const start = at('2026-01-01T00:00:00').getTime();
  for (let minute = 0; minute < 365 * 1_440; minute += 5) if (hours.isOpen(new Date(start + minute * 60_000))) openMinutes += 5;
  assert.equal(openMinutes, 51 * 510 + 52 * 240);
});

test('a time that is none is refused', () => assert.throws(() => new OpeningHours({ monday: [['8:00', '12:00']] }), /not a time of day/));
