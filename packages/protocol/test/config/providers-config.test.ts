import { parseConfig } from '@helixcode/protocol/config/check-config';
import { resolveConfig } from '@helixcode/protocol/config/resolve-config';
import { expect, test } from 'vitest';

const resolve = (providers: unknown, env: Record<string, string> = {}): ReturnType<typeof resolveConfig> =>
  resolveConfig(env, { name: 'helix.json', text: JSON.stringify({ providers }) });

test.each([
  [{ pool: [{ kind: 'opnai' }] }, 'providers.pool[0].kind is "opnai", expected one of openai, '],
  [{ pool: [{ kind: 'openai', apiKey: 'sk-1' }] }, 'providers.pool[0] has no key apiKey; known are kind, name, baseUrl, apiKeyEnv, '],
  [
    { pool: [{ kind: 'openai', baseUrl: 'http://me:pw@host/v1' }] },
    'providers.pool[0].baseUrl is "http://me:pw@host/v1", expected text that matches',
  ],
  [{ pool: [{ kind: 'openai-compatible' }] }, 'providers.pool[0].baseUrl is missing, expected the address of the server'],
  [{ pool: [{ kind: 'openai' }, { kind: 'openai' }] }, 'providers.pool[1] is a second provider openai, expected another name'],
  [{ pool: [{ kind: 'replay' }] }, 'providers.pool[0].transcripts is missing, expected files by name'],
  [
    { pool: [{ kind: 'replay', name: 'gpt', transcripts: { a: 'a.jsonl' } }] },
    'providers.pool[0].name is "gpt", expected "replay" for the kind replay and for no other',
  ],
  [{ pool: [{ kind: 'openai', transcripts: { a: 'a.jsonl' } }] }, 'providers.pool[0].transcripts is for the kind replay, expected none'],
  [{ default: ['replay/a'] }, 'providers.default[0] is "replay/a", but there is no provider replay'],
  [{ default: ['gpt-5'] }, 'providers.default[0] is "gpt-5", expected text that matches'],
  [
    { default: ['openai/gpt-5', 'antropic/x'] },
    'providers.default[1] is "antropic/x", but there is no provider antropic; did you mean anthropic?',
  ],
  [{ routes: { plann: [] } }, 'providers.routes has no key plann; did you mean plan?'],
  [{ routes: { plan: ['nobody/x'] } }, 'providers.routes.plan[0] is "nobody/x", but there is no provider nobody'],
  [{ budgets: { run: { usd: 0 } } }, 'providers.budgets.run.usd is 0, expected a number above 0 (US dollars)'],
  [{ budgets: { user: { per: 'week' } } }, 'providers.budgets.user.per is "week", expected one of day, month'],
])('%j is refused with the key that is wrong', (providers, message) => {
  expect(() => resolve(providers)).toThrow(message);
});

test('a key that was put where the name of its variable belongs is not repeated in the refusal [S2]', () => {
  const text = JSON.stringify({ providers: { pool: [{ kind: 'openai', apiKeyEnv: 'sk-proj-abc123' }] } });
  expect(() => parseConfig(text, 'helix.json')).toThrow(
    'providers.pool[0].apiKeyEnv is not the name of a variable, expected text that matches',
  );
  expect(() => parseConfig(text, 'helix.json')).not.toThrow(/sk-proj/);
});

test('a model may be named by a kind without an entry, and by an entry that stands in the environment', () => {
  expect(resolve({ default: ['anthropic/claude-sonnet-4-5', 'ollama/qwen3:8b'] }).config.providers.budgets.fleet).toEqual({ per: 'month' });
  const pool = JSON.stringify([{ kind: 'openai-compatible', name: 'office', baseUrl: 'http://10.0.0.5:8000/v1' }]);
  expect(resolve({ default: ['office/some/model'] }, { HELIX_PROVIDERS_POOL: pool }).config.providers.default).toEqual([
    'office/some/model',
  ]);
});
