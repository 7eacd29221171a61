import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { DeliverySlots } from '../../src/delivery-slots.js';
import { OpeningHours } from '../../src/opening-hours.js';

const openingHours = new OpeningHours({ monday: [['08:00', '12:00']] });
const nine = new Date('2026-03-02T09:00:00Z');

test('a slot takes as many customers as the van', () => {
  const slots = new DeliverySlots({ openingHours, perSlot: 2 });
  slots.book(nine, 'ada');
  slots.book(nine, 'ben');
  assert.throws(() => slots.book(nine, 'cleo'), { message: 'the slot at 2026-03-02T09:00:00.000Z is full' });
  assert.equal(slots.cancel(nine, 'ada'), true);
  slots.book(nine, 'cleo');
  assert.equal(slots.left(nine), 0);
});

test('booking twice takes one place', () => {
  const slots = new DeliverySlots({ openingHours, perSlot: 2 });
  slots.book(nine, 'ada');
  slots.book(nine, 'ada');
  assert.equal(slots.left(nine), 1);
});

test('customers who come at the same time do not get the same place', async () => {
  const slots = new DeliverySlots({ openingHours, perSlot: 4 });
  const answers = await Promise.allSettled(
    Array.from({ length: 12 }, async (_, customer) => {
      await sleep((customer * 37) % 130);
      slots.book(nine, customer);
    }),
  );
  assert.equal(answers.filter((answer) => answer.status === 'fulfilled').length, 4);
});
