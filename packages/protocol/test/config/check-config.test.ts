import { parseConfig } from '@helixcode/protocol/config/check-config';
import { configOverrides, configVariables } from '@helixcode/protocol/config/config-environment';
import { resolveConfig } from '@helixcode/protocol/config/resolve-config';
import { CodedError } from '@helixcode/protocol/errors';
import { describe, expect, test } from 'vitest';

function faultOf(value: unknown): string {
  try {
    parseConfig(typeof value === 'string' ? value : JSON.stringify(value), 'helix.json');
  } catch (error) {
    if (error instanceof CodedError && error.code === 'config.invalid') return error.message;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('a wrong helix.json is refused with the key, the value and what was expected', () => {
  test.each([
    [{ tolls: {} }, 'helix.json: there is no key tolls; did you mean tools?'],
    [{ workers: { heartbeatMS: 5 } }, 'helix.json: workers has no key heartbeatMS; did you mean heartbeatMs?'],
    [{ workers: { pool: [{ name: 'a', hots: 'x' }] } }, 'helix.json: workers.pool[0] has no key hots; did you mean host?'],
    [{ clients: { zzz: 1 } }, 'helix.json: clients has no key zzz; known are host, port, server'],
    [{ workers: { heartbeatMs: '10s' } }, 'helix.json: workers.heartbeatMs is "10s", expected a whole number of at least 100'],
    [{ clients: { port: 70_000 } }, 'helix.json: clients.port is 70000, expected a whole number from 0 to 65535 (0 picks a free one)'],
    [{ global: { logLevel: 'loud' } }, 'helix.json: global.logLevel is "loud", expected one of debug, info, warn, error'],
    [
      { tools: { build: [{ name: 'x', inputs: ['a'], outputs: ['b'] }] } },
      'helix.json: tools.build[0].command is missing, expected text that is not empty',
    ],
    [{ tools: { setup: { comand: 'npm ci', inputs: [] } } }, 'tools.setup has no key comand; did you mean command?'],
    [{ tools: { test: { env: { A: 1 } } } }, 'helix.json: tools.test.env.A is 1, expected text'],
    [{ logs: 5 }, 'helix.json: logs is 5, expected an object'],
    [[], 'helix.json: the whole is [], expected an object'],
  ])('%j', (value, message) => {
    expect(faultOf(value)).toContain(message);
  });

  test('text that is not JSON is refused with line and column', () => {
    expect(faultOf('{\n  "tools": {,}\n}')).toMatch(/^helix\.json is not JSON: .*line 2 column 13/);
  });
});

test('the environment goes over the file and the file over the defaults, each value knows its origin, and passwords are hidden', () => {
  const { config, values } = resolveConfig(
    {
      HELIX_PORT: '9000',
      HELIX_WORKERS_HEARTBEAT_MS: '500',
      DATABASE_URL: 'postgres://ada:secret@db/helix',
      HELIX_TOKEN: 'x',
      HELIX_LOGS_OUTPUT_LIMIT_BYTES: '',
    },
    { name: '/etc/helix/helix.json', text: '{ "clients": { "port": 8000, "host": "0.0.0.0" } }' },
  );
  expect(config).toMatchObject({ clients: { port: 9000, host: '0.0.0.0' }, workers: { heartbeatMs: 500, dialAtOnce: 8 } });
  expect(config.database.url).toBe('postgres://ada:secret@db/helix');
  const originOf = (key: string) => values.find((value) => value.key === key);
  expect(originOf('clients.port')).toEqual({ key: 'clients.port', value: 9000, origin: 'environment HELIX_PORT' });
  expect(originOf('clients.host')).toMatchObject({ origin: '/etc/helix/helix.json' });
  expect(originOf('workers.dialAtOnce')).toMatchObject({ origin: 'default' });
  expect(originOf('database.url')).toMatchObject({ value: 'postgres://ada:***@db/helix' });
});

test('a variable that names no key, or holds what cannot be read, is refused', () => {
  expect(() => resolveConfig({ HELIX_WORKERS_HARTBEAT_MS: '500' })).toThrow('did you mean HELIX_WORKERS_HEARTBEAT_MS?');
  expect(() => resolveConfig({ HELIX_PORT: 'http' })).toThrow('HELIX_PORT is "http", expected a whole number from 0 to 65535');
  expect(() => resolveConfig({ HELIX_PORT: '99999' })).toThrow('environment HELIX_PORT: clients.port is 99999');
  expect(configOverrides({ HELIX_WORKERS_LOCAL: 'false', HELIX_WORKERS_POOL: '[{"name":"a"}]' }).overrides).toMatchObject([
    { value: false },
    { value: [{ name: 'a' }] },
  ]);
});

test('every variable is described', () => {
  const variables = configVariables();
  expect(variables).toContainEqual({
    name: 'HELIX_PORT',
    key: 'clients.port',
    description: 'a whole number from 0 to 65535; 0 picks a free one',
  });
  expect(variables.every(({ description }) => description !== '')).toBe(true);
});
