import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseTranscript } from '@helixcode/llm/replay/transcript';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { openaiChatWire } from '../../llm/test/wire/openai-chat-wire.ts';
import { SOME_USAGE } from '../../llm/test/wire/wire.ts';
import { GOOD_KEY, GOOD_MODEL, WireServer } from '../../llm/test/wire/wire-server.ts';
import { givenEmptyDatabase } from '../../server/test/support/database.ts';
import { givenFolder, type Ran, runHelix } from './support.ts';

let home: string;
let env: NodeJS.ProcessEnv;
let database: { url: string; drop(): Promise<void> };
const vendor = new WireServer(openaiChatWire);
let ollama: Server;

/** What an Ollama tells of its models and of a download. */
function startOllama(): Promise<Server> {
  const server = createServer((request, response) => {
    const answer = (status: number, ...lines: unknown[]): void =>
      void response.writeHead(status).end(lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
    let text = '';
    request.on('data', (bytes: Buffer) => void (text += bytes.toString()));
    request.on('end', () => {
      const model = text === '' ? '' : (JSON.parse(text) as { model: string }).model;
      if (request.url === '/api/version') return answer(200, { version: '0.12.0' });
      if (request.url === '/api/tags')
        return answer(200, {
          models: [{ name: 'tiny:1b', size: 800_000_000, details: { parameter_size: '1.2B', quantization_level: 'Q4_K_M' } }],
        });
      if (request.url === '/api/show') return answer(200, { capabilities: ['tools'], model_info: { 'x.context_length': 8192 } });
      if (request.url === '/api/pull' && model === 'tiny:1b')
        return answer(
          200,
          { status: 'pulling manifest' },
          { status: 'pulling abc', digest: 'sha256:abc', total: 100, completed: 50 },
          { status: 'success' },
        );
      return answer(200, { error: 'pull model manifest: file does not exist' });
    });
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

const helix = (args: readonly string[], cwd?: string): Promise<Ran> => runHelix(args, { env, ...(cwd !== undefined && { cwd }) });
const json = async (...args: string[]): Promise<Record<string, unknown>> => {
  const ran = await helix(['--json', ...args]);
  expect(ran.stdout, ran.stderr).not.toBe('');
  return JSON.parse(ran.stdout) as Record<string, unknown>;
};

beforeAll(async () => {
  [database, ollama] = await Promise.all([givenEmptyDatabase(), startOllama(), vendor.start()]);
  home = mkdtempSync(path.join(tmpdir(), 'helix-cli-models-'));
  const provider = { kind: 'openai-chat', baseUrl: vendor.baseUrl };
  const price = { inputUsd: 1, outputUsd: 10 };
  const config = {
    workers: { local: false },
    providers: {
      pool: [
        {
          ...provider,
          name: 'good',
          apiKeyEnv: 'GOOD_KEY',
          models: { [GOOD_MODEL]: { price }, dear: { price: { inputUsd: 1, outputUsd: 1_000 } } },
        },
        { ...provider, name: 'bad', apiKeyEnv: 'BAD_KEY' },
        { ...provider, name: 'away', baseUrl: 'http://127.0.0.1:9/v1', apiKeyEnv: 'GOOD_KEY' },
        { kind: 'ollama', baseUrl: `http://127.0.0.1:${(ollama.address() as AddressInfo).port}` },
      ],
      default: [`good/${GOOD_MODEL}`],
      budgets: { fleet: { usd: 0.5 } },
    },
  };
  writeFileSync(path.join(home, 'helix.json'), JSON.stringify(config));
  env = { HELIX_HOME: home, HELIX_PORT: '0', DATABASE_URL: database.url, GOOD_KEY, BAD_KEY: 'sk-wrong-0123456789' };
  const up = await helix(['up']);
  expect(up, up.stderr).toMatchObject({ status: 0 });
}, 120_000);

afterAll(async () => {
  const down = await helix(['down', '--workers']);
  expect(down, down.stderr).toMatchObject({ status: 0 });
  await vendor.stop();
  ollama.closeAllConnections();
  ollama.close();
  await database.drop();
  rmSync(home, { recursive: true, force: true, maxRetries: 5 });
}, 120_000);

beforeEach(() => vendor.forget());

test('configured models and those of a local server are listed with price, abilities and purposes [L4]', async () => {
  expect(await json('models', 'list')).toMatchObject({
    providers: expect.arrayContaining([
      { name: 'good', kind: 'openai-chat', baseUrl: vendor.baseUrl, keyVariable: 'GOOD_KEY', hasKey: true },
    ]),
    items: [
      {
        name: `good/${GOOD_MODEL}`,
        source: 'configured',
        price: { inputUsd: 1, outputUsd: 10 },
        purposes: expect.arrayContaining(['agent', 'fix']),
      },
      { name: 'good/dear', purposes: [] },
      { name: 'ollama/tiny:1b', source: 'local', price: { inputUsd: 0, outputUsd: 0 }, sizeBytes: 800_000_000, purposes: [] },
    ],
  });
  const { stdout } = await helix(['models', 'list']);
  expect(stdout.split('\n')[0]?.split('\t').slice(0, 4)).toEqual([`good/${GOOD_MODEL}`, '?', 'tools,reasoning,images', '$1.00 / $10.00']);
});

test('models test asks a real question; a wrong key, an unknown model and a server that is away are told apart [L1]', async () => {
  vendor.next({ say: { text: 'ready', usage: SOME_USAGE } });
  expect(await json('models', 'test', '--models', `good/${GOOD_MODEL}`)).toMatchObject({
    items: [{ model: `good/${GOOD_MODEL}`, ok: true, usage: { inputTokens: 1_000, outputTokens: 200 }, costUsd: 0.003 }],
  });
  for (const [name, code, next, status] of [
    ['bad/any', 'model.auth_refused', /BAD_KEY/, 2],
    ['away/any', 'model.unreachable', /models test --models away/, 1],
    ['good/other-model', 'model.unknown', /models list/, 2],
    ['nobody/any', 'model.config_invalid', /providers\.pool/, 2],
  ] as const) {
    const ran = await helix(['--json', 'models', 'test', '--models', name]);
    const [item] = (JSON.parse(ran.stdout) as { items: { failure: { next: string } }[] }).items;
    expect(item).toMatchObject({ ok: false, failure: { code } });
    expect(item?.failure.next).toMatch(next);
    expect(ran.status).toBe(status);
    expect(ran.stdout + ran.stderr).not.toContain('sk-wrong');
  }
});

test('usage adds up by model, user and run, with the budgets beside it; at a cap the refusal names it [F4]', async () => {
  const usage = await json('usage');
  expect(usage).toMatchObject({
    items: expect.arrayContaining([expect.objectContaining({ key: `good/${GOOD_MODEL}`, costUsd: 0.003, inputTokens: 1_000 })]),
    budgets: [
      { scope: 'fleet', spentUsd: 0.003, capUsd: 0.5 },
      { scope: 'user', spentUsd: 0.003 },
    ],
  });
  expect(await json('usage', '--by', 'user')).toMatchObject({ items: [{ name: expect.any(String), costUsd: 0.003 }] });
  expect(await json('usage', '--by', 'run')).toMatchObject({ items: [] });
  // An answer without a limit may take 32,000 tokens.
  const folder = givenFolder();
  const refused = await helix(['--json', 'models', 'record', '--prompt', 'hello', '--model', 'good/dear', 'x.jsonl'], folder);
  expect(JSON.parse(refused.stderr)).toMatchObject({
    error: { code: 'budget.spent', message: expect.stringContaining('the budget of the fleet'), next: 'helix usage --by user' },
  });
  expect(refused.status).toBe(1);
  expect(readdirSync(folder)).toEqual([]);
});

test('models fit measures an installed model by its files, any other by its name, and refuses what tells nothing [L4]', async () => {
  expect(await json('models', 'fit', 'tiny:1b', '--context', '4096')).toMatchObject({
    basis: 'size of its files',
    weightsBytes: 800_000_000,
    items: [{ machine: 'server', largestContextTokens: expect.any(Number) }],
  });
  expect(await json('models', 'fit', '100000b')).toMatchObject({ basis: 'number of parameters', items: [{ fit: 'does_not_fit' }] });
  const refused = await helix(['models', 'fit', 'mystery']);
  expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('model.unknown') });
});

test('models pull tells each step, and a model that is not published is refused with its name [L4]', async () => {
  expect(await helix(['models', 'pull', 'tiny:1b'])).toMatchObject({
    status: 0,
    stderr: 'pulling manifest\npulling abc\nsuccess\ntiny:1b is there\n',
  });
  const refused = await helix(['models', 'pull', 'nonsense']);
  expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining("Ollama's library has no model nonsense") });
});

test('models record writes a transcript, and never over a file', async () => {
  const folder = givenFolder();
  vendor.next({ say: { text: 'hello yourself', usage: SOME_USAGE } });
  const args = ['models', 'record', '--prompt', 'hello', 'talk.jsonl'];
  expect(await helix(args, folder)).toMatchObject({ status: 0 });
  const transcript = readFileSync(path.join(folder, 'talk.jsonl'), 'utf8');
  const { exchanges } = parseTranscript(transcript);
  expect(exchanges).toMatchObject([{ events: [{ type: 'text', text: 'hello yourself' }, { type: 'usage' }, { type: 'done' }] }]);

  expect(await helix(args, folder)).toMatchObject({ status: 2, stderr: expect.stringContaining('it is there already') });
  expect(readFileSync(path.join(folder, 'talk.jsonl'), 'utf8')).toBe(transcript);
});

test('models test --suite shows each trial and the figures, and ends with 5 where a gate is missed; JUnit names what failed [L6]', async () => {
  const folder = givenFolder();
  const right = [15, 'Wednesday', 'Ada', 16, 41, 13, 'Tom', 12, 6, 10];
  const answerAll = (): void => {
    for (const answer of right) vendor.next({ say: { text: `ANSWER: ${answer}`, usage: SOME_USAGE } });
  };
  answerAll();
  const args = ['models', 'test', '--suite', 'reasoning', '--models', `good/${GOOD_MODEL}`];
  const passed = await helix([...args, '--min-pass', '0.9', '--max-p95', '1m', '--junit', 'trials.xml'], folder);
  expect(passed, passed.stderr).toMatchObject({ status: 0 });
  expect(passed.stdout.split('\t').slice(0, 2)).toEqual([`good/${GOOD_MODEL}`, '9 of 10 (90 %)']);
  expect(passed.stdout).toContain('10k + 2000\t$0.03');
  expect(passed.stderr).toMatch(/^passed {2}good\/\S+ {2}the obvious answer is wrong/);
  expect(passed.stderr).toContain('it answered "ANSWER: 10"; 9 is right');
  const junit = readFileSync(path.join(folder, 'trials.xml'), 'utf8');
  expect(junit).toContain('tests="10" failures="1" skipped="0"');
  expect(junit).toContain('<failure message="it answered &quot;ANSWER: 10&quot;; 9 is right"/>');

  answerAll();
  const missed = await helix([...args, '--min-pass', '0.95']);
  expect(missed).toMatchObject({ status: 5, stderr: expect.stringContaining('trials passed: 90 %, must be at least 95 %') });

  answerAll();
  expect(await json(...args, '--max-usd', '1')).toMatchObject({
    suite: 'reasoning',
    strategy: 'none',
    gates: { maxUsd: 1 },
    models: [{ passed: 9, trials: 10, calls: 10, missed: [], items: expect.arrayContaining([expect.objectContaining({ calls: 1 })]) }],
  });
  expect(await json('usage', '--by', 'run')).toMatchObject({ items: expect.arrayContaining([expect.objectContaining({ calls: 10 })]) });
});

test('a suite ends with the status of what kept a model from being tried, and flags that belong to none are refused [L6]', async () => {
  const folder = givenFolder();
  const refused = await helix(['models', 'test', '--suite', 'tools', '--models', 'bad/any', '--junit', 'trials.xml'], folder);
  expect(refused).toMatchObject({ status: 2, stderr: expect.stringContaining('set models["any"].price of provider bad') });
  expect(readFileSync(path.join(folder, 'trials.xml'), 'utf8')).toMatch(/name="11 further trials" time="0">\s*<skipped/);
  expect(await helix(['models', 'test', '--min-pass', '1'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('helix models test --suite tools'),
  });
  expect(await helix(['models', 'test', '--suite', 'tools', '--strategy', 'progressive'])).toMatchObject({
    status: 2,
    stderr: expect.stringContaining('strategy is for the suite reasoning'),
  });
  expect((await helix(['models', 'test', '--suite', 'tools', '--min-pass', '80'])).stderr).toContain('80 is not a number from 0 to 1');
});
