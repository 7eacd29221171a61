import { afterEach, describe, expect, test } from 'vitest';
import { collect, type ModelRequest } from '../src/model-port.ts';
import { anthropic } from '../src/providers/anthropic.ts';
import { ollama } from '../src/providers/ollama.ts';
import { openai } from '../src/providers/openai.ts';
import { huggingface } from '../src/providers/openai-compatible.ts';
import { vendorFetch } from '../src/providers/vendor-fetch.ts';
import { all } from './events.ts';
import { anthropicWire } from './wire/anthropic-wire.ts';
import { ollamaWire } from './wire/ollama-wire.ts';
import { huggingfaceWire } from './wire/openai-chat-wire.ts';
import { openaiWire } from './wire/responses-wire.ts';
import { SOME_USAGE, type Wire } from './wire/wire.ts';
import { GOOD_KEY, WireServer } from './wire/wire-server.ts';

const never = new AbortController().signal;
const servers: WireServer[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.stop())));

async function givenServer(wire: Wire, ...models: string[]): Promise<WireServer> {
  const server = await new WireServer(wire).start();
  server.models = models;
  servers.push(server);
  return server;
}

const ask = (model: string, more: Partial<ModelRequest> = {}): ModelRequest => ({
  model,
  messages: [{ role: 'user', parts: [{ type: 'text', text: 'x' }] }],
  ...more,
});

describe('Anthropic', () => {
  test.each([
    { model: 'claude-sonnet-4-5', maxOutputTokens: 12_000 },
    { model: 'claude-opus-4-6', maxOutputTokens: 12_000 },
    { model: 'claude-sonnet-4-5', maxOutputTokens: 1_500 },
  ])('the output limit of $model holds with thinking in it ($maxOutputTokens)', async ({ model, maxOutputTokens }) => {
    const server = await givenServer(anthropicWire, model);

    await collect(
      anthropic({ baseUrl: server.baseUrl, apiKey: GOOD_KEY }).stream(ask(model, { maxOutputTokens, reasoning: 'high' }), never),
    );

    const { max_tokens: limit, thinking } = (server.asked[0]?.body ?? {}) as {
      max_tokens: number;
      thinking?: { type: string; budget_tokens?: number };
    };
    expect(limit).toBe(maxOutputTokens);
    if (thinking?.budget_tokens !== undefined) expect(thinking.budget_tokens).toBeLessThan(maxOutputTokens);
  });

  test('cache marks stand where they were put, with their time', async () => {
    const server = await givenServer(anthropicWire, 'claude-opus-4-6');

    await collect(
      anthropic({ baseUrl: server.baseUrl, apiKey: GOOD_KEY }).stream(
        {
          model: 'claude-opus-4-6',
          messages: [
            { role: 'system', text: 'Rules', cache: '1h' },
            {
              role: 'user',
              parts: [
                { type: 'text', text: 'one' },
                { type: 'text', text: 'two' },
              ],
              cache: '5m',
            },
          ],
        },
        never,
      ),
    );

    expect(server.asked[0]?.body).toMatchObject({
      system: [{ text: 'Rules', cache_control: { type: 'ephemeral', ttl: '1h' } }],
      messages: [{ content: [{ text: 'one' }, { text: 'two', cache_control: { type: 'ephemeral', ttl: '5m' } }] }],
    });
    expect(JSON.stringify(server.asked[0]?.body['messages']).match(/cache_control/g)).toHaveLength(1);
  });

  test('an hour in the cache is billed at twice the input price', async () => {
    const wire: Wire = {
      ...anthropicWire,
      answer: (say, model) =>
        anthropicWire
          .answer(say, model)
          .map((piece) =>
            piece.replace(
              '"cache_creation_input_tokens":0',
              '"cache_creation_input_tokens":1000,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":1000}',
            ),
          ),
    };
    const server = await givenServer(wire, 'claude-opus-4-6');
    server.next({ say: { text: 'ok', usage: { input: 0, cached: 0, output: 100, reasoning: 0 } } });

    const { usage, costUsd } = await collect(
      anthropic({ baseUrl: server.baseUrl, apiKey: GOOD_KEY }).stream(ask('claude-opus-4-6'), never),
    );

    expect(usage).toMatchObject({ inputTokens: 1000, cacheWriteTokens: 1000 });
    // 5 US dollars a million in, 25 out.
    expect(costUsd).toBeCloseTo((1000 * 10 + 100 * 25) / 1e6, 10);
  });
});

describe('OpenAI', () => {
  test('nothing is stored there, and the price comes from the catalog', async () => {
    const server = await givenServer(openaiWire, 'gpt-5.2');
    server.next({ say: { text: 'ok', usage: SOME_USAGE } });

    const { costUsd } = await collect(
      openai({ baseUrl: server.baseUrl, apiKey: GOOD_KEY }).stream(ask('gpt-5.2', { reasoning: 'high' }), never),
    );

    expect(server.asked[0]?.body).toMatchObject({ store: false, include: ['reasoning.encrypted_content'], reasoning: { effort: 'high' } });
    expect(costUsd).toBeCloseTo((600 * 1.75 + 400 * 0.175 + 200 * 14) / 1e6, 10);
  });

  test('a price in the configuration goes before the catalog, and an unknown model has none', async () => {
    const server = await givenServer(openaiWire, 'gpt-5.2', 'secret-model');
    server.next({ say: { text: 'ok', usage: SOME_USAGE } }, { say: { text: 'ok', usage: SOME_USAGE } });
    const port = openai({ baseUrl: server.baseUrl, apiKey: GOOD_KEY, models: { 'gpt-5.2': { price: { inputUsd: 1, outputUsd: 1 } } } });

    expect((await collect(port.stream(ask('gpt-5.2'), never))).costUsd).toBeCloseTo(1200 / 1e6, 10);
    expect((await collect(port.stream(ask('secret-model'), never))).costUsd).toBeUndefined();
    expect(port.capabilities('secret-model')).toMatchObject({ isKnown: false, contextTokens: undefined });
    expect(port.capabilities('gpt-5.2')).toMatchObject({ isKnown: true, contextTokens: 400_000, images: true });
  });
});

describe('HuggingFace', () => {
  test('a list that anybody may read does not count as a check of the key', async () => {
    const server = await givenServer(huggingfaceWire, 'm');

    expect(await huggingface({ baseUrl: server.baseUrl, apiKey: GOOD_KEY }).validateConfig(never)).toMatchObject({
      problems: [],
      isKeyChecked: false,
    });
  });
});

describe('Ollama', () => {
  const contextsOf = (server: WireServer): unknown[] => server.asked.map(({ body }) => (body['options'] as { num_ctx?: number }).num_ctx);

  test('a call asks for a context that holds it, never for the silent default, and refuses to be cut', async () => {
    const server = await givenServer(ollamaWire, 'qwen3:8b');
    const port = ollama({ baseUrl: server.baseUrl });

    await collect(port.stream(ask('qwen3:8b'), never));
    await collect(
      port.stream({ model: 'qwen3:8b', messages: [{ role: 'user', parts: [{ type: 'text', text: 'word '.repeat(30_000) }] }] }, never),
    );
    await collect(port.stream(ask('qwen3:8b'), never));

    expect(contextsOf(server)).toEqual([32_768, 65_536, 65_536]);
    expect(server.asked[0]?.body).toMatchObject({ truncate: false, shift: false });
  });

  test('a context in the configuration is used as it is', async () => {
    const server = await givenServer(ollamaWire, 'qwen3:8b');

    await collect(ollama({ baseUrl: server.baseUrl, models: { 'qwen3:8b': { contextTokens: 16_384 } } }).stream(ask('qwen3:8b'), never));

    expect(contextsOf(server)).toEqual([16_384]);
  });

  test('a model that is not installed is answered with the command that gets it', async () => {
    const server = await givenServer(ollamaWire, 'qwen3:8b');

    const events = await all(ollama({ baseUrl: server.baseUrl }).stream(ask('llama3.3'), never));

    expect(events.at(-1)).toMatchObject({ type: 'error', error: { code: 'model.unknown', next: 'helix models pull llama3.3' } });
  });

  test('what it answers costs nothing', async () => {
    const server = await givenServer(ollamaWire, 'qwen3:8b');
    server.next({ say: { text: 'ok', usage: SOME_USAGE } });

    expect((await collect(ollama({ baseUrl: server.baseUrl }).stream(ask('qwen3:8b'), never))).costUsd).toBe(0);
  });
});

test('patience is for each silence, not for the whole answer', async () => {
  const server = await givenServer(openaiWire, 'm');
  server.next({ say: { text: 'Hello, world' }, pauseMs: 250 });
  const beganMs = performance.now();

  await collect(openai({ baseUrl: server.baseUrl, apiKey: GOOD_KEY, silenceMs: 1500 }).stream(ask('m'), never));

  expect(performance.now() - beganMs).toBeGreaterThan(1500);
});

test('a provider reaches no address but its own', async () => {
  const server = await givenServer(openaiWire, 'm');

  await expect(vendorFetch('https://api.vendor.example/v1')(server.baseUrl)).rejects.toThrow(/may only reach https:\/\/api.vendor.example/);
  expect(server.paths).toEqual([]);
});

test('a redirect is not followed: the key would go with it', async () => {
  const [from, to] = [await givenServer(openaiWire, 'm'), await givenServer(openaiWire, 'm')];
  const { createServer } = await import('node:http');
  const redirector = createServer((_, response) => response.writeHead(307, { location: `${to.baseUrl}/responses` }).end());
  await new Promise<void>((resolve) => void redirector.listen(0, '127.0.0.1', resolve));
  const { port } = redirector.address() as { port: number };

  const events = await all(openai({ baseUrl: `http://127.0.0.1:${port}`, apiKey: GOOD_KEY }).stream(ask('m'), never));

  expect(events.at(-1)?.type).toBe('error');
  expect([...from.paths, ...to.paths]).toEqual([]);
  redirector.close();
});
