import { appendEvents } from '@helixcode/server/events/event-log';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { givenApi, type TestApi } from '../support/api.ts';
import { givenDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let api: TestApi;

beforeEach(async () => {
  database = await givenDatabase();
  api = await givenApi(database);
});
afterEach(async () => {
  await api.stop();
  await database.drop();
});

/** What is not in the table any more is not in memory either. */
async function restart(): Promise<void> {
  await api.stop();
  api = await givenApi(database);
}

async function happen(...names: string[]): Promise<void> {
  await database.db.tx((tx) =>
    appendEvents(
      tx,
      names.map((name) => ({ project: `prj_${name}`, body: { type: 'project.added' as const, name } })),
    ),
  );
  api.tail.wake();
}

/** Reads frames as they come. */
function framesOf(response: Response): { next(): Promise<string> } {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  return {
    async next() {
      for (;;) {
        const end = text.indexOf('\n\n');
        if (end >= 0) {
          const frame = text.slice(0, end);
          text = text.slice(end + 2);
          return frame;
        }
        const part = await reader?.read();
        if (part?.value === undefined) return '(end)';
        text += part.value;
      }
    },
  };
}

const nameIn = (frame: string): string => (JSON.parse(frame.split('data: ')[1] ?? '{}') as { body: { name: string } }).body.name;

test('a page of the log names the newest event, from which the next page goes on', async () => {
  await happen('a', 'b', 'c');
  await api.tail.position(undefined);
  const first = (await (await api.ask('/api/v1/events?limit=2')).json()) as { items: { seq: number }[]; newest: number };
  expect(first.items.map(({ seq }) => seq)).toEqual([1, 2]);
  const rest = (await (await api.ask('/api/v1/events?after=2')).json()) as typeof first;
  expect(rest).toMatchObject({ items: [{ seq: 3, project: 'prj_c', body: { type: 'project.added', name: 'c' } }], newest: 3 });
});

test('a stream of events carries their numbers, and resumes after the last one seen', async () => {
  const response = await api.ask('/api/v1/events/stream');
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
  const frames = framesOf(response);
  expect(await frames.next()).toBe('retry: 1000\nid: 0');
  await happen('a');
  const frame = await frames.next();
  expect(frame).toMatch(/^id: 1\ndata: \{"seq":1,/);
  await response.body?.cancel().catch(() => {});

  await happen('b', 'c');
  const again = framesOf(await api.ask('/api/v1/events/stream?after=0', { headers: { 'last-event-id': '1' } }));
  expect(await again.next()).toBe('retry: 1000\nid: 1');
  expect([nameIn(await again.next()), nameIn(await again.next())]).toEqual(['b', 'c']);
});

test('a stream about one subject tells nothing else', async () => {
  const frames = framesOf(await api.ask('/api/v1/events/stream?topic=project:prj_b&after=0'));
  await frames.next();
  await happen('a', 'b', 'c');
  expect(nameIn(await frames.next())).toBe('b');
});

test('a cursor whose events are gone, and one that is no number, are refused before a stream begins', async () => {
  await happen('a', 'b', 'c', 'd');
  await database.db.query('delete from events where seq < 4');
  await restart();
  const gone = await api.ask('/api/v1/events/stream?after=1');
  expect([gone.status, await gone.json()]).toEqual([
    410,
    expect.objectContaining({ code: 'api.cursor_too_old', details: { oldest: 4, newest: 4 } }),
  ]);
  const wrong = await api.ask('/api/v1/events/stream', { headers: { 'last-event-id': 'x' } });
  expect([wrong.status, await wrong.json()]).toEqual([
    400,
    expect.objectContaining({ detail: 'header Last-Event-ID is "x"; expected a sequence number' }),
  ]);
});

test('a listener that takes nothing holds up nobody and costs the server a bounded buffer', async () => {
  const idle = await api.ask('/api/v1/events/stream?after=0');
  const busy = framesOf(await api.ask('/api/v1/events/stream?after=0'));
  await busy.next();
  const names = Array.from({ length: 3_000 }, (_, index) => `p${index}-${'x'.repeat(1_000)}`);
  await happen(...names);
  for (const name of names) expect(nameIn(await busy.next())).toBe(name);

  const late = framesOf(idle);
  await late.next();
  for (const name of names) expect(nameIn(await late.next())).toBe(name);
});
