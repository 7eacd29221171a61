import { CodedError } from '@helixcode/protocol/errors';
import { newId, type ServerId } from '@helixcode/protocol/ids';
import { openDb } from '@helixcode/server/db/db';
import { createNotifier, openListener } from '@helixcode/server/db/listen';
import { type Fleet, joinFleet } from '@helixcode/server/fleet/fleet';
import { type FleetCalls, openFleetCalls } from '@helixcode/server/fleet/fleet-calls';
import { isNewerVersion } from '@helixcode/server/fleet/newer-version';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

const log = pino({ level: 'silent' });
let database: TestDatabase;
const cleanUp = new AsyncDisposableStack();

beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(async () => {
  await cleanUp.disposeAsync();
  await database.drop();
});

async function givenServer(serverId: ServerId = newId('server'), onLost = () => {}): Promise<Fleet> {
  const fleet = await joinFleet({
    databaseUrl: database.url,
    serverId,
    version: '1.0.0',
    agentHash: 'agent',
    isShared: true,
    log,
    onLost,
  });
  // Some are closed by their test.
  cleanUp.defer(() => fleet.close().catch(() => {}));
  return fleet;
}

const until = async (isTrue: () => boolean): Promise<void> => {
  while (!isTrue()) await new Promise((resolve) => setTimeout(resolve, 20));
};

test('what a server has under way is cut off when another one takes over, and it writes nothing more [O2]', async () => {
  const one = await givenServer();
  let isLate = false;
  const db = openDb(database.url, { maxConnections: 2, session: one.session });
  await db.query('create table written (by_whom text)');
  // It has a transaction open when it stops, as by SIGSTOP: it does not beat any more.
  const cutOff = db
    .tx(async (tx) => {
      await tx.query(`insert into written values ('the one that was stopped')`);
      await one.close();
      await until(() => isLate);
    })
    .catch((error: unknown) => error);

  const two = await givenServer();
  await until(() => two.isAlone());
  isLate = true;
  expect(await cutOff).toMatchObject({ code: 'database.unavailable' });
  await expect(db.query(`insert into written values ('too late')`)).rejects.toMatchObject({ code: 'server.lease_lost' });
  await db.close();

  const other = openDb(database.url, { session: two.session });
  expect((await other.query('select * from written')).rows).toEqual([]);
  await other.close();
});

test('a server that is started again ends what its earlier life left, and nobody else notices [O2]', async () => {
  const id = newId('server');
  const before = await givenServer(id);
  const left = openDb(database.url, { maxConnections: 1, session: before.session });
  await left.query('select 1');
  const lost = Promise.withResolvers<void>();
  await before.close();
  const after = await givenServer(id, () => lost.reject(new Error('the later life was ended')));
  await expect(left.query('select 1')).rejects.toBeInstanceOf(CodedError);
  const db = openDb(database.url, { session: after.session });
  await expect(db.query('select 1')).resolves.toMatchObject({ rowCount: 1 });
  await Promise.all([left.close(), db.close()]);
});

test('a server that is about to end is not the first any more, and gives up its place at once [O2]', async () => {
  const one = await givenServer();
  const two = await givenServer();
  await until(() => two.servers().some(({ server_id }) => server_id === one.serverId));
  await one.drain();
  expect(one.isFirst()).toBe(false);
  await until(() => two.servers().find(({ server_id }) => server_id === one.serverId)?.state === 'draining');
  await one.release();
  await until(() => !two.servers().some(({ server_id }) => server_id === one.serverId));
});

test('one server asks another, and gets its answer or its refusal [O2]', async () => {
  const db = openDb(database.url);
  const [a, b] = [newId('server'), newId('server')];
  const open = (serverId: ServerId): FleetCalls => {
    const listener = openListener(database.url);
    cleanUp.defer(() => listener.close());
    const calls = openFleetCalls({ db, serverId, listener, notifier: createNotifier(db), isAlone: () => false, log });
    cleanUp.defer(() => calls.close());
    return calls;
  };
  const [asker, answerer] = [open(a), open(b)];
  answerer.serve('double', async ({ number }: { number: number }) => number * 2);
  answerer.serve('refuse', async () => {
    throw new CodedError('worker.busy', 'the worker box still has 2 jobs', { next: 'helix workers drain box' });
  });
  expect(await asker.ask(b, 'double', { number: 21 }, 10_000)).toBe(42);
  await expect(asker.ask(b, 'refuse', {}, 10_000)).rejects.toMatchObject({ code: 'worker.busy', next: 'helix workers drain box' });
  await expect(asker.ask(newId('server'), 'double', {}, 50)).rejects.toMatchObject({ code: 'server.unreachable' });
  asker.close();
  answerer.close();
});

test('releases are compared by their numbers', () => {
  expect(isNewerVersion('1.10.0', '1.9.3')).toBe(true);
  expect(isNewerVersion('1.9.3', '1.10.0')).toBe(false);
  expect(isNewerVersion('1.0.0', '1.0.0')).toBe(false);
});
