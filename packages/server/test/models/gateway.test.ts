import { collect, textOf } from '@helixcode/llm/model-port';
import { parseTranscript } from '@helixcode/llm/replay/transcript';
import type { UserId } from '@helixcode/protocol/ids';
import type { CallContext, ModelCall } from '@helixcode/server/models/model-gateway';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { anthropicWire } from '../../../llm/test/wire/anthropic-wire.ts';
import { openaiChatWire } from '../../../llm/test/wire/openai-chat-wire.ts';
import { SOME_USAGE } from '../../../llm/test/wire/wire.ts';
import { GOOD_KEY, GOOD_MODEL, WireServer } from '../../../llm/test/wire/wire-server.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { eventsOf, givenModels, givenUser, listAccounts, listRequests } from './given-models.ts';

let database: TestDatabase;
let user: UserId;
/** Two vendors, each with its own wire. */
const [openai, anthropic] = [new WireServer(openaiChatWire), new WireServer(anthropicWire)];
beforeAll(async () => {
  [database] = await Promise.all([givenDatabase(), openai.start(), anthropic.start()]);
  user = await givenUser(database.db, 'ada');
});
afterAll(async () => {
  await Promise.all([openai.stop(), anthropic.stop()]);
  await database.drop();
});
beforeEach(async () => {
  openai.forget();
  anthropic.forget();
  await database.db.query('truncate requests, budget_accounts');
});

const price = { inputUsd: 1, outputUsd: 10, cacheReadUsd: 0.1 };
const pool = (): Parameters<typeof givenModels>[1] => ({
  pool: [
    { kind: 'openai-chat', name: 'main', baseUrl: openai.baseUrl, apiKeyEnv: 'MAIN_KEY', models: { [GOOD_MODEL]: { price } } },
    { kind: 'anthropic', name: 'spare', baseUrl: anthropic.baseUrl, apiKeyEnv: 'SPARE_KEY', models: { [GOOD_MODEL]: { price } } },
  ],
  default: [`main/${GOOD_MODEL}`, `spare/${GOOD_MODEL}`],
});
const env = { MAIN_KEY: GOOD_KEY, SPARE_KEY: GOOD_KEY };

const call: ModelCall = { messages: [{ role: 'user', parts: [{ type: 'text', text: 'Say hello' }] }], maxOutputTokens: 1_000 };
const context = (change: Partial<CallContext> = {}): CallContext => ({
  purpose: 'agent',
  user,
  run: 'run_1',
  signal: AbortSignal.timeout(60_000),
  ...change,
});

test('a call is booked with what the vendor billed for it [F4] [L4]', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  openai.next({ say: { text: 'hello', usage: SOME_USAGE } });
  const done = await collect(gateway.stream(call, context()));
  expect(textOf(done.message)).toBe('hello');
  // 600 new and 400 cached tokens of prompt, 200 of answer.
  const billedNanoUsd = (600 * 1 + 400 * 0.1 + 200 * 10) * 1_000;
  expect(done.costUsd).toBeCloseTo(billedNanoUsd / 1e9, 12);
  expect(await listRequests(database.db)).toMatchObject([
    {
      provider: 'main',
      state: 'done',
      run_id: 'run_1',
      booked_nano_usd: billedNanoUsd,
      booked_tokens: 1_200,
      input_tokens: 1_000,
      output_tokens: 200,
    },
  ]);
  for (const account of await listAccounts(database.db))
    expect(account).toMatchObject({ spent_nano_usd: billedNanoUsd, reserved_nano_usd: 0, spent_tokens: 1_200 });
});

test('a call is written down with its worst case before its answer comes; who stops listening leaves an unknown outcome, booked at that [F4]', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  openai.next({ say: { text: 'a long answer' }, pieces: 2, goesBy: 'silence' });
  const stream = gateway.stream(call, context())[Symbol.asyncIterator]();
  expect(await stream.next()).toMatchObject({ value: { type: 'text' } });
  const [open] = await listRequests(database.db);
  expect(open).toMatchObject({ state: 'open', booked_nano_usd: null });
  expect(open?.reserved_nano_usd).toBeGreaterThanOrEqual(1_000 * 10 * 1_000);
  expect(await listAccounts(database.db)).toMatchObject([{ reserved_nano_usd: open?.reserved_nano_usd }, {}, {}]);

  await stream.return?.(undefined);
  await openai.hungUp;
  expect(await listRequests(database.db)).toMatchObject([{ state: 'unknown', booked_nano_usd: open?.reserved_nano_usd }]);
  expect(await listAccounts(database.db)).toMatchObject([{ reserved_nano_usd: 0, spent_nano_usd: open?.reserved_nano_usd }, {}, {}]);
});

test('an overloaded model is tried again, then its fallback answers; each try is a request of its own, and refusals cost nothing [L4]', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  for (let attempt = 0; attempt < 4; attempt++) openai.next({ refuse: 'overloaded' });
  anthropic.next({ say: { text: 'from the other', usage: SOME_USAGE } });
  const notices: string[] = [];
  const done = await collect(gateway.stream(call, context({ onNotice: ({ type }) => void notices.push(type) })));
  expect(textOf(done.message)).toBe('from the other');
  expect(notices).toEqual(['retries', 'retries', 'retries', 'falls_back']);
  const requests = await listRequests(database.db);
  expect(requests.map(({ provider, state, booked_nano_usd }) => [provider, state, booked_nano_usd === 0])).toEqual([
    ['main', 'failed', true],
    ['main', 'failed', true],
    ['main', 'failed', true],
    ['main', 'failed', true],
    ['spare', 'done', false],
  ]);
  expect(requests[0]?.failure).toMatchObject({ code: 'model.overloaded' });
});

test('at the cap of a run the vendor is not asked, no fallback is tried, and the error says what to look at [F4]', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  const budget = { usd: 0.005 };
  const events = await eventsOf(gateway.stream(call, context({ budget })));
  expect(events).toMatchObject([{ type: 'error', error: { code: 'budget.spent', details: { scope: 'run', capUsd: 0.005 } } }]);
  expect([...openai.paths, ...anthropic.paths]).toEqual([]);
  // Another run has a budget of its own.
  openai.next({ say: { text: 'hello', usage: SOME_USAGE } });
  expect((await eventsOf(gateway.stream(call, context({ run: 'run_2' })))).at(-1)).toMatchObject({ type: 'done' });
});

test('calls for a purpose go to its own models, others to the default, and a named model only to itself', async () => {
  const config = { ...pool(), routes: { plan: [`spare/${GOOD_MODEL}`] } };
  const { gateway } = await givenModels(database.db, config, env);
  expect(gateway.modelsFor('plan')).toEqual([`spare/${GOOD_MODEL}`]);
  anthropic.next({ say: { text: 'a plan', usage: SOME_USAGE } });
  expect(textOf((await collect(gateway.stream(call, context({ purpose: 'plan' })))).message)).toBe('a plan');

  for (let attempt = 0; attempt < 4; attempt++) openai.next({ refuse: 'overloaded' });
  const events = await eventsOf(gateway.stream({ ...call, model: `main/${GOOD_MODEL}` }, context()));
  expect(events).toMatchObject([{ type: 'error', error: { code: 'model.overloaded' } }]);
  expect(anthropic.paths).toHaveLength(1);
});

test('without a configured model, with an unknown provider or without a key the error names what to set', async () => {
  const bare = await givenModels(database.db, {}, {});
  const errorOf = async (model?: string): Promise<unknown> =>
    (await eventsOf(bare.gateway.stream({ ...call, ...(model !== undefined && { model }) }, context()))).at(-1);
  expect(await errorOf()).toMatchObject({ error: { code: 'model.not_configured', next: expect.stringContaining('providers.default') } });
  expect(await errorOf('antropic/claude')).toMatchObject({
    error: { code: 'model.config_invalid', message: 'there is no provider antropic; did you mean anthropic?' },
  });
  expect(await errorOf('anthropic/claude-opus-4-5')).toMatchObject({
    error: { code: 'model.config_invalid', next: expect.stringContaining('set ANTHROPIC_API_KEY for the server') },
  });
});

test('a wrong key is named by its own variable, and stands in no error, log or row [S3]', async () => {
  const secret = 'sk-very-secret-0123456789';
  const { gateway, logged } = await givenModels(database.db, pool(), { MAIN_KEY: secret, SPARE_KEY: secret });
  const events = await eventsOf(gateway.stream(call, context()));
  const [failure] = events;
  expect(failure).toMatchObject({ type: 'error', error: { code: 'model.auth_refused', next: expect.stringContaining('SPARE_KEY') } });
  const kept = JSON.stringify([events, logged, await listRequests(database.db)]);
  expect(kept).not.toContain(secret);
  expect(await listRequests(database.db)).toMatchObject([{ failure: { code: 'model.auth_refused' } }, { state: 'failed' }]);
});

test('an answer is given a limit where a budget depends on it, and none where it could only disturb', async () => {
  const { maxOutputTokens: _, ...unlimited } = call;
  const limited = await givenModels(database.db, { ...pool(), budgets: { run: { usd: 5 } } }, env);
  openai.next({ say: { text: 'hello', usage: SOME_USAGE } }, { say: { text: 'hello', usage: SOME_USAGE } });
  await collect(limited.gateway.stream(unlimited, context()));
  const free = await givenModels(database.db, pool(), env);
  await collect(free.gateway.stream(unlimited, context()));
  expect(openai.asked.map(({ maxOutputTokens }) => maxOutputTokens)).toEqual([32_000, undefined]);
});

test('a call that was cancelled before it was sent costs nothing', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  const events = await eventsOf(gateway.stream({ ...call, model: `main/${GOOD_MODEL}` }, context({ signal: AbortSignal.abort() })));
  expect(events).toMatchObject([{ type: 'error', error: { code: 'model.cancelled' } }]);
  expect(openai.paths).toEqual([]);
  expect(await listRequests(database.db)).toMatchObject([{ state: 'failed', booked_nano_usd: 0 }]);
});

test('a vendor that tells no usage is booked at the most the call can cost', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  openai.next({ say: { text: 'hello' } });
  await collect(gateway.stream(call, context()));
  const [booked] = await listRequests(database.db);
  expect(booked).toMatchObject({ state: 'unknown', booked_nano_usd: booked?.reserved_nano_usd });
});

test('a call can be recorded as a transcript that plays again', async () => {
  const { gateway } = await givenModels(database.db, pool(), env);
  openai.next({ say: { text: 'hello', usage: SOME_USAGE } });
  let transcript = '';
  await collect(gateway.stream(call, context({ record: (line) => void (transcript += line) })));
  const { header, exchanges } = parseTranscript(transcript);
  expect(header.provider).toBe('main');
  expect(exchanges).toMatchObject([{ events: [{ type: 'text', text: 'hello' }, { type: 'usage' }, { type: 'done' }] }]);
});
