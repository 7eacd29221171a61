import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DeliverySlots } from '../../src/delivery-slots.js';
import { OpeningHours } from '../../src/opening-hours.js';

const openingHours = new OpeningHours({ monday: [['08:00', '10:30']], tuesday: [['08:00', '12:00']] });
const slots = new DeliverySlots({ openingHours, perSlot: 1 });

test('only whole slots within the opening hours are offered', () => {
  const starts = slots.free(new Date('2026-03-02T07:10:00Z'), 4).map((start) => start.toISOString().slice(8, 16));
  assert.deepEqual(starts, ['02T08:00', '02T09:00', '03T08:00', '03T09:00']);
});

test('a full slot is not offered', () => {
  slots.book(new Date('2026-03-02T08:00:00Z'), 'ada');
  assert.equal(slots.free(new Date('2026-03-02T07:10:00Z'), 1)[0].toISOString(), '2026-03-02T09:00:00.000Z');
});

test('two weeks are searched, whatever minute one starts at', () => {
  for (let minute = 0; minute < 400; minute += 1) {
    const found = slots.free(new Date(Date.UTC(2026, 4, 1, 0, minute)), 100);
    assert.equal(found.length, 12);
  }
});
