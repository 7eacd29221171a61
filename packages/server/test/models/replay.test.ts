import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { collect, textOf } from '@helixcode/llm/model-port';
import { scriptedModel } from '@helixcode/llm/providers/scripted';
import { recordingPort } from '@helixcode/llm/replay/record';
import type { UserId } from '@helixcode/protocol/ids';
import type { CallContext, ModelCall } from '@helixcode/server/models/model-gateway';
import { tryModel } from '@helixcode/server/models/try-model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { eventsOf, givenModels, givenUser, listAccounts, listRequests } from './given-models.ts';

let database: TestDatabase;
let user: UserId;
/** The folder of `helix.json`, with a transcript in it. */
let folder: string;

const call: ModelCall = { messages: [{ role: 'user', parts: [{ type: 'text', text: 'Say hello' }] }] };
const config = {
  pool: [{ kind: 'replay' as const, transcripts: { hello: 'hello.jsonl', gone: 'gone.jsonl' } }],
  default: ['replay/hello', 'openai/gpt-5.2'],
  budgets: { run: { usd: 0.001, tokens: 100_000 } },
};
const context = (): CallContext => ({ purpose: 'agent', user, run: 'run_1', signal: AbortSignal.timeout(60_000) });

beforeAll(async () => {
  [database, folder] = await Promise.all([givenDatabase(), mkdtemp(path.join(tmpdir(), 'helixcode-replay-'))]);
  user = await givenUser(database.db, 'ada');
  let text = '';
  const live = recordingPort(
    scriptedModel([{ text: 'hello', usage: { inputTokens: 1_000, outputTokens: 200 }, costUsd: 0.5 }]),
    (lines) => void (text += lines),
  );
  await collect(live.stream({ ...call, model: 'dear' }, context().signal));
  await writeFile(path.join(folder, 'hello.jsonl'), text);
});
afterAll(async () => {
  await rm(folder, { recursive: true });
  await database.drop();
});

test('a recorded model is configured, routed and booked as any other, says that it is replayed, and costs nothing [L1]', async () => {
  const { gateway } = await givenModels(database.db, config, {}, folder);
  for (let run = 0; run < 2; run++) {
    const done = await collect(gateway.stream(call, context()));
    expect(textOf(done.message)).toBe('hello');
    expect(done).toMatchObject({ replayed: true, costUsd: 0, usage: { inputTokens: 1_000 } });
  }
  const booked = { state: 'done', provider: 'replay', model: 'hello', booked_nano_usd: 0, booked_tokens: 1_200 };
  expect(await listRequests(database.db)).toMatchObject([booked, booked]);
  for (const account of await listAccounts(database.db)) expect(account).toMatchObject({ spent_nano_usd: 0, reserved_tokens: 0 });
});

test('a request that was not recorded fails with the first difference: no other model stands in for it', async () => {
  const { gateway } = await givenModels(database.db, config, { OPENAI_API_KEY: 'sk-1' }, folder);
  const other: ModelCall = { messages: [{ role: 'user', parts: [{ type: 'text', text: 'Say goodbye' }] }] };
  expect(await eventsOf(gateway.stream(other, context()))).toMatchObject([
    { type: 'error', error: { code: 'model.replay_differs', message: expect.stringContaining('was "Say hello" and is "Say goodbye"') } },
  ]);
});

test('a trial of a recorded model tells whether it can be played, and asks nothing', async () => {
  const models = await givenModels(database.db, config, {}, folder);
  const before = (await listRequests(database.db)).length;
  const trial = (name: string) => tryModel(models, name, user, context().signal);
  expect(await trial('replay/hello')).toMatchObject({ ok: true, replayed: true });
  expect(await listRequests(database.db)).toHaveLength(before);
  expect(await trial('replay/gone')).toMatchObject({
    ok: false,
    failure: { code: 'model.config_invalid', message: expect.stringContaining(path.join(folder, 'gone.jsonl')) },
  });
});
