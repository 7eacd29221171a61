import { API_ROOT } from '@helixcode/protocol/api/route-paths';
import { ROUTES } from '@helixcode/protocol/api/routes';
import { ERROR_CODES } from '@helixcode/protocol/errors';
import { openApiDocument } from '@helixcode/server/http/openapi';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { givenApi, type TestApi } from '../support/api.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

interface Operation {
  operationId: string;
  parameters: { name: string; in: string; required: boolean; schema: Record<string, unknown> }[];
  requestBody?: { content: Record<string, unknown> };
  responses: Record<string, { description: string; content?: Record<string, { schema?: unknown }> }>;
}
interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Record<string, Record<string, unknown>> };
}

const document = JSON.parse(JSON.stringify(openApiDocument('1.2.3'))) as OpenApi;
const operations = Object.entries(document.paths).flatMap(([path, byMethod]) =>
  Object.entries(byMethod).map(([method, operation]) => ({ path, method, operation })),
);

function refsIn(value: unknown): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]) => (key === '$ref' && typeof inner === 'string' ? [inner] : refsIn(inner)));
}

test('every route is an operation of the description, once, at its path and method', () => {
  expect(document.openapi).toBe('3.1.1');
  expect(operations.map(({ operation }) => operation.operationId).sort()).toEqual(Object.keys(ROUTES).sort());
  for (const { path, method, operation } of operations) {
    const route = ROUTES[operation.operationId as keyof typeof ROUTES];
    expect(path).toBe(API_ROOT + route.path.replaceAll(/:([a-z]+)/g, '{$1}'));
    expect(method).toBe(route.method.toLowerCase());
  }
});

test('every reference of the description leads somewhere, and every schema is referred to', () => {
  const refs = new Set(refsIn(document));
  expect([...refs].filter((ref) => !Object.hasOwn(document.components.schemas, ref.replace('#/components/schemas/', '')))).toEqual([]);
  expect(Object.keys(document.components.schemas).filter((name) => !refs.has(`#/components/schemas/${name}`))).toEqual([]);
});

test('the parameters of a path are declared, and those of a query with type and default', () => {
  for (const { path, operation } of operations) {
    const declared = operation.parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
    expect(declared, path).toEqual([...path.matchAll(/\{([a-z]+)\}/g)].map((match) => match[1]));
  }
  const list = document.paths['/api/v1/tasks']?.get as Operation;
  expect(list.parameters.find(({ name }) => name === 'limit')).toMatchObject({
    required: false,
    schema: { type: 'integer', minimum: 1, maximum: 500, default: 100 },
  });
  const snapshot = document.paths['/api/v1/projects/{project}/snapshots']?.post as Operation;
  expect(snapshot.parameters.find(({ name }) => name === 'commit')).toMatchObject({ required: true, schema: { type: 'string' } });
});

test('every operation says which errors it may be refused with, under their statuses', () => {
  for (const { operation } of operations) {
    const route = ROUTES[operation.operationId as keyof typeof ROUTES];
    for (const code of [...route.errors, 'auth.token_missing', 'api.bad_request'] as const) {
      const response = operation.responses[ERROR_CODES[code].http];
      expect(JSON.stringify(response?.content?.['application/problem+json']), `${operation.operationId} ${code}`).toContain(`"${code}"`);
    }
  }
});

test('bodies and answers that are not JSON are described by their media type', () => {
  const snapshot = document.paths['/api/v1/projects/{project}/snapshots']?.post as Operation;
  expect(Object.keys(snapshot.requestBody?.content ?? {})).toEqual(['application/octet-stream']);
  const stream = document.paths['/api/v1/events/stream']?.get as Operation;
  expect(Object.keys(stream.responses[200]?.content ?? {})).toEqual(['text/event-stream']);
});

describe('over HTTP', () => {
  let database: TestDatabase;
  let api: TestApi;
  beforeAll(async () => {
    database = await givenDatabase();
    api = await givenApi(database, { version: '1.2.3' });
  });
  afterAll(async () => {
    await api.stop();
    await database.drop();
  });

  test('the description and the schema of helix.json are served', async () => {
    expect(await (await api.ask('/api/openapi.json')).json()).toEqual(document);
    const schema = (await (await api.ask('/api/helix.schema.json')).json()) as { properties: Record<string, unknown> };
    expect(Object.keys(schema.properties)).toContain('workers');
  });
});
