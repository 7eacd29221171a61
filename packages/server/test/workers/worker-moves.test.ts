import type { ErrorFact } from '@helixcode/protocol/errors';
import { newId, type WorkerId } from '@helixcode/protocol/ids';
import {
  WORKER_ADMISSIONS,
  WORKER_MOVES,
  WORKER_STATES,
  type WorkerCommand,
  type WorkerState,
} from '@helixcode/protocol/worker/worker-state';
import { moveWorker } from '@helixcode/server/workers/worker-moves';
import type { WorkerRow } from '@helixcode/server/workers/worker-row';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';
import { givenPuppetWorker, keyUnknown, type PuppetWorker, unreachable } from '../support/puppet-worker.ts';

let database: TestDatabase;
beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

const COMMANDS = [...new Set(WORKER_STATES.flatMap((state) => Object.keys(WORKER_MOVES[state])))] as WorkerCommand[];
const reason: ErrorFact = { code: 'worker.link_lost', message: 'the connection ended' };

/** Who holds them. */
const server = newId('server');

async function givenWorkerIn(state: WorkerState): Promise<WorkerId> {
  const id = newId('worker');
  await database.db.query(
    `insert into workers (id, name, transport, address, state, removed_at, server_id)
     values ($1, $1, 'local', '{}', $2::text, case when $2 = 'removed' then now() end, $3)`,
    [id, state, server],
  );
  return id;
}

/** Everything that is on record of a worker. */
async function recordsOf(id: WorkerId): Promise<{ row: WorkerRow | undefined; history: unknown[]; events: unknown[] }> {
  const { rows } = await database.db.query<WorkerRow>('select * from workers where id = $1', [id]);
  const history = await database.db.query(
    'select command, from_state, to_state, reason from worker_connectivity_events where worker_id = $1',
    [id],
  );
  const events = await database.db.query<{ body: unknown }>('select body from events where worker_id = $1', [id]);
  return { row: rows[0], history: history.rows, events: events.rows.map(({ body }) => body) };
}

describe('a command moves a worker as the table says, with its history and an event, or changes nothing', () => {
  for (const from of WORKER_STATES)
    for (const command of COMMANDS) {
      const to = WORKER_MOVES[from][command];
      if (to === undefined)
        test(`${from} --${command}--> refused`, async () => {
          const id = await givenWorkerIn(from);
          const before = await recordsOf(id);
          expect(await moveWorker(database.db, id, server, command, reason)).toBeUndefined();
          expect(await recordsOf(id)).toEqual(before);
          expect(before).toMatchObject({ row: { state: from }, history: [], events: [] });
        });
      else
        test(`${from} --${command}--> ${to}`, async () => {
          const id = await givenWorkerIn(from);
          expect(await moveWorker(database.db, id, server, command, reason)).toEqual({ from, to });
          const { row, history, events } = await recordsOf(id);
          expect(row).toMatchObject({ state: to, reason, removed_at: to === 'removed' ? expect.any(Date) : null });
          expect(history).toEqual([{ command, from_state: from, to_state: to, reason }]);
          expect(events).toEqual([{ type: 'worker.moved', command, from, to, reason }]);
        });
    }
});

test('of two movers at once one wins, and the other is told that there is no such move any more', async () => {
  const id = await givenWorkerIn('connecting');
  const moves = await Promise.all([moveWorker(database.db, id, server, 'welcome'), moveWorker(database.db, id, server, 'welcome')]);
  expect(moves.filter((move) => move !== undefined)).toEqual([{ from: 'connecting', to: 'up' }]);
  expect((await recordsOf(id)).history).toHaveLength(1);
});

/** What a person or a machine does, or fails to do, for each move to be made by the code that is there to make it. */
const CAUSES: { [From in WorkerState]?: { [Command in WorkerCommand]?: (puppet: PuppetWorker) => unknown } } = {
  new: {
    probe: (puppet) => puppet.say('probe'),
    connect: (puppet) => puppet.say('connect'),
    block: (puppet) => puppet.say(keyUnknown),
    remove: (puppet) => puppet.remove(),
  },
  probing: {
    install: (puppet) => puppet.say('install'),
    connect: (puppet) => puppet.say('connect'),
    drop: (puppet) => puppet.say(unreachable),
    block: (puppet) => puppet.say(keyUnknown),
    remove: (puppet) => puppet.remove(),
  },
  installing: {
    connect: (puppet) => puppet.say('connect'),
    drop: (puppet) => puppet.say(unreachable),
    block: (puppet) => puppet.say(keyUnknown),
    remove: (puppet) => puppet.remove(),
  },
  connecting: {
    welcome: (puppet) => puppet.say('link'),
    drop: (puppet) => puppet.say(unreachable),
    block: (puppet) => puppet.refuseNext(),
    remove: (puppet) => puppet.remove(),
  },
  up: {
    missBeat: (puppet) => puppet.daemon.hang(true),
    drop: (puppet) => puppet.daemon.dropLinks(),
    block: (puppet) => puppet.supersede(),
    remove: (puppet) => puppet.remove(),
  },
  degraded: {
    beat: (puppet) => puppet.daemon.hang(false),
    drop: () => {},
    remove: (puppet) => puppet.remove(),
  },
  suspect: {
    probe: (puppet) => puppet.say('probe'),
    connect: (puppet) => puppet.say('connect'),
    giveUp: (puppet) => puppet.stayAway(true),
    block: (puppet) => puppet.say(keyUnknown),
    remove: (puppet) => puppet.remove(),
  },
  lost: {
    probe: (puppet) => puppet.reconnect(),
    connect: (puppet) => puppet.say('connect'),
    block: (puppet) => puppet.say(keyUnknown),
    remove: (puppet) => puppet.remove(),
  },
  blocked: {
    unblock: (puppet) => puppet.reconnect(),
    remove: (puppet) => puppet.remove(),
  },
};

describe('what happens to a machine makes the move', () => {
  let puppet: PuppetWorker;
  afterEach(() => puppet.end());

  for (const [from, causes] of Object.entries(CAUSES) as [WorkerState, Partial<Record<WorkerCommand, (puppet: PuppetWorker) => unknown>>][])
    for (const [command, cause] of Object.entries(causes) as [WorkerCommand, (puppet: PuppetWorker) => unknown][]) {
      const move = `${from} --${command}--> ${WORKER_MOVES[from][command]}`;
      test(move, async () => {
        puppet = await givenPuppetWorker(database.db);
        await puppet.bringTo(from);
        const before = (await puppet.moves()).length;
        await cause(puppet);
        await puppet.untilMoved(before);
        expect((await puppet.moves())[before]).toBe(move);
      });
    }

  test('a degraded worker speaks before it can say anything that blocks it; every other move of the table has its cause', async () => {
    const caused = Object.entries(CAUSES).flatMap(([from, causes]) => Object.keys(causes).map((command) => `${from} ${command}`));
    const known = WORKER_STATES.flatMap((from) => Object.keys(WORKER_MOVES[from]).map((command) => `${from} ${command}`));
    expect(known.filter((move) => !caused.includes(move))).toEqual(['degraded block']);

    puppet = await givenPuppetWorker(database.db);
    await puppet.bringTo('degraded');
    const before = (await puppet.moves()).length;
    await puppet.supersede();
    puppet.daemon.hang(false);
    await puppet.untilMoved(before + 1);
    expect((await puppet.moves()).slice(before)).toEqual(['degraded --beat--> up', 'up --block--> blocked']);
  });
});

describe('whether a worker may be given work is told once for each change, and leaves its connection as it is', () => {
  let puppet: PuppetWorker;
  beforeAll(async () => {
    puppet = await givenPuppetWorker(database.db);
  });
  afterAll(() => puppet.end());

  for (const from of WORKER_ADMISSIONS)
    for (const to of WORKER_ADMISSIONS)
      test(`${from} → ${to}`, async () => {
        const { registry, worker } = puppet;
        await registry.setAdmission(worker, from);
        const before = await recordsOf(worker.row.id);
        await registry.setAdmission(worker, to);
        const after = await recordsOf(worker.row.id);
        expect(after.row).toEqual({ ...before.row, admission: to });
        expect(registry.workers()).toMatchObject([{ admission: to, state: 'new' }]);
        expect(after.history).toEqual([]);
        expect(after.events.slice(before.events.length)).toEqual(from === to ? [] : [{ type: 'worker.admission', to }]);
      });
});
