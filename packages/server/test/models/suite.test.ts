import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { recordingPort } from '@helixcode/llm/replay/record';
import { TOOL_TRIALS } from '@helixcode/llm/trials/tool-trials';
import { type SuiteEvent, type SuiteReportView, suiteEvent } from '@helixcode/protocol/api/model-views';
import type { UserId } from '@helixcode/protocol/ids';
import { runSuite, type SuiteOrder } from '@helixcode/server/models/run-suite';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { idealToolUser } from '../../../llm/test/trials/ideal-model.ts';
import { openaiChatWire } from '../../../llm/test/wire/openai-chat-wire.ts';
import { SOME_USAGE } from '../../../llm/test/wire/wire.ts';
import { GOOD_KEY, GOOD_MODEL, WireServer } from '../../../llm/test/wire/wire-server.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { givenModels, givenUser, listRequests } from './given-models.ts';

let database: TestDatabase;
let user: UserId;
let folder: string;
const vendor = new WireServer(openaiChatWire);
const price = { inputUsd: 1, outputUsd: 10 };
const config = (): Parameters<typeof givenModels>[1] => ({
  pool: [
    { kind: 'replay', transcripts: { ideal: 'ideal.jsonl' } },
    { kind: 'openai-chat', name: 'live', baseUrl: vendor.baseUrl, models: { [GOOD_MODEL]: { price } } },
  ],
});

beforeAll(async () => {
  [database, folder] = await Promise.all([givenDatabase(), mkdtemp(path.join(tmpdir(), 'helixcode-suite-')), vendor.start()]);
  user = await givenUser(database.db, 'ada');
  let lines = '';
  const port = recordingPort(idealToolUser(), (line) => void (lines += line));
  for (const trial of TOOL_TRIALS) await trial.run({ port, model: 'm', signal: new AbortController().signal });
  await writeFile(path.join(folder, 'ideal.jsonl'), lines);
});
afterAll(async () => {
  await vendor.stop();
  await rm(folder, { recursive: true });
  await database.drop();
});
beforeEach(async () => {
  vendor.forget();
  await database.db.query('truncate requests, budget_accounts');
});

async function eventsIn(stream: Readable): Promise<SuiteEvent[]> {
  const data = (await text(stream)).split('\n\n').filter((event) => event.startsWith('data: '));
  return data.map((event) => suiteEvent.parse(JSON.parse(event.slice('data: '.length))));
}

async function reportOf(
  order: SuiteOrder,
  change: Parameters<typeof givenModels>[1] = {},
): Promise<{ report: SuiteReportView; told: number }> {
  const models = await givenModels(database.db, { ...config(), ...change }, { OPENAI_API_KEY: GOOD_KEY }, folder);
  const events = await eventsIn(runSuite({ ...models, codingTrials: () => [] }, order, user, AbortSignal.timeout(60_000)));
  const [last] = events.slice(-1);
  if (last === undefined || !('report' in last)) throw new Error(`no report: ${JSON.stringify(last)}`);
  return { report: last.report, told: events.length - 1 };
}

const answer = (said: string | number): Parameters<WireServer['next']>[0] => ({ say: { text: `ANSWER: ${said}`, usage: SOME_USAGE } });
const RIGHT = [15, 'Wednesday', 'Ada', 16, 41, 13, 'Tom', 12, 6, 9];

test('a suite goes through the gateway: each call is booked to its run, and a model that was only replayed is told as that [L6]', async () => {
  const { report, told } = await reportOf({ suite: 'tools', models: ['replay/ideal'], gates: { minPass: 1, minWellFormed: 1, maxUsd: 0 } });
  expect(told).toBe(12);
  expect(report.models).toMatchObject([
    { model: 'replay/ideal', replayed: true, trials: 12, passed: 12, passRate: 1, costUsd: 0, missed: [], calls: 26 },
  ]);
  expect(report.models[0]?.toolCalls).toEqual({ made: 16, wellFormed: 16 });
  const requests = await listRequests(database.db);
  expect(requests).toHaveLength(26);
  expect(new Set(requests.map(({ run_id, state }) => `${run_id} ${state}`))).toEqual(new Set([`${report.run} done`]));
});

test('pass rate, latency, tokens and cost are told, and gates that are missed are named with what was reached [L6]', async () => {
  for (const [index, right] of RIGHT.entries()) vendor.next(answer(index < 7 ? right : 'no idea'));
  const gates = { minPass: 0.8, maxP95Ms: 60_000, maxUsd: 0.02 };
  const { report } = await reportOf({ suite: 'reasoning', models: [`live/${GOOD_MODEL}`], gates });
  const [model] = report.models;
  expect(model).toMatchObject({ passed: 7, passRate: 0.7, calls: 10, usage: { inputTokens: 10_000, outputTokens: 2_000 } });
  expect(model?.costUsd).toBeCloseTo(0.03, 10);
  expect(model?.replayed).toBeUndefined();
  expect(model?.latencyMs?.p95).toBeGreaterThanOrEqual(model?.latencyMs?.p50 ?? Number.POSITIVE_INFINITY);
  expect(model?.missed).toEqual([
    { gate: 'minPass', limit: 0.8, value: 0.7 },
    { gate: 'maxUsd', limit: 0.02, value: expect.closeTo(0.03, 10) },
  ]);
  expect(model?.items[7]).toMatchObject({ passed: false, problem: 'it answered "ANSWER: no idea"; 12 is right' });
});

test('a strategy makes the calls that it needs', async () => {
  for (const right of RIGHT)
    vendor.next(
      { say: { text: `A draft: ${right}`, usage: SOME_USAGE } },
      { say: { text: '{"mistakes":[],"score":10}', usage: SOME_USAGE } },
    );
  const { report } = await reportOf({ suite: 'reasoning', strategy: 'self_reflection', models: [`live/${GOOD_MODEL}`], gates: {} });
  expect(report).toMatchObject({ strategy: 'self_reflection', models: [{ passed: 10, calls: 20 }] });
});

test('what is so for every call ends the suite of that model with what mends it, and not that of the others [F4]', async () => {
  const order: SuiteOrder = { suite: 'tools', models: ['nobody/x', 'replay/ideal', 'replay/idael'], gates: { minPass: 0.5 } };
  const { report } = await reportOf(order);
  expect(report.models).toMatchObject([
    { model: 'nobody/x', passed: 0, items: [{ passed: false }], failure: { code: 'model.config_invalid' }, missed: [{ gate: 'minPass' }] },
    { model: 'replay/ideal', passed: 12, missed: [] },
    { model: 'replay/idael', failure: { code: 'model.unknown', message: expect.stringContaining('did you mean ideal?') } },
  ]);

  vendor.next(answer(15));
  const spent = await reportOf({ suite: 'reasoning', models: [`live/${GOOD_MODEL}`], gates: {} }, { budgets: { run: { tokens: 33_000 } } });
  expect(spent.report.models).toMatchObject([{ passed: 1, items: { length: 2 }, failure: { code: 'budget.spent' } }]);
});

test('one call that fails fails its trial, and the next is tried', async () => {
  vendor.next(answer(15), { refuse: 'overflow' });
  for (const right of RIGHT.slice(2)) vendor.next(answer(right));
  const { report } = await reportOf({ suite: 'reasoning', models: [`live/${GOOD_MODEL}`], gates: {} });
  expect(report.models).toMatchObject([{ passed: 9, calls: 10 }]);
  expect(report.models[0]?.failure).toBeUndefined();
});

test('a suite that nobody waits for any more ends with the call that is under way', async () => {
  vendor.next(answer(15), { ...answer('Wednesday'), pieces: 1, goesBy: 'silence' });
  const models = await givenModels(database.db, config(), { OPENAI_API_KEY: GOOD_KEY }, folder);
  const leaving = new AbortController();
  const order: SuiteOrder = { suite: 'reasoning', models: [`live/${GOOD_MODEL}`], gates: {} };
  const events = eventsIn(runSuite({ ...models, codingTrials: () => [] }, order, user, leaving.signal));
  await vendor.silent;
  leaving.abort();
  expect((await events).at(-1)).toMatchObject({ report: { models: [{ passed: 1, calls: 2, failure: { code: 'model.cancelled' } }] } });
  expect(vendor.asked).toHaveLength(2);
});
