import { execFile } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { promisify } from 'node:util';
import { createClient } from '@helixcode/client/http-client';
import { createLiveClient, type LiveClient, type LiveClientOptions } from '@helixcode/client/live-client';
import { CodedError } from '@helixcode/protocol/errors';
import type { Event } from '@helixcode/protocol/event/events';
import { appendEvents } from '@helixcode/server/events/event-log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenApi, type TestApi, type TestApiOptions } from '../../server/test/support/api.ts';
import { givenDatabase, type TestDatabase } from '../../server/test/support/database.ts';

let database: TestDatabase;
const closings: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  database = await givenDatabase();
});
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
  await database.drop();
});

async function givenServer(options?: TestApiOptions): Promise<TestApi> {
  const api = await givenApi(database, options);
  closings.push(() => api.stop());
  return api;
}

function givenLive(api: Pick<TestApi, 'url' | 'token'>, options: Partial<LiveClientOptions> = {}): LiveClient {
  const live = createLiveClient({ baseUrl: api.url, token: api.token, ...options });
  closings.push(() => live.close());
  return live;
}

async function happen(api: TestApi, ...names: string[]): Promise<void> {
  await database.db.tx((tx) =>
    appendEvents(
      tx,
      names.map((name) => ({ project: `prj_${name}`, body: { type: 'project.added' as const, name } })),
    ),
  );
  api.tail.wake();
}

async function take(events: AsyncIterator<Event>, count: number): Promise<number[]> {
  const numbers: number[] = [];
  while (numbers.length < count) {
    const { value, done } = await events.next();
    if (done) break;
    numbers.push(value.seq);
  }
  return numbers;
}

function iterate(live: LiveClient, topic: string, after?: number): AsyncIterator<Event> {
  return live.subscribe({ topic, ...(after !== undefined && { after }) })[Symbol.asyncIterator]();
}

test('a call goes out by the name of its operation and comes back typed', async () => {
  const bytes = new Uint8Array([1, 2, 3]);
  const api = await givenServer({
    handlers: {
      'workers.remove': async ({ params, query }) => ({ removed: params.worker, uninstalled: query.force }),
      'projects.snapshot': async ({ body, query }) => {
        const parts = await body.toArray();
        expect(Buffer.concat(parts as Buffer[])).toEqual(Buffer.from(bytes));
        return { commit: query.commit };
      },
      'tasks.output': async ({ query }) => ({ body: `from ${query.from}`, headers: { 'helix-next-offset': '9' } }),
    },
  });
  const client = createClient({ baseUrl: `${api.url}/`, token: api.token });
  const { removed, uninstalled } = await client.call('workers.remove', { params: { worker: 'gpu box/1?' }, query: { force: true } });
  expect([removed, uninstalled]).toEqual(['gpu box/1?', true]);
  const commit = 'c'.repeat(40);
  expect(await client.call('projects.snapshot', { params: { project: 'p' }, query: { commit }, body: bytes })).toEqual({ commit });
  expect(await client.call('projects.snapshot', { params: { project: 'p' }, query: { commit }, body: new Blob([bytes]).stream() })).toEqual(
    { commit },
  );
  const output = await client.call('tasks.output', { params: { task: 't' }, query: { from: 7 } });
  expect([await output.text(), output.headers.get('helix-next-offset')]).toEqual(['from 7', '9']);
  expect((await client.call('events.list')).items).toEqual([]);
});

test('a refusal arrives as the error it was', async () => {
  const api = await givenServer({
    handlers: {
      'tasks.get': async () => {
        throw new CodedError('task.not_found', 'there is no task x', { next: '`helix tasks list`', details: { near: 'y' } });
      },
    },
  });
  const client = createClient({ baseUrl: api.url, token: api.token });
  const refused = client.call('tasks.get', { params: { task: 'x' } });
  await expect(refused).rejects.toBeInstanceOf(CodedError);
  await expect(refused).rejects.toMatchObject({
    code: 'task.not_found',
    message: 'there is no task x',
    next: '`helix tasks list`',
    details: { near: 'y', requestId: expect.any(String) },
  });
  await expect(client.call('tasks.get', { params: { task: '..' } })).rejects.toMatchObject({ code: 'api.bad_request' });
  await expect(createClient({ baseUrl: api.url, token: 'x' }).call('workers.list')).rejects.toMatchObject({ code: 'auth.token_refused' });
});

test('a server that is down, or is something else, is named with the way to start one', async () => {
  const other = http.createServer((_request, response) => response.writeHead(404).end('<html>'));
  other.listen(0, '127.0.0.1');
  await once(other, 'listening');
  const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  await expect(createClient({ baseUrl: url, token: 't' }).call('workers.list')).rejects.toMatchObject({
    code: 'server.unreachable',
    message: expect.stringContaining('is not a HelixCode server (404'),
  });
  other.close();
  await once(other, 'close');
  await expect(createClient({ baseUrl: url, token: 't' }).call('workers.list')).rejects.toMatchObject({
    code: 'server.unreachable',
    message: `no server answers at ${url} (ECONNREFUSED)`,
    next: expect.stringContaining('helix up'),
  });
});

test('the client loads no schemas', async () => {
  const program = `
    import { registerHooks } from 'node:module';
    const loaded = [];
    registerHooks({ load(url, context, next) { loaded.push(url); return next(url, context); } });
    await import('@helixcode/client/http-client');
    await import('@helixcode/client/live-client');
    console.log(JSON.stringify(loaded));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], {
    cwd: path.resolve(import.meta.dirname, '..'),
  });
  const loaded = JSON.parse(stdout) as string[];
  expect(loaded.map((url) => path.basename(url)).sort()).toEqual(['errors.ts', 'http-client.ts', 'live-client.ts', 'route-paths.ts']);
});

test('live events arrive once and in order, for several topics and readers', async () => {
  const api = await givenServer();
  const live = givenLive(api);
  await happen(api, 'a', 'b');
  await api.tail.position(undefined);
  const all = iterate(live, 'all', 0);
  expect(await take(all, 2)).toEqual([1, 2]);
  const late = iterate(live, 'all', 0);
  const onlyC = iterate(live, 'project:prj_c', 0);
  await happen(api, 'c', 'd', 'c');
  expect(await take(all, 3)).toEqual([3, 4, 5]);
  expect(await take(late, 5)).toEqual([1, 2, 3, 4, 5]);
  expect(await take(onlyC, 2)).toEqual([3, 5]);
});

test('through lost connections and restarts of the server no event is lost or repeated', async () => {
  let api = await givenApi(database);
  const port = Number(new URL(api.url).port);
  const links: boolean[] = [];
  const first = api;
  const live = givenLive(first, { onLink: ({ isUp }) => links.push(isUp) });
  const events = iterate(live, 'all', 0);
  const seen: number[] = [];
  for (let restart = 0; restart < 3; restart++) {
    await happen(api, 'x', 'y');
    seen.push(...(await take(events, 2)));
    await happen(api, 'unseen');
    await api.stop();
    await happen(api, 'while-away');
    // The token of the first start is still in the database.
    api = await givenApi(database, { port });
    seen.push(...(await take(events, 2)));
  }
  await api.stop();
  expect(seen).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
  expect(links.filter((isUp) => isUp)).toHaveLength(4);
});

test('a reader that takes nothing for a while gets everything when it does', async () => {
  const api = await givenServer();
  const live = givenLive(api);
  const slow = iterate(live, 'all', 0);
  const fast = iterate(live, 'all', 0);
  await happen(api, 'a');
  expect([await take(slow, 1), await take(fast, 1)]).toEqual([[1], [1]]);
  const count = 7_000;
  await happen(api, ...Array.from({ length: count }, (_, index) => `p${index}`));
  const numbers = Array.from({ length: count }, (_, index) => index + 2);
  expect(await take(fast, count)).toEqual(numbers);
  expect(await take(slow, count)).toEqual(numbers);
});

test('a cursor that is too old, a wrong topic and a refused token end the subscription with the reason', async () => {
  await happen(await givenServer(), 'a', 'b', 'c');
  await database.db.query('delete from events where seq < 3');
  const api = await givenServer();
  const live = givenLive(api);
  await expect(take(iterate(live, 'all', 1), 1)).rejects.toMatchObject({ code: 'api.cursor_too_old', details: { oldest: 3, newest: 3 } });
  await expect(take(iterate(live, 'everything'), 1)).rejects.toMatchObject({ code: 'api.bad_request' });
  await expect(take(iterate(givenLive({ url: api.url, token: 'hlx_wrong' }), 'all'), 1)).rejects.toMatchObject({
    code: 'auth.token_refused',
  });
});

test('an aborted subscription ends, and the last one closes the connection', async () => {
  const api = await givenServer();
  const live = givenLive(api);
  const over = new AbortController();
  const numbers: number[] = [];
  const ended = (async () => {
    for await (const { seq } of live.subscribe({ topic: 'all', after: 0, signal: over.signal })) {
      numbers.push(seq);
      if (seq === 2) over.abort();
    }
  })();
  await happen(api, 'a', 'b', 'c');
  await ended;
  expect(numbers).toEqual([1, 2]);
});
