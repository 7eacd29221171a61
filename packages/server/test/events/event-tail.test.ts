import { setTimeout as delay } from 'node:timers/promises';
import { type Event, isAbout } from '@helixcode/protocol/event/events';
import { createNotifier, openListener } from '@helixcode/server/db/listen';
import { appendEvents, type NewEvent } from '@helixcode/server/events/event-log';
import { createEventTail, type EventTail, type EventTailOptions } from '@helixcode/server/events/event-tail';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
const closings: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  database = await givenDatabase();
});
afterEach(async () => {
  for (const close of closings.splice(0).reverse()) await close();
  await database.drop();
});

const log = { info() {}, warn() {} };

function givenTail(options: Partial<EventTailOptions> = {}): EventTail {
  const tail = createEventTail({ db: database.db, log, ...options });
  closings.push(() => tail.close());
  return tail;
}

function progress(done: number, of: Partial<NewEvent> = {}): NewEvent {
  return { root: 'tsk_1', task: 'tsk_1', ...of, body: { type: 'task.progress', phase: 'run', done, total: 1 } };
}

function doneOf(event: Event): number {
  return event.body.type === 'task.progress' ? event.body.done : Number.NaN;
}

/** Collects what a subscriber gets; `until` resolves when it has that many. */
function follow(tail: EventTail, options: { topic?: string; after?: number; pace?: () => Promise<void> } = {}) {
  const events: Event[] = [];
  const over = new AbortController();
  closings.push(() => over.abort());
  const waiting: { count: number; resolve: () => void }[] = [];
  const ended = (async () => {
    for await (const event of tail.subscribe({ topic: options.topic ?? 'all', after: options.after, signal: over.signal })) {
      events.push(event);
      for (const { count, resolve } of waiting) if (events.length >= count) resolve();
      await options.pace?.();
    }
  })();
  ended.catch(() => {});
  return {
    events,
    ended,
    stop: () => over.abort(),
    until: (count: number) =>
      Promise.race([
        ended,
        new Promise<void>((resolve) => {
          waiting.push({ count, resolve });
          if (events.length >= count) resolve();
        }),
      ]),
  };
}

test('whatever the order of commits and however many are undone, a subscriber gets each committed event once, in order', async () => {
  const { db } = database;
  const tail = givenTail({ keptEvents: 50 });
  await tail.position(undefined);
  const fast = follow(tail, { after: 0 });
  const slow = follow(tail, { after: 0, pace: () => delay(1) });
  const aboutOne = follow(tail, { topic: 'task:tsk_3', after: 0 });

  let committed = 0;
  const run = async (writer: number): Promise<void> => {
    for (let round = 0; round < 25; round++) {
      const count = 1 + Math.floor(Math.random() * 3);
      const isUndone = Math.random() < 0.25;
      await db
        .tx(async (tx) => {
          for (let index = 0; index < count; index++) {
            await appendEvents(tx, [progress(writer * 1_000 + round, { root: `tsk_${writer}` })]);
            if (Math.random() < 0.5) await delay(Math.random() * 8);
          }
          if (isUndone) throw new Error('undone');
        })
        .then(
          () => {
            committed += count;
            if (Math.random() < 0.7) tail.wake();
          },
          () => {},
        );
    }
  };
  await Promise.all(Array.from({ length: 9 }, (_, writer) => run(writer)));
  tail.wake();

  await Promise.all([fast.until(committed), slow.until(committed)]);
  const { rows } = await db.query<{ seq: number }>('select seq from events order by seq');
  const numbers = rows.map(({ seq }) => seq);
  expect(numbers.length).toBe(committed);
  expect(fast.events.map(({ seq }) => seq)).toEqual(numbers);
  expect(slow.events.map(({ seq }) => seq)).toEqual(numbers);
  expect(aboutOne.events.map(({ seq }) => seq)).toEqual(fast.events.filter(({ root }) => root === 'tsk_3').map(({ seq }) => seq));
});

test('an event is held back while a transaction that may still tell an earlier one is open', async () => {
  const { db } = database;
  const tail = givenTail();
  const reader = follow(tail, { after: 0 });
  await tail.position(undefined);

  const mayCommit = Promise.withResolvers<void>();
  const hasNumber = Promise.withResolvers<void>();
  const early = db.tx(async (tx) => {
    await appendEvents(tx, [progress(1)]);
    hasNumber.resolve();
    await mayCommit.promise;
  });
  await hasNumber.promise;
  await db.tx((tx) => appendEvents(tx, [progress(2)]));
  tail.wake();
  await delay(60);
  expect(reader.events).toEqual([]);
  expect(await tail.list('all', 0, 10)).toEqual({ items: [], newest: 0 });

  mayCommit.resolve();
  await early;
  await reader.until(2);
  expect(reader.events.map(doneOf)).toEqual([1, 2]);
});

test('a number that was rolled back delays nobody, also while an unrelated transaction stays open', async () => {
  const { db } = database;
  const tail = givenTail();
  const reader = follow(tail, { after: 0 });
  await tail.position(undefined);
  const mayEnd = Promise.withResolvers<void>();
  const isOpen = Promise.withResolvers<void>();
  const unrelated = db.tx(async (tx) => {
    await tx.query(`insert into users (id, name, role) values ('usr_1', 'someone', 'member')`);
    isOpen.resolve();
    await mayEnd.promise;
  });
  await isOpen.promise;

  await db
    .tx(async (tx) => {
      await appendEvents(tx, [progress(1), progress(2)]);
      throw new Error('undone');
    })
    .catch(() => {});
  await db.tx((tx) => appendEvents(tx, [progress(3)]));
  tail.wake();
  await reader.until(1);
  expect(reader.events.map(doneOf)).toEqual([3]);

  mayEnd.resolve();
  await unrelated;
});

test('a server hears of what another one committed long before its slow look', async () => {
  const listener = openListener(database.url);
  closings.push(() => listener.close());
  const other = givenTail({ notifier: createNotifier(database.db) });
  const listening = Promise.withResolvers<void>();
  const on = async (...args: Parameters<typeof listener.on>): Promise<void> => listening.resolve(await listener.on(...args));
  const here = givenTail({ listener: { on }, slowLookMs: 60_000 });
  const reader = follow(here);
  await Promise.all([here.position(undefined), listening.promise]);

  await database.db.tx((tx) => appendEvents(tx, [progress(7)]));
  other.wake();
  await reader.until(1);
  expect(reader.events.map(doneOf)).toEqual([7]);
});

test('a reader that comes back continues after its cursor, from memory and from the table alike', async () => {
  const { db } = database;
  await db.tx((tx) =>
    appendEvents(
      tx,
      Array.from({ length: 30 }, (_, index) => progress(index)),
    ),
  );
  const tail = givenTail({ keptEvents: 10 });
  await tail.position(undefined);
  await db.tx((tx) =>
    appendEvents(
      tx,
      Array.from({ length: 30 }, (_, index) => progress(30 + index)),
    ),
  );
  tail.wake();

  const fromTable = follow(tail, { after: 5 });
  await fromTable.until(55);
  const fromMemory = follow(tail, { after: 58 });
  await fromMemory.until(2);
  expect(fromTable.events.map(({ seq }) => seq)).toEqual(Array.from({ length: 55 }, (_, index) => 6 + index));
  expect(fromMemory.events.map(({ seq }) => seq)).toEqual([59, 60]);
});

test('a cursor is refused when events after it were removed, and when this log never gave it', async () => {
  const { db } = database;
  await db.tx((tx) =>
    appendEvents(
      tx,
      Array.from({ length: 20 }, (_, index) => progress(index)),
    ),
  );
  await db.query('delete from events where seq <= 10');
  const tail = givenTail();

  await expect(tail.list('all', 4, 100)).rejects.toMatchObject({ code: 'api.cursor_too_old', details: { oldest: 11, newest: 20 } });
  await expect(follow(tail, { after: 4 }).ended).rejects.toMatchObject({ code: 'api.cursor_too_old' });
  await expect(tail.position(9_000)).rejects.toMatchObject({ code: 'api.cursor_too_old' });
  expect((await tail.list('all', 10, 100)).items).toHaveLength(10);
  expect((await tail.list('all', 0, 3)).items.map(({ seq }) => seq)).toEqual([11, 12, 13]);
});

test('a topic means the same rows in the table as events in memory', async () => {
  const { db } = database;
  const news: NewEvent[] = [
    { root: 'tsk_1', task: 'tsk_1', project: 'prj_1', body: { type: 'task.created', kind: 'shell', name: 'x', state: 'pending' } },
    { root: 'tsk_2', task: 'tsk_2', body: { type: 'task.waiting', reason: 'y' } },
    {
      root: 'tsk_1',
      task: 'tsk_3',
      worker: 'wrk_1',
      body: { type: 'attempt.moved', attempt: 'att_1', number: 1, worker: 'a', to: 'running' },
    },
    { worker: 'wrk_1', body: { type: 'worker.added', name: 'a', transport: 'local' } },
    { project: 'prj_1', body: { type: 'project.added', name: 'p' } },
  ];
  await db.tx((tx) => appendEvents(tx, news));
  const { items: all } = await givenTail().list('all', 0, 100);
  expect(all.map(({ seq: _seq, at: _at, ...rest }) => rest)).toEqual(news);
  const kept = givenTail();
  for (const topic of ['tasks', 'workers', 'projects', 'task:tsk_1', 'worker:wrk_1', 'project:prj_1', 'task:tsk_9']) {
    expect((await kept.list(topic, 0, 100)).items, topic).toEqual(all.filter((event) => isAbout(topic, event)));
  }
});

test('closing ends the subscriptions', async () => {
  const tail = givenTail();
  const reader = follow(tail);
  await tail.position(undefined);
  await tail.close();
  await reader.ended;
});
