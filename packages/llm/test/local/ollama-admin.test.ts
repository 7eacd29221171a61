import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { discoverLocal } from '../../src/local/discover-local.ts';
import { judgeContext, OllamaAdmin } from '../../src/local/ollama-admin.ts';
import { all } from '../events.ts';

const never = new AbortController().signal;
const closers: (() => void)[] = [];
afterEach(() => {
  for (const close of closers.splice(0)) close();
});

/** A server on loopback. @param answers by method and path: JSON, or a function that answers itself */
async function givenServer(answers: Record<string, unknown>): Promise<string> {
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (piece) => void (body += String(piece)));
    request.on('end', () => {
      const answer = answers[`${request.method} ${request.url}`];
      if (typeof answer === 'function') return void answer(request, response, body);
      response.writeHead(answer === undefined ? 404 : 200, { 'content-type': 'application/json' });
      response.end(JSON.stringify(answer ?? { error: 'not found' }));
    });
  });
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  closers.push(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const lines =
  (...values: unknown[]) =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response
      .writeHead(200, { 'content-type': 'application/x-ndjson' })
      .end(values.map((value) => `${JSON.stringify(value)}\n`).join(''));

const SHOW_QWEN = {
  parameters: 'stop "<|im_end|>"\nnum_ctx                        8192\ntemperature 0.6',
  capabilities: ['completion', 'tools', 'thinking'],
  model_info: {
    'general.architecture': 'qwen3',
    'qwen3.context_length': 40_960,
    'qwen3.block_count': 36,
    'qwen3.embedding_length': 4096,
    'qwen3.attention.head_count': 32,
    'qwen3.attention.head_count_kv': 8,
    'qwen3.attention.key_length': 128,
  },
};

/** An Ollama with one model. @see https://github.com/ollama/ollama/blob/main/docs/api.md */
const OLLAMA = {
  'GET /api/version': { version: '0.12.6' },
  'GET /api/tags': {
    models: [{ name: 'qwen3:8b', size: 5_225_388_164, details: { parameter_size: '8.2B', quantization_level: 'Q4_K_M' } }],
  },
  'GET /api/ps': { models: [{ name: 'qwen3:8b', size: 6_000_000_000, size_vram: 4_000_000_000, context_length: 4096 }] },
  'POST /api/show': (_: IncomingMessage, response: ServerResponse, body: string) =>
    (JSON.parse(body) as { model: string }).model === 'qwen3:8b'
      ? response.end(JSON.stringify(SHOW_QWEN))
      : response.writeHead(404).end('{"error":"model not found"}'),
};

describe('what Ollama tells', () => {
  test('installed models, loaded ones, and the facts of one', async () => {
    const admin = new OllamaAdmin(await givenServer(OLLAMA));

    expect(await admin.list(never)).toEqual([{ name: 'qwen3:8b', sizeBytes: 5_225_388_164, parameters: '8.2B', quantisation: 'Q4_K_M' }]);
    expect(await admin.loaded(never)).toEqual([
      { name: 'qwen3:8b', contextTokens: 4096, sizeBytes: 6_000_000_000, graphicsBytes: 4_000_000_000 },
    ]);
    expect(await admin.show('qwen3:8b', never)).toEqual({
      trainedContextTokens: 40_960,
      presetContextTokens: 8192,
      tools: true,
      images: false,
      thinking: true,
      shape: { layers: 36, kvHeads: 8, headSize: 128 },
    });
  });

  test('a model that is not installed, an Ollama that is not there, and something else at its address', async () => {
    const admin = new OllamaAdmin(await givenServer(OLLAMA));
    const page = await givenServer({ 'GET /api/tags': (_: IncomingMessage, response: ServerResponse) => response.end('<html>') });

    await expect(admin.show('llama9', never)).rejects.toMatchObject({ code: 'model.unknown', next: 'helix models pull llama9' });
    await expect(new OllamaAdmin('http://127.0.0.1:9').list(never)).rejects.toMatchObject({
      code: 'model.unreachable',
      next: 'ollama serve',
    });
    await expect(new OllamaAdmin(page).list(never)).rejects.toMatchObject({ code: 'model.bad_response' });
  });
});

describe('the silent context', () => {
  const facts = {
    trainedContextTokens: 40_960,
    presetContextTokens: undefined,
    tools: true,
    images: false,
    thinking: false,
    shape: undefined,
  };
  const loaded = { name: 'm', contextTokens: 4096, sizeBytes: 1, graphicsBytes: 0 };

  test.each([
    {
      what: 'a model loaded with 4k would be cut',
      facts,
      loaded,
      needed: 32_768,
      verdict: { givenTokens: 4096, wantedTokens: 32_768, isCut: true },
    },
    {
      what: 'a model not loaded would get the default',
      facts,
      loaded: undefined,
      needed: 32_768,
      verdict: { givenTokens: 4096, wantedTokens: 32_768, isCut: true },
    },
    {
      what: 'its own file can say better',
      facts: { ...facts, presetContextTokens: 40_000 },
      loaded: undefined,
      needed: 32_768,
      verdict: { givenTokens: 40_000, wantedTokens: 40_000, isCut: false },
    },
    {
      what: 'no more is wanted than it was trained for',
      facts: { ...facts, trainedContextTokens: 2048 },
      loaded: undefined,
      needed: 32_768,
      verdict: { givenTokens: 2048, wantedTokens: 2048, isCut: false },
    },
    {
      what: 'one loaded with enough is well',
      facts,
      loaded: { ...loaded, contextTokens: 40_960 },
      needed: 32_768,
      verdict: { givenTokens: 40_960, wantedTokens: 32_768, isCut: false },
    },
  ])('$what', ({ facts: known, loaded: now, needed, verdict }) => {
    expect(judgeContext(known, now, needed)).toEqual(verdict);
  });
});

describe('pulling', () => {
  test('progress is the sum of all parts, up to success', async () => {
    const url = await givenServer({
      'POST /api/pull': lines(
        { status: 'pulling manifest' },
        { status: 'pulling aaa', digest: 'sha256:aaa', total: 1000, completed: 500 },
        { status: 'pulling bbb', digest: 'sha256:bbb', total: 200 },
        { status: 'pulling aaa', digest: 'sha256:aaa', total: 1000, completed: 1000 },
        { status: 'verifying sha256 digest' },
        { status: 'success' },
      ),
    });

    const steps = await all(new OllamaAdmin(url).pull('qwen3:8b', never));

    expect(steps.map(({ doneBytes, totalBytes }) => [doneBytes, totalBytes])).toEqual([
      [0, 0],
      [500, 1000],
      [500, 1200],
      [1000, 1200],
      [1000, 1200],
      [1000, 1200],
    ]);
    expect(steps.at(-1)?.step).toBe('success');
  });

  test.each([
    { said: 'pull model manifest: file does not exist', code: 'model.unknown', next: /ollama.com\/library/ },
    { said: 'write /x: no space left on device', code: 'model.pull_failed', next: /free disk space/ },
    { said: 'max retries exceeded: EOF', code: 'model.pull_failed', next: /helix models pull/ },
  ])('"$said" is $code', async ({ said, code, next }) => {
    const url = await givenServer({ 'POST /api/pull': lines({ status: 'pulling manifest' }, { error: said }) });

    await expect(all(new OllamaAdmin(url).pull('m', never))).rejects.toMatchObject({ code, next: expect.stringMatching(next) });
  });

  test('a download that ends before success, or breaks, is no success', async () => {
    const ended = await givenServer({ 'POST /api/pull': lines({ status: 'pulling aaa', digest: 'a', total: 10, completed: 5 }) });
    const broken = await givenServer({
      'POST /api/pull': (_: IncomingMessage, response: ServerResponse) => {
        response.write('{"status":"pulling manifest"}\n');
        setTimeout(() => response.socket?.resetAndDestroy(), 5);
      },
    });

    await expect(all(new OllamaAdmin(ended).pull('m', never))).rejects.toMatchObject({ code: 'model.pull_failed' });
    await expect(all(new OllamaAdmin(broken).pull('m', never))).rejects.toMatchObject({ code: 'model.pull_failed' });
  });

  test('it can be cancelled', async () => {
    const stop = new AbortController();
    const url = await givenServer({
      'POST /api/pull': (_: IncomingMessage, response: ServerResponse) => void response.write('{"status":"pulling manifest"}\n'),
    });
    const reading = (async () => {
      for await (const _ of new OllamaAdmin(url).pull('m', stop.signal)) stop.abort();
    })();

    await expect(reading).rejects.toMatchObject({ code: 'model.cancelled' });
  });
});

test('local servers are found by what they answer, not by their port', async () => {
  const ollama = await givenServer(OLLAMA);
  const llama = await givenServer({
    'GET /v1/models': {
      object: 'list',
      data: [{ id: 'llama.gguf', owned_by: 'llamacpp', meta: { n_ctx_train: 131_072, size: 4_912_898_304 } }],
    },
    'GET /props': { default_generation_settings: { n_ctx: 8192 }, total_slots: 1 },
  });
  const vllm = await givenServer({
    'GET /v1/models': { object: 'list', data: [{ id: 'Qwen/Qwen3-8B', owned_by: 'vllm', max_model_len: 40_960 }] },
  });
  const webPage = await givenServer({ 'GET /': {} });

  expect(await discoverLocal(never, [ollama, llama, vllm, webPage, 'http://127.0.0.1:9'])).toEqual([
    {
      kind: 'ollama',
      baseUrl: ollama,
      models: [{ name: 'qwen3:8b', sizeBytes: 5_225_388_164, parameters: '8.2B', quantisation: 'Q4_K_M' }],
    },
    { kind: 'llama-server', baseUrl: `${llama}/v1`, models: [{ name: 'llama.gguf', contextTokens: 8192, sizeBytes: 4_912_898_304 }] },
    { kind: 'openai-compatible', baseUrl: `${vllm}/v1`, models: [{ name: 'Qwen/Qwen3-8B', contextTokens: 40_960 }] },
  ]);
});
