import { createNotifier, type OnNotification, openListener } from '@helixcode/server/db/listen';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;

beforeAll(async () => {
  database = await givenDatabase();
});
afterAll(() => database.drop());

test('a notification reaches the listeners of its channel', async () => {
  const listener = openListener(database.url);
  const heard = collector();
  const other = collector();
  await Promise.all([listener.on('tasks', heard.fn), listener.on('Other channel', other.fn)]);

  const notifier = createNotifier(database.db);
  notifier.notify('tasks', 'task-1');
  notifier.notify('Other channel', '');

  expect(await heard.next()).toBe('task-1');
  expect(await other.next()).toBe('');
  await listener.close();
});

test('equal notifications close together are one, and one asked for later is sent again', async () => {
  const listener = openListener(database.url);
  const heard = collector();
  await listener.on('tasks', heard.fn);
  const notifier = createNotifier(database.db);

  for (let n = 0; n < 100; n++) notifier.notify('tasks', n % 2 ? 'odd' : 'even');
  await notifier.drain();
  notifier.notify('tasks', 'odd');
  notifier.notify('tasks', 'end');

  const all: (string | undefined)[] = [];
  while (all.at(-1) !== 'end') all.push(await heard.next());
  expect(all).toEqual(['even', 'odd', 'odd', 'end']);
  await listener.close();
});

test('after a lost connection every listener is told to look, and hears again', async () => {
  const listener = openListener(database.url);
  const heard = collector();
  await listener.on('tasks', heard.fn);
  await database.db.query(
    `select pg_terminate_backend(pid, 5000) from pg_stat_activity where query like 'listen%' and datname = current_database()`,
  );

  expect(await heard.next()).toBeUndefined();
  createNotifier(database.db).notify('tasks', 'back');
  expect(await heard.next()).toBe('back');
  await listener.close();
});

function collector(): { fn: OnNotification; next(): Promise<string | undefined> } {
  const heard: (string | undefined)[] = [];
  let wake = (): void => {};
  return {
    fn(payload) {
      heard.push(payload);
      wake();
    },
    async next() {
      while (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return heard.shift();
    },
  };
}
