import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Exchange } from '../../src/exchange.js';

describe('converting', () => {
  let folder;
  before(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'corner-shop-test-'));
  });
  after(() => rm(folder, { recursive: true }));

  const exchange = () => new Exchange({ folder, fetchRates: async () => ({ USD: 0.8, GBP: 1.25 }) });

  test('to euro and back', async () => {
    assert.equal(await exchange().toEuro(1_000, 'USD'), 800);
    assert.equal(await exchange().fromEuro(800, 'USD'), 1_000);
    assert.equal(await exchange().toEuro(1_000, 'EUR'), 1_000);
  });

  test('a currency without a rate is refused', async () => {
    await assert.rejects(exchange().toEuro(1, 'XXX'), { message: 'the bank has no rate for XXX' });
  });

  test('many amounts come back within a cent', async () => {
    for (let cents = 0; cents < 400; cents += 1) {
      const back = await exchange().toEuro(await exchange().fromEuro(cents, 'GBP'), 'GBP');
      assert.ok(Math.abs(back - cents) <= 1);
    }
  });
});
