import type { Client } from '@helixcode/client/http-client';
import { createLiveClient } from '@helixcode/client/live-client';
import type { TaskDetail } from '@helixcode/protocol/api/views';
import type { Event } from '@helixcode/protocol/event/events';
import { isSettled } from '@helixcode/protocol/task/task-state';

/** What is needed to talk to a server. */
export interface ServerAddress {
  url: string;
  token: string;
  client: Client;
}

/** Waits until so many workers are up. */
export async function workersAreUp(client: Client, count: number): Promise<void> {
  for (;;) {
    const { items } = await client.call('workers.list');
    const blocked = items.find((worker) => worker.state === 'blocked');
    if (blocked) throw new Error(`${blocked.name} is blocked: ${blocked.reason?.message}`);
    if (items.filter((worker) => worker.state === 'up').length >= count) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Waits for an event of a topic, be it one that has already happened; through restarts of the server where its address stays. */
export async function eventOf(
  server: Pick<ServerAddress, 'url' | 'token'>,
  topic: string,
  isMeant: (event: Event) => boolean,
  after = 0,
): Promise<Event> {
  const live = createLiveClient({ baseUrl: server.url, token: server.token });
  try {
    for await (const event of live.subscribe({ topic, after })) if (isMeant(event)) return event;
  } finally {
    live.close();
  }
  throw new Error(`the events of ${topic} ended`);
}

/** Number of the newest event: what happens after it is news. */
export async function newestEvent(client: Client): Promise<number> {
  return (await client.call('events.list', { query: { limit: 1 } })).newest;
}

/** Waits until a task is over, whatever its outcome, and returns it. */
export async function taskIsSettled(server: ServerAddress, task: string): Promise<TaskDetail> {
  await eventOf(server, `task:${task}`, (event) => event.task === task && event.body.type === 'task.moved' && isSettled(event.body.to));
  // It may have been retried meanwhile; whoever asks for that asks again.
  return server.client.call('tasks.get', { params: { task } });
}

/** Waits until so many bytes of a stream of the newest attempt are stored; output is not told of by events. */
export async function outputReaches(client: Client, task: string, bytes: number, stream = 'out'): Promise<void> {
  for (;;) {
    const response = await client.call('tasks.output', { params: { task }, query: { stream, from: bytes - 1, maxBytes: 1 } });
    if ((await response.arrayBuffer()).byteLength === 1) return;
    if (response.headers.get('helix-over') === 'true') throw new Error(`${stream} of ${task} is over before byte ${bytes}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
