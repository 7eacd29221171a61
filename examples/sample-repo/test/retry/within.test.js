import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../../src/retry.js';

test('an answer in time is given', async () => assert.equal(await within(5_000, () => sleep(40, 'here')), 'here'));

test('a late call is told to stop', async () => {
  let stopped = false;
  const call = (signal) =>
    new Promise(() => {
      signal.addEventListener('abort', () => {
        stopped = true;
      });
    });
  await assert.rejects(within(100, call), { message: 'no answer within 100 ms' });
  assert.equal(stopped, true);
});

test('an error of the call is passed on', async () => {
  await assert.rejects(
    within(5_000, () => Promise.reject(new TypeError('broken'))),
    TypeError,
  );
});
