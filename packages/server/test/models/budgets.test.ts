import { newId, type RequestId, type UserId } from '@helixcode/protocol/ids';
import { type Db, openDb } from '@helixcode/server/db/db';
import type { Budget } from '@helixcode/server/models/budget';
import { toNanoUsd } from '@helixcode/server/models/nano-usd';
import { giveUpRequests, type NewRequest, settleRequest } from '@helixcode/server/models/request-sql';
import { reserveCall } from '@helixcode/server/models/reserve-call';
import fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { givenUser, listAccounts, listRequests } from './given-models.ts';

let database: TestDatabase;
/** A second server on the same database. */
let otherDb: Db;
let user: UserId;
beforeAll(async () => {
  database = await givenDatabase();
  otherDb = openDb(database.url);
  user = await givenUser(database.db, 'ada');
});
afterAll(async () => {
  await otherDb.close();
  await database.drop();
});
beforeEach(() => database.db.query('truncate requests, budget_accounts'));

const server = newId('server');

function request(change: Partial<NewRequest> = {}): NewRequest {
  return {
    id: newId('request'),
    run: 'run_1',
    user,
    purpose: 'agent',
    provider: 'openai',
    model: 'gpt-5',
    reservedNanoUsd: toNanoUsd(1),
    reservedTokens: 1_000,
    isPriced: true,
    server,
    leaseMs: 60_000,
    ...change,
  };
}

function run(cap: { usd?: number; tokens?: number }, subject = 'run_1'): Budget {
  return {
    scope: 'run',
    subject,
    per: undefined,
    capNanoUsd: cap.usd === undefined ? undefined : toNanoUsd(cap.usd),
    capTokens: cap.tokens,
  };
}
const fleet = (cap: { usd?: number } = {}): Budget => ({ ...run(cap, ''), scope: 'fleet', per: 'month' });
const byUser = (cap: { usd?: number } = {}): Budget => ({ ...run(cap, user), scope: 'user', per: 'day' });

test('what a call may cost is set aside before it, and what it did not need is given back after it [F4]', async () => {
  const asked = request();
  await reserveCall(database.db, asked, [fleet(), byUser(), run({ usd: 1.5 })]);
  for (const account of await listAccounts(database.db))
    expect(account).toMatchObject({ spent_nano_usd: 0, reserved_nano_usd: 1e9, reserved_tokens: 1_000 });

  await settleRequest(database.db, asked.id, { state: 'done', booked: { nanoUsd: toNanoUsd(0.25), tokens: 300 } });
  const accounts = await listAccounts(database.db);
  expect(accounts.map(({ scope }) => scope)).toEqual(['fleet', 'run', 'user']);
  for (const account of accounts)
    expect(account).toMatchObject({ spent_nano_usd: 0.25e9, spent_tokens: 300, reserved_nano_usd: 0, reserved_tokens: 0 });
});

test('at a cap the call is refused, the refusal names the budget and how it stands, and nothing is charged anywhere [F4]', async () => {
  const first = request();
  await reserveCall(database.db, first, [fleet(), byUser(), run({ usd: 1.5 })]);
  const before = await listAccounts(database.db);

  await expect(reserveCall(database.db, request(), [fleet(), byUser(), run({ usd: 1.5 })])).rejects.toMatchObject({
    code: 'budget.spent',
    message: 'the budget of run run_1 is $1.50: $0.00 is spent, $1.00 is set aside for calls under way, and this call may take $1.00',
    next: 'helix usage --by run',
    details: { scope: 'run', run: 'run_1', capUsd: 1.5, spentUsd: 0, reservedUsd: 1, neededUsd: 1 },
  });
  expect(await listAccounts(database.db)).toEqual(before);
  expect(await listRequests(database.db)).toHaveLength(1);

  // A budget that was never used has no room for a call that is larger than all of it.
  await expect(reserveCall(database.db, request({ run: 'run_2' }), [fleet(), run({ usd: 0.5 }, 'run_2')])).rejects.toMatchObject({
    code: 'budget.spent',
    details: { run: 'run_2' },
  });
  await expect(reserveCall(database.db, request(), [fleet({ usd: 1.2 }), byUser()])).rejects.toMatchObject({
    message: expect.stringMatching(/^the budget of the fleet for \d{4}-\d\d is \$1\.20: /),
    next: 'helix usage --by user',
  });
  await expect(reserveCall(database.db, request(), [run({ tokens: 1_500 })])).rejects.toMatchObject({
    message:
      'the budget of run run_1 is 1,500 tokens: 0 tokens is spent, 1,000 tokens is set aside for calls under way, and this call may take 1,000 tokens',
    details: { capTokens: 1_500 },
  });
});

test('a model without a known price is refused where money is limited, and goes on where it is not', async () => {
  const unpriced = request({ isPriced: false, reservedNanoUsd: 0 });
  await expect(reserveCall(database.db, unpriced, [fleet({ usd: 5 }), run({ tokens: 5_000 })])).rejects.toMatchObject({
    code: 'budget.price_unknown',
    next: 'set models["gpt-5"].price of provider openai in helix.json',
  });
  await reserveCall(database.db, unpriced, [fleet(), run({ tokens: 5_000 })]);
});

test('a call whose server died stays reserved until its lease ends, then counts as unknown at the most it can cost [F4]', async () => {
  const [held, lapsed] = [request(), request({ leaseMs: -1 })];
  for (const one of [held, lapsed]) await reserveCall(database.db, one, [fleet()]);

  expect(await giveUpRequests(database.db, undefined)).toEqual([lapsed.id]);
  expect(await listAccounts(database.db)).toMatchObject([{ spent_nano_usd: 1e9, reserved_nano_usd: 1e9 }]);

  // It begins anew: nobody will tell what came of what it had under way.
  expect(await giveUpRequests(database.db, server)).toEqual([held.id]);
  expect(await listRequests(database.db)).toMatchObject([
    { state: 'unknown', booked_nano_usd: 1e9 },
    { state: 'unknown', booked_nano_usd: 1e9 },
  ]);
  expect(await listAccounts(database.db)).toMatchObject([{ spent_nano_usd: 2e9, reserved_nano_usd: 0 }]);
});

test('an outcome that is told after it was given up corrects the books, once', async () => {
  const late = request({ leaseMs: -1 });
  await reserveCall(database.db, late, [fleet(), byUser()]);
  await giveUpRequests(database.db, undefined);
  const outcome = { state: 'done', booked: { nanoUsd: toNanoUsd(0.1), tokens: 10 } } as const;
  expect(await settleRequest(database.db, late.id, outcome)).toBe(true);
  expect(await settleRequest(database.db, late.id, outcome)).toBe(false);
  for (const account of await listAccounts(database.db))
    expect(account).toMatchObject({ spent_nano_usd: 0.1e9, spent_tokens: 10, reserved_nano_usd: 0, reserved_tokens: 0 });
});

test('an outcome that is told while its request is being given up is booked on top of that', async () => {
  const late = request({ leaseMs: -1 });
  await reserveCall(database.db, late, [fleet(), byUser()]);
  let settling: Promise<boolean> | undefined;
  await database.db.tx(async (tx) => {
    await giveUpRequests(tx, undefined);
    settling = settleRequest(otherDb, late.id, { state: 'done', booked: { nanoUsd: toNanoUsd(0.1), tokens: 10 } });
    await expect
      .poll(
        async () =>
          (await database.db.query(`select from pg_stat_activity where wait_event_type = 'Lock' and query like '%requests%'`)).rowCount,
      )
      .toBeGreaterThan(0);
  });
  expect(await settling).toBe(true);
  for (const account of await listAccounts(database.db))
    expect(account).toMatchObject({ spent_nano_usd: 0.1e9, spent_tokens: 10, reserved_nano_usd: 0, reserved_tokens: 0 });
});

/** One call as chance has it. Costs are in thousandths of a dollar. */
const anyCall = fc.record({
  server: fc.constantFrom('one', 'other'),
  run: fc.constantFrom('run_1', 'run_2'),
  worst: fc.integer({ min: 1, max: 40 }),
  /** Of the worst. */
  share: fc.double({ min: 0, max: 1, noNaN: true }),
  end: fc.constantFrom('done', 'done', 'refused', 'cut', 'crash', 'late'),
});

test('two servers that call, fail and crash at random on one database never spend more than a cap [F4] [O2]', async () => {
  const caps = { run: 0.1, fleet: 0.15 };
  await fc.assert(
    fc.asyncProperty(fc.array(anyCall, { minLength: 1, maxLength: 24 }), async (calls) => {
      await database.db.query('truncate requests, budget_accounts');
      /** What the vendor really billed, whatever we know of it. */
      const billed = { run_1: 0, run_2: 0 };
      const crashed: RequestId[] = [];
      await Promise.all(
        calls.map(async (call) => {
          const db = call.server === 'one' ? database.db : otherDb;
          const asked = request({
            run: call.run,
            reservedNanoUsd: toNanoUsd(call.worst / 1_000),
            reservedTokens: call.worst,
            leaseMs: call.end === 'crash' || call.end === 'late' ? -1 : 60_000,
          });
          const budgets = [fleet({ usd: caps.fleet }), byUser(), run({ usd: caps.run }, call.run)];
          try {
            await reserveCall(db, asked, budgets);
          } catch (error) {
            expect(error).toMatchObject({ code: 'budget.spent' });
            return;
          }
          const cost = call.end === 'refused' ? 0 : Math.floor(call.share * asked.reservedNanoUsd);
          billed[call.run as keyof typeof billed] += cost;
          const booked = { nanoUsd: cost, tokens: call.worst };
          if (call.end === 'done') await settleRequest(db, asked.id, { state: 'done', booked });
          if (call.end === 'refused') await settleRequest(db, asked.id, { state: 'failed', booked });
          if (call.end === 'cut') await settleRequest(db, asked.id, { state: 'unknown' });
          if (call.end === 'crash') crashed.push(asked.id);
          if (call.end === 'late') {
            await giveUpRequests(db, undefined);
            await settleRequest(db, asked.id, { state: 'done', booked });
          }
          // At every moment, not only in the end.
          for (const account of await listAccounts(db))
            if (account.scope !== 'user')
              expect(account.spent_nano_usd + account.reserved_nano_usd).toBeLessThanOrEqual(
                toNanoUsd(caps[account.scope as 'run' | 'fleet']),
              );
        }),
      );
      expect(billed.run_1).toBeLessThanOrEqual(toNanoUsd(caps.run));
      expect(billed.run_2).toBeLessThanOrEqual(toNanoUsd(caps.run));
      expect(billed.run_1 + billed.run_2).toBeLessThanOrEqual(toNanoUsd(caps.fleet));

      await giveUpRequests(otherDb, undefined);
      const requests = await listRequests(database.db);
      expect(requests.filter(({ state }) => state === 'open')).toEqual([]);
      for (const account of await listAccounts(database.db)) {
        const own = requests.filter(({ run_id }) => account.scope !== 'run' || run_id === account.subject);
        expect(account).toMatchObject({
          reserved_nano_usd: 0,
          reserved_tokens: 0,
          spent_nano_usd: own.reduce((sum, { booked_nano_usd }) => sum + (booked_nano_usd ?? 0), 0),
        });
      }
    }),
    { numRuns: 25, endOnFailure: true },
  );
}, 120_000);
