import { once } from 'node:events';
import type { LiveMessage } from '@helixcode/protocol/event/events';
import { appendEvents } from '@helixcode/server/events/event-log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenApi, type TestApi } from '../support/api.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let api: TestApi;
const sockets: WebSocket[] = [];

beforeEach(async () => {
  database = await givenDatabase();
  api = await givenApi(database);
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.close();
  await api.stop();
  await database.drop();
});

async function happen(...names: string[]): Promise<void> {
  await database.db.tx((tx) =>
    appendEvents(
      tx,
      names.map((name) => ({ project: `prj_${name}`, body: { type: 'project.added' as const, name } })),
    ),
  );
  api.tail.wake();
}

async function givenSocket() {
  const socket = new WebSocket(`${api.url.replace('http', 'ws')}/api/v1/live`, ['helix.v1', `bearer.${api.token}`]);
  sockets.push(socket);
  const messages: LiveMessage[] = [];
  let wake = (): void => {};
  socket.onmessage = ({ data }) => {
    messages.push(JSON.parse(String(data)) as LiveMessage);
    wake();
  };
  await once(socket, 'open');
  return {
    socket,
    say: (message: unknown) => socket.send(typeof message === 'string' ? message : JSON.stringify(message)),
    async next(): Promise<LiveMessage> {
      while (messages.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return messages.shift() as LiveMessage;
    },
  };
}

test('a browser signs in by sub-protocol, and the token is not repeated to it', async () => {
  const { socket } = await givenSocket();
  expect(socket.protocol).toBe('helix.v1');
  const refused = new WebSocket(`${api.url.replace('http', 'ws')}/api/v1/live`, ['helix.v1', 'bearer.hlx_wrong']);
  await once(refused, 'error');
});

test('one connection carries several topics, each from where the client left it', async () => {
  await happen('a', 'b', 'c');
  await api.tail.position(undefined);
  const live = await givenSocket();
  live.say({ t: 'subscribe', topic: 'project:prj_c', after: 0 });
  expect(await live.next()).toEqual({ t: 'subscribed', topic: 'project:prj_c', newest: 0 });
  expect(await live.next()).toMatchObject({ t: 'event', topic: 'project:prj_c', event: { seq: 3, body: { name: 'c' } } });
  live.say({ t: 'subscribe', topic: 'projects', after: 1 });
  expect(await live.next()).toEqual({ t: 'subscribed', topic: 'projects', newest: 1 });
  expect([await live.next(), await live.next()]).toMatchObject([{ event: { seq: 2 } }, { event: { seq: 3 } }]);
  live.say({ t: 'unsubscribe', topic: 'projects' });
  live.say({ t: 'subscribe', topic: 'workers' });
  expect(await live.next()).toMatchObject({ t: 'subscribed', topic: 'workers', newest: 3 });
  await happen('a', 'c');
  expect(await live.next()).toMatchObject({ topic: 'project:prj_c', event: { seq: 5 } });
});

test('a cursor whose events are gone is told so, with where to begin again', async () => {
  await happen('a', 'b', 'c', 'd');
  await database.db.query('delete from events where seq < 3');
  await api.stop();
  api = await givenApi(database); // with nothing of it in memory
  const live = await givenSocket();
  live.say({ t: 'subscribe', topic: 'all', after: 1 });
  expect(await live.next()).toEqual({ t: 'too_old', topic: 'all', oldest: 3, newest: 4 });
  live.say({ t: 'subscribe', topic: 'all', after: 4 });
  expect(await live.next()).toEqual({ t: 'subscribed', topic: 'all', newest: 4 });
});

test('a message that is not understood is answered, and the connection goes on', async () => {
  const live = await givenSocket();
  live.say('hello');
  expect(await live.next()).toMatchObject({ t: 'error', code: 'api.bad_request', message: 'a message is not JSON' });
  live.say({ t: 'subscribe', topic: 'everything' });
  expect(await live.next()).toMatchObject({
    t: 'error',
    topic: 'everything',
    message: expect.stringContaining('message key topic is "everything"'),
  });
  live.say({ t: 'subscribe', topic: 'all', from: 3 });
  expect(await live.next()).toMatchObject({ t: 'error', message: 'message key from is unknown (it is 3)' });
  live.say({ t: 'subscribe', topic: 'all' });
  expect(await live.next()).toMatchObject({ t: 'subscribed' });
});

test('closing the server closes its sockets', async () => {
  const { socket } = await givenSocket();
  const closed = once(socket, 'close');
  await api.server.close();
  await closed;
});
