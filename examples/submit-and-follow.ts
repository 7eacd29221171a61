/**
 * Runs a command on the pool, shows what happens to it, prints its output:
 * `HELIX_SERVER=http://127.0.0.1:7777 HELIX_TOKEN=… node examples/submit-and-follow.ts 'uname -a'`
 */
import { createClient } from '@helixcode/client/http-client';
import { createLiveClient } from '@helixcode/client/live-client';
import { isSettled } from '@helixcode/protocol/task/task-state';

const { HELIX_SERVER: baseUrl = 'http://127.0.0.1:7777', HELIX_TOKEN: token = '' } = process.env;
const client = createClient({ baseUrl, token });
const live = createLiveClient({ baseUrl, token });

const command = process.argv[2] ?? 'uname -a';
const task = await client.call('tasks.submit', { body: { kind: 'shell', spec: { command } } });
for await (const { task: id, body } of live.subscribe({ topic: `task:${task.id}`, after: 0 })) {
  console.error(body.type, 'to' in body ? body.to : '');
  if (id === task.id && body.type === 'task.moved' && isSettled(body.to)) break;
}
live.close();

const output = await client.call('tasks.output', { params: { task: task.id } });
process.stdout.write(await output.text());
const { state } = await client.call('tasks.get', { params: { task: task.id } });
process.exitCode = state === 'completed' ? 0 : 1;
