import { once } from 'node:events';
import http from 'node:http';
import net from 'node:net';
import { Readable } from 'node:stream';
import type { Problem } from '@helixcode/protocol/api/routes';
import type { TaskView, WorkerView } from '@helixcode/protocol/api/views';
import { CodedError } from '@helixcode/protocol/errors';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { givenApi, type TestApi, type TestApiOptions } from '../support/api.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
const apis: TestApi[] = [];

beforeAll(async () => {
  database = await givenDatabase();
});
afterEach(async () => {
  await Promise.all(apis.splice(0).map((api) => api.stop()));
});
afterAll(() => database.drop());

async function givenServer(options?: TestApiOptions): Promise<TestApi> {
  const api = await givenApi(database, options);
  apis.push(api);
  return api;
}

const worker: WorkerView = {
  id: 'wrk_1',
  name: 'a',
  transport: 'local',
  address: '/x',
  state: 'up',
  admission: 'open',
  slots: 2,
  running: 0,
  labels: [],
  hostKeys: [],
  createdAt: '2026-01-01T00:00:00Z',
};
const task: TaskView = {
  id: 'tsk_1',
  root: 'tsk_1',
  kind: 'shell',
  name: 'x',
  state: 'pending',
  priority: 0,
  requires: [],
  createdAt: '2026-01-01T00:00:00Z',
};

async function problemOf(response: Response): Promise<Problem> {
  expect(response.headers.get('content-type')).toMatch(/^application\/problem\+json/);
  return (await response.json()) as Problem;
}

/** A request byte for byte, as no well-behaved client would send it. */
async function sendRaw(api: TestApi, text: string): Promise<string> {
  const socket = net.connect(Number(new URL(api.url).port), '127.0.0.1');
  socket.end(text);
  let answer = '';
  for await (const chunk of socket) answer += String(chunk);
  return answer;
}

test('nothing answers without a token: no operation, no description, no missing page, no upgrade, no malformed address', async () => {
  const api = await givenServer();
  const asks: [string, string][] = [
    ['GET', '/api/v1/server'],
    ['GET', '/api/v1/events/stream'],
    ['GET', '/api/openapi.json'],
    ['GET', '/api/helix.schema.json'],
    ['GET', '/'],
    ['GET', '/nowhere'],
    ['DELETE', '/api/v1/server'],
    ['OPTIONS', '/api/v1/server'],
    ['POST', '/api/v1/tasks'],
    ['GET', '/%zz'],
  ];
  for (const [method, path] of asks) {
    const response = await fetch(api.url + path, { method });
    expect(response.status, `${method} ${path}`).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer');
    expect(await problemOf(response)).toMatchObject({ code: 'auth.token_missing', next: expect.stringContaining('HELIX_TOKEN') });
  }
  const upgrade = (path: string): Promise<string> =>
    sendRaw(
      api,
      `GET ${path} HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n`,
    );
  expect(await upgrade('/api/v1/live')).toMatch(/^HTTP\/1.1 401 /);
  expect(await upgrade('/api/v1/server')).toMatch(/^HTTP\/1.1 401 /);
  expect((await api.ask('/api/v1/server', { headers: { authorization: 'Bearer nonsense' } })).status).toBe(401);
  expect((await api.ask('/api/v1/server', { headers: { authorization: `Basic ${api.token}` } })).status).toBe(401);
});

test('a request for a foreign host name is refused even with a token, one for a loopback name or our address is not', async () => {
  const api = await givenServer({ hostNames: ['build.example'] });
  const statusFor = async (host: string): Promise<number | undefined> => {
    const request = http.get(`${api.url}/api/openapi.json`, { headers: { host, authorization: `Bearer ${api.token}` } });
    const [response] = (await once(request, 'response')) as [http.IncomingMessage];
    response.resume();
    return response.statusCode;
  };
  for (const host of ['localhost', 'LOCALHOST:80', 'x.localhost:1', '127.0.0.1', '[::1]:7777', 'build.example:7777'])
    expect(await statusFor(host), host).toBe(200);
  for (const host of ['evil.example', '127.0.0.1.evil.example', 'localhost.evil.example', '10.0.0.1', 'build.example.org'])
    expect(await statusFor(host), host).toBe(421);
});

test('what is not there says so, and a wrong method names the right one', async () => {
  const api = await givenServer();
  const missing = await api.ask('/api/v1/nothing?x=1');
  expect(missing.status).toBe(404);
  expect(await problemOf(missing)).toMatchObject({
    type: 'about:blank',
    title: 'Not Found',
    status: 404,
    code: 'api.not_found',
    retryable: false,
    detail: 'there is nothing at /api/v1/nothing?x=1',
    next: expect.any(String),
    requestId: expect.any(String),
  });
  const wrong = await api.ask('/api/v1/tasks/tsk_1', { method: 'PUT', body: '{}', headers: { 'content-type': 'application/json' } });
  expect([wrong.status, wrong.headers.get('allow')]).toEqual([405, 'GET']);
  expect(await problemOf(wrong)).toMatchObject({ code: 'api.method_not_allowed', next: 'use GET' });
  expect((await api.ask('/api/v1/workers', { method: 'DELETE' })).headers.get('allow')).toBe('GET, POST');
});

test('answers are not to be kept, framed or guessed at', async () => {
  const api = await givenServer();
  for (const path of ['/api/openapi.json', '/nowhere']) {
    const { headers } = await api.ask(path);
    expect([headers.get('x-content-type-options'), headers.get('cache-control')]).toEqual(['nosniff', 'no-store']);
    expect(headers.get('content-security-policy')).toContain("default-src 'none'");
    expect(headers.get('access-control-allow-origin')).toBeNull();
  }
});

test('a wrong query is refused naming the key, the value and what was expected', async () => {
  const api = await givenServer();
  const detailOf = async (path: string): Promise<string> => {
    const response = await api.ask(`/api/v1${path}`);
    expect(response.status).toBe(400);
    return (await problemOf(response)).detail;
  };
  expect(await detailOf('/tasks?limit=0')).toBe('query key limit is "0"; expected at least 1');
  expect(await detailOf('/tasks?limit=many')).toBe('query key limit is "many"; expected a number');
  expect(await detailOf('/tasks?limit=501')).toBe('query key limit is "501"; expected at most 500');
  expect(await detailOf('/tasks?state=done')).toBe(
    'query key state is "done"; expected one of blocked, pending, running, paused, completed, failed, cancelled',
  );
  expect(await detailOf('/tasks?stat=failed')).toBe('query key stat is unknown (it is "failed"); known are state, project, limit, cursor');
  expect(await detailOf('/tasks?state=failed&state=pending')).toContain('query key state is ["failed","pending"]; expected one of');
  expect(await detailOf('/workers?all=1')).toBe('query key all is unknown; workers.list takes none');
});

test('a wrong body is refused naming the key, the value and what was expected', async () => {
  const api = await givenServer();
  const refusalOf = async (body: unknown, path = '/tasks'): Promise<Problem> => {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    const response = await api.ask(`/api/v1${path}`, { method: 'POST', body: text, headers: { 'content-type': 'application/json' } });
    expect(response.status).toBe(400);
    return problemOf(response);
  };
  expect((await refusalOf({ kind: 'shel', spec: {} })).detail).toBe('body key kind is "shel"; expected one of shell, build, test');
  expect((await refusalOf({ kind: 'shell', spec: { command: 'true', each: ['a', 5] } })).detail).toBe(
    'body key spec.each[1] is 5; expected a string',
  );
  expect((await refusalOf({ kind: 'shell', spec: {} })).detail).toBe('body key spec.command is missing; expected a string');
  expect((await refusalOf({ kind: 'shell', spec: { command: 'true', comand: 1 } })).detail).toBe(
    'body key spec.comand is unknown (it is 1)',
  );
  expect(await refusalOf({ name: 'a', prot: 22, port: 99999 }, '/workers')).toMatchObject({
    detail: 'body key port is 99999; expected at most 65535 (and 1 more)',
    details: { faults: [expect.any(String), expect.stringMatching(/^body key prot is unknown \(it is 22\); known are name, transport,/)] },
    next: '/api/openapi.json describes workers.add',
  });
  expect((await refusalOf('{"kind":')).detail).toMatch(/^the body is not JSON: /);
  expect((await refusalOf('')).detail).toMatch(/^the body is missing; expected an object/);
});

test('a body of another kind, one where none belongs, and one over 1 MiB are refused', async () => {
  const api = await givenServer({ handlers: { 'tasks.cancel': async () => task } });
  const post = async (path: string, body: string, type: string): Promise<[number, string]> => {
    const response = await api.ask(`/api/v1${path}`, { method: 'POST', body, headers: { 'content-type': type } });
    return [response.status, response.ok ? '' : (await problemOf(response)).code];
  };
  expect(await post('/tasks', 'kind=shell', 'application/x-www-form-urlencoded')).toEqual([415, 'api.media_type_unsupported']);
  expect(await post('/tasks', 'x', 'application/octet-stream')).toEqual([415, 'api.media_type_unsupported']);
  expect(await post(`/projects/p/snapshots?commit=${'0'.repeat(40)}`, '{}', 'application/json')).toEqual([
    415,
    'api.media_type_unsupported',
  ]);
  expect(await post('/tasks/tsk_1/cancel', '{"force":true}', 'application/json')).toEqual([415, 'api.media_type_unsupported']);
  expect(await post('/tasks/tsk_1/cancel', '', 'application/json')).toEqual([200, '']);
  expect(await post('/tasks', JSON.stringify({ kind: 'shell', spec: { command: 'x'.repeat(2 ** 20) } }), 'application/json')).toEqual([
    413,
    'api.payload_too_large',
  ]);
});

test('a refusal of a handler is answered as it is, and a fault of the server without its reason, which is logged once', async () => {
  const api = await givenServer({
    handlers: {
      'workers.get': async ({ params }) => {
        throw new CodedError('worker.not_found', `no worker is called ${params.worker}`, {
          next: '`helix workers list`',
          details: { known: 2 },
        });
      },
      'workers.list': async () => {
        throw new Error('password hunter2 did not work');
      },
    },
  });
  const refused = await api.ask('/api/v1/workers/gpu%2Fbox');
  expect(refused.status).toBe(404);
  expect(await problemOf(refused)).toMatchObject({
    code: 'worker.not_found',
    detail: 'no worker is called gpu/box',
    next: '`helix workers list`',
    details: { known: 2 },
  });
  expect(api.logged).toEqual([]);

  const broken = await api.ask('/api/v1/workers');
  const problem = await problemOf(broken);
  expect(problem).toMatchObject({ status: 500, code: 'api.internal', retryable: true, next: expect.stringContaining(problem.requestId) });
  expect(JSON.stringify(problem)).not.toContain('hunter2');
  expect(api.logged).toHaveLength(1);
  expect(api.logged[0]).toMatchObject({ requestId: problem.requestId, err: { message: 'password hunter2 did not work' } });
});

test('a handler gets what was checked: parameters, coerced and defaulted query, body, user', async () => {
  const calls: unknown[] = [];
  const api = await givenServer({
    handlers: {
      'tasks.output': async ({ params, query, user }) => {
        calls.push({ params, query, user });
        return { body: '' };
      },
      'workers.remove': async ({ query }) => {
        calls.push(query);
        return { removed: 'a', uninstalled: true };
      },
      'tasks.submit': async ({ body }) => {
        calls.push(body.priority);
        return task;
      },
    },
  });
  await api.ask('/api/v1/tasks/tsk_%C3%A9/output?from=10');
  await api.ask('/api/v1/workers/a?force=true', { method: 'DELETE' });
  const body = JSON.stringify({ kind: 'shell', spec: { command: 'true' } });
  expect((await api.ask('/api/v1/tasks', { method: 'POST', body, headers: { 'content-type': 'application/json' } })).status).toBe(201);
  expect(calls).toEqual([
    { params: { task: 'tsk_é' }, query: { stream: 'out', from: 10, maxBytes: 1024 * 1024 }, user: api.user },
    { force: true },
    0,
  ]);
});

test('bytes go up as they come, without being gathered, however many', async () => {
  const first = Promise.withResolvers<void>();
  let received = 0;
  const api = await givenServer({
    handlers: {
      'projects.snapshot': async ({ body, query }) => {
        for await (const chunk of body) {
          received += (chunk as Buffer).length;
          first.resolve();
        }
        return { commit: query.commit };
      },
    },
  });
  const commit = 'a'.repeat(40);
  async function* parts(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1000);
    await first.promise; // it is read before its end is sent
    for (let index = 0; index < 64; index++) yield new Uint8Array(64 * 1024);
  }
  const response = await api.ask(`/api/v1/projects/p/snapshots?commit=${commit}`, {
    method: 'POST',
    body: ReadableStream.from(parts()),
    duplex: 'half',
    headers: { 'content-type': 'application/octet-stream' },
  } as RequestInit);
  expect([response.status, await response.json(), received]).toEqual([201, { commit }, 1000 + 64 * 64 * 1024]);
});

test('raw answers carry their headers, as bytes, text or a stream', async () => {
  const api = await givenServer({
    handlers: {
      'tasks.output': async () => ({ body: new Uint8Array([0, 255, 10]), headers: { 'helix-next-offset': '3', 'helix-over': 'true' } }),
      'tasks.junit': async () => ({ body: '<testsuites/>' }),
      'tasks.artifact': async () => ({ body: Readable.from([Buffer.from('ab'), Buffer.from('cd')]) }),
    },
  });
  const output = await api.ask('/api/v1/tasks/t/output');
  expect(new Uint8Array(await output.arrayBuffer())).toEqual(new Uint8Array([0, 255, 10]));
  expect([output.headers.get('content-type'), output.headers.get('helix-next-offset'), output.headers.get('helix-over')]).toEqual([
    'application/octet-stream',
    '3',
    'true',
  ]);
  const junit = await api.ask('/api/v1/tasks/t/junit');
  expect([junit.headers.get('content-type'), await junit.text()]).toEqual(['application/xml', '<testsuites/>']);
  expect(await (await api.ask('/api/v1/tasks/t/artifact')).text()).toBe('abcd');
});

test('an answer that does not fit its schema fails loudly where answers are checked', async () => {
  const answers: Record<string, unknown>[] = [{ ...worker, slots: 'two' }, { ...worker, colour: 'red' }, worker];
  const api = await givenServer({ handlers: { 'workers.get': async () => answers.shift() as WorkerView } });
  expect((await api.ask('/api/v1/workers/a')).status).toBe(500);
  expect((await api.ask('/api/v1/workers/a')).status).toBe(500);
  expect((await api.ask('/api/v1/workers/a')).status).toBe(200);
  expect(api.logged.map(({ err }) => (err as Error).message)).toEqual([
    expect.stringMatching(/the answer of workers.get does not fit its schema: [\s\S]*slots/),
    expect.stringMatching(/the answer of workers.get has keys its schema does not know: .*colour/),
  ]);
});

test('a handler is told when its caller goes away', async () => {
  const started = Promise.withResolvers<void>();
  const gone = Promise.withResolvers<void>();
  const api = await givenServer({
    handlers: {
      'workers.list': async ({ signal }) => {
        signal.addEventListener('abort', () => gone.resolve());
        started.resolve();
        await gone.promise;
        return { items: [] };
      },
    },
  });
  const caller = new AbortController();
  const asked = api.ask('/api/v1/workers', { signal: caller.signal });
  await started.promise;
  caller.abort();
  await expect(asked).rejects.toThrow();
  await gone.promise;
});

test('a port in use is told with the address and the way out', async () => {
  const api = await givenServer();
  const port = Number(new URL(api.url).port);
  const refused = givenApi(database, { port });
  await expect(refused).rejects.toMatchObject({
    code: 'server.port_in_use',
    message: `port ${port} of 127.0.0.1 is in use by another program`,
    next: expect.stringContaining('helix up --port 0'),
  });
});

test('closing lets a running request finish and ends streams at once', async () => {
  const started = Promise.withResolvers<void>();
  const mayAnswer = Promise.withResolvers<void>();
  const api = await givenApi(database, {
    handlers: {
      'workers.list': async () => {
        started.resolve();
        await mayAnswer.promise;
        return { items: [] };
      },
    },
  });
  const stream = await api.ask('/api/v1/events/stream');
  const running = api.ask('/api/v1/workers');
  await started.promise;
  const closed = api.server.close(20_000);
  expect(await stream.text()).toMatch(/^retry: 1000\nid: \d+\n\n$/);
  mayAnswer.resolve();
  expect(await (await running).json()).toEqual({ items: [] });
  await closed;
  await api.tail.close();
});
