import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { askCentralBank, Exchange } from '../../src/exchange.js';

test('the bank is asked once a day, and not again by the next till', async (context) => {
  const folder = await mkdtemp(path.join(tmpdir(), 'corner-shop-test-'));
  context.after(() => rm(folder, { recursive: true }));
  let asked = 0;
  const fetchRates = () => {
    asked += 1;
    return askCentralBank();
  };
  const first = await new Exchange({ folder, fetchRates, day: '2026-03-02' }).rates();
  assert.deepEqual(await new Exchange({ folder, fetchRates, day: '2026-03-02' }).rates(), first);
  assert.equal(asked, 1);
  await new Exchange({ folder, fetchRates, day: '2026-03-03' }).rates();
  assert.equal(asked, 2);
  assert.deepEqual((await readdir(folder)).sort(), ['2026-03-02.json', '2026-03-03.json']);
});
